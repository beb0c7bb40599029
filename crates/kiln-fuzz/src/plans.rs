//! What a user states: settings, bases, manifests, Dockerfiles and `.dockerignore`.

use crate::sections::{sections, text_of};
use kiln_plan::{BaseKind, Ignore, Problem, TextFile, Workspace, WorkspaceFiles};
use kiln_record::TreePath;
use std::sync::Arc;

/// A base that is pinned, and a manifest that is built by a Dockerfile.
const DEFINITION: &str = r#"
kind = "registry"
platforms = ["linux/amd64"]
[registry]
reference = "registry.example.org/base:1"
"#;
const MANIFEST: &str = r#"
kind = "image"
dockerfile = "app/Dockerfile"
[target]
architecture = "x86_64"
"#;

fn file(path: &str, text: &str) -> TextFile {
    TextFile { path: path.to_owned(), text: Arc::from(text) }
}

/// Problems have a place in their file: what the reader is shown can be cut out of its text.
fn are_told<'a>(problems: impl IntoIterator<Item = &'a Problem>) {
    for problem in problems {
        assert!(!problem.message.is_empty());
        let shown = problem.to_string();
        assert!(shown.contains(&problem.file), "{shown}");
        if let (Some(text), Some(span)) = (&problem.text, &problem.span) {
            assert!(text.get(span.clone()).is_some(), "{span:?} is in the text: {}", problem.message);
            assert!(problem.line().is_some_and(|line| line >= 1));
        }
    }
}

fn examined(files: &WorkspaceFiles) {
    match Workspace::parse_usable(files) {
        Ok(workspace) => {
            are_told(workspace.problems.iter().chain(workspace.broken.values().flatten()));
            for name in workspace.manifests.keys() {
                assert!(!workspace.broken.contains_key(name), "what is broken is not usable");
                assert!(workspace.artifact_names().contains(name));
            }
            for manifest in workspace.manifests.values() {
                assert!(workspace.bases.contains_key(workspace.base_of(manifest)), "its base is there");
            }
            for recipe in workspace.recipes.values() {
                let is_nothing = workspace
                    .bases
                    .get(&recipe.base)
                    .is_some_and(|(definition, _)| definition.kind == BaseKind::Scratch);
                assert!(
                    is_nothing || recipe.bases.contains(&recipe.base),
                    "its base is among those it names"
                );
                let written = || recipe.for_engine(|base| format!("registry.example.org/{base}:1"));
                assert_eq!(written(), written(), "one file, one text for the engine");
            }
            assert_eq!(
                Workspace::parse(files).is_ok(),
                workspace.problems.is_empty() && workspace.broken.is_empty(),
                "what is usable and has no problem is good"
            );
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "who refuses says why");
            are_told(&problems);
        }
    }
}

/// A workspace: sections `kiln.toml`, `images/…`, `manifests/…` and any others, which are Dockerfiles.
pub fn workspace(data: &[u8]) {
    let mut files = WorkspaceFiles::default();
    for (path, text) in sections(data) {
        let file = file(path, text);
        match path {
            "kiln.toml" => files.settings = Some(file),
            "kiln.lock" => files.tools_lock = Some(file),
            _ if path.starts_with("images/") && path.ends_with(".toml") => files.definitions.push(file),
            _ if path.starts_with("images/") => files.locks.push(file),
            _ if path.starts_with("manifests/") && path.ends_with(".toml") => files.manifests.push(file),
            _ if path.starts_with("manifests/") && path.ends_with(".lock") => files.artifact_locks.push(file),
            _ => files.dockerfiles.push(file),
        }
    }
    examined(&files);
}

/// A Dockerfile of an artifact on a base.
pub fn dockerfile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    examined(&WorkspaceFiles {
        definitions: vec![file("images/base.toml", DEFINITION)],
        manifests: vec![file("manifests/demo.toml", MANIFEST)],
        dockerfiles: vec![file("manifests/app/Dockerfile", text)],
        ..WorkspaceFiles::default()
    });
}

/// `.dockerignore`, with paths in the section `paths`: what a folder's pattern takes away is away with all that is below.
pub fn dockerignore(data: &[u8]) {
    let files = sections(data);
    let whole = std::str::from_utf8(data).unwrap_or_default();
    let patterns = files.first().filter(|(name, _)| name.is_empty()).map_or(whole, |(_, text)| text);
    let Ok(ignore) = Ignore::parse(".dockerignore", patterns) else { return };
    let fixed = ["a", "a/b", "src/main.py", ".git/config", "src/__pycache__/main.cpython-313.pyc"];
    let brings_back = patterns.lines().any(|line| line.trim_start().starts_with('!'));
    for path in text_of(&files, "paths").unwrap_or_default().lines().take(32).chain(fixed) {
        let Ok(path) = TreePath::new(path) else { continue };
        let out = ignore.leaves_out(&path);
        if let Ok(below) = TreePath::new(&format!("{path}/deep"))
            && out
            && !brings_back
        {
            assert!(ignore.leaves_out(&below), "{path} is left out, and so is what is below");
        }
    }
}
