//! `kiln pins`: everything outside the workspace that it has pinned.

use crate::LockError;
use crate::base::days_since;
use crate::tool::read_tools;
use fs_err as fs;
use kiln_fetch::Checkout;
use kiln_invocation::{WORKSPACE_FILE, read_workspace, read_workspace_for_pins};
use kiln_plan::{BaseKind, LockKind, Manifest, Period, TOOLS_LOCK, Workspace, artifact_lock_path};
use kiln_record::{ArtifactName, Epoch};
use std::collections::BTreeMap;
use std::path::Path;

/// What sort of thing is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinnedThing {
    /// A base image.
    Base,
    /// A tool that kiln runs.
    Tool,
    /// A source that an artifact takes from a git repository.
    Upstream,
    /// The distributions of a lock.
    Lock,
}

impl PinnedThing {
    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Tool => "tool",
            Self::Upstream => "upstream",
            Self::Lock => "lock",
        }
    }
}

/// One pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What sort of thing.
    pub thing: PinnedThing,
    /// Its name in the workspace.
    pub name: String,
    /// What is followed: a suite, a tag, a version.
    pub follows: String,
    /// What it is pinned to, for each platform.
    pub pinned_to: Vec<(String, String)>,
    /// When; absent if it is not pinned, or nothing says. Of a lock, when a commit changed it last.
    pub pinned: Option<Epoch>,
    /// Why nothing says when, where that is so.
    pub undated: Option<String>,
    /// The file with the pin, relative to the workspace.
    pub file: String,
    /// The command that moves it.
    pub command: String,
    /// Why it is no usable pin, if it is none.
    pub problem: Option<String>,
    /// How often it is to be looked at again, with the file that says so; none if nobody says.
    pub review: Option<(Period, String)>,
    /// The artifacts that stand on it.
    pub used_by: Vec<ArtifactName>,
}

impl Pin {
    /// Its age in whole days; a pin from the future has none.
    #[must_use]
    pub fn age(&self, now: Epoch) -> Option<u64> {
        self.pinned.map(|pinned| days_since(pinned, now))
    }

    /// Whether it should have been looked at by now.
    #[must_use]
    pub fn is_overdue(&self, now: Epoch) -> bool {
        self.review.as_ref().zip(self.age(now)).is_some_and(|((period, _), age)| age > period.days())
    }
}

/// Lists the pins of a workspace: bases, then tools, then images that Dockerfiles pin, then upstream sources, then locks of
/// distributions, by name. A further kind of pin is a further part of the list.
///
/// # Errors
/// What cannot be read.
pub fn pins(root: &Path) -> Result<Vec<Pin>, LockError> {
    let mut pins = of_bases(root)?;
    pins.extend(of_tools(root)?);
    let workspace = read_workspace(root)?;
    pins.extend(of_dockerfiles(&workspace));
    pins.extend(of_upstreams(&workspace));
    pins.extend(of_locks(root, &workspace));
    for pin in &mut pins {
        let used = workspace.manifests.iter().filter(|(_, manifest)| uses(&workspace, manifest, pin));
        pin.used_by = used.map(|(name, _)| name.clone()).collect();
        let own = match pin.thing {
            PinnedThing::Base => workspace.bases.iter().find(|(name, _)| name.as_str() == pin.name),
            PinnedThing::Tool | PinnedThing::Upstream | PinnedThing::Lock => None,
        };
        let own = own.and_then(|(_, (definition, _))| Some((definition.review?, definition.file.clone())));
        let of_all = workspace.settings.review.map(|period| (period, WORKSPACE_FILE.to_owned()));
        pin.review = own.or(of_all);
    }
    Ok(pins)
}

/// Whether an artifact needs a pin: a base that it, one of its steps, its source distributions or its Dockerfile stand on; the
/// resolver of its lock; its own upstream sources.
fn uses(workspace: &Workspace, manifest: &Manifest, pin: &Pin) -> bool {
    let build = manifest.python.as_ref().and_then(|python| python.build.as_ref());
    match pin.thing {
        PinnedThing::Base => {
            let recipe = workspace.recipes.get(&manifest.name);
            let named = manifest.steps.iter().filter_map(|step| step.base.as_ref());
            let named = named.chain(build.and_then(|build| build.base.as_ref()));
            let named = named.chain(recipe.into_iter().flat_map(|recipe| &recipe.bases));
            named.chain([workspace.base_of(manifest)]).any(|base| base.as_str() == pin.name)
        }
        PinnedThing::Tool => {
            manifest.python.as_ref().is_some_and(|python| python.requirements.is_some())
                || build.is_some_and(|build| build.requirements.is_some())
        }
        PinnedThing::Lock => locks_of(manifest).any(|lock| lock == pin.file),
        PinnedThing::Upstream => {
            let of = pin.name.split_once('/').map(|(artifact, _)| artifact);
            of == Some(manifest.stated_name().as_str())
        }
    }
}

