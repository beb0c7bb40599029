//! One function in two packagings: what each brings, so that the choice between a zip and an image is made on facts.

use crate::quantity::binary;
use kiln_record::{ArtifactKind, Ecosystem, Entry, Mode, Record, Surface, TreePath};
use serde::Serialize;

/// What one packaging of a function brings along. What Lambda's runtime brings to a zip is not in it, and is not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Packaging {
    /// What kind of artifact.
    pub kind: ArtifactKind,
    /// Bytes that are uploaded: the archive, or all layers as a registry keeps them.
    pub packed: u64,
    /// Bytes of all files when unpacked, a base included.
    pub unpacked: u64,
    /// Distributions of Python that it has of its own; those that a base carries are not counted.
    pub distributions: usize,
    /// Packages of the operating system.
    pub os_packages: usize,
    /// Unpacked bytes of these.
    pub os_bytes: u64,
    /// Whether the operating system's packages are known: a base without a database that kiln reads has some all the same.
    pub os_packages_known: bool,
    /// What someone who gets in can use; none for an image whose record is older than this.
    pub surface: Option<Surface>,
}

impl Packaging {
    /// What a record says.
    pub(crate) fn of(record: &Record) -> Self {
        let of_system = || record.components.iter().filter(|component| component.ecosystem.is_of_system());
        let is_python = |component: &&kiln_record::Component| {
            component.ecosystem == Ecosystem::Python && !component.from_base
        };
        let own = own_surface(record);
        let (packed, unpacked, surface) = match &record.image {
            Some(image) => {
                (image.size, image.unpacked_size, image.base.surface.as_ref().map(|base| base.with(&own)))
            }
            None => (record.archive().map_or(0, |a| a.size), record.unpacked_size, Some(own)),
        };
        let os_packages = of_system().count();
        Self {
            kind: record.kind,
            packed,
            unpacked,
            distributions: record.components.iter().filter(is_python).count(),
            os_packages,
            os_bytes: of_system().map(|component| component.bytes).sum(),
            os_packages_known: record.image.is_none() || os_packages > 0,
            surface,
        }
    }
}

/// What the artifact's own files add. They have two modes, so that none of them is privileged.
fn own_surface(record: &Record) -> Surface {
    let mut surface = Surface::default();
    for file in &record.files {
        let executable = matches!(&file.entry, Entry::File { mode: Mode::Executable, .. });
        let link = matches!(&file.entry, Entry::Symlink { .. });
        surface.count(&file.path, executable, link, false);
    }
    surface
}

/// The two packagings of a diff, side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Packagings {
    /// The one that is compared with.
    pub before: Packaging,
    /// The one that is compared.
    pub after: Packaging,
}

impl Packagings {
    /// Two builds of which one brings its system along and the other does not, or none if both do the same.
    pub(crate) fn between(before: &Record, after: &Record) -> Option<Self> {
        (before.kind != after.kind)
            .then(|| Self { before: Packaging::of(before), after: Packaging::of(after) })
    }

    /// Rows of a table: what, before, after.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 3]> {
        let (a, b) = (&self.before, &self.after);
        let row = |what: &str, text: &dyn Fn(&Packaging) -> String| [what.to_owned(), text(a), text(b)];
        let surface = |one: &Packaging, text: &dyn Fn(&Surface) -> String| {
            one.surface.as_ref().map_or_else(|| "not recorded".to_owned(), text)
        };
        let names = |paths: &std::collections::BTreeSet<TreePath>| match paths.len() {
            0 => "none".to_owned(),
            count => {
                let shown: Vec<String> = paths.iter().take(3).map(|path| format!("/{path}")).collect();
                let more = if count > 3 { ", …" } else { "" };
                format!("{count}: {}{more}", shown.join(", "))
            }
        };
        vec![
            row("packed", &|one| binary(one.packed)),
            row("unpacked, base included", &|one| binary(one.unpacked)),
            row("Python distributions", &|one| one.distributions.to_string()),
            row("OS packages", &|one| match one.os_packages_known {
                true if one.os_packages == 0 => "none: the runtime's".to_owned(),
                true => format!("{}, {}", one.os_packages, binary(one.os_bytes)),
                false => "not known".to_owned(),
            }),
            row("executables", &|one| surface(one, &|s| s.executables.to_string())),
            row("native libraries", &|one| surface(one, &|s| s.libraries.to_string())),
            row("shells", &|one| surface(one, &|s| names(&s.shells))),
            row("setuid or setgid", &|one| surface(one, &|s| names(&s.privileged))),
        ]
    }

    /// The two side by side as lines of a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let rows = self.rows();
        let head = [String::new(), self.before.kind.to_string(), self.after.kind.to_string()];
        let width = |column: usize| {
            rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let (first, second) = (width(0), width(1));
        std::iter::once(&head)
            .chain(&rows)
            .map(|[what, before, after]| {
                format!("{what:<first$}  {before:<second$}  {after}").trim_end().to_owned()
            })
            .collect()
    }
}
