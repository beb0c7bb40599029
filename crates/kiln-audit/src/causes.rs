//! Which changed input accounts for a change, and the alarm if none does.

use crate::known::{Known, Subject};
use kiln_record::{
    Attributes, Cause, Component, Digest, Ecosystem, Gap, ImageRecord, Input, InputRole, JudgedBy, Record,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An input that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputChange {
    /// The part it plays.
    pub role: InputRole,
    /// Its name.
    pub name: String,
    /// Its digest before; absent if it is new.
    pub before: Option<Digest>,
    /// Its digest now; absent if it is gone.
    pub after: Option<Digest>,
    /// Where the workspace states it, and the commit that changed that, as far as these are known: of the pin of a base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<String>,
    /// Of a base that moved: which packages of its system did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<BasePackages>,
}

/// What moved in the system of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BasePackages {
    /// Why that is not known, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_known: Option<String>,
    /// The packages that came, went or have another version, by name.
    pub moved: Vec<PackageMove>,
}

/// A package of a base in two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageMove {
    /// Its name.
    pub name: String,
    /// Its version before; absent if it is new.
    pub before: Option<String>,
    /// Its version now; absent if it is gone.
    pub after: Option<String>,
}

impl BasePackages {
    /// What differs between two lists of packages, each a version by name.
    #[must_use]
    pub fn between(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Self {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let moved = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        let moved = moved.map(|name| PackageMove {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        });
        Self { not_known: None, moved: moved.collect() }
    }
}

/// Something else about the build that differs: target, handler, layers, format, a tool's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PropertyChange {
    /// Its name, such as `runtime` or `tool libdeflate`.
    pub name: String,
    /// Before.
    pub before: Option<String>,
    /// Now.
    pub after: Option<String>,
}

/// What accounts for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeCause {
    /// The kind of input.
    pub kind: CauseKind,
    /// The inputs of that kind that changed, by name.
    pub inputs: Vec<String>,
    /// One sentence.
    pub text: String,
}

/// The kind of input that accounts for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// The dependency lock, or the project file beside it.
    Lock,
    /// The base image.
    Base,
    /// The artifact's own source.
    Source,
    /// The manifest or the workspace's settings.
    Manifest,
    /// The runtime or architecture that is built for.
    Target,
    /// A layer.
    Layer,
    /// kiln itself, its format, or a tool that decides bytes.
    Tool,
    /// One of the two is no build of kiln's, so that its inputs are not known.
    NotKnown,
    /// Nothing that changed accounts for it: the alarm.
    Unexplained,
}

/// What differs between the inputs of two builds.
pub(crate) struct Changed {
    pub(crate) inputs: Vec<InputChange>,
    pub(crate) properties: Vec<PropertyChange>,
    locks: Vec<String>,
    /// Whether the inputs of both are known.
    known: bool,
    /// Whether a Dockerfile made it: what it says, and the files that it is given, account for anything in it.
    by_dockerfile: bool,
}

impl Changed {
    pub(crate) fn between(before: &Subject<'_>, after: &Subject<'_>) -> Self {
        let mut properties = attributes(before, after);
        if before.known != Known::Record || after.known != Known::Record {
            return Self {
                inputs: Vec::new(),
                properties,
                locks: Vec::new(),
                known: false,
                by_dockerfile: false,
            };
        }
        let (before, after) = (before.record, after.record);
        let locks =
            after.inputs.iter().filter(|i| i.role == InputRole::Lock).map(|i| i.name.clone()).collect();
        properties.extend(self::properties(before, after));
        properties.sort_by(|a, b| a.name.cmp(&b.name));
        let by_dockerfile = after.inputs.iter().any(|input| input.role == InputRole::Dockerfile);
        Self { inputs: inputs(before, after), properties, locks, known: true, by_dockerfile }
    }

    /// Why a component of an ecosystem came, went or has another version.
    pub(crate) fn of_choice(&self, component: &Component) -> ChangeCause {
        use CauseKind::{Base, Layer, Lock, Manifest, Source, Target, Tool};
        match component.ecosystem {
            // What a base carries came and went with it, distributions as well.
            _ if component.from_base => self.first(&[Base, Target, Lock, Manifest, Tool]),
            Ecosystem::Python | Ecosystem::Native => self.first(&[Lock, Manifest, Layer, Target, Base, Tool]),
            Ecosystem::Debian | Ecosystem::Rpm => self.first(&[Base, Target, Lock, Manifest, Tool]),
            Ecosystem::Application => self.first(&[Source, Manifest, Tool, Base]),
        }
    }

