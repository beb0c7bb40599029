//! `kiln store`.

use crate::args::Format;
use crate::args::store::{Gc, StoreCommand, What};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use kiln_audit::format_size;
use kiln_engine::{Engine, EngineError};
use kiln_guest::{LOADED, unneeded_bases};
use kiln_invocation::{NamedBy, Needed, needed};
use kiln_record::{Digest, Exit, counted, exit};
use kiln_store::{AloneStore, Garbage, Held, Keep, Store, Usage};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) fn run(settings: &Settings, command: &StoreCommand, printer: Printer) -> Result<Exit, Failure> {
    match &command.what {
        What::Du => du(settings, printer),
        What::Gc(gc) => collect(settings, gc, printer),
        What::Check => check(settings, printer),
    }
}

/// The workspaces of a store, and the one that the command is given in.
fn workspaces(settings: &Settings, store: &Store) -> Result<Vec<PathBuf>, Failure> {
    let mut all: BTreeSet<PathBuf> = store.workspaces()?.into_iter().collect();
    if settings.environment.has_workspace() {
        all.insert(settings.environment.root.clone());
    }
    Ok(all.into_iter().collect())
}

fn du(settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.environment.store)?;
    let needed = needed(&workspaces(settings, &store)?, usize::MAX)?;
    let document = Disk::new(&store, &needed)?;
    match settings.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => printer.data(&document.text(printer)),
    }
    Ok(exit::SUCCESS)
}

fn collect(settings: &Settings, gc: &Gc, printer: Printer) -> Result<Exit, Failure> {
    let environment = &settings.environment;
    let keep = |store: &Store| {
        let needed = needed(&workspaces(settings, store)?, usize::from(gc.builds))?;
        let keep = Keep {
            locked: needed.by(true),
            built: needed.by(false),
            used_within: gc.unused,
            most: gc.max_size,
            now: environment.now,
        };
        Ok::<_, Failure>((keep, needed.gone))
    };
    let images = match gc.images {
        true => Some(sweep_images(settings, gc)?),
        false => None,
    };
    let (garbage, gone) = if gc.dry_run {
        let store = Store::open(&environment.store)?;
        let (keep, gone) = keep(&store)?;
        (store.garbage(&keep)?, gone)
    } else {
        let alone = AloneStore::open(&environment.store, environment.lock_wait)?;
        let (keep, gone) = keep(alone.store())?;
        let garbage = alone.store().garbage(&keep)?;
        alone.remove(&garbage)?;
        for workspace in &gone {
            alone.store().forget_workspace(workspace)?;
        }
        (garbage, gone)
    };
    let document = Collected::new(&environment.store, gc, &garbage, &gone, images);
    match settings.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => printer.data(&document.text(printer)),
    }
    Ok(exit::SUCCESS)
}

/// Removes the images of bases that nothing needs from the engine. One that a container has stays.
fn sweep_images(settings: &Settings, gc: &Gc) -> Result<Vec<Image>, Failure> {
    let store = Store::open(&settings.environment.store)?;
    let needed = needed(&workspaces(settings, &store)?, usize::from(gc.builds))?;
    let needed: BTreeSet<Digest> = needed.digests.into_keys().collect();
    let (engine_settings, dry_run) = (settings.environment.engine.clone(), gc.dry_run);
    signals::run(|_| {
        Box::pin(async move {
            let engine = Engine::connect(&engine_settings).await?;
            let mut swept = Vec::new();
            for image in unneeded_bases(engine.images(LOADED).await?, &needed) {
                let removed = match dry_run {
                    true => None,
                    false => Some(matches!(engine.remove_image(&image.reference).await, Ok(true))),
                };
                swept.push(Image { reference: image.reference, bytes: image.size, removed });
            }
            Ok::<_, EngineError>(swept)
        })
    })
}

fn check(settings: &Settings, printer: Printer) -> Result<Exit, Failure> {
    let store = Store::open(&settings.environment.store)?;
    let needed = needed(&workspaces(settings, &store)?, usize::MAX)?;
    let blobs = store.blob_sizes()?.len();
    let damaged = store.scrub()?;
    let cached = store.scrub_cached()?;
    let document = Checked {
        format: "1.0",
        store: settings.environment.store.display().to_string(),
        blobs,
        damaged: damaged.iter().map(|digest| Damaged::new(*digest, &needed)).collect(),
        damaged_results: cached,
    };
    match settings.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => printer.data(&document.text(printer)),
    }
    Ok(if document.is_intact() { exit::SUCCESS } else { exit::STORE_FAILURE })
}

