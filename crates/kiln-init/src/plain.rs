//! Projects without a file of a deployment tool: their own code says where the handlers are.

use crate::artifact::{Artifact, Kind, Source, Told};
use crate::dependencies::{has_project, project_name};
use crate::folder::{Folder, name_of, upwards};
use crate::handler::{artifact_name, handlers_of, import_root, is_of_tests, module_name};
use crate::reading::Reading;
use std::collections::BTreeMap;

/// Finds handlers in code, and takes those of one project together.
pub(crate) fn read(folder: &Folder, reading: &mut Reading) {
    // By project: the module's file, and what it has.
    let mut projects: BTreeMap<String, Vec<(String, &'static str)>> = BTreeMap::new();
    for (path, code) in folder.texts() {
        if !path.ends_with(".py") || is_of_tests(path) {
            continue;
        }
        let root = import_root(folder, path);
        let project = upwards(root).find(|above| has_project(folder, above)).unwrap_or(root);
        for handler in handlers_of(code) {
            projects.entry(project.to_owned()).or_default().push((path.to_owned(), handler));
        }
    }
    for (project, handlers) in projects {
        // One function for a module: which of two in one module is meant, nothing tells.
        let mut modules: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (path, handler) in handlers {
            modules.entry(path).or_default().push(handler);
        }
        let is_only = modules.len() == 1;
        for (path, names) in modules {
            let root = import_root(folder, &path);
            let module = module_name(root, &path);
            let own = project_name(folder, &project);
            let stem = name_of(&path).trim_end_matches(".py").to_owned();
            let below = name_of(root).to_owned();
            let name = match (is_only, own) {
                (true, Some(own)) => own,
                (true, None) if !project.is_empty() => name_of(&project).to_owned(),
                (true, None) => reading.folder_name.clone(),
                (false, _)
                    if matches!(stem.as_str(), "app" | "main" | "handler" | "lambda_function" | "index")
                        && root != project =>
                {
                    below
                }
                (false, _) => stem,
            };
            let Some(name) = reading.named(&path, artifact_name(&name)) else { continue };
            let mut artifact = Artifact::new(name, Kind::Zip, path.clone());
            artifact.handler = match names.as_slice() {
                [one] => Told::Is(format!("{module}.{one}")),
                several => Told::Not {
                    why: format!("{path} has {}", several.join(" and ")),
                    such_as: format!("{module}.{}", several[0]),
                },
            };
            artifact.source =
                Told::Is(Source { path: root.to_owned(), include: Vec::new(), exclude: Vec::new() });
            reading.add(artifact);
        }
    }
}
