//! What the manifest's `[package]` section asks for: files left out, native code stripped, bytecode made. Each by a named
//! rule that the record tells about.

mod bytecode;
mod imported;
mod leave_out;
mod strip;

use crate::BuildError;
use crate::collect::{Collection, Content};
use crate::distribution::ReadyWheel;
use crate::environment::{Context, blocking};
use crate::stage::{Collected, Denied, Judged, denied};
use kiln_plan::{ArtifactPlan, Bytecode, PackageSection};
use kiln_python::render_record;
use kiln_record::{Code, ComponentId, Digest, Entry, Mode, Transformation, TreePath, digest_of_value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of the rules by which files are left out. A step means that equal trees may come out differently.
const LEAVE_OUT_RULES: u32 = 1;
/// The version of the rule by which RECORD is written anew.
const RECORD_RULES: u32 = 1;

/// The digest of everything here that decides bytes: part of every plan.
pub(crate) fn rules() -> Result<Digest, BuildError> {
    Ok(digest_of_value(&(
        LEAVE_OUT_RULES,
        RECORD_RULES,
        kiln_pack::STRIP_RULES,
        bytecode::BYTECODE_RULES,
        kiln_python::COMPILE,
    ))?)
}

impl Collected {
    /// Applies the rules of the manifest's `[package]` section, if it has one.
    pub(crate) async fn package(self, context: &Context) -> Judged<Self> {
        let Some(section) = self.plan.manifest.package.clone() else { return Ok(Ok(self)) };
        let mut collected = {
            let (context, section) = (context.clone(), section.clone());
            blocking(move || smaller(&context, self, &section)).await?
        };
        let left_out = &collected.collection.left_out;
        collected.findings.retain(|finding| {
            finding.code != Code::PathCollision
                || !TreePath::new(&finding.subject).is_ok_and(|path| left_out.contains(&path))
        });
        if let Some(denied) = denied(context, &collected.plan, &collected.findings) {
            return Ok(Err(denied));
        }
        let mut made = BTreeMap::new();
        if section.bytecode == Bytecode::UncheckedHash {
            let compiled =
                bytecode::compile(context, &collected.plan, &collected.runtime, &collected.collection)
                    .await?;
            collected.findings.extend(compiled.findings);
            collected.checks.extend(compiled.check);
            if let Some(denied) = denied(context, &collected.plan, &collected.findings) {
                return Ok(Err(denied));
            }
            let collection = Arc::make_mut(&mut collected.collection);
            made = bytecode::add(collection, compiled.files, compiled.left);
        }
        blocking(move || {
            let collection = Arc::make_mut(&mut collected.collection);
            let folder = collected.plan.manifest.python_folder();
            rewrite_records(collection, &collected.wheels, folder, &made);
            collection.recount();
            Ok(Ok::<Self, Denied>(collected))
        })
        .await
    }
}

fn smaller(
    context: &Context,
    mut collected: Collected,
    section: &PackageSection,
) -> Result<Collected, BuildError> {
    let collection = Arc::make_mut(&mut collected.collection);
    let prefix = collected.plan.manifest.python_folder();
    let findings = leave_out::apply(context, section, collection, &collected.wheels, prefix)?;
    strip::apply(context, section.strip, collection)?;
    collected.findings.extend(findings);
    Ok(collected)
}

/// Writes RECORD anew for each distribution of which a file was left out, changed or made: it lists what is there.
fn rewrite_records(
    collection: &mut Collection,
    wheels: &[ReadyWheel],
    prefix: Option<&str>,
    bytecode: &BTreeMap<TreePath, TreePath>,
) {
    let mut rule = Transformation::new("rewrite-record", RECORD_RULES);
    for ready in wheels {
        let Ok(record) = TreePath::new(&format!("{}/RECORD", ready.wheel.dist_info)) else { continue };
        let Ok(path) = below(&record, prefix) else { continue };
        let mut rows: BTreeMap<TreePath, (Digest, u64)> = BTreeMap::new();
        for file in &ready.wheel.files {
            let Ok(there) = below(&file.path, prefix) else { continue };
            for path in std::iter::once(&there).chain(bytecode.get(&there)) {
                let Some(Entry::File { digest, size, .. }) = collection.tree.get(path) else { continue };
                if let Some(relative) = without_prefix(path, prefix)
                    && relative != record
                {
                    rows.insert(relative, (*digest, *size));
                }
            }
        }
        let text = render_record(rows.iter().map(|(path, (digest, size))| (path, *digest, *size)), &record);
        let Some(Entry::File { digest: before, size, .. }) = collection.tree.get(&path).cloned() else {
            continue;
        };
        let after = Digest::of(text.as_bytes());
        if after == before {
            continue;
        }
        if let Some(owner) = collection.owners.get(&path) {
            rule.count(owner, size, text.len() as u64);
        }
        rule.changed.insert(path.clone(), Some(before));
        collection.replace(&path, after, text.len() as u64, Content::Made(text.into_bytes().into()));
    }
    if rule.files > 0 {
        collection.transformations.push(rule);
    }
}

/// A path of the installation folder as a path of the artifact.
fn below(path: &TreePath, prefix: Option<&str>) -> Result<TreePath, kiln_record::TreePathError> {
    match prefix {
        Some(prefix) => path.below(prefix),
        None => Ok(path.clone()),
    }
}

/// A path of the artifact as one of the installation folder, if it is in there.
fn without_prefix(path: &TreePath, prefix: Option<&str>) -> Option<TreePath> {
    match prefix {
        Some(prefix) => TreePath::new(path.as_str().strip_prefix(prefix)?.strip_prefix('/')?).ok(),
        None => Some(path.clone()),
    }
}

impl Collection {
    /// Takes a file out.
    fn take_out(&mut self, path: &TreePath) -> Option<(ComponentId, u64)> {
        let entry = self.tree.remove(path)?;
        self.content.remove(path);
        self.elf.remove(path);
        self.left_out.insert(path.clone());
        Some((self.owners.remove(path)?, entry.size()))
    }

    /// Gives a file other content; its mode and owner stay.
    fn replace(&mut self, path: &TreePath, digest: Digest, size: u64, content: Content) {
        let mode = match self.tree.remove(path) {
            Some(Entry::File { mode, .. }) => mode,
            _ => Mode::Plain,
        };
        // The path was just made free.
        let _ = self.tree.insert(path.clone(), Entry::File { digest, size, mode });
        self.content.insert(path.clone(), content);
    }
}

/// What of the artifact has to be where it will be, for its modules to be compiled: all of it, or the folder of an image that
/// has its modules.
fn place_of_tree(plan: &ArtifactPlan) -> String {
    match plan.manifest.kind.mount() {
        "" => python_root(plan),
        mount => mount.to_owned(),
    }
}

/// The folder that the artifact's modules are in where it runs.
fn python_root(plan: &ArtifactPlan) -> String {
    match plan.manifest.python_folder() {
        Some(prefix) => format!("{}/{prefix}", plan.manifest.kind.mount()),
        None => plan.manifest.kind.mount().to_owned(),
    }
}