/// The images that Dockerfiles pin themselves, by a digest that is written in them.
fn of_dockerfiles(workspace: &Workspace) -> impl Iterator<Item = Pin> {
    workspace.bases.iter().filter_map(|(name, (definition, lock))| {
        let BaseKind::Registry(registry) = &definition.kind else { return None };
        let lock = lock.as_ref().filter(|_| !definition.file.starts_with("images/"))?;
        let platforms = lock.platform.iter();
        Some(Pin {
            thing: PinnedThing::Base,
            name: name.to_string(),
            follows: registry.reference.split('@').next().unwrap_or_default().to_owned(),
            pinned_to: platforms
                .map(|(platform, facts)| (platform.to_string(), facts.manifest.to_string()))
                .collect(),
            pinned: None,
            undated: Some(format!("{} does not say", definition.file)),
            file: definition.file.clone(),
            command: format!("write another digest in {}", definition.file),
            problem: None,
            review: None,
            used_by: Vec::new(),
        })
    })
}

fn of_bases(root: &Path) -> Result<Vec<Pin>, LockError> {
    let workspace = read_workspace_for_pins(root)?;
    let pin = |(name, (definition, lock)): (
        &kiln_record::BaseName,
        &(kiln_plan::BaseDefinition, Option<kiln_plan::BaseLock>),
    )| {
        let follows = match &definition.kind {
            BaseKind::Debian(debian) => format!("debian {}", debian.suite),
            BaseKind::Registry(registry) => registry.reference.clone(),
            BaseKind::Scratch => "nothing".to_owned(),
        };
        let platforms = lock.as_ref().map(|lock| {
            lock.platform
                .iter()
                .map(|(platform, facts)| (platform.to_string(), facts.manifest.to_string()))
                .collect()
        });
        let problem = match lock {
            None => Some("it is not pinned".to_owned()),
            Some(lock) if lock.definition != definition.digest => {
                Some(format!("{} has changed since", definition.file))
            }
            Some(lock) => {
                let missing =
                    definition.platforms.iter().find(|platform| !lock.platform.contains_key(platform));
                missing.map(|platform| format!("it is not pinned for {platform}"))
            }
        };
        Pin {
            thing: PinnedThing::Base,
            name: name.to_string(),
            follows,
            pinned_to: platforms.unwrap_or_default(),
            pinned: lock.as_ref().map(|lock| lock.pinned),
            undated: None,
            file: format!("images/{name}.lock"),
            command: format!("kiln lock --base {name}"),
            problem,
            review: None,
            used_by: Vec::new(),
        }
    };
    Ok(workspace.bases.iter().map(pin).collect())
}

fn of_tools(root: &Path) -> Result<Vec<Pin>, LockError> {
    let tools = read_tools(root)?.map(|lock| lock.tool).unwrap_or_default();
    let pin = |(name, tool): (String, kiln_plan::ToolLock)| Pin {
        thing: PinnedThing::Tool,
        follows: format!("{name} {}", tool.version),
        name,
        pinned_to: tool
            .file
            .into_iter()
            .map(|(platform, file)| (platform, file.digest.to_string()))
            .collect(),
        pinned: Some(tool.pinned),
        undated: None,
        file: TOOLS_LOCK.to_owned(),
        command: "kiln lock --tools".to_owned(),
        problem: None,
        review: None,
        used_by: Vec::new(),
    };
    Ok(tools.into_iter().map(pin).collect())
}

/// The locks of an artifact's distributions, and of those that build its source distributions.
fn locks_of(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let python = manifest.python.as_ref();
    let build = python.and_then(|python| python.build.as_ref());
    let build = build.and_then(|build| build.lock.as_deref());
    python.map(|python| python.lock.as_str()).into_iter().chain(build)
}

