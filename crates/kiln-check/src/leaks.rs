//! What should not leave the machine that built an artifact: in its own files, and in those that its Dockerfile copies.

use crate::CheckError;
use crate::skipped::is_skipped;
use crate::source_place::in_workspace;
use fs_err as fs;
use kiln_audit::{LEAK_SIZE_LIMIT, Whose, check_leaks, may_name_build_paths};
use kiln_collect::{CollectError, Collection, SourceTree, Verdict, is_local_settings};
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, CheckName, Code, Digest, Ecosystem, Entry, Finding, Place, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Searches the files of a tree, and those that its Dockerfile copies of `context`. What is in the tree has its path there as its
/// subject. `root` is the workspace, in which findings have their places.
///
/// # Errors
/// If a file cannot be read any more.
pub fn leaks(
    root: &Path,
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    context: Option<&SourceTree>,
) -> Result<Verdict, CheckError> {
    let copied = context.map(|files| Copied::new(root, files));
    let (mut findings, mut texts, mut there) = (Vec::new(), 0, BTreeSet::new());
    for (path, entry) in collection.tree.iter() {
        let Entry::File { digest, size, .. } = entry else { continue };
        there.insert(*digest);
        let is_own =
            collection.owners.get(path).is_some_and(|owner| owner.ecosystem() == Ecosystem::Application);
        let from = copied.as_ref().and_then(|copied| copied.of(digest)).filter(|_| is_own);
        let mut found = Vec::new();
        if *size <= LEAK_SIZE_LIMIT && (is_own || may_name_build_paths(path)) {
            let whose = match (is_own, plan.recipe.is_some() && from.is_none()) {
                (false, _) => Whose::Distribution,
                (true, true) => Whose::Made,
                (true, false) => Whose::Project,
            };
            texts += 1;
            found = check_leaks(path, whose, &collection.read(store, path)?);
        }
        if is_own && is_skipped(&plan.manifest, path) {
            // A path of somebody's machine does nothing in code that does not run; a credential is out all the same.
            found.retain(|finding| finding.code != Code::BuildPathLeak);
        }
        match from {
            Some(from) => findings.extend(from.told(path.as_str(), found)),
            None => findings.extend(found.into_iter().map(|finding| in_workspace(root, collection, finding))),
        }
    }
    // What it takes and does not keep went to the builder all the same.
    for (digest, from) in copied.iter().flat_map(|copied| &copied.files).filter(|(d, _)| !there.contains(*d))
    {
        let mut found = Vec::new();
        if from.size <= LEAK_SIZE_LIMIT {
            let content = fs::read(from.file)?;
            if Digest::of(&content) != *digest {
                return Err(CollectError::SourceChanged { path: from.place.clone() }.into());
            }
            texts += 1;
            found = check_leaks(from.path, Whose::Project, &content);
            found.retain(|finding| finding.code != Code::BuildPathLeak);
        }
        findings.extend(from.told(from.path.as_str(), found));
    }
    Ok(Verdict { findings, checks: vec![Check::ran(CheckName::Leaks, texts, "text files")] })
}

/// The files that a Dockerfile copies, by their content.
struct Copied<'a> {
    files: BTreeMap<Digest, FromContext<'a>>,
}

/// A file of a context.
struct FromContext<'a> {
    path: &'a TreePath,
    file: &'a Path,
    size: u64,
    /// Where it is in the workspace.
    place: String,
}

impl<'a> Copied<'a> {
    fn new(root: &Path, context: &'a SourceTree) -> Self {
        let mut files: BTreeMap<Digest, FromContext<'a>> = BTreeMap::new();
        for (path, file) in &context.files {
            let Some(Entry::File { digest, size, .. }) = context.tree.get(path) else { continue };
            // Nothing is told of an empty file, and each content once: by the name that tells most.
            let is_told = files
                .get(digest)
                .is_some_and(|other| is_local_settings(other.path) || !is_local_settings(path));
            if *size > 0 && !is_told {
                let place = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
                files.insert(*digest, FromContext { path, file, size: *size, place });
            }
        }
        Self { files }
    }

    fn of(&self, digest: &Digest) -> Option<&FromContext<'a>> {
        self.files.get(digest)
    }
}

impl FromContext<'_> {
    /// What was found in it, with its place and how it is left out, and what its name alone says where nothing else does.
    fn told(&self, subject: &str, mut found: Vec<Finding>) -> Vec<Finding> {
        let leave_out = format!("leave it out of the context: add `{}` to .dockerignore", self.path);
        for finding in &mut found {
            if let Some(place) = &mut finding.place {
                place.file.clone_from(&self.place);
            }
            if finding.code == Code::CredentialLeak {
                finding.cause = format!("{}: the Dockerfile copies {}", finding.cause, self.place);
                finding.remedy.insert(finding.remedy.len().min(1), format!("or {leave_out}"));
            }
        }
        let is_leak = found.iter().any(|finding| finding.code == Code::CredentialLeak);
        if !is_leak && is_local_settings(self.path) {
            let cause = format!(
                "the Dockerfile copies {}, which by its name holds settings or secrets of one machine",
                self.place
            );
            found.push(
                Finding::new(Code::CredentialLeak, subject, cause)
                    .at(Place::file(&self.place))
                    .remedy(leave_out)
                    .remedy("or accept it in the policy, if it holds no secret"),
            );
        }
        found
    }
}
