//! Wheels that were built here: brought into one form, and compared.

use kiln_collect::how_differ;
use kiln_guest::Difference;
use kiln_pack::{Limits, PackError, ZipReader, ZipWriter, compress};
use kiln_python::render_record;
use kiln_record::{Digest, Mode, TreePath};
use std::collections::BTreeMap;
use std::io::Cursor;

/// The members of a wheel, without anything that an archive adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BuiltWheel {
    pub(super) file_name: String,
    members: BTreeMap<TreePath, (Mode, Vec<u8>)>,
}

impl BuiltWheel {
    /// Reads a wheel that a build made. What it says about itself is judged when it is installed.
    pub(super) fn read(file_name: &str, bytes: &[u8]) -> Result<Self, PackError> {
        let mut archive = ZipReader::open(Cursor::new(bytes), &Limits::default())?;
        let mut members = BTreeMap::new();
        for member in archive.members().to_vec() {
            if member.is_symlink {
                return Err(PackError::Unsupported {
                    member: member.path.to_string(),
                    feature: "is a link".to_owned(),
                });
            }
            // Signatures are of a RECORD that is written anew.
            if is_of_record(&member.path, &["RECORD.jws", "RECORD.p7s"]) {
                continue;
            }
            let content = archive.read(&member)?;
            members.insert(member.path.clone(), (member.mode(), content));
        }
        Ok(Self { file_name: file_name.to_owned(), members })
    }

    /// The wheel in the one form that equal members have: sorted, without times, modes 0644 or 0755, kiln's own
    /// compression, and a RECORD that lists every member, sorted, with SHA-256.
    pub(super) fn normal_form(&self) -> Result<Vec<u8>, PackError> {
        let record = self.members.keys().find(|path| is_of_record(path, &["RECORD"])).cloned();
        let mut zip = ZipWriter::new(Vec::new());
        for (path, (mode, content)) in &self.members {
            if Some(path) == record.as_ref() {
                let listed = self.members.iter().filter(|(other, _)| *other != path);
                let listed =
                    listed.map(|(path, (_, content))| (path, Digest::of(content), content.len() as u64));
                zip.add_file(path, Mode::Plain, &compress(render_record(listed, path).as_bytes()))?;
            } else {
                zip.add_file(path, *mode, &compress(content))?;
            }
        }
        zip.finish()
    }

    /// What differs from another wheel, but for RECORD, which follows from the rest.
    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        if self.file_name != other.file_name {
            let how = format!("the first build made {}, the second {}", self.file_name, other.file_name);
            return Some(Difference { path: "the file name".to_owned(), how, files: 0 });
        }
        let paths = self.members.keys().chain(other.members.keys());
        let mut differing: Vec<&TreePath> = paths
            .filter(|path| !is_of_record(path, &["RECORD"]))
            .filter(|path| self.members.get(*path) != other.members.get(*path))
            .collect();
        differing.sort();
        differing.dedup();
        let place = *differing.first()?;
        let how = match (self.members.get(place), other.members.get(place)) {
            (Some(_), None) => "only the first build made it".to_owned(),
            (None, _) => "only the second build made it".to_owned(),
            (Some((mode, a)), Some((other, b))) if a == b => {
                format!("it has mode {:04o} once and {:04o} once", mode.bits(), other.bits())
            }
            (Some((_, a)), Some((_, b))) => how_differ(a, b),
        };
        Some(Difference { path: place.to_string(), how, files: differing.len() })
    }
}

fn is_of_record(path: &TreePath, names: &[&str]) -> bool {
    path.as_str()
        .split_once('/')
        .is_some_and(|(folder, name)| folder.ends_with(".dist-info") && names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(members: &[(&str, Mode, &[u8])]) -> BuiltWheel {
        let members = members
            .iter()
            .map(|(path, mode, content)| (TreePath::new(path).unwrap(), (*mode, content.to_vec())))
            .collect();
        BuiltWheel { file_name: "a-1-py3-none-any.whl".to_owned(), members }
    }

    #[test]
    fn equal_members_have_one_form() {
        let a = wheel(&[
            ("a.py", Mode::Plain, b"x = 1\n"),
            ("a-1.dist-info/METADATA", Mode::Plain, b"Name: a\n"),
            ("a-1.dist-info/RECORD", Mode::Plain, b"in any order"),
        ]);
        let mut b = a.clone();
        let record = TreePath::new("a-1.dist-info/RECORD").unwrap();
        b.members.insert(record.clone(), (Mode::Executable, b"in another".to_vec()));
        assert_eq!(a.difference(&b), None);
        assert_eq!(a.normal_form().unwrap(), b.normal_form().unwrap());
        let again = BuiltWheel::read(&a.file_name, &a.normal_form().unwrap()).unwrap();
        let text = String::from_utf8(again.members[&record].1.clone()).unwrap();
        assert!(text.starts_with("a-1.dist-info/METADATA,sha256="), "{text}");
        assert_eq!(text.lines().count(), 3);
        assert_eq!(again.normal_form().unwrap(), a.normal_form().unwrap());
    }

    #[track_caller]
    fn differs(a: &[(&str, Mode, &[u8])], b: &[(&str, Mode, &[u8])], place: &str, how: &str) {
        let difference = wheel(a).difference(&wheel(b)).unwrap();
        assert_eq!(difference.path, place);
        assert!(difference.how.contains(how), "{}", difference.how);
    }

    #[test]
    fn the_first_difference_is_named() {
        use Mode::{Executable, Plain};
        differs(&[("a", Plain, b"1\n2\n")], &[("a", Plain, b"1\n3\n")], "a", "line 2 is `2` and then `3`");
        differs(&[("a", Plain, b"1\n")], &[("a", Plain, b"1\n2\n")], "a", "line 2 is the end and then `2`");
        differs(&[("a", Plain, b"1\n")], &[("a", Plain, b"1")], "a", "line ends");
        differs(&[("a", Plain, b"")], &[("a", Executable, b"")], "a", "mode 0644 once and 0755");
        differs(
            &[("a", Plain, b"\0\xff")],
            &[("a", Plain, b"\0\xfe")],
            "a",
            "1 of its 2 bytes differ, the first at 1",
        );
        differs(&[("a", Plain, b""), ("b", Plain, b"")], &[("b", Plain, b"1")], "a", "only the first");
        let mut other = wheel(&[]);
        other.file_name = "a-2-py3-none-any.whl".to_owned();
        assert_eq!(wheel(&[]).difference(&other).unwrap().path, "the file name");
    }
}
