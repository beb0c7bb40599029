//! The schemas of every file that kiln reads or writes, and of every document that it prints.
//!
//! They are made from the types that read and write. What people write may have no key that kiln does not know; to
//! what kiln writes, keys may be added.

use crate::command::{
    audit_document, build, bundle, cross_check, doctor, explain_build, explain_code, explain_document,
    export, find, gather, history, init, invoke, lock, lock_artifact, log, pins_check, pins_document, pull,
    push, rebuild, restore, show, show_environment, show_workspace, sign, store, verify, verify_release,
    verify_workspace,
};
use crate::failure;
use kiln_audit::{Diff, WorkspaceDiff};
use kiln_plan::{ArtifactLockFile, BaseDefinition, BaseLock, Manifest, Settings, ToolsLock};
use kiln_record::{ArtifactName, IndexRecord, Record};
use kiln_store::{Approval, Heads, LedgerEntry, LostEntry, RunDetails};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is printed for a lock: one of these for everything that was locked, in a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is only there for its schema")]
enum Locked {
    Tool(lock_artifact::ToolDocument<'static>),
    Base(lock::BaseDocument<'static>),
    Preview(pins_check::Asked),
    Upstream(lock_artifact::UpstreamDocument<'static>),
    Artifact(lock_artifact::ArtifactDocument<'static>),
    Crates(lock_artifact::CratesDocument<'static>),
}

/// A file of `docs/schemas/` with its schema.
type Named = (&'static str, Schema);

/// All schemas, by their path below `docs/schemas/`, without its ending.
#[must_use]
pub fn schemas() -> BTreeMap<&'static str, Schema> {
    written_by_people().into_iter().chain(written_by_kiln()).chain(printed()).collect()
}

fn written_by_people() -> [Named; 3] {
    [
        titled("workspace", "kiln.toml", Settings::schema(reading())),
        titled("base", "images/<base>.toml", BaseDefinition::schema(reading())),
        titled("manifest", "manifests/<artifact>.toml", Manifest::schema(reading())),
    ]
}

fn written_by_kiln() -> [Named; 11] {
    [
        titled("tools-lock", "kiln.lock", reading().into_root_schema_for::<ToolsLock>()),
        titled("base-lock", "images/<base>.lock", reading().into_root_schema_for::<BaseLock>()),
        titled(
            "artifact-lock",
            "manifests/<artifact>.lock",
            reading().into_root_schema_for::<ArtifactLockFile>(),
        ),
        titled("record", "dist/<artifact>/record.json", of::<Record>()),
        titled("platforms", "dist/<image>/platforms.json", of::<IndexRecord>()),
        titled("index", "dist/index.json", kiln_publish::deployment_index_schema(writing())),
        titled("ledger-entry", ".kiln/ledger/<artifact>/<number>/entry.json", of::<LedgerEntry>()),
        titled("heads", ".kiln/heads.json", of::<Heads>()),
        titled("lost-entry", ".kiln/ledger/<artifact>/<number>/lost.json", of::<LostEntry>()),
        titled("approval", ".kiln/ledger/<artifact>/approvals/<number>.json", of::<Approval>()),
        titled("run-details", ".kiln/ledger/<artifact>/<number>/run.json", of::<RunDetails>()),
    ]
}

fn printed() -> [Named; 42] {
    let json = |name, command: &str, schema| titled(name, &format!("{command} --format json"), schema);
    [
        titled("output/error", "--format json of a command that failed", of::<failure::Document<'_>>()),
        json("output/init", "kiln init", of::<init::Document<'_>>()),
        json("output/build", "kiln build", of::<build::Document<'_>>()),
        json("output/bundle-create", "kiln bundle create", of::<bundle::Document<'_>>()),
        json("output/bundle-use", "kiln bundle use", of::<bundle::Used<'_>>()),
        json("output/invoke", "kiln invoke", of::<invoke::Document<'_>>()),
        json("output/lock", "kiln lock", of::<Vec<Locked>>()),
        json("output/pins", "kiln pins", of::<Vec<pins_document::Row<'_>>>()),
        json("output/pins-check", "kiln pins --check", of::<pins_check::Document<'_>>()),
        json("output/explain", "kiln explain ARTIFACT", of::<explain_document::Overview<'_>>()),
        json(
            "output/explain-distribution",
            "kiln explain ARTIFACT DISTRIBUTION",
            of::<Vec<explain_document::Distribution<'_>>>(),
        ),
        json("output/explain-path", "kiln explain ARTIFACT PATH", of::<explain_document::Path<'_>>()),
        json("output/explain-build", "kiln explain of a build", of::<explain_build::Document<'_>>()),
        json("output/store-du", "kiln store du", of::<store::Disk>()),
        json("output/store-gc", "kiln store gc", of::<store::Collected>()),
        json("output/store-check", "kiln store check", of::<store::Checked>()),
        json("output/doctor", "kiln doctor", of::<doctor::Document<'_>>()),
        json("output/explain-code", "kiln explain CODE", of::<explain_code::Document>()),
        json("output/diff", "kiln diff", of::<Diff>()),
        json("output/diff-workspace", "kiln diff of workspaces", of::<WorkspaceDiff>()),
        json("output/find", "kiln find", of::<find::Document<'_>>()),
        json("output/audit", "kiln audit", of::<audit_document::Document<'_>>()),
        json("output/rebuild", "kiln rebuild", of::<rebuild::Document<'_>>()),
        json("output/restore", "kiln restore", of::<restore::Document<'_>>()),
        json("output/history", "kiln history", of::<BTreeMap<ArtifactName, Vec<LedgerEntry>>>()),
        json("output/history-records", "kiln history of records", of::<Vec<history::NamedRow<'_>>>()),
        json("output/show", "kiln show", of::<show::Document<'_>>()),
        json("output/show-index", "kiln show of an index", of::<show::IndexDocument<'_>>()),
        json("output/show-workspace", "kiln show of several artifacts", of::<show_workspace::Document<'_>>()),
        json("output/show-environment", "kiln show --environment", of::<Vec<show_environment::Row<'_>>>()),
        json("output/verify", "kiln verify FILES", of::<Vec<verify::Row<'_>>>()),
        json("output/verify-workspace", "kiln verify", of::<verify_workspace::Document<'_>>()),
        json("output/verify-release", "kiln verify --key", of::<verify_release::Document<'_>>()),
        json("output/sign", "kiln sign", of::<sign::Document<'_>>()),
        json("output/log", "kiln log", of::<log::Document>()),
        json("output/cross-check", "kiln verify --cross-check", of::<cross_check::Document<'_>>()),
        json("output/gather", "kiln gather", of::<gather::Document<'_>>()),
        json("output/push", "kiln push", of::<Vec<push::Row<'_>>>()),
        json("output/pull", "kiln pull", of::<pull::Document<'_>>()),
        json("output/pull-all", "kiln pull --all", of::<pull::All<'_>>()),
        titled("output/export-terraform", "kiln export terraform", of::<export::TerraformDocument<'_>>()),
        titled("output/export-cloudformation", "kiln export cloudformation", of::<Vec<export::Parameter>>()),
    ]
}

fn titled(name: &'static str, title: &str, mut schema: Schema) -> Named {
    schema.insert("title".to_owned(), title.into());
    (name, schema)
}

/// For files in TOML, which has no null: a key that may be absent is no key that may be null.
fn reading() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null)).into_generator()
}

fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|one| one != "null"));
        if let [Value::Object(one)] = &choices[..] {
            let one = one.clone();
            schema.remove("anyOf");
            for (key, value) in one {
                if schema.get(&key).is_none() {
                    schema.insert(key, value);
                }
            }
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

fn writing() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn of<T: JsonSchema>() -> Schema {
    writing().into_root_schema_for::<T>()
}