/// Files of one kind.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Amount {
    files: u64,
    bytes: u64,
}

impl From<Held> for Amount {
    fn from(held: Held) -> Self {
        Self { files: held.files, bytes: held.bytes }
    }
}

impl Amount {
    fn line(&self, what: &str) -> String {
        let files = if self.files == 1 { "file " } else { "files" };
        format!("  {what:<34} {:>8} {files} {:>12}\n", self.files, format_size(self.bytes))
    }
}

/// What a store holds. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Disk {
    format: &'static str,
    store: String,
    /// All of it.
    bytes: u64,
    /// What has a digest: wheels, packages, layers, and what was made.
    blobs: Amount,
    /// What is remembered, by kind.
    results: BTreeMap<String, Amount>,
    /// Trees that containers are given.
    unpacked: Amount,
    /// What runs write at the moment, or left when they were killed.
    unfinished: Amount,
    /// Which workspaces need how much of the blobs. What several need counts for each of them.
    workspaces: BTreeMap<String, Share>,
    /// Blobs that no lock and no build of these names.
    unnamed: Amount,
    /// Workspaces that used the store and are not there any more.
    gone: Vec<String>,
}

/// What one workspace needs.
#[derive(Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Share {
    /// Bytes that its locks name.
    locks: u64,
    /// Bytes that its builds name.
    builds: u64,
}

impl Disk {
    fn new(store: &Store, needed: &Needed) -> Result<Self, Failure> {
        let usage = store.usage()?;
        let (mut workspaces, mut unnamed) = (BTreeMap::<String, Share>::new(), Held::default());
        for (digest, bytes) in store.blob_sizes()? {
            let Some(by) = needed.digests.get(&digest) else {
                unnamed.files += 1;
                unnamed.bytes += bytes;
                continue;
            };
            let shares: BTreeSet<(&Path, bool)> =
                by.iter().map(|by| (by.workspace(), by.is_lock())).collect();
            for (workspace, is_lock) in shares {
                let share = workspaces.entry(workspace.display().to_string()).or_default();
                *(if is_lock { &mut share.locks } else { &mut share.builds }) += bytes;
            }
        }
        let bytes = usage.bytes();
        let Usage { blobs, cached, unpacked, unfinished } = usage;
        Ok(Self {
            format: "1.0",
            store: store.root().display().to_string(),
            bytes,
            blobs: blobs.into(),
            results: cached.into_iter().map(|(kind, held)| (kind, held.into())).collect(),
            unpacked: unpacked.into(),
            unfinished: unfinished.into(),
            workspaces,
            unnamed: unnamed.into(),
            gone: needed.gone.iter().map(|root| root.display().to_string()).collect(),
        })
    }

    fn text(&self, printer: Printer) -> String {
        let head = |text: &str| printer.on_stdout(Style::Strong, text);
        let mut text = format!("{}  {}\n", head(&self.store), format_size(self.bytes));
        text.push_str(&self.blobs.line("blobs"));
        for (kind, amount) in &self.results {
            text.push_str(&amount.line(&format!("remembered {kind}")));
        }
        text.push_str(&self.unpacked.line("unpacked trees"));
        text.push_str(&self.unfinished.line("unfinished"));
        text.push_str(&format!("{}\n", head("blobs that are named by")));
        for (workspace, Share { locks, builds }) in &self.workspaces {
            let (locks, builds) = (format_size(*locks), format_size(*builds));
            text.push_str(&format!("  {workspace}\n    {locks} locks, {builds} builds\n"));
        }
        text.push_str(&self.unnamed.line("no lock and no build"));
        for workspace in &self.gone {
            text.push_str(&format!("  {workspace} is not there any more\n"));
        }
        text
    }
}

