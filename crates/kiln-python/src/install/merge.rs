//! Installing: merging the files of wheels into one tree, as a pure function of the wheels.

use crate::wheel::{FileSource, Wheel};
use kiln_record::{Code, Digest, DistributionName, Entry, Finding, Mode, Tree, TreeError, TreePath};
use std::collections::BTreeMap;

/// The tree that a set of wheels makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Every file, below the prefix.
    pub tree: Tree,
    /// The distribution that each path belongs to. A path that several bring with equal content belongs to
    /// the first by name.
    pub owners: BTreeMap<TreePath, DistributionName>,
    /// The content of the files that no wheel holds (RECORD, commands), by digest. All other content is in
    /// the wheels.
    pub generated: BTreeMap<Digest, Vec<u8>>,
    /// `path-collision` for each path that two distributions claim with different content. The tree holds the
    /// content of the first by name.
    pub findings: Vec<Finding>,
}

/// Merges wheels. The result does not depend on their order.
///
/// `prefix` is the folder below which they are installed: none for a function, `python` for a layer.
#[must_use]
pub fn install(wheels: &[&Wheel], prefix: Option<&str>) -> Installed {
    let mut wheels = wheels.to_vec();
    wheels.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut merge = Merge::default();
    for wheel in wheels {
        for file in &wheel.files {
            let path = match prefix {
                None => Ok(file.path.clone()),
                Some(prefix) => file.path.below(prefix),
            };
            match path {
                Ok(path) => merge.add(wheel, path, file.digest, file.size, file.mode),
                Err(e) => merge.installed.findings.push(
                    Finding::new(
                        Code::PathCollision,
                        file.path.as_str(),
                        format!(
                            "{} {} cannot be installed below `{}`: {e}",
                            wheel.name,
                            wheel.version,
                            prefix.unwrap_or_default()
                        ),
                    )
                    .remedy(format!("leave `{}` out, or ask its makers for a shorter path", wheel.name)),
                ),
            }
            if let FileSource::Generated(bytes) = &file.source {
                merge.installed.generated.entry(file.digest).or_insert_with(|| bytes.clone());
            }
        }
    }
    merge.finish()
}

#[derive(Default)]
struct Merge<'a> {
    installed: Installed,
    // The wheel that each path came from, for messages.
    from: BTreeMap<TreePath, &'a Wheel>,
}

impl<'a> Merge<'a> {
    fn add(&mut self, wheel: &'a Wheel, path: TreePath, digest: Digest, size: u64, mode: Mode) {
        let entry = Entry::File { digest, size, mode };
        match self.installed.tree.get(&path) {
            None => {
                // The path is free, so this cannot collide.
                let _ = self.installed.tree.insert(path.clone(), entry);
                self.installed.owners.insert(path.clone(), wheel.name.clone());
                self.from.insert(path, wheel);
            }
            Some(Entry::File { digest: there, mode: mode_there, .. }) if *there == digest => {
                // Equal content with two modes: whoever needs to execute it can.
                if *mode_there != mode && mode == Mode::Executable {
                    self.installed.tree.remove(&path);
                    let _ = self.installed.tree.insert(path, entry);
                }
            }
            Some(_) => {
                let cause = match self.from.get(&path) {
                    Some(first) => {
                        format!("{} and {} both bring it, with different content", said(first), said(wheel))
                    }
                    None => format!("{} brings it with other content than is there", said(wheel)),
                };
                let finding = Finding::new(Code::PathCollision, path.as_str(), cause);
                self.installed.findings.push(with_ways_out(finding, wheel, self.from.get(&path).copied()));
            }
        }
    }

    fn finish(mut self) -> Installed {
        if let Err(TreeError::FileAsFolder { file, below }) = self.installed.tree.check_folders() {
            let said_of = |path| self.from.get(path).map_or_else(String::new, |wheel| said(wheel));
            let cause = format!(
                "it is a file of {}, but `{below}` of {} needs it to be a folder",
                said_of(&file),
                said_of(&below)
            );
            let finding = Finding::new(Code::PathCollision, file.as_str(), cause);
            if let Some(wheel) = self.from.get(&below) {
                let finding = with_ways_out(finding, wheel, self.from.get(&file).copied());
                self.installed.findings.push(finding);
            }
        }
        self.installed
    }
}

