//! The archive of a wheel: its members, what they must agree on, and where each belongs.

use super::file_name::WheelName;
use super::metadata::CoreMetadata;
use super::record::{RecordHash, parse_record};
use crate::error::PythonError;
use crate::specifier::same_version;
use kiln_record::{Digest, DistributionName, MetadataFields, TreePath, excerpt};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// Most members a wheel may have; the largest on the public index have some 30,000.
const MEMBERS_LIMIT: usize = 500_000;

/// Longest METADATA, WHEEL, RECORD or `entry_points.txt` in bytes; a RECORD of 100,000 rows has some 12 MB.
const TEXT_LIMIT: u64 = 64 << 20;

/// Largest member that is held in memory, in bytes: metadata, scripts, and what RECORD has no SHA-256 of.
const HELD_LIMIT: u64 = 256 << 20;

/// Most lines of one field of METADATA.
const MOST_FIELDS: usize = 5_000;

/// Longest requirement or condition in METADATA, in bytes.
const LONGEST_FIELD: usize = 8 << 10;

/// The members of a wheel by path, with the wheel's name for messages.
pub(crate) struct Archive<'a> {
    file_name: &'a str,
    pub(crate) members: BTreeMap<&'a str, &'a WheelMember>,
}

/// Which rules hold for a member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Modules and metadata.
    Site,
    /// Commands.
    Scripts,
    /// Anything else.
    Data,
}

