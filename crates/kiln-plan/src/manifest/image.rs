//! The `[image]` section: what a container image says of itself, and how it is written.

use super::kind::a;
use crate::duration::parse_seconds;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, HealthCheck, TreePath, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The most entries of a list or table of the section.
const MAX_ENTRIES: usize = 256;
/// The longest text of the section, in bytes.
const MAX_TEXT: usize = 16 << 10;
/// Signals that a container can be ended with (signal(7)).
const SIGNALS: [&str; 9] =
    ["SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGABRT", "SIGWINCH"];
/// Annotations that kiln writes itself (OCI image specification 1.1, "Pre-Defined Annotation Keys").
const OWN_ANNOTATIONS: [&str; 3] = [
    "org.opencontainers.image.created",
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
];
/// Who a service runs as where the manifest does not say: nobody, in numbers.
const NOBODY: &str = "65534:65534";

/// The `[image]` section of an image, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSection {
    /// What is written to `dist/`.
    pub output: ImageOutput,
    /// How layers are compressed.
    pub compression: Compression,
    /// The user, numeric; what the base says for a Lambda function, which Lambda runs as a user of its own.
    pub user: Option<String>,
    /// The program and its first arguments; those of the base if absent.
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments.
    pub command: Option<Vec<String>>,
    /// Environment variables, over those of the base.
    pub environment: BTreeMap<String, String>,
    /// Labels, over those of the base.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Ports with their protocol, such as `8080/tcp`.
    pub ports: BTreeSet<String>,
    /// Folders that are mounted from elsewhere.
    pub volumes: BTreeSet<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// The folder that it starts in; where the source is if absent.
    pub working_dir: Option<String>,
    /// How an engine tells whether it works.
    pub health_check: Option<HealthCheck>,
}

/// The form in which an image is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImageOutput {
    /// One tar with an OCI layout: `<artifact>.oci.tar`.
    #[default]
    OciTar,
    /// The layout as a folder: `oci/`.
    OciLayout,
    /// One tar that is a layout and what `docker load` takes from version 20.10 on: `<artifact>.docker.tar`.
    DockerArchive,
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// gzip (RFC 1952), which everything reads.
    #[default]
    Gzip,
    /// Zstandard (RFC 8878): smaller and faster, for registries and engines that know it.
    Zstd,
    /// None.
    None,
}

/// The section as written.
#[derive(Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct ImageTable {
    pub(super) output: ImageOutput,
    compression: Option<Spanned<Compression>>,
    user: Option<Spanned<String>>,
    entrypoint: Option<Spanned<Vec<String>>>,
    command: Option<Spanned<Vec<String>>>,
    environment: Option<Spanned<BTreeMap<String, String>>>,
    labels: Option<Spanned<BTreeMap<String, String>>>,
    annotations: Option<Spanned<BTreeMap<String, String>>>,
    ports: Option<Spanned<Vec<Spanned<String>>>>,
    volumes: Option<Spanned<Vec<Spanned<String>>>>,
    stop_signal: Option<Spanned<String>>,
    working_dir: Option<Spanned<String>>,
    health_check: Option<Spanned<HealthTable>>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HealthTable {
    command: Spanned<Vec<String>>,
    interval: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    start_period: Option<Spanned<String>>,
    retries: Option<Spanned<u32>>,
}

impl ImageSection {
    /// Reads the section, which an image has even where the manifest does not: a Lambda function needs none.
    pub(super) fn parse(
        table: Option<Spanned<ImageTable>>,
        kind: ArtifactKind,
        by_dockerfile: bool,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        if !kind.is_image() {
            if let Some(table) = table {
                problems.at(
                    table.span(),
                    format!("{} has no [image] section", a(kind)),
                    "remove it, or make this a lambda-image",
                );
            }
            return None;
        }
        Some(image_section(table, kind, by_dockerfile, &mut Checker { problems }))
    }
}

