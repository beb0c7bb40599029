//! `kiln push`.

use crate::args::{Format, Push};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use fs_err as fs;
use kiln_audit::format_size;
use kiln_publish::{PushRequest, Pushed, push, settle_for_reading};
use kiln_record::{ArtifactName, Exit, IndexRecord, counted, exit};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) fn run(settings: &Settings, command: &Push, printer: Printer) -> Result<Exit, Failure> {
    let environment = settings.published_in(command.dist.as_deref())?;
    settle_for_reading(&environment)?;
    let artifacts = if command.all { published(&environment.dist)? } else { command.artifacts.clone() };
    let request = PushRequest {
        artifacts,
        to: command.to.trim_end_matches('/').to_owned(),
        tag: command.tag.clone(),
        move_tag: command.move_tag,
        plain_http: command.plain_http,
    };
    let pushed = {
        let progress = Progress::new(printer);
        let events = progress.events();
        signals::run(|_| Box::pin(async move { push(&environment, &request, &events).await }))?
    };
    match settings.format {
        Format::Json => {
            let rows: Vec<Row<'_>> = pushed.iter().map(Row::new).collect();
            printer.data(&super::document(&rows)?);
        }
        _ => pushed.iter().for_each(|one| print(one, printer)),
    }
    Ok(exit::SUCCESS)
}

/// What is published: the folders that hold a record, or the description of an index.
fn published(dist: &Path) -> Result<Vec<ArtifactName>, Failure> {
    let nothing = || {
        Failure::input(format!("nothing is published in {}", dist.display()))
            .hint("build it: kiln build --all")
    };
    let mut platforms = BTreeSet::new();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dist).map_err(|_| nothing())?.flatten() {
        let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<ArtifactName>().ok()) else {
            continue;
        };
        if entry.path().join(IndexRecord::FILE).is_file() {
            let text = fs::read(entry.path().join(IndexRecord::FILE));
            let record = text.ok().and_then(|text| IndexRecord::from_json(&text).ok());
            // Its platforms go with it.
            platforms.extend(record.into_iter().flat_map(|record| record.platforms).map(|one| one.artifact));
            names.insert(name);
        } else if entry.path().join("record.json").is_file() {
            names.insert(name);
        }
    }
    names.retain(|name| !platforms.contains(name));
    if names.is_empty() { Err(nothing()) } else { Ok(names.into_iter().collect()) }
}

fn print(pushed: &Pushed, printer: Printer) {
    let all = &pushed.manifests;
    let bytes: u64 = all.iter().map(|one| one.sent.1).sum();
    let sent = match all.iter().map(|one| one.sent.0).sum() {
        0_usize => "everything was there".to_owned(),
        blobs => format!("{} sent, {}; {} there", counted(blobs, "blobs"), format_size(bytes), there(pushed)),
    };
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &pushed.reference)));
    printer.data(&format!("  tag {:<24} {sent}\n", pushed.tag));
    for manifest in all {
        if let Some(platform) = manifest.platform {
            printer.data(&format!("  {:<42} {}\n", platform.to_string(), manifest.digest));
        }
        for (file_name, digest, is_new) in &manifest.documents {
            let state = if *is_new { "attached" } else { "there" };
            printer.data(&format!("  {state:<9} {file_name:<32} {digest}\n"));
        }
    }
    if all.iter().any(|one| one.list_under_tag) {
        printer.data("  the registry keeps no list of referrers: it is under a tag of its own\n");
    }
}

fn there(pushed: &Pushed) -> usize {
    pushed.manifests.iter().map(|one| one.there).sum()
}

/// What pushing one artifact did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row<'a> {
    artifact: &'a str,
    reference: &'a str,
    tag: &'a str,
    blobs_sent: usize,
    bytes_sent: u64,
    blobs_there: usize,
    documents: Vec<DocumentRow<'a>>,
    list_under_tag: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformRow>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct DocumentRow<'a> {
    file: &'a str,
    manifest: String,
    new: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PlatformRow {
    platform: String,
    manifest: String,
}

impl<'a> Row<'a> {
    fn new(pushed: &'a Pushed) -> Self {
        let all = &pushed.manifests;
        let documents = all.iter().flat_map(|one| {
            one.documents.iter().map(|(file, digest, new)| DocumentRow {
                file,
                manifest: digest.to_string(),
                new: *new,
                platform: one.platform.map(|platform| platform.to_string()),
            })
        });
        let platforms = all.iter().filter_map(|one| {
            Some(PlatformRow { platform: one.platform?.to_string(), manifest: one.digest.to_string() })
        });
        Self {
            artifact: pushed.artifact.as_str(),
            reference: &pushed.reference,
            tag: &pushed.tag,
            blobs_sent: all.iter().map(|one| one.sent.0).sum(),
            bytes_sent: all.iter().map(|one| one.sent.1).sum(),
            blobs_there: there(pushed),
            documents: documents.collect(),
            list_under_tag: all.iter().any(|one| one.list_under_tag),
            platforms: platforms.collect(),
        }
    }
}