    /// Why a component has other content in the same version. `same_origin` tells whether it was installed from the
    /// same archive: then a lock cannot be the reason.
    pub(crate) fn of_content(&self, ecosystem: Ecosystem, same_origin: bool) -> ChangeCause {
        use CauseKind::{Base, Lock, Manifest, Source, Target, Tool};
        match ecosystem {
            Ecosystem::Application => self.first(&[Source, Manifest, Tool, Base, Target]),
            // One version on two processors: each has its own lock and base, but that is not why.
            _ if self.is_for_another_processor() => self.first(&[Target]),
            _ if same_origin => self.first(&[Manifest, Base, Tool, Target]),
            _ => self.first(&[Lock, Target, Base, Manifest]),
        }
    }

    fn is_for_another_processor(&self) -> bool {
        self.properties.iter().any(|property| property.name == "architecture")
    }

    /// Why a distribution that the workspace itself holds has other content.
    pub(crate) fn of_workspace(&self) -> ChangeCause {
        use CauseKind::{Base, Lock, Manifest, Source, Target, Tool};
        self.first(&[Source, Lock, Manifest, Target, Base, Tool])
    }

    /// Why a distribution is left out now, from the reason that the new record states.
    pub(crate) fn of_gap(&self, gap: &Gap) -> ChangeCause {
        use CauseKind::{Base, Layer, Lock, Manifest, Target};
        let mut cause = self.first(match gap.cause {
            Cause::Marker { .. } | Cause::Replaced { .. } | Cause::NoWheel { .. } => {
                &[Lock, Target, Base, Manifest]
            }
            Cause::Layer { .. } => &[Layer, Manifest, Lock],
            Cause::Runtime { .. } => &[Manifest, Target, Lock],
            Cause::Group { .. } | Cause::Extra { .. } | Cause::Excluded | Cause::OwnProject => {
                &[Manifest, Lock]
            }
            Cause::Unreachable => &[Lock, Manifest],
        });
        cause.text = format!("{}; {}", gap_text(gap), cause.text);
        cause
    }

    /// Why an archive has other bytes although its tree is the same.
    pub(crate) fn of_container(&self) -> ChangeCause {
        // Entries keep the compressed stream of the wheel they came in, so another wheel with equal files counts.
        // An image's config is its manifest's, and its base is told before.
        self.first(&[CauseKind::Tool, CauseKind::Lock, CauseKind::Manifest])
    }

    /// The lock files of the new build, for messages.
    pub(crate) fn locks(&self) -> String {
        if self.locks.is_empty() { "lock".to_owned() } else { format!("lock {}", self.locks.join(", ")) }
    }

    /// The first kind that changed at all.
    fn first(&self, kinds: &[CauseKind]) -> ChangeCause {
        if !self.known {
            return ChangeCause {
                kind: CauseKind::NotKnown,
                inputs: Vec::new(),
                text: "cause not known: one of the two has no record".to_owned(),
            };
        }
        let kinds = kinds.iter().chain(self.by_dockerfile.then_some(&CauseKind::Source));
        kinds.copied().find_map(|kind| self.changed(kind)).unwrap_or_else(|| ChangeCause {
            kind: CauseKind::Unexplained,
            inputs: Vec::new(),
            text: "no input that could account for it has changed".to_owned(),
        })
    }