/// What was removed, or would be. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Collected {
    format: &'static str,
    store: String,
    /// Whether nothing was removed.
    dry_run: bool,
    blobs: Amount,
    /// Of the blobs, those that something needs, and that go for want of room.
    needed: Amount,
    results: Amount,
    unpacked: Amount,
    /// Bytes that are left.
    left: u64,
    /// Whether that is no more than was allowed.
    fits: bool,
    /// Workspaces that are not there any more, and are forgotten.
    gone: Vec<String>,
    /// Images of bases in the engine that nothing needs; absent if these were not looked at.
    images: Option<Vec<Image>>,
}

/// An image in the engine.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Image {
    reference: String,
    /// What it takes, layers that others share counted in.
    bytes: u64,
    /// Whether it was removed; one that a container has is not. Absent if nothing was to be removed.
    removed: Option<bool>,
}

impl Collected {
    fn new(store: &Path, gc: &Gc, garbage: &Garbage, gone: &[PathBuf], images: Option<Vec<Image>>) -> Self {
        Self {
            images,
            format: "1.0",
            store: store.display().to_string(),
            dry_run: gc.dry_run,
            blobs: garbage.blobs.into(),
            needed: garbage.needed.into(),
            results: garbage.cached.into(),
            unpacked: garbage.unpacked.into(),
            left: garbage.left,
            fits: gc.max_size.is_none_or(|most| garbage.left <= most),
            gone: gone.iter().map(|root| root.display().to_string()).collect(),
        }
    }

    fn text(&self, printer: Printer) -> String {
        let word = if self.dry_run { "would remove" } else { "removed" };
        let mut text = format!("{}\n", printer.on_stdout(Style::Strong, word));
        text.push_str(&self.blobs.line("blobs"));
        if self.needed.files > 0 {
            text.push_str(&self.needed.line("  needed, for want of room"));
        }
        text.push_str(&self.results.line("remembered results"));
        text.push_str(&self.unpacked.line("unpacked trees"));
        for Image { reference, bytes, removed } in self.images.iter().flatten() {
            let note = if *removed == Some(false) { "; it is in use and stays" } else { "" };
            text.push_str(&format!("  image {reference} ({}){note}\n", format_size(*bytes)));
        }
        for workspace in &self.gone {
            text.push_str(&format!(
                "  {workspace} is not there any more, and what it needed is not kept for it\n"
            ));
        }
        text.push_str(&format!("{} left in {}\n", format_size(self.left), self.store));
        if !self.fits {
            text.push_str(
                "that is more than was allowed: what is remembered goes once it is older than --unused\n",
            );
        }
        text
    }
}

/// What reading a store told. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Checked {
    format: &'static str,
    store: String,
    /// Blobs that were read.
    blobs: usize,
    /// Those that were not what their names say. They are removed.
    damaged: Vec<Damaged>,
    /// How many remembered results were damaged, by kind. They are removed.
    damaged_results: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Damaged {
    digest: Digest,
    /// The locks and builds that name it.
    named_by: Vec<String>,
}

impl Damaged {
    fn new(digest: Digest, needed: &Needed) -> Self {
        let by = needed.digests.get(&digest).into_iter().flatten();
        Self { digest, named_by: by.map(NamedBy::to_string).collect() }
    }
}

impl Checked {
    fn is_intact(&self) -> bool {
        self.damaged.is_empty() && self.damaged_results.is_empty()
    }

    fn text(&self, printer: Printer) -> String {
        let mut text = String::new();
        for Damaged { digest, named_by } in &self.damaged {
            let word = printer.on_stdout(Style::Bad, "damaged");
            text.push_str(&format!("{word}  {digest}\n"));
            for by in named_by {
                text.push_str(&format!("  named by {by}\n"));
            }
            if named_by.is_empty() {
                text.push_str("  no lock and no build names it\n");
            }
        }
        for (kind, number) in &self.damaged_results {
            let word = printer.on_stdout(Style::Bad, "damaged");
            text.push_str(&format!("{word}  {} of the kind {kind}\n", counted(number, "remembered results")));
        }
        text.push_str(&match self.is_intact() {
            true => format!(
                "{}, each what its name says; unpacked trees are read when they are used\n",
                counted(self.blobs, "blobs")
            ),
            false => format!(
                "of {} {} damaged; what was damaged is removed, and the next build brings or makes it anew\n",
                counted(self.blobs, "blobs"),
                self.damaged.len()
            ),
        });
        text
    }
}
