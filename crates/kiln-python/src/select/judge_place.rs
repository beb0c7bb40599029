//! Where what is wanted comes from: files that a hash pins, places that a lock names, and the project itself.

use super::choice::Choice;
use super::judge::Judge;
use crate::lock::{FilePlace, LockFormat, Locked};
use kiln_record::{Cause, Code, Finding};

impl Judge<'_> {
    /// What is wanted needs files that a hash pins.
    pub(crate) fn has_files(&mut self, locked: &Locked) {
        let place = self.lock.place(locked);
        match &locked.place {
            Some(FilePlace::File(_) | FilePlace::Folder(_)) => return,
            Some(FilePlace::Url(_)) if !locked.files.is_empty() => return,
            Some(FilePlace::Url(url)) => {
                let cause = format!("{} ({place}) is locked from {url} without a sha256 hash", locked.name);
                self.findings.push(
                    Finding::new(Code::LockMissing, locked.name.as_str(), cause).at(place.clone()).remedy(
                        format!(
                            "lock it again with the hash of the file that you have checked: {}",
                            self.relock()
                        ),
                    ),
                );
                return;
            }
            Some(FilePlace::Refused { text, reason }) => {
                let cause = format!("{} ({place}) is locked from `{text}`: {reason}", locked.name);
                self.findings.push(
                    Finding::new(Code::LockMissing, locked.name.as_str(), cause)
                        .at(place.clone())
                        .remedy("name a wheel by its URL, or a wheel or project by its path in the workspace")
                        .remedy(format!("or a version that an index has, and lock again: {}", self.relock())),
                );
                return;
            }
            None => {}
        }
        let cause = match &locked.not_from_index {
            Some(origin) => format!(
                "{} {} ({place}) is locked from {origin}, not from a package index",
                locked.name, locked.version
            ),
            None => match self.weak_alone(locked) {
                Some((what, algorithm)) => {
                    // A longer hash is as good a proof; but indexes and kiln's store know files by SHA-256.
                    let why = match algorithm {
                        "sha384" | "sha512" => "as indexes and its store name them",
                        _ => "and a weaker hash is no proof",
                    };
                    let cause = format!(
                        "{what} of {} {} ({place}): kiln takes files by SHA-256, {why}",
                        locked.name, locked.version
                    );
                    self.findings.push(
                        Finding::new(Code::LockMissing, locked.name.as_str(), cause)
                            .at(place.clone())
                            .remedy(format!(
                                "lock again from an index that gives SHA-256, as the public one does: {}",
                                self.relock()
                            )),
                    );
                    return;
                }
                None if locked.files.is_empty() => {
                    format!("{} {} ({place}) has no sha256 hash in the lock", locked.name, locked.version)
                }
                None => return,
            },
        };
        self.findings.push(
            Finding::new(Code::LockMissing, locked.name.as_str(), cause).at(place.clone()).remedy(format!(
                "let the project require a version of {} that an index has, and lock again: {}",
                locked.name,
                self.relock()
            )),
        );
    }

    /// What of a distribution's files is locked by another hash than SHA-256 alone, if the target would need that: all of them,
    /// or the wheels that fit. Beside it, by which.
    fn weak_alone<'l>(&self, locked: &'l Locked) -> Option<(String, &'l str)> {
        let first = locked.weak.first()?;
        if locked.files.is_empty() {
            return Some((format!("locked with {} alone: the files", first.algorithm), &first.algorithm));
        }
        let fits = |name: &Option<String>| {
            name.as_deref().is_some_and(|name| self.environment.fitting_tag(name).is_ok())
        };
        let weak = locked.weak.iter().find(|file| fits(&file.file_name))?;
        // Where the format does not name files, one of those with SHA-256 may be the wheel.
        let other = locked.files.iter().any(|file| file.file_name.is_none() || fits(&file.file_name));
        let name = weak.file_name.as_deref().unwrap_or_default();
        let what = || format!("locked with {} alone: {name}, the wheel that fits,", weak.algorithm);
        (!other).then(|| (what(), weak.algorithm.as_str()))
    }

    /// The project that the lock belongs to: none of its distributions, unless the manifest says so.
    pub(super) fn own_project(&mut self, locked: &Locked, choice: &Choice) -> Option<Cause> {
        if choice.install_project {
            self.has_files(locked);
            return None;
        }
        if !choice.has_source {
            let cause = format!(
                "{} ({}) is the project that the lock belongs to: it is not installed, and the artifact has no sources of its own that would hold its code",
                locked.name,
                self.lock.place(locked)
            );
            self.findings.push(
                Finding::new(Code::ProjectLeftOut, locked.name.as_str(), cause)
                    .remedy("to install it with its metadata: install-project = true under [python] of the manifest")
                    .remedy("or to ship its code alone: name its folder with `path` under [source]"),
            );
        }
        Some(Cause::OwnProject)
    }

    /// A manifest that asks for the project where there is none to install.
    pub(super) fn no_own_project(&mut self, choice: &Choice) {
        let lock = self.lock;
        let is_there = lock.distributions.iter().enumerate().any(|(index, locked)| {
            lock.is_own_project(index) && locked.folder.as_ref().is_none_or(|folder| folder.is_package)
        });
        if !choice.install_project || is_there {
            return;
        }
        let cause = format!(
            "the manifest asks for the project itself (`install-project`), but {} has none that is a package",
            lock.name
        );
        let how = match lock.format {
            LockFormat::Uv => "let its pyproject.toml have a [build-system], and lock again: uv lock",
            LockFormat::Poetry => {
                "let its pyproject.toml have a name and a version, and not package-mode = false"
            }
            _ => "write `-e .` into the lock, with a pyproject.toml beside it",
        };
        self.findings.push(
            Finding::new(Code::DeclaredNotInstalled, lock.name.as_str(), cause)
                .remedy(how)
                .remedy("or remove `install-project` from the manifest"),
        );
    }
}