    fn changed(&self, kind: CauseKind) -> Option<ChangeCause> {
        let (roles, word): (&[InputRole], &str) = match kind {
            CauseKind::Lock => (&[InputRole::Lock, InputRole::Project, InputRole::BuildLock], "lock"),
            CauseKind::Base => (
                &[
                    InputRole::Base,
                    InputRole::BuildBase,
                    InputRole::StepBase,
                    InputRole::BaseDefinition,
                    InputRole::BaseLock,
                    InputRole::BaseRelease,
                ],
                "base",
            ),
            CauseKind::Source => (
                &[
                    InputRole::Source,
                    InputRole::Upstream,
                    InputRole::StepSource,
                    InputRole::Crate,
                    InputRole::Dockerfile,
                ],
                "source",
            ),
            CauseKind::Manifest => (&[InputRole::Manifest, InputRole::Settings], "manifest"),
            CauseKind::Layer => (&[InputRole::Layer], "layer"),
            CauseKind::Target => (&[], "target"),
            CauseKind::Tool => (&[], "tool"),
            CauseKind::NotKnown | CauseKind::Unexplained => return None,
        };
        let mut names: BTreeSet<String> =
            self.inputs.iter().filter(|i| roles.contains(&i.role)).map(|i| i.name.clone()).collect();
        let belongs = |name: &str| match kind {
            CauseKind::Target => matches!(name, "runtime" | "architecture" | "kind"),
            CauseKind::Tool => name == "format" || name.starts_with("tool "),
            CauseKind::Layer => name == "layers",
            _ => false,
        };
        names.extend(self.properties.iter().filter(|p| belongs(&p.name)).map(|p| p.name.clone()));
        if names.is_empty() {
            return None;
        }
        let inputs: Vec<String> = names.into_iter().collect();
        Some(ChangeCause { kind, text: format!("{word} changed: {}", inputs.join(", ")), inputs })
    }
}

/// The reason of a gap in words.
pub(crate) fn gap_text(gap: &Gap) -> String {
    match &gap.cause {
        Cause::Marker { marker, values } => {
            format!("its marker `{marker}` is false for {}", values.join(", "))
        }
        Cause::Group { groups } => format!("only in groups that are not chosen ({})", groups.join(", ")),
        Cause::Extra { extras } => format!("only for extras that are not chosen ({})", extras.join(", ")),
        Cause::Runtime { runtime } => format!("left to the runtime {runtime}"),
        Cause::Layer { layer, version } => format!("left to the layer {layer}, which has {version}"),
        Cause::Excluded => "excluded by the manifest".to_owned(),
        Cause::OwnProject => "the project itself, left to the artifact's own source".to_owned(),
        Cause::Unreachable => "required by nothing that is installed".to_owned(),
        Cause::Replaced { by, .. } => format!("replaced by its version {by}"),
        Cause::NoWheel { .. } => gap.cause.to_string(),
    }
}

