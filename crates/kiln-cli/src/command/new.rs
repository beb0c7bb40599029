//! `kiln new artifact`: the manifest of one artifact.

use super::init::from_registry;
use crate::args::start::{New, NewArtifact, NewKind, NewWhat};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use fs_err as fs;
use kiln_init::{Artifact, Kind, Source, Told, manifest};
use kiln_plan::{known_base, usual_base_name};
use kiln_record::{Exit, Runtime, exit, runtimes};
use kiln_store::write_atomically;
use std::path::Path;

pub(crate) fn run(settings: &Settings, command: &New, printer: Printer) -> Result<Exit, Failure> {
    let NewWhat::Artifact(wanted) = &command.what;
    let root = &settings.environment.root;
    let file = format!("manifests/{}.toml", wanted.name);
    let place = root.join(&file);
    if place.symlink_metadata().is_ok() {
        return Err(Failure::input(format!("{file} is there already, and was left as it is"))
            .hint("choose another name, or remove the file"));
    }
    let artifact = artifact(root, wanted)?;
    let text = manifest(&artifact);
    let broken = |error: std::io::Error| Failure::store(error.to_string());
    fs::create_dir_all(root.join("manifests")).map_err(broken)?;
    write_atomically(&place, text.as_bytes()).map_err(|error| Failure::store(error.to_string()))?;
    printer.data(&format!("{}: written\n", printer.on_stdout(Style::Good, &file)));
    if let Some(runtime) = artifact.runtime.value().and_then(|name| Runtime::named(name))
        && !root.join(format!("images/{}.toml", usual_base_name(runtime))).exists()
        && let Some(reference) = known_base(runtime, &[]).and_then(|base| base.reference)
    {
        printer.talk(&from_registry(&runtime.name, &reference));
    }
    let is_open = text.lines().any(|line| line.starts_with("# ") && line.contains(" = "));
    printer.talk(&match is_open {
        true => format!("next: fill in its commented lines, then kiln build {}", wanted.name),
        false => format!("next: kiln lock --all, then kiln build {}", wanted.name),
    });
    Ok(exit::SUCCESS)
}

fn artifact(root: &Path, wanted: &NewArtifact) -> Result<Artifact, Failure> {
    let kind = match wanted.kind {
        NewKind::Zip => Kind::Zip,
        NewKind::Layer => Kind::Layer,
        NewKind::LambdaImage => Kind::LambdaImage,
        NewKind::Image => Kind::Image,
    };
    let mut artifact =
        Artifact::new(wanted.name.clone(), kind, "Every key is explained in docs/manifests.md".to_owned());
    if let Some(machine) = wanted.architecture {
        artifact.architecture = Some(Told::Is(machine.into()));
    }
    if let Some(runtime) = &wanted.runtime {
        if Runtime::named(runtime).is_none() {
            let names: Vec<&str> = runtimes().iter().map(|runtime| runtime.name.as_str()).collect();
            return Err(Failure::usage(format!("`{runtime}` is not a runtime that kiln knows"))
                .hint(format!("use one of: {}", names.join(", "))));
        }
        artifact.runtime = Told::Is(runtime.clone());
    }
    if let Some(handler) = &wanted.handler {
        if !kind.is_function() {
            return Err(Failure::usage(format!("a `{}` has no handler", kind.as_str())));
        }
        artifact.handler = Told::Is(handler.clone());
    }
    if let Some(path) = &wanted.source {
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        if !root.join(&path).is_dir() {
            return Err(Failure::usage(format!("--source {path}: there is no such folder in the workspace")));
        }
        artifact.source = Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() });
    }
    Ok(artifact)
}
