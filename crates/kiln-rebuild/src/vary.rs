//! Builds again under other surroundings than usual, and finds those that a result depends on.
//!
//! Everything is varied at once first: where nothing shows, two builds tell it. Otherwise one build varies nothing but the
//! time, and what differs in that depends on the clock or on chance. For the rest, sets of variations are halved until one
//! remains, each half for itself, so that several causes are found.

use crate::content::Contents;
use crate::{EntryDifference, Expected, RebuildError, Rebuilt, Scratch, rebuild};
use kiln_collect::how_differ;
use kiln_guest::{EngineSlot, FAKETIME};
use kiln_invocation::{Events, Variation, read_usable_workspace};
use kiln_plan::{BaseChoice, Manifest};
use kiln_record::{ArtifactName, BaseName, Entry, Record, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

/// A second build begins at least so much later, so that a clock in what is made shows.
const PAUSE: Duration = Duration::from_millis(1100);

/// Something that a result depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guilty {
    /// The variation; several where only all of them together show; none for the time that passed.
    pub variations: Vec<Variation>,
    /// The first entry that differs.
    pub first: EntryDifference,
    /// How many entries differ.
    pub entries: usize,
}

/// What varying told.
#[derive(Clone, Debug)]
pub struct Varied {
    /// What was varied.
    pub varied: Vec<Variation>,
    /// What was not, and why.
    pub not_varied: Vec<(String, String)>,
    /// What the result depends on; nothing if it came out the same.
    pub guilty: Vec<Guilty>,
}

/// What no run of this kiln varies, and why.
const NEVER: [(&str, &str); 3] = [
    ("build folder", "the folders of a step are part of its definition"),
    ("kernel and processor", "all builds ran on this machine"),
    ("kiln's own process", "it was one process; what it writes does not depend on its surroundings by rule"),
];

/// Builds an artifact under variations, and compares with `baseline`, which was built under none.
///
/// # Errors
/// As [`rebuild`].
pub async fn vary(
    scratch: &Scratch,
    expected: &Expected,
    baseline: &Rebuilt,
    events: &Events,
    engine: EngineSlot,
) -> Result<Varied, RebuildError> {
    let (varied, not_varied) = applicable(scratch, &expected.artifact)?;
    let store = Store::open(&scratch.environment().store)?;
    let trial =
        Trial { scratch, expected, baseline, store: &store, events, engine, second: EngineSlot::default() };
    let mut report = Varied { varied, not_varied, guilty: Vec::new() };
    let looked = trial.look(&mut report).await;
    if let Some(second) = trial.second.get() {
        second.shutdown().await;
    }
    looked.map(|()| report)
}

type Differing = BTreeMap<TreePath, EntryDifference>;

struct Trial<'a> {
    scratch: &'a Scratch,
    expected: &'a Expected,
    baseline: &'a Rebuilt,
    store: &'a Store,
    events: &'a Events,
    engine: EngineSlot,
    second: EngineSlot,
}