fn said(wheel: &Wheel) -> String {
    format!("{} {}", wheel.name, wheel.version)
}

fn with_ways_out(finding: Finding, second: &Wheel, first: Option<&Wheel>) -> Finding {
    let first = first.map_or_else(|| "the other".to_owned(), |wheel| format!("`{}`", wheel.name));
    finding
        .remedy(format!(
            "leave one of the two out: add {first} or `{}` to `exclude` under `[python]`",
            second.name
        ))
        .remedy(
            "lock versions that do not share the path; whichever were installed last would win silently"
                .to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstalledFile;

    fn wheel(name: &str, files: &[(&str, &[u8], Mode)]) -> Wheel {
        let files = files
            .iter()
            .map(|(path, bytes, mode)| InstalledFile {
                path: TreePath::new(path).unwrap(),
                mode: *mode,
                size: bytes.len() as u64,
                digest: Digest::of(bytes),
                source: FileSource::Generated(bytes.to_vec()),
            })
            .collect();
        Wheel {
            name: name.parse().unwrap(),
            version: "1".to_owned(),
            files,
            metadata: kiln_record::Metadata::default(),
            requires_dist: Vec::new(),
            requires_python: None,
            extras: Vec::new(),
            top_level: Vec::new(),
            dist_info: format!("{name}-1.dist-info"),
            embedded_sboms: Vec::new(),
            license_files: Vec::new(),
        }
    }

    #[test]
    fn order_and_prefix() {
        let a = wheel("a", &[("ns/__init__.py", b"", Mode::Plain), ("a.py", b"a", Mode::Plain)]);
        let b = wheel("b", &[("ns/__init__.py", b"", Mode::Executable), ("b.py", b"b", Mode::Plain)]);
        let installed = install(&[&b, &a], Some("python"));
        assert_eq!(installed, install(&[&a, &b], Some("python")));
        assert_eq!(installed.findings, []);
        let shared = TreePath::new("python/ns/__init__.py").unwrap();
        assert_eq!(installed.owners[&shared].as_str(), "a");
        assert!(matches!(
            installed.tree.get(&shared),
            Some(Entry::File { mode: Mode::Executable, size: 0, .. })
        ));
        assert_eq!(installed.tree.len(), 3);
        assert_eq!(installed.generated[&Digest::of(b"b")], b"b");
    }

    #[test]
    fn different_content_names_both() {
        let a = wheel("alpha", &[("tests/__init__.py", b"1", Mode::Plain)]);
        let b = wheel("beta", &[("tests/__init__.py", b"2", Mode::Plain)]);
        let installed = install(&[&b, &a], None);
        assert_eq!(installed, install(&[&a, &b], None));
        let [finding] = &installed.findings[..] else { panic!("{:?}", installed.findings) };
        assert_eq!(finding.code, Code::PathCollision);
        assert_eq!(finding.subject, "tests/__init__.py");
        assert_eq!(finding.cause, "alpha 1 and beta 1 both bring it, with different content");
        assert_eq!(finding.remedy.len(), 2);
    }

    #[test]
    fn a_file_where_a_folder_belongs() {
        let a = wheel("alpha", &[("x", b"1", Mode::Plain)]);
        let b = wheel("beta", &[("x/y.py", b"2", Mode::Plain)]);
        let installed = install(&[&a, &b], None);
        assert_eq!(
            installed.findings[0].cause,
            "it is a file of alpha 1, but `x/y.py` of beta 1 needs it to be a folder"
        );
    }

    #[test]
    fn a_bad_prefix_is_a_finding() {
        let a = wheel("alpha", &[("x", b"1", Mode::Plain)]);
        let installed = install(&[&a], Some("../up"));
        assert_eq!(installed.findings.len(), 1);
        assert!(installed.tree.is_empty());
    }
}
