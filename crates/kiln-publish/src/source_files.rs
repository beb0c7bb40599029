//! Files of the workspace as a build read them: what is there now, or what the commit has that the ledger knows.

use crate::named_build::NamedBuild;
use fs_err as fs;
use kiln_fetch::Checkout;
use kiln_invocation::Environment;
use kiln_store::read_regular;
use std::path::Path;

/// The largest file that is looked into, in bytes.
const LARGEST: usize = 16 << 20;

/// The workspace of a build.
pub(crate) struct SourceFiles<'a> {
    root: &'a Path,
    /// The commit that the build was made of, if the ledger knows it and it is here.
    commit: Option<String>,
}

impl<'a> SourceFiles<'a> {
    /// Those of a build of the ledger here. Of any other only what is there now can be looked at.
    pub(crate) fn of(environment: &'a Environment, build: &NamedBuild) -> Self {
        let entry = build.number.and_then(|number| {
            // The build was read, and with it its entry; what cannot be had is not known here.
            environment.ledger().at(&build.record.artifact, number).ok().flatten()
        });
        let link = entry.and_then(|entry| entry.source);
        let commit = link.as_ref().and_then(|link| link.commit()).map(|source| source.commit.clone());
        let root = environment.root.as_path();
        let is_here =
            |commit: &String| Checkout::around(root).is_some_and(|checkout| checkout.has(commit) == Ok(true));
        Self { root, commit: commit.filter(is_here) }
    }

    /// The text of a file that is what the build read, by its path in the workspace.
    pub(crate) fn text(&self, path: &str, is_it: &dyn Fn(&[u8]) -> bool) -> Option<String> {
        let file = self.root.join(path);
        let there = fs::metadata(&file).is_ok_and(|found| found.len() <= LARGEST as u64);
        let there = there.then(|| read_regular(&file).ok()).flatten().filter(|bytes| is_it(bytes));
        let bytes = there.or_else(|| {
            let commit = self.commit.as_ref()?;
            let stored =
                Checkout::object(self.root, &format!("{commit}:./{path}"), LARGEST).ok().flatten()?;
            is_it(&stored).then_some(stored)
        })?;
        String::from_utf8(bytes).ok()
    }

    /// The text of a file that no digest of the build vouches for, as the commit of the build has it.
    pub(crate) fn committed(&self, path: &str) -> Option<String> {
        let commit = self.commit.as_ref()?;
        let stored = Checkout::object(self.root, &format!("{commit}:./{path}"), LARGEST).ok().flatten()?;
        String::from_utf8(stored).ok()
    }

    /// The last commit that changed a file before the build, if the build had the file from its commit.
    pub(crate) fn last_change(&self, path: &str, text: &str) -> Option<String> {
        let commit = self.commit.as_ref()?;
        let stored = Checkout::object(self.root, &format!("{commit}:./{path}"), LARGEST).ok().flatten()?;
        if stored != text.as_bytes() {
            return None;
        }
        Checkout::last_change(self.root, commit, path).ok().flatten()
    }
}
