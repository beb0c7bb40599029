//! What another machine says that a step made.

use crate::job::Remembered;
use kiln_collect::link_stays_inside;
use kiln_plan::{Reproducible, StepSection};
use kiln_record::{Entry, TreePath};
use kiln_store::Store;

/// Whether a result that another machine made is one that the step can have; else what is wrong with it, as what follows
/// "its result". That its files are those that running it here would make cannot be told.
pub(crate) fn fits(section: &StepSection, store: &Store, made: &Remembered) -> Result<(), String> {
    if made.difference.is_some() && section.reproducible != Reproducible::Check {
        return Err("tells of a second run, and the step runs once".to_owned());
    }
    let mut before: Option<&TreePath> = None;
    for file in &made.files {
        let path = &file.path;
        if before.is_some_and(|before| before >= path) {
            return Err(format!("has `{path}` twice, or not in its place"));
        }
        before = Some(path);
        let inside = section.outputs.iter().filter(|output| output.into.is_some() == file.shipped);
        let inside = inside.filter_map(|output| match output.into.as_deref() {
            None | Some(".") => Some(path.as_str()),
            Some(into) => path.as_str().strip_prefix(into)?.strip_prefix('/'),
        });
        // Of several outputs that it can be in, a link stays inside one.
        let taken = inside.into_iter().any(|inside| match &file.entry {
            Entry::File { .. } => true,
            Entry::Symlink { target } => link_stays_inside(inside, target).is_ok(),
        });
        if !taken {
            return Err(format!("has `{path}`, which is in no output of the step"));
        }
        if let Entry::File { digest, size, .. } = &file.entry
            && store.size_of(digest).map_err(|error| error.to_string())? != *size
        {
            return Err(format!("has another length of `{path}` than its content"));
        }
    }
    if made.files.is_empty() { Err("has no files".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::MadeFile;
    use kiln_guest::Difference;
    use kiln_plan::{StepOutput, StepSpans};
    use kiln_record::Mode;
    use std::collections::BTreeMap;

    #[test]
    fn what_a_step_cannot_have_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put(b"content").unwrap();
        let output = |path: &str, into: Option<&str>| StepOutput {
            path: path.to_owned(),
            into: into.map(str::to_owned),
            folder: "/out".to_owned(),
        };
        let section = StepSection {
            name: "make".to_owned(),
            base: None,
            argv: vec!["true".to_owned()],
            env: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: vec![output("/out/site", Some("static")), output("/out/rest", None)],
            working_dir: "/".to_owned(),
            memory: 1 << 30,
            timeout: 1,
            reproducible: Reproducible::Assume,
            spans: StepSpans::default(),
        };
        let path = |path: &str| TreePath::new(path).unwrap();
        let file = |at: &str, shipped: bool| MadeFile {
            path: path(at),
            entry: Entry::File { digest, size: 7, mode: Mode::Plain },
            shipped,
        };
        let link = |at: &str, target: &str| MadeFile {
            path: path(at),
            entry: Entry::Symlink { target: target.to_owned() },
            shipped: true,
        };
        let told = |files: Vec<MadeFile>| fits(&section, &store, &Remembered { files, difference: None });
        assert_eq!(
            told(vec![file("anywhere", false), file("static/a", true), link("static/b", "a")]),
            Ok(())
        );
        for (files, why) in [
            (vec![], "no files"),
            (vec![file("app.py", true)], "`app.py`, which is in no output"),
            (vec![file("staticfile", true)], "in no output"),
            (vec![file("static/a", true), file("static/a", true)], "`static/a` twice"),
            (vec![link("static/b", "../app.py")], "in no output"),
        ] {
            let refused = told(files).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        let mut longer = file("static/a", true);
        longer.entry = Entry::File { digest, size: 8, mode: Mode::Plain };
        assert!(told(vec![longer]).unwrap_err().contains("another length"));
        let difference = Some(Difference { path: "a".to_owned(), how: "so".to_owned(), files: 1 });
        let twice = Remembered { files: vec![file("static/a", true)], difference };
        assert!(fits(&section, &store, &twice).unwrap_err().contains("runs once"));
    }
}
