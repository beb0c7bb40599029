//! `kiln bundle`.

use crate::args::bundle::{BundleCommand, Create, Use, What};
use crate::args::{Format, VERSION};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use fs_err as fs;
use kiln_audit::format_size;
use kiln_build::{REMEMBERED_INPUTS, ServedInputs, served_inputs};
use kiln_bundle::{Bundle, Content, Form, Program, Remembered, write};
use kiln_record::{ArtifactName, Digest, Exit, canonical_json, counted, exit};
use kiln_store::Store;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::path::PathBuf;

pub(crate) fn run(settings: &Settings, command: &BundleCommand, printer: Printer) -> Result<Exit, Failure> {
    match &command.what {
        What::Create(create) => make(settings, create, printer),
        What::Use(used) => fill(settings, used, printer),
    }
}

/// The artifacts that are named, and the file.
fn named(create: &Create) -> Result<(Option<Vec<ArtifactName>>, PathBuf), Failure> {
    let Some((file, names)) = create.names_and_file.split_last() else {
        return Err(Failure::usage("the file to write is not named"));
    };
    let names = names.iter().map(|name| {
        name.parse().map_err(|error| Failure::usage(format!("`{name}` is no name of an artifact: {error}")))
    });
    let names: Vec<ArtifactName> = names.collect::<Result<_, _>>()?;
    match (create.all, names.is_empty()) {
        (true, true) => Ok((None, PathBuf::from(file))),
        (false, false) => Ok((Some(names), PathBuf::from(file))),
        (true, false) => Err(Failure::usage("artifacts are named, and --all is given")),
        (false, true) => Err(Failure::usage("no artifact is named")
            .hint(format!("name some before the file: kiln bundle create ARTIFACT… {file}"))
            .hint(format!("or take all of them: kiln bundle create --all {file}"))),
    }
}

fn make(settings: &Settings, create: &Create, printer: Printer) -> Result<Exit, Failure> {
    let (artifacts, file) = named(create)?;
    let form = if create.folder { Form::Folder } else { Form::Tar };
    if file.is_dir() {
        return Err(Failure::usage(format!("{} is a folder that is there", file.display()))
            .hint("name a file, or with --folder one that is not there yet"));
    }
    let environment = settings.environment.clone();
    let progress = Progress::new(printer);
    let events = progress.events();
    let (inputs, store) = signals::run(|engine| {
        Box::pin(async move { served_inputs(&environment, artifacts.as_deref(), &events, engine).await })
    })?;
    drop(progress);
    let content = content(&store, inputs)?;
    let written = write(&store, &content, &file, form)?;
    let document = Document {
        format: "1.0",
        bundle: file.display().to_string(),
        digest: written.digest,
        file: written.file,
        artifacts: &content.artifacts,
        files: written.files,
        bytes: written.bytes,
    };
    match settings.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => printer.data(&format!(
            "{}  {}\n  {}, {}, for {}\n",
            printer.on_stdout(Style::Strong, &document.bundle),
            document.digest,
            counted(document.files, "files"),
            format_size(document.bytes),
            names(&content.artifacts),
        )),
    }
    printer.talk(&format!(
        "there: kiln bundle use {} --digest {}",
        file.file_name().unwrap_or_default().to_string_lossy(),
        written.digest
    ));
    Ok(exit::SUCCESS)
}

/// The content of a bundle: what was brought, what is remembered of it, and this kiln.
fn content(store: &Store, inputs: ServedInputs) -> Result<Content, Failure> {
    let mut content = Content::new(inputs.artifacts, this_kiln(store)?);
    content.files.extend(inputs.files);
    for (kind, key) in inputs.remembered {
        let Some(value) = store.cache_get::<serde_json::Value>(kind, &key)? else { continue };
        let value = canonical_json(&value).map_err(|error| Failure::unexpected(error.to_string()))?;
        let value = String::from_utf8(value).map_err(|error| Failure::unexpected(error.to_string()))?;
        content.remembered.insert(Remembered { kind: kind.to_owned(), key, value });
    }
    Ok(content)
}

/// The program that runs, as a file of the store.
fn this_kiln(store: &Store) -> Result<Program, Failure> {
    let here =
        std::env::current_exe().map_err(|error| Failure::unexpected(format!("this program: {error}")))?;
    let copied = || -> Result<Digest, Failure> {
        let mut writer = store.writer()?;
        io::copy(&mut BufReader::new(fs::File::open(&here)?), &mut writer)?;
        Ok(writer.commit(None)?.0)
    };
    Ok(Program {
        version: VERSION.to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        digest: copied()?,
    })
}

fn fill(settings: &Settings, used: &Use, printer: Printer) -> Result<Exit, Failure> {
    let told = |error: Failure| error.about(&used.file);
    let bundle = Bundle::open(&used.file, used.digest.as_ref()).map_err(|error| told(error.into()))?;
    let store = Store::open(&settings.environment.store)?;
    if settings.environment.has_workspace() {
        // What its locks name of the bundle is kept when the store is cleaned.
        store.note_workspace(&settings.environment.root)?;
    }
    let filled = bundle.fill(&store, &REMEMBERED_INPUTS).map_err(|error| told(error.into()))?;
    let document = Used {
        format: "1.0",
        bundle: used.file.display().to_string(),
        digest: bundle.digest(),
        artifacts: &bundle.content().artifacts,
        kiln: &bundle.content().kiln.version,
        new: filled.new,
        bytes: filled.bytes,
        there: filled.there,
    };
    if bundle.content().kiln.version != VERSION {
        printer.talk(&format!(
            "{}: the bundle was made by kiln {}, and this is {VERSION}; its own is the file `kiln` in it, {}",
            printer.on_stderr(Style::Warn, "warning"),
            bundle.content().kiln.version,
            bundle.content().kiln.digest
        ));
    }
    match settings.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => printer.data(&format!(
            "{}  {}\n  {} new in the store ({}), {} there before\n  for {}\n",
            printer.on_stdout(Style::Strong, &document.bundle),
            document.digest,
            counted(document.new, "files"),
            format_size(document.bytes),
            document.there,
            names(document.artifacts),
        )),
    }
    Ok(exit::SUCCESS)
}

fn names(artifacts: &BTreeSet<ArtifactName>) -> String {
    artifacts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A bundle that was made. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// The file or folder.
    bundle: String,
    /// The digest of its manifest, which stands for all of it.
    digest: Digest,
    /// The digest of the tar.
    file: Option<Digest>,
    /// What can be built with it.
    artifacts: &'a BTreeSet<ArtifactName>,
    /// How many files it holds.
    files: usize,
    /// How long these are together.
    bytes: u64,
}

/// A bundle that the store was filled with. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Used<'a> {
    format: &'static str,
    /// The file or folder.
    bundle: String,
    /// The digest of its manifest.
    digest: Digest,
    /// What can be built with it.
    artifacts: &'a BTreeSet<ArtifactName>,
    /// The version of the kiln that made it.
    kiln: &'a str,
    /// Files that were not in the store.
    new: usize,
    /// How long these are together.
    bytes: u64,
    /// Files that were there.
    there: usize,
}