fn image_section(
    table: Option<Spanned<ImageTable>>,
    kind: ArtifactKind,
    by_dockerfile: bool,
    checker: &mut Checker<'_, '_>,
) -> ImageSection {
    let place = table.as_ref().map_or(0..0, Spanned::span);
    let table = table.map(Spanned::into_inner).unwrap_or_default();
    match kind {
        _ if by_dockerfile => checker.stated_in_dockerfile(&table),
        ArtifactKind::LambdaImage => checker.lambda(&table),
        _ if table.entrypoint.is_none() && table.command.is_none() => checker.problems.at(
            place,
            "an image needs an `entrypoint` or a `command`: it would start nothing",
            "add under [image], for example, entrypoint = [\"python3\", \"-m\", \"service\"]",
        ),
        _ => {}
    }
    let compression = table.compression.as_ref().map(|c| *c.get_ref()).unwrap_or_default();
    if let Some(stated) = &table.compression
        && compression == Compression::Zstd
    {
        if kind == ArtifactKind::LambdaImage {
            checker.problems.at(
                stated.span(),
                "Lambda takes images of the OCI specification 1.0, which has no zstd layers",
                "use \"gzip\" or \"none\"",
            );
        } else if table.output == ImageOutput::DockerArchive {
            checker.problems.at(
                stated.span(),
                "a docker-archive is for engines that do not read zstd layers",
                "use \"gzip\" or \"none\", or another `output`",
            );
        }
    }
    let user = match &table.user {
        Some(user) if is_numeric_user(user.get_ref()) => Some(user.get_ref().clone()),
        Some(user) => {
            checker.problems.at(
                user.span(),
                format!("`{}` is not a numeric user and group", excerpt(user.get_ref())),
                "write both as numbers, such as \"65534:65534\": only numbers say everywhere that it is not root",
            );
            None
        }
        None if kind == ArtifactKind::Image && !by_dockerfile => Some(NOBODY.to_owned()),
        None => None,
    };
    ImageSection {
        output: table.output,
        compression,
        user,
        entrypoint: table.entrypoint.map(|words| checker.words("entrypoint", words, true)),
        command: table.command.map(|words| checker.words("command", words, false)),
        environment: checker.environment(table.environment),
        labels: checker.texts("labels", table.labels),
        annotations: checker.annotations(table.annotations),
        ports: checker.ports(table.ports),
        volumes: checker.volumes(table.volumes),
        stop_signal: checker.stop_signal(table.stop_signal),
        working_dir: table.working_dir.and_then(|folder| checker.folder("working-dir", &folder)),
        health_check: table.health_check.and_then(|health| checker.health(health.into_inner())),
    }
}

/// The keys that need more than a type.
struct Checker<'a, 'p> {
    problems: &'a mut Problems<'p>,
}

impl Checker<'_, '_> {
    /// Two places that say the same would differ one day.
    fn stated_in_dockerfile(&mut self, table: &ImageTable) {
        let given = [
            ("user", "USER", table.user.as_ref().map(Spanned::span)),
            ("entrypoint", "ENTRYPOINT", table.entrypoint.as_ref().map(Spanned::span)),
            ("command", "CMD", table.command.as_ref().map(Spanned::span)),
            ("environment", "ENV", table.environment.as_ref().map(Spanned::span)),
            ("labels", "LABEL", table.labels.as_ref().map(Spanned::span)),
            ("ports", "EXPOSE", table.ports.as_ref().map(Spanned::span)),
            ("volumes", "VOLUME", table.volumes.as_ref().map(Spanned::span)),
            ("stop-signal", "STOPSIGNAL", table.stop_signal.as_ref().map(Spanned::span)),
            ("working-dir", "WORKDIR", table.working_dir.as_ref().map(Spanned::span)),
            ("health-check", "HEALTHCHECK", table.health_check.as_ref().map(Spanned::span)),
        ];
        for (key, instruction, span) in given {
            if let Some(span) = span {
                self.problems.at(
                    span,
                    format!("`{key}` is what the Dockerfile says"),
                    format!("remove it, and write {instruction} in the Dockerfile"),
                );
            }
        }
    }