/// Why a component is gone: what the new record says of it, and who required it.
pub(crate) fn of_removal(
    changed: &Changed,
    gone: &Component,
    before: &Record,
    after: &Record,
) -> ChangeCause {
    let mut cause = match after
        .gaps
        .iter()
        .find(|g| gone.ecosystem == Ecosystem::Python && g.distribution == gone.name)
    {
        Some(gap) => changed.of_gap(gap),
        None => {
            let mut cause = changed.of_choice(gone);
            if gone.ecosystem == Ecosystem::Python && !gone.from_base {
                let gone = format!("no longer in the {}", changed.locks());
                // That a lock which lost an entry has changed goes without saying.
                cause.text = match cause.kind {
                    CauseKind::NotKnown => cause.text,
                    CauseKind::Lock => gone,
                    _ => format!("{gone}; {}", cause.text),
                };
            }
            cause
        }
    };
    // The artifact's own code requires what its lock names, so that it does not any more says nothing new.
    let requirers = before.components.iter().filter(|c| {
        c.requires.contains(&gone.id) && c.id != gone.id && c.ecosystem != Ecosystem::Application
    });
    let still: BTreeMap<_, _> = after.components.iter().map(|c| (&c.id, c)).collect();
    let (mut dropped, mut left, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    for requirer in requirers {
        match still.get(&requirer.id) {
            None => left.push(requirer.name.as_str()),
            Some(now) if now.requires.contains(&gone.id) => broken.push(requirer.name.as_str()),
            Some(_) => dropped.push(requirer.name.as_str()),
        }
    }
    for (names, words, end) in [
        (broken, "still required by", ""),
        (dropped, "no longer required by", ""),
        (left, "was required by", ", gone as well"),
    ] {
        if !names.is_empty() {
            cause.text = format!("{}; {words} {}{end}", cause.text, names.join(", "));
        }
    }
    cause
}

fn inputs(before: &Record, after: &Record) -> Vec<InputChange> {
    let index = |inputs: &[Input]| -> BTreeMap<(InputRole, String), Digest> {
        inputs.iter().map(|i| ((i.role, i.name.clone()), i.digest)).collect()
    };
    let (old, new) = (index(&before.inputs), index(&after.inputs));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .map(|key| InputChange {
            role: key.0,
            name: key.1.clone(),
            before: old.get(key).copied(),
            after: new.get(key).copied(),
            stated: None,
            packages: None,
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// How an image is started, one property for each thing that can change by itself.
fn of_image(image: &ImageRecord) -> BTreeMap<String, String> {
    let runs = &image.runs;
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: String, value: String| {
        if !value.is_empty() {
            all.insert(format!("image {name}"), value);
        }
    };
    put("entrypoint".to_owned(), runs.entrypoint.join(" "));
    put("command".to_owned(), runs.command.join(" "));
    put("user".to_owned(), runs.user.clone().unwrap_or_default());
    put("working-dir".to_owned(), runs.working_dir.clone().unwrap_or_default());
    put("stop-signal".to_owned(), runs.stop_signal.clone().unwrap_or_default());
    put("ports".to_owned(), runs.ports.iter().cloned().collect::<Vec<_>>().join(", "));
    put("volumes".to_owned(), runs.volumes.iter().cloned().collect::<Vec<_>>().join(", "));
    if let Some(health) = &runs.health_check {
        put(
            "health-check".to_owned(),
            format!(
                "{} every {} s, {} s each, from {} s on, {} times",
                health.command.join(" "),
                health.interval,
                health.timeout,
                health.start_period,
                health.retries
            ),
        );
    }
    for path in &image.removed {
        put(format!("without the base's /{path}"), "removed".to_owned());
    }
    let tables =
        [("environment", &runs.environment), ("label", &runs.labels), ("annotation", &image.annotations)];
    for (table, values) in tables {
        for (name, value) in values {
            put(format!("{table} {name}"), value.clone());
        }
    }
    all
}

/// Modes, owners and extended attributes that differ, where they are not the usual ones.
fn attributes(before: &Subject<'_>, after: &Subject<'_>) -> Vec<PropertyChange> {
    if before.known.max(after.known) == Known::Components {
        return Vec::new();
    }
    let (old, new) = (before.all_attributes(), after.all_attributes());
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let text = |of: &&Attributes| {
        let xattrs: String = of.xattrs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{}:{} {:04o}{xattrs}", of.user, of.group, of.mode)
    };
    paths
        .into_iter()
        .filter(|path| old.get(path) != new.get(path))
        .map(|path| PropertyChange {
            name: format!("image owner and mode /{path}"),
            before: old.get(path).map(text),
            after: new.get(path).map(text),
        })
        .collect()
}

/// What a policy states, by what it states it of.
fn of_policy(policy: &JudgedBy) -> impl Iterator<Item = (String, String)> {
    let levels = policy.levels.iter().map(|(code, level)| (format!("policy for {code}"), level.to_string()));
    let exceptions =
        policy.exceptions.iter().map(|one| (format!("exception for {}", one.accepts()), one.terms()));
    levels.chain(exceptions)
}

fn properties(before: &Record, after: &Record) -> Vec<PropertyChange> {
    let index = |record: &Record| -> BTreeMap<String, String> {
        let layers: Vec<&str> = record.layers.iter().map(|l| l.as_str()).collect();
        let mut all: BTreeMap<String, String> = [
            ("architecture", record.target.architecture.lambda().to_owned()),
            ("artifact", record.artifact.to_string()),
            ("epoch", record.epoch.to_string()),
            ("format", record.format.to_string()),
            ("kind", record.kind.to_string()),
            ("runtime", record.target.runtime.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(handler) = &record.handler {
            all.insert("handler".to_owned(), handler.clone());
        }
        if !layers.is_empty() {
            all.insert("layers".to_owned(), layers.join(", "));
        }
        if let Some(image) = &record.image {
            all.extend(of_image(image));
        }
        let stated = record.environment.iter();
        all.extend(stated.map(|change| (format!("in Lambda, {}", change.fact), change.value.clone())));
        all.extend(record.policy.iter().flat_map(of_policy));
        all.extend(record.tools.iter().map(|(name, version)| (format!("tool {name}"), version.clone())));
        all
    };
    let (old, new) = (index(before), index(after));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| PropertyChange {
            name: key.clone(),
            before: old.get(key).cloned(),
            after: new.get(key).cloned(),
        })
        .collect()
}