impl Trial<'_> {
    /// Varies everything, and halves what shows.
    async fn look(&self, report: &mut Varied) -> Result<(), RebuildError> {
        let all: BTreeSet<Variation> = report.varied.iter().copied().collect();
        tokio::time::sleep(PAUSE).await;
        let mut together = self.differing(&all, &BTreeSet::new()).await?;
        if together.is_empty() {
            return Ok(());
        }
        let by_time = self.differing(&BTreeSet::new(), &BTreeSet::new()).await?;
        report.guilty.extend(guilty(Vec::new(), &by_time));
        let known: BTreeSet<TreePath> = by_time.into_keys().collect();
        together.retain(|path, _| !known.contains(path));
        if report.varied.is_empty() {
            return Ok(());
        }
        let mut found = self.halved(report.varied.clone(), &known, Some(together)).await?;
        report.guilty.append(&mut found);
        Ok(())
    }

    /// The entries that differ from the baseline under some variations, but for those that differ anyway.
    async fn differing(
        &self,
        variations: &BTreeSet<Variation>,
        known: &BTreeSet<TreePath>,
    ) -> Result<Differing, RebuildError> {
        let is_second = variations.contains(&Variation::Engine);
        let engine = EngineSlot::clone(if is_second { &self.second } else { &self.engine });
        let built = rebuild(self.scratch, self.expected, variations, self.events, engine).await?;
        let (mut was, mut is) = (self.contents(self.baseline), self.contents(&built));
        let mut content = |path: &TreePath, before: &Entry, after: &Entry| {
            Some(how_differ(&was.of(path, before)?, &is.of(path, after)?))
        };
        let mut differing = differences(&self.baseline.record, &built.record, &mut content);
        differing.retain(|path, _| !known.contains(path));
        // Each build has folders of its own, which nothing needs any more.
        if let Some(folder) = built.folder.ancestors().nth(2) {
            fs_err::remove_dir_all(folder)?;
        }
        Ok(differing)
    }

    fn contents(&self, of: &Rebuilt) -> Contents<'_> {
        let archive = of.record.archive().map(|output| of.folder.join(&output.file_name));
        Contents::new(archive.as_deref(), self.store)
    }

    /// What of a set the result depends on. `shown` is what differs under all of it, if that was tried.
    fn halved<'f>(
        &'f self,
        set: Vec<Variation>,
        known: &'f BTreeSet<TreePath>,
        shown: Option<Differing>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Guilty>, RebuildError>> + 'f>> {
        Box::pin(async move {
            let shown = match shown {
                Some(shown) => shown,
                None => self.differing(&set.iter().copied().collect(), known).await?,
            };
            if shown.is_empty() || set.len() <= 1 {
                return Ok(guilty(set, &shown).into_iter().collect());
            }
            let mut found = Vec::new();
            for half in set.chunks(set.len().div_ceil(2)) {
                found.extend(self.halved(half.to_vec(), known, None).await?);
            }
            // Neither half shows it alone.
            if found.is_empty() {
                found.extend(guilty(set, &shown));
            }
            Ok(found)
        })
    }
}

fn guilty(variations: Vec<Variation>, differing: &Differing) -> Option<Guilty> {
    let first = differing.values().next()?.clone();
    Some(Guilty { variations, first, entries: differing.len() })
}

/// `content` tells how two contents of one path differ, if they are to be had.
fn differences(
    before: &Record,
    after: &Record,
    content: &mut dyn FnMut(&TreePath, &Entry, &Entry) -> Option<String>,
) -> Differing {
    let entries = |record: &Record| -> BTreeMap<TreePath, Entry> {
        record.files.iter().map(|file| (file.path.clone(), file.entry.clone())).collect()
    };
    let (a, b) = (entries(before), entries(after));
    let owner = |path: &TreePath| {
        let all = before.files.iter().chain(&after.files);
        all.into_iter().find(|file| file.path == *path).map(|file| file.component.to_string())
    };
    let paths: BTreeSet<&TreePath> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing
        .map(|path| {
            let how = match (a.get(path), b.get(path)) {
                (Some(_), None) => "it was not made".to_owned(),
                (None, _) => "it was made only then".to_owned(),
                (Some(was @ Entry::File { digest, .. }), Some(is @ Entry::File { digest: other, .. }))
                    if digest != other =>
                {
                    content(path, was, is).unwrap_or_else(|| "its content was another".to_owned())
                }
                _ => "its mode, its kind or where it leads was another".to_owned(),
            };
            let component = owner(path);
            (path.clone(), EntryDifference { path: path.to_string(), how, component, excused: None })
        })
        .collect()
}

/// What can be varied, and what cannot, with the reason.
type Applicable = (Vec<Variation>, Vec<(String, String)>);