    /// Lambda decides these itself, so that stating them would promise what does not happen.
    fn lambda(&mut self, table: &ImageTable) {
        let given = [
            (
                "user",
                table.user.as_ref().map(Spanned::span),
                "Lambda runs every function as a user of its own",
            ),
            (
                "entrypoint",
                table.entrypoint.as_ref().map(Spanned::span),
                "it is the runtime client's, so that the function is called as Lambda calls it",
            ),
            ("command", table.command.as_ref().map(Spanned::span), "it is the `handler`"),
            ("working-dir", table.working_dir.as_ref().map(Spanned::span), "it is /var/task"),
            ("ports", table.ports.as_ref().map(Spanned::span), "a function is not listened to"),
            ("volumes", table.volumes.as_ref().map(Spanned::span), "Lambda mounts nothing but /tmp"),
            ("stop-signal", table.stop_signal.as_ref().map(Spanned::span), "Lambda sends its own"),
            ("health-check", table.health_check.as_ref().map(Spanned::span), "use [[smoke]] events instead"),
        ];
        for (key, span, why) in given {
            if let Some(span) = span {
                self.problems.at(
                    span,
                    format!("`{key}` has no use in a lambda-image: {why}"),
                    "remove the key, or make this an image",
                );
            }
        }
    }

    fn words(&mut self, key: &str, words: Spanned<Vec<String>>, starts: bool) -> Vec<String> {
        let span = words.span();
        let words = words.into_inner();
        if starts && words.first().is_none_or(String::is_empty) {
            self.problems.at(span.clone(), format!("`{key}` names no program"), "write the program first");
        }
        self.bounded(key, span, words.len(), words.iter());
        words
    }