/// The locks of distributions. They hold no time; the repository that they are in says since when they are as they are.
fn of_locks(root: &Path, workspace: &Workspace) -> Vec<Pin> {
    let mut files: BTreeMap<&str, &Manifest> = BTreeMap::new();
    for manifest in workspace.manifests.values() {
        for lock in locks_of(manifest) {
            files.entry(lock).or_insert(manifest);
        }
    }
    if files.is_empty() {
        return Vec::new();
    }
    let changes = changes(root, &files.keys().copied().collect::<Vec<_>>());
    let pin = |(file, manifest): (&str, &Manifest)| {
        let made_here = manifest.python.as_ref().is_some_and(|python| {
            let build = python.build.as_ref().filter(|build| build.lock.as_deref() == Some(file));
            build.map_or(python.lock == file && python.requirements.is_some(), |build| {
                build.requirements.is_some()
            })
        });
        let command = match LockKind::of(file) {
            _ if made_here => format!("kiln lock {} --upgrade", manifest.stated_name()),
            LockKind::Poetry => "poetry update".to_owned(),
            LockKind::Uv => "uv lock --upgrade".to_owned(),
            LockKind::Pipfile => "pipenv update".to_owned(),
            LockKind::Pylock | LockKind::Requirements => "whatever made it".to_owned(),
        };
        let (pinned, undated) = match &changes {
            Ok(changes) => match changes.get(file).and_then(|seconds| Epoch::from_seconds(*seconds).ok()) {
                Some(pinned) => (Some(pinned), None),
                None => (None, Some("it is not committed as it is".to_owned())),
            },
            Err(why) => (None, Some(why.clone())),
        };
        Pin {
            thing: PinnedThing::Lock,
            name: file.to_owned(),
            follows: "distributions".to_owned(),
            pinned_to: Vec::new(),
            pinned,
            undated,
            file: file.to_owned(),
            command,
            problem: (!root.join(file).is_file()).then(|| "it is not there".to_owned()),
            review: None,
            used_by: Vec::new(),
        }
    };
    files.into_iter().map(pin).collect()
}

/// When commits changed these files last, which are named relative to the workspace, in seconds since 1970.
fn changes(root: &Path, files: &[&str]) -> Result<BTreeMap<String, u64>, String> {
    let root = fs::canonicalize(root).map_err(|error| error.to_string())?;
    let checkout = Checkout::around(&root).ok_or("no repository is around the workspace")?;
    let below = root.strip_prefix(checkout.root()).ok().and_then(Path::to_str);
    let below = below.ok_or("the workspace's path is no text")?;
    let before = if below.is_empty() { String::new() } else { format!("{below}/") };
    let paths: Vec<String> = files.iter().map(|file| format!("{before}{file}")).collect();
    let changes = checkout.last_changes(&paths)?;
    Ok(changes
        .into_iter()
        .filter_map(|(path, seconds)| Some((path.strip_prefix(&before)?.to_owned(), seconds)))
        .collect())
}

fn of_upstreams(workspace: &Workspace) -> Vec<Pin> {
    // The platforms of an image have their upstream sources from one manifest.
    let is_first =
        |manifest: &&Manifest| manifest.architectures.first() == Some(&manifest.target.architecture);
    let each = workspace.manifests.values().filter(is_first).flat_map(|manifest| {
        let name = manifest.stated_name();
        let lock = workspace.artifact_locks.get(name);
        manifest.upstreams.iter().map(move |section| {
            let locked = lock.into_iter().flat_map(|lock| &lock.upstream).find(|l| l.name == section.name);
            let problem = match locked {
                None => Some("it is not pinned".to_owned()),
                Some(locked) if !section.is_locked_by(locked) => {
                    Some(format!("{} has changed since", manifest.file))
                }
                Some(_) => None,
            };
            Pin {
                thing: PinnedThing::Upstream,
                name: format!("{name}/{}", section.name),
                follows: format!("{} {}", section.git, section.revision),
                pinned_to: locked
                    .map(|locked| {
                        vec![
                            ("commit".to_owned(), locked.commit.clone()),
                            ("tree".to_owned(), locked.tree.to_string()),
                        ]
                    })
                    .unwrap_or_default(),
                pinned: locked.map(|locked| locked.pinned),
                undated: None,
                file: artifact_lock_path(name),
                command: format!("kiln lock {name} --upgrade"),
                problem,
                review: None,
                used_by: Vec::new(),
            }
        })
    });
    each.collect()
}
