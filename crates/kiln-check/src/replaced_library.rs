//! Libraries of the target's own system that an artifact brings, where the dynamic loader finds them first.
//!
//! Lambda's `LD_LIBRARY_PATH` has folders of the function and of its layers before those of the system. With another C library or
//! loader there, no program starts, an interpreter least of all; what it writes then are lines of the loader.

use kiln_collect::{Collection, ReadyLayer};
use kiln_plan::Manifest;
use kiln_python::Unreported;
use kiln_record::{Code, ComponentId, Ecosystem, Finding, Runtime};

/// Where the loader looks before the system's folders.
const SEARCHED: [&str; 3] = ["/var/task", "/var/task/lib", "/opt/lib"];

/// A library of the system that the artifact brings, too.
struct Replaced<'a> {
    /// Where Lambda has it.
    path: String,
    owner: &'a ComponentId,
    /// The layer that has it, if it is not the artifact.
    layer: Option<&'a str>,
}

/// Says that a library in the artifact kept the interpreter from starting, if its own words say so; `finding` is the one that
/// has only those.
pub(crate) fn explained(
    finding: Finding,
    unreported: &Unreported,
    (manifest, runtime): (&Manifest, &Runtime),
    collection: &Collection,
    layers: &[ReadyLayer],
) -> Finding {
    let own = brought(manifest.mount(), None, collection, runtime);
    let of_layers = layers
        .iter()
        .flat_map(|layer| brought("/opt", Some(layer.name.as_str()), &layer.collection, runtime));
    let mut replaced = own.into_iter().chain(of_layers);
    let is_named = |found: &Replaced<'_>| unreported.stderr.iter().any(|line| line.contains(&found.path));
    let Some(found) = replaced.find(is_named).filter(|_| finding.code == Code::ImportFailed) else {
        return finding;
    };
    let Replaced { path, owner, layer } = &found;
    let shown = path.strip_prefix(manifest.mount()).unwrap_or(path).trim_start_matches('/');
    let whose = match layer {
        Some(layer) => format!("the layer {layer}"),
        None if owner.ecosystem() == Ecosystem::Application => "the artifact".to_owned(),
        None => owner.name().to_owned(),
    };
    let cause = format!(
        "no interpreter starts beside `{shown}` of {whose}: the dynamic loader takes it in place of the library of that name that {} ({}) has",
        runtime.name, runtime.system.name
    );
    let section = if owner.ecosystem() == Ecosystem::Application { "source" } else { "package" };
    let of = layer.map_or_else(String::new, |layer| format!(" of the layer {layer}"));
    let finding = Finding::new(Code::ImportFailed, finding.subject, cause);
    unreported.stderr.last().into_iter().fold(finding, |finding, line| finding.detail(line.as_str())).remedy(format!(
        "leave it out, with `exclude` under [{section}]{of}: programs need the one that belongs to their loader"
    ))
}

/// The libraries of the system that a tree has where they are looked for.
fn brought<'a>(
    mount: &str,
    layer: Option<&'a str>,
    collection: &'a Collection,
    runtime: &Runtime,
) -> Vec<Replaced<'a>> {
    let is_searched =
        |path: &str| path.rsplit_once('/').is_some_and(|(folder, _)| SEARCHED.contains(&folder));
    let all = collection.owners.iter().filter(|(path, _)| runtime.has_library(path.file_name()));
    all.map(|(path, owner)| Replaced { path: format!("{mount}/{path}"), owner, layer })
        .filter(|found| is_searched(&found.path))
        .collect()
}