    fn bounded<'t>(
        &mut self,
        key: &str,
        span: Range<usize>,
        count: usize,
        texts: impl Iterator<Item = &'t String>,
    ) {
        if count > MAX_ENTRIES {
            self.problems.at(
                span.clone(),
                format!("`{key}` has more than {MAX_ENTRIES} entries"),
                "keep what is needed",
            );
        }
        for text in texts {
            if text.contains('\0') || text.len() > MAX_TEXT {
                self.problems.at(
                    span.clone(),
                    format!("`{key}` holds a text with a NUL byte or of more than {MAX_TEXT} bytes"),
                    "shorten it",
                );
            }
        }
    }

    fn texts(
        &mut self,
        key: &str,
        table: Option<Spanned<BTreeMap<String, String>>>,
    ) -> BTreeMap<String, String> {
        let Some(table) = table else { return BTreeMap::new() };
        let span = table.span();
        let table = table.into_inner();
        if table.keys().any(|name| name.trim().is_empty() || name.chars().any(char::is_control)) {
            self.problems.at(span.clone(), format!("`{key}` has an empty name"), "give each a name");
        }
        self.bounded(key, span, table.len(), table.iter().flat_map(|(name, value)| [name, value]));
        table
    }

    fn environment(&mut self, table: Option<Spanned<BTreeMap<String, String>>>) -> BTreeMap<String, String> {
        let span = table.as_ref().map_or(0..0, Spanned::span);
        let table = self.texts("environment", table);
        if let Some(name) = table.keys().find(|name| name.contains('=')) {
            self.problems.at(
                span,
                format!("`environment` has the variable `{name}`, which cannot be set"),
                "a name has no `=`",
            );
        }
        table
    }

    fn annotations(&mut self, table: Option<Spanned<BTreeMap<String, String>>>) -> BTreeMap<String, String> {
        let span = table.as_ref().map_or(0..0, Spanned::span);
        let table = self.texts("annotations", table);
        if let Some(name) = table.keys().find(|name| OWN_ANNOTATIONS.contains(&name.as_str())) {
            self.problems.at(
                span,
                format!("the annotation `{name}` is kiln's own: it follows from the base and the epoch"),
                "remove it",
            );
        }
        table
    }

    fn ports(&mut self, ports: Option<Spanned<Vec<Spanned<String>>>>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for port in ports.map(Spanned::into_inner).unwrap_or_default() {
            let (number, protocol) =
                port.get_ref().split_once('/').unwrap_or((port.get_ref().as_str(), "tcp"));
            match number.parse::<u16>() {
                Ok(1..) if matches!(protocol, "tcp" | "udp") && !number.starts_with(['+', '0']) => {
                    all.insert(format!("{number}/{protocol}"));
                }
                _ => self.problems.at(
                    port.span(),
                    format!("`{}` is not a port", excerpt(port.get_ref())),
                    "write a number from 1 to 65535, with /udp where it is not TCP: \"8080\" or \"53/udp\"",
                ),
            }
        }
        all
    }

    fn volumes(&mut self, volumes: Option<Spanned<Vec<Spanned<String>>>>) -> BTreeSet<String> {
        let volumes = volumes.map(Spanned::into_inner).unwrap_or_default();
        volumes.iter().filter_map(|volume| self.folder("volumes", volume)).collect()
    }

    /// An absolute path without surprises.
    fn folder(&mut self, key: &str, folder: &Spanned<String>) -> Option<String> {
        let text = folder.get_ref();
        let inside = text.strip_prefix('/').map(TreePath::new);
        match inside {
            Some(Ok(_)) => Some(text.clone()),
            _ if text == "/" && key == "working-dir" => Some(text.clone()),
            _ => {
                self.problems.at(
                    folder.span(),
                    format!("`{}` under `{key}` is not an absolute path of a folder", excerpt(text)),
                    "write it from the root, without `.`, `..` and a slash at the end, such as \"/data\"",
                );
                None
            }
        }
    }

    fn stop_signal(&mut self, signal: Option<Spanned<String>>) -> Option<String> {
        let signal = signal?;
        if SIGNALS.contains(&signal.get_ref().as_str()) {
            return Some(signal.into_inner());
        }
        self.problems.at(
            signal.span(),
            format!("`{}` is not a signal that ends a container", excerpt(signal.get_ref())),
            format!("use one of: {}", SIGNALS.join(", ")),
        );
        None
    }

    fn health(&mut self, table: HealthTable) -> Option<HealthCheck> {
        let before = self.problems.count();
        let command = self.words("health-check.command", table.command, true);
        let mut seconds = |text: Option<Spanned<String>>, usual: u32| match text {
            None => usual,
            Some(text) => match parse_seconds(text.get_ref(), 3600) {
                Some(seconds) => seconds,
                None => {
                    self.problems.at(
                        text.span(),
                        format!("`{}` is not a time", excerpt(text.get_ref())),
                        "write whole seconds or minutes up to an hour, such as \"5 s\" or \"1 min\"",
                    );
                    usual
                }
            },
        };
        // What Docker does where nothing is said.
        let (interval, timeout) = (seconds(table.interval, 30), seconds(table.timeout, 30));
        let start_period = seconds(table.start_period, 0);
        let retries = match table.retries {
            None => 3,
            Some(retries) if (1..=100).contains(retries.get_ref()) => *retries.get_ref(),
            Some(retries) => {
                self.problems.at(
                    retries.span(),
                    format!("{} failures in a row are asked for", retries.get_ref()),
                    "write 1 to 100",
                );
                3
            }
        };
        (self.problems.count() == before).then_some(HealthCheck {
            command,
            interval,
            timeout,
            start_period,
            retries,
        })
    }
}

fn is_numeric_user(text: &str) -> bool {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok();
    text.split_once(':').is_some_and(|(user, group)| number(user) && number(group))
}