/// What can be varied for an artifact, and what cannot.
fn applicable(scratch: &Scratch, artifact: &ArtifactName) -> Result<Applicable, RebuildError> {
    let workspace = read_usable_workspace(scratch.root())?;
    let mut not_varied: Vec<(String, String)> =
        NEVER.iter().map(|(what, why)| ((*what).to_owned(), (*why).to_owned())).collect();
    let mut varied: Vec<Variation> = Variation::ALL.to_vec();
    match scratch.has_second_engine() {
        true => varied.push(Variation::Engine),
        false => not_varied.push((
            "engine and storage driver".to_owned(),
            "all builds used the one engine that is configured: --second-engine names another".to_owned(),
        )),
    }
    let Some(manifest) = workspace.manifests.get(artifact) else { return Ok((varied, not_varied)) };
    if manifest.dockerfile().is_some() {
        not_varied
            .push(("its Dockerfile".to_owned(), "what it runs is run by the engine's builder".to_owned()));
    }
    if manifest.steps.is_empty() {
        not_varied.push((
            "everything else".to_owned(),
            "the artifact has no steps, and only these run programs that are varied".to_owned(),
        ));
        varied.retain(|one| *one == Variation::Engine);
        return Ok((varied, not_varied));
    }
    if manifest.python.is_some() {
        let why = "what builds source distributions is run without variations".to_owned();
        not_varied.push(("source distributions".to_owned(), why));
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if processors == 1 {
        varied.retain(|one| *one != Variation::Cores);
        not_varied.push((Variation::Cores.to_string(), "this machine has one processor".to_owned()));
    }
    let (without, with) = by_python(manifest, &|base| {
        workspace.bases.get(base).is_some_and(|(definition, _)| definition.stated_python().is_some())
    });
    let (varied, lacking) = with_pythons(varied, &without, &with);
    not_varied.extend(lacking);
    let has_clock = |base: &BaseName| {
        workspace.bases.get(base).is_some_and(|(definition, _)| definition.has_package(FAKETIME))
    };
    let (with, without) = without.union(&with).cloned().partition(has_clock);
    let (varied, lacking) = with_clocks(varied, &without, &with);
    not_varied.extend(lacking);
    Ok((varied, not_varied))
}

/// What of some variations can be made in steps whose bases do not say where their Python is, `without`, and in others, `with`; and
/// what cannot, with the reason.
fn with_pythons(
    mut varied: Vec<Variation>,
    without: &BTreeSet<BaseName>,
    with: &BTreeSet<BaseName>,
) -> Applicable {
    let mut not_varied = Vec::new();
    for base in without {
        let why = format!("the base {base} of a step does not say where its Python is");
        for variation in varied.iter().filter(|one| one.needs_python()) {
            not_varied.push((variation.to_string(), why.clone()));
        }
    }
    if with.is_empty() && !without.is_empty() {
        varied.retain(|one| !one.needs_python());
    }
    (varied, not_varied)
}

/// The same of the date, for steps whose bases have no library that tells another one, `without`, and others, `with`.
fn with_clocks(
    mut varied: Vec<Variation>,
    without: &BTreeSet<BaseName>,
    with: &BTreeSet<BaseName>,
) -> Applicable {
    let lacking = |base: &BaseName| {
        let why = format!(
            "the base {base} of a step does not have the package {FAKETIME}: the builds ran one after the other, and no other date was set"
        );
        (Variation::WallClock.to_string(), why)
    };
    if with.is_empty() {
        varied.retain(|one| *one != Variation::WallClock);
    }
    (varied, without.iter().map(lacking).collect())
}

/// The bases of an artifact's steps: those whose Python is not known, and the others.
fn by_python(
    manifest: &Manifest,
    has_python: &dyn Fn(&BaseName) -> bool,
) -> (BTreeSet<BaseName>, BTreeSet<BaseName>) {
    let own = match &manifest.base {
        BaseChoice::Named { name, .. } => Some(name),
        BaseChoice::OfDockerfile(_) => None,
    };
    let bases = manifest.steps.iter().filter_map(|step| step.base.as_ref().or(own));
    bases.cloned().partition(|base| !has_python(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_python_is_varied_only_where_a_step_has_one() {
        let bases = |names: &[&str]| -> BTreeSet<BaseName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let all = || Variation::ALL.to_vec();
        let needing: Vec<Variation> = Variation::ALL.into_iter().filter(|one| one.needs_python()).collect();
        assert_eq!(needing, [Variation::Umask, Variation::FileOrder]);
        assert_eq!(with_pythons(all(), &bases(&[]), &bases(&["python"])), (all(), Vec::new()));
        let (varied, told) = with_clocks(all(), &bases(&["plain"]), &bases(&[]));
        assert!(!varied.contains(&Variation::WallClock) && told[0].1.contains("the base plain"), "{told:?}");
        assert_eq!(with_clocks(all(), &bases(&[]), &bases(&["clock"])), (all(), Vec::new()));
        let (varied, told) = with_pythons(all(), &bases(&["plain"]), &bases(&["python"]));
        assert_eq!((varied, told.len()), (all(), 2), "one step has it, and that the other lacks it is told");
        let (varied, told) = with_pythons(all(), &bases(&["plain"]), &bases(&[]));
        assert!(
            varied.iter().all(|one| !one.needs_python()) && varied.len() == all().len() - 2,
            "{varied:?}"
        );
        assert!(told.iter().all(|(_, why)| why.contains("the base plain")), "{told:?}");
    }
}
