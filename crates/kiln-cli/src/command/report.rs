//! `kiln report`: pages for a browser.

use crate::args::{Report, VERSION};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use fs_err as fs;
use kiln_audit::SizeHistory;
use kiln_publish::{Histories, NamedBuild};
use kiln_record::{ArtifactName, Exit, counted, exit};
use kiln_report::{BuildReport, SiteEntry, build_page, site_index};
use std::collections::BTreeSet;
use std::path::Path;

/// The first page of a site.
const INDEX: &str = "index.html";

pub(crate) fn run(settings: &Settings, command: &Report, printer: Printer) -> Result<Exit, Failure> {
    if let Some(folder) = &command.site {
        return site(settings, command, folder, printer);
    }
    let (named, unread) = super::named_all(settings, &command.builds)?;
    if let Some(unread) = unread.first() {
        return Err(unread.refusal());
    }
    let mut builds = Vec::new();
    for build in named {
        super::note_absent(&build, printer);
        let history = earlier(settings, &build)?;
        builds.push((build, history));
    }
    let reports: Vec<BuildReport<'_>> =
        builds.iter().map(|(build, history)| report(build, history)).collect();
    printer.data(&build_page(VERSION, &reports));
    Ok(exit::SUCCESS)
}

fn report<'a>(build: &'a NamedBuild, history: &'a SizeHistory) -> BuildReport<'a> {
    BuildReport {
        name: &build.label,
        record: &build.record,
        known: build.known,
        absent: build.absent.as_deref(),
        history: &history.samples,
        history_source: history.source.as_deref(),
    }
}

/// The sizes of the builds before one, as far as the ledger here has them.
fn earlier(settings: &Settings, build: &NamedBuild) -> Result<SizeHistory, Failure> {
    let mut history = Histories::default().of(&settings.environment, build)?;
    // It ends with the build itself.
    history.samples.pop();
    Ok(history)
}

/// A page for each artifact that is published, and one over them.
fn site(settings: &Settings, command: &Report, folder: &Path, printer: Printer) -> Result<Exit, Failure> {
    let dist = match &command.dist {
        Some(dist) => dist.clone(),
        None => settings.environment.dist.clone(),
    };
    let mut published = Vec::new();
    for name in folders(&dist)? {
        let record = dist.join(&name).join("record.json");
        if record.is_file() {
            let mut build = super::named(settings, &record.to_string_lossy())?;
            super::note_absent(&build, printer);
            build.label.clone_from(&name);
            published.push((format!("{name}.html"), build));
        }
    }
    if published.is_empty() {
        return Err(Failure::input(format!("no artifact is published in {}", dist.display()))
            .hint("build first: kiln build --all")
            .hint("or name the folder that has the artifacts: --dist FOLDER"));
    }
    let written = fs::create_dir_all(folder).map_err(Failure::from);
    written?;
    for (page, build) in &published {
        let history = earlier(settings, build)?;
        fs::write(folder.join(page), build_page(VERSION, &[report(build, &history)]))?;
    }
    let entries: Vec<SiteEntry<'_>> = published
        .iter()
        .map(|(page, build)| SiteEntry { name: &build.label, page, record: &build.record })
        .collect();
    fs::write(folder.join(INDEX), site_index(VERSION, &entries))?;
    printer.data(&format!("{}\n", folder.join(INDEX).display()));
    printer.talk(&format!("{}, a page each", counted(published.len(), "artifacts")));
    Ok(exit::SUCCESS)
}

/// The names of the artifacts that have a folder in a folder, sorted.
fn folders(dist: &Path) -> Result<BTreeSet<String>, Failure> {
    if !dist.is_dir() {
        return Ok(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dist)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What has another name is nothing that kiln published.
        if entry.path().is_dir() && name.parse::<ArtifactName>().is_ok() {
            names.insert(name);
        }
    }
    Ok(names)
}
