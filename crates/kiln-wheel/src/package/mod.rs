//! What the manifest's `[package]` section asks for: files left out, native code stripped, bytecode made. Each by a named
//! rule that the record tells about.

mod bytecode;
mod files;
mod imported;
mod leave_out;
mod place;

use crate::bring::distribution::ReadyWheel;
use crate::{Judged, WheelError};
use kiln_collect::{Collection, Content, Verdict, below, denied, strip};
use kiln_guest::Bases;
use kiln_invocation::blocking;
use kiln_plan::{ArtifactPlan, Bytecode};
use kiln_python::render_record;
use kiln_record::{Code, Digest, Entry, Runtime, Transformation, TreePath};
use place::without_prefix;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of the rule by which RECORD is written anew.
const RECORD_RULES: u32 = 1;

/// Applies the rules of the manifest's `[package]` section, if it has one, to what was collected. `verdict` is what was found
/// before: a path that two parts claimed is no collision any more where it is left out.
///
/// # Errors
/// If a file cannot be read, or the base cannot compile.
pub async fn package(
    bases: &Bases,
    plan: &Arc<ArtifactPlan>,
    runtime: &Runtime,
    collection: Arc<Collection>,
    wheels: &Arc<[ReadyWheel]>,
    mut verdict: Verdict,
) -> Judged<(Arc<Collection>, Verdict)> {
    let Some(section) = plan.manifest.package.clone() else { return Ok(Ok((collection, verdict))) };
    let now = bases.run().now();
    let (mut collection, found) = {
        let (store, plan, wheels, section) =
            (bases.store().clone(), Arc::clone(plan), Arc::clone(wheels), section.clone());
        let mut collection = collection;
        blocking::<_, WheelError>(move || {
            let smaller = Arc::make_mut(&mut collection);
            let folder = plan.manifest.python_folder();
            let found = leave_out::apply(&store, &section, smaller, &wheels, folder)?;
            strip(&store, section.strip, smaller)?;
            Ok((collection, found))
        })
        .await?
    };
    verdict.findings.extend(found);
    verdict.findings.retain(|finding| {
        !matches!(finding.code, Code::PathCollision | Code::CaseCollision)
            || !TreePath::new(&finding.subject).is_ok_and(|path| collection.left_out.contains(&path))
    });
    if let Some(denied) = denied(plan, &verdict.findings, now) {
        return Ok(Err(denied));
    }
    let mut made = BTreeMap::new();
    if section.bytecode == Bytecode::UncheckedHash {
        let compiled = bytecode::compile(bases, plan, runtime, &collection).await?;
        verdict.findings.extend(compiled.findings);
        verdict.checks.extend(compiled.check);
        if let Some(denied) = denied(plan, &verdict.findings, now) {
            return Ok(Err(denied));
        }
        made = bytecode::add(Arc::make_mut(&mut collection), compiled.files, compiled.left);
    }
    let (plan, wheels) = (Arc::clone(plan), Arc::clone(wheels));
    blocking(move || {
        let packaged = Arc::make_mut(&mut collection);
        rewrite_records(packaged, &wheels, plan.manifest.python_folder(), &made);
        packaged.recount();
        Ok(Ok((collection, verdict)))
    })
    .await
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
