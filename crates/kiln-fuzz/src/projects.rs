//! Projects that are no workspace yet: templates, project files, Dockerfiles and code of somebody else.

use crate::invariant::holds;
use crate::sections::sections;
use kiln_init::Options;
use kiln_plan::{TextFile, Workspace, WorkspaceFiles};
use kiln_record::TreePath;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Files that are written for one input; what a project has is bounded elsewhere.
const MOST_FILES: usize = 12;

/// The files of a project, as sections: one project gives one plan, which stays in the workspace, writes no file twice and
/// none that is there, and whose every file says what it says as TOML that kiln reads.
pub fn project(data: &[u8]) {
    let made = holds(tempfile::tempdir(), "a temporary folder");
    let root = made.path().join("project");
    holds(fs_err::create_dir(&root), "a folder is made");
    for (path, text) in sections(data).into_iter().take(MOST_FILES) {
        let Ok(path) = TreePath::new(path) else { continue };
        let place = root.join(path.as_str());
        // One section is a file where another has a folder.
        if place.parent().is_some_and(|parent| fs_err::create_dir_all(parent).is_ok()) {
            let _ = fs_err::write(place, text);
        }
    }
    let Ok(plan) = kiln_init::plan(&root, &Options::default()) else { return };
    assert_eq!(holds(kiln_init::plan(&root, &Options::default()), "the same project"), plan);
    for remark in &plan.remarks {
        assert!(!remark.chars().any(char::is_control), "{remark:?}");
    }
    let paths: BTreeSet<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), plan.files.len(), "no file is written twice");
    let mut files = WorkspaceFiles::default();
    for file in &plan.files {
        assert!(TreePath::new(&file.path).is_ok(), "{} stays in the workspace", file.path);
        assert_eq!(root.join(&file.path).exists(), file.appends, "{}", file.path);
        let Ok(text) = std::str::from_utf8(&file.content) else { continue };
        if !file.path.ends_with(".toml") {
            continue;
        }
        let read: Result<toml::Table, _> = text.parse();
        assert!(read.is_ok(), "{} is TOML: {read:?}\n{text}", file.path);
        let text = TextFile { path: file.path.clone(), text: Arc::from(text) };
        match file.path.split_once('/').map(|(folder, _)| folder) {
            Some("manifests") => files.manifests.push(text),
            Some("images") => files.definitions.push(text),
            _ => files.settings = Some(text),
        }
    }
    // What is not told is missing from a manifest, and what is in it names nothing that kiln does not know.
    let workspace = Workspace::parse_usable(&files);
    let unknown = |problem: &kiln_plan::Problem| problem.message.contains("unknown");
    match &workspace {
        Ok(workspace) => assert!(!workspace.problems.iter().any(unknown), "{:?}", workspace.problems),
        Err(problems) => assert!(!problems.iter().any(unknown), "{problems:?}"),
    }
}