/// Where a member goes.
pub(crate) struct Place {
    pub(crate) scheme: Scheme,
    pub(crate) path: TreePath,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(file_name: &'a str, members: &'a [WheelMember]) -> Result<Self, PythonError> {
        let mut archive = Self { file_name, members: BTreeMap::new() };
        if members.len() > MEMBERS_LIMIT {
            return Err(archive.invalid(format!("it has more than {MEMBERS_LIMIT} members")));
        }
        for member in members {
            if archive.members.insert(member.path.as_str(), member).is_some() {
                return Err(archive.invalid(format!("it holds `{}` twice", member.path)));
            }
        }
        Ok(archive)
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> PythonError {
        PythonError::InvalidWheel { file_name: self.file_name.to_owned(), reason: reason.into() }
    }

    fn mismatch(&self, path: &str, reason: impl Into<String>) -> PythonError {
        PythonError::RecordMismatch {
            file_name: self.file_name.to_owned(),
            path: excerpt(path),
            reason: reason.into(),
        }
    }

    pub(crate) fn path(&self, text: &str) -> Result<TreePath, PythonError> {
        TreePath::new(text).map_err(|e| self.invalid(e.to_string()))
    }

    /// The one `.dist-info` folder at the top.
    pub(crate) fn dist_info(&self) -> Result<String, PythonError> {
        let found: BTreeSet<&str> = self
            .members
            .keys()
            .filter_map(|path| path.split_once('/'))
            .map(|(top, _)| top)
            .filter(|top| top.ends_with(".dist-info"))
            .collect();
        match Vec::from_iter(found)[..] {
            [one] => Ok(one.to_owned()),
            [] => Err(self.invalid("it has no .dist-info folder")),
            [a, b, ..] => Err(self.invalid(format!(
                "it has more than one .dist-info folder: `{}`, `{}`",
                excerpt(a),
                excerpt(b)
            ))),
        }
    }

    /// The content of a member, which must be the bytes that were hashed.
    pub(crate) fn read<E: Display>(
        &self,
        path: &TreePath,
        content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, PythonError> {
        let error =
            |reason| PythonError::Member { file_name: self.file_name.to_owned(), path: path.clone(), reason };
        let size = self.members.get(path.as_str()).map_or(0, |member| member.size);
        if size > HELD_LIMIT {
            return Err(error(format!(
                "it is larger than {HELD_LIMIT} bytes, and has to be read as a whole"
            )));
        }
        let bytes = content(path).map_err(|e| error(e.to_string()))?;
        let expected = self.members.get(path.as_str()).map(|m| m.digest);
        if expected == Some(Digest::of(&bytes)) {
            Ok(bytes)
        } else {
            Err(error("its content is not what was hashed before".to_owned()))
        }
    }

    /// A metadata file as text. Bytes that are no UTF-8 become replacement characters: names and hashes are
    /// ASCII, and a person's name in another encoding is no reason to refuse a wheel.
    pub(crate) fn text<E: Display>(
        &self,
        dist_info: &str,
        name: &str,
        content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
    ) -> Result<String, PythonError> {
        let path = format!("{dist_info}/{name}");
        let member =
            self.members.get(path.as_str()).ok_or_else(|| self.invalid(format!("it has no `{path}`")))?;
        if member.size > TEXT_LIMIT {
            return Err(self.invalid(format!("`{path}` is larger than {TEXT_LIMIT} bytes")));
        }
        Ok(String::from_utf8_lossy(&self.read(&member.path, content)?).into_owned())
    }

    /// Refuses a format version that this code does not know, as the specification demands.
    pub(crate) fn check_format(&self, wheel: &str) -> Result<(), PythonError> {
        let fields = MetadataFields::read(wheel);
        match fields.one("Wheel-Version").map(|v| (v, v.split('.').next())) {
            Some((_, Some("1"))) => Ok(()),
            Some((version, _)) => {
                let version = excerpt(version);
                Err(self.invalid(format!("it has Wheel-Version `{version}`; kiln reads version 1")))
            }
            None => Err(self.invalid("its WHEEL file has no Wheel-Version")),
        }
    }

    /// Compares every member with RECORD, both ways.
    pub(crate) fn check_record<E: Display>(
        &self,
        dist_info: &str,
        content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
    ) -> Result<(), PythonError> {
        let rows = parse_record(self.file_name, &self.text(dist_info, "RECORD", content)?)?;
        // RECORD cannot hold its own hash, nor that of a signature made over it.
        let exempt = ["RECORD", "RECORD.jws", "RECORD.p7s"].map(|name| format!("{dist_info}/{name}"));
        for (path, member) in &self.members {
            if exempt.iter().any(|e| e == path) {
                continue;
            }
            let row = rows.get(*path).ok_or_else(|| self.mismatch(path, "is not listed"))?;
            if let Some(size) = row.size.filter(|size| *size != member.size) {
                return Err(self.mismatch(path, format!("has {} bytes, RECORD says {size}", member.size)));
            }
            match &row.hash {
                None => return Err(self.mismatch(path, "is listed without a hash")),
                Some(RecordHash::Sha256(digest)) if *digest == member.digest => {}
                Some(RecordHash::Sha256(digest)) => {
                    let reason = format!("has {}, RECORD says {digest}", member.digest);
                    return Err(self.mismatch(path, reason));
                }
                Some(other) => {
                    if other.matches(&self.read(&member.path, content)?) != Some(true) {
                        return Err(self.mismatch(path, "has another hash than RECORD says"));
                    }
                }
            }
        }
        match rows.keys().find(|path| !self.members.contains_key(path.as_str()) && !exempt.contains(path)) {
            Some(absent) => Err(self.mismatch(absent, "is listed but not in the archive")),
            None => Ok(()),
        }
    }

    /// Refuses metadata that no distribution has: what is read of it is parsed, compared and kept.
    pub(crate) fn check_bounds(&self, core: &CoreMetadata) -> Result<(), PythonError> {
        let one = [("Name", &core.name, 255), ("Version", &core.version, 255)];
        let python = [("Requires-Python", &core.requires_python, LONGEST_FIELD)];
        for (field, value, limit) in one.into_iter().chain(python) {
            if value.as_ref().is_some_and(|value| value.len() > limit) {
                return Err(self.invalid(format!("its METADATA has a {field} of more than {limit} bytes")));
            }
        }
        for (field, values) in [("Requires-Dist", &core.requires_dist), ("Provides-Extra", &core.extras)] {
            if values.len() > MOST_FIELDS || values.iter().any(|value| value.len() > LONGEST_FIELD) {
                return Err(self.invalid(format!(
                    "its METADATA has more than {MOST_FIELDS} lines of {field}, or one of more than {LONGEST_FIELD} bytes"
                )));
            }
        }
        Ok(())
    }

    /// Refuses a wheel whose file name, `.dist-info` folder and METADATA disagree; gives the version in
    /// METADATA.
    pub(crate) fn check_identity(
        &self,
        name: &WheelName,
        dist_info: &str,
        core: &CoreMetadata,
    ) -> Result<String, PythonError> {
        let version = core
            .version
            .clone()
            .ok_or_else(|| self.invalid(format!("`{dist_info}/METADATA` has no Version")))?;
        let written = core
            .name
            .as_deref()
            .ok_or_else(|| self.invalid(format!("`{dist_info}/METADATA` has no Name")))?;
        let (folder_name, folder_version) = dist_info
            .strip_suffix(".dist-info")
            .and_then(|stem| stem.rsplit_once('-'))
            .ok_or_else(|| self.invalid(format!("`{dist_info}` is not `<name>-<version>.dist-info`")))?;
        for (place, found) in [("METADATA", written), ("its .dist-info folder", folder_name)] {
            if found.parse::<DistributionName>().ok().as_ref() != Some(&name.name) {
                let found = excerpt(found);
                return Err(
                    self.invalid(format!("{place} names it `{found}`, its file name `{}`", name.name))
                );
            }
        }
        for (place, found) in [("METADATA", version.as_str()), ("its .dist-info folder", folder_version)] {
            if !same_version(found, &name.version) {
                let found = excerpt(found);
                return Err(
                    self.invalid(format!("{place} has version `{found}`, its file name `{}`", name.version))
                );
            }
        }
        Ok(version)
    }

    /// Where a member goes.
    pub(crate) fn place(&self, path: &TreePath, name: &str) -> Result<Place, PythonError> {
        let Some((data, rest)) = path.as_str().split_once('/').filter(|(top, _)| top.ends_with(".data"))
        else {
            return Ok(Place { scheme: Scheme::Site, path: path.clone() });
        };
        let (key, rest) = rest.split_once('/').ok_or_else(|| {
            self.invalid(format!("`{path}` lies in `{data}` but in none of its installation folders"))
        })?;
        let (scheme, target) = match key {
            "purelib" | "platlib" => (Scheme::Site, rest.to_owned()),
            "scripts" => (Scheme::Scripts, format!("bin/{rest}")),
            "headers" => (Scheme::Data, format!("include/python/{name}/{rest}")),
            "data" => (Scheme::Data, rest.to_owned()),
            other => {
                return Err(self.invalid(format!(
                    "`{path}` asks for the unknown installation folder `{}`",
                    excerpt(other)
                )));
            }
        };
        Ok(Place { scheme, path: self.path(&target)? })
    }
}

/// A file in a wheel's archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelMember {
    /// Its name in the archive.
    pub path: TreePath,
    /// Whether any of its execute bits is set.
    pub executable: bool,
    /// Its length in bytes, unpacked.
    pub size: u64,
    /// The digest of its content, unpacked.
    pub digest: Digest,
}
