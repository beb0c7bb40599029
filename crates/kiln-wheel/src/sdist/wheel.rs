//! Wheels that were built here: brought into one form, and compared.

use kiln_collect::how_differ;
use kiln_guest::Difference;
use kiln_pack::{Limits, Member, PackError, ZipReader, ZipWriter, compress};
use kiln_python::render_record;
use kiln_record::{Digest, HashingWriter, Mode, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

/// A wheel that a build made, and what its members are. Their content stays in the archive.
#[derive(Debug)]
pub(super) struct BuiltWheel<R> {
    pub(super) file_name: String,
    members: BTreeMap<TreePath, Made>,
    archive: ZipReader<R>,
}

/// A member, without anything that an archive adds.
#[derive(Debug)]
struct Made {
    mode: Mode,
    digest: Digest,
    size: u64,
    place: Member,
}

impl<R: Read + Seek> BuiltWheel<R> {
    /// Reads a wheel that a build made. What it says about itself is judged when it is installed.
    pub(super) fn read(file_name: &str, bytes: R) -> Result<Self, PackError> {
        let mut archive = ZipReader::open(bytes, &Limits::default())?;
        let mut members = BTreeMap::new();
        for place in archive.members().to_vec() {
            if place.is_symlink {
                return Err(PackError::Unsupported {
                    member: place.path.to_string(),
                    feature: "is a link".to_owned(),
                });
            }
            // Signatures are of a RECORD that is written anew.
            if is_of_record(&place.path, &["RECORD.jws", "RECORD.p7s"]) {
                continue;
            }
            let mut sink = HashingWriter::new(io::sink());
            archive.copy(&place, &mut sink)?;
            let (_, digest, size) = sink.finish();
            members.insert(place.path.clone(), Made { mode: place.mode(), digest, size, place });
        }
        Ok(Self { file_name: file_name.to_owned(), members, archive })
    }

    /// Writes the wheel in the one form that equal members have: sorted, without times, modes 0644 or 0755, kiln's own
    /// compression, and a RECORD that lists every member, sorted, with SHA-256.
    pub(super) fn normal_form<W: Write>(&mut self, writer: W) -> Result<W, PackError> {
        let record = self.members.keys().find(|path| is_of_record(path, &["RECORD"])).cloned();
        let mut zip = ZipWriter::new(writer);
        for (path, made) in &self.members {
            if Some(path) == record.as_ref() {
                let listed = self.members.iter().filter(|(other, _)| *other != path);
                let listed = listed.map(|(path, made)| (path, made.digest, made.size));
                zip.add_file(path, Mode::Plain, &compress(render_record(listed, path).as_bytes()))?;
            } else {
                zip.add_file(path, made.mode, &compress(&self.archive.read(&made.place)?))?;
            }
        }
        zip.finish()
    }

    /// What differs from another wheel, but for RECORD, which follows from the rest.
    pub(super) fn difference(&mut self, other: &mut Self) -> Result<Option<Difference>, PackError> {
        if self.file_name != other.file_name {
            let how = format!("the first build made {}, the second {}", self.file_name, other.file_name);
            return Ok(Some(Difference { path: "the file name".to_owned(), how, files: 0 }));
        }
        let paths: BTreeSet<&TreePath> = self.members.keys().chain(other.members.keys()).collect();
        let of = |wheel: &Self, path: &TreePath| wheel.members.get(path).map(|made| (made.mode, made.digest));
        let differing: Vec<&TreePath> = paths
            .into_iter()
            .filter(|path| !is_of_record(path, &["RECORD"]) && of(self, path) != of(other, path))
            .collect();
        let Some(path) = differing.first() else { return Ok(None) };
        let how = match (self.members.get(path), other.members.get(path)) {
            (Some(_), None) => "only the first build made it".to_owned(),
            (None, _) => "only the second build made it".to_owned(),
            (Some(a), Some(b)) if a.digest == b.digest => {
                format!("it has mode {:04o} once and {:04o} once", a.mode.bits(), b.mode.bits())
            }
            (Some(a), Some(b)) => how_differ(&self.archive.read(&a.place)?, &other.archive.read(&b.place)?),
        };
        Ok(Some(Difference { path: path.to_string(), how, files: differing.len() }))
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
    use std::io::Cursor;

    fn named(file_name: &str, members: &[(&str, Mode, &[u8])]) -> BuiltWheel<Cursor<Vec<u8>>> {
        let mut zip = ZipWriter::new(Vec::new());
        for (path, mode, content) in members {
            zip.add_file(&TreePath::new(path).unwrap(), *mode, &compress(content)).unwrap();
        }
        BuiltWheel::read(file_name, Cursor::new(zip.finish().unwrap())).unwrap()
    }

    fn wheel(members: &[(&str, Mode, &[u8])]) -> BuiltWheel<Cursor<Vec<u8>>> {
        named("a-1-py3-none-any.whl", members)
    }

    #[test]
    fn equal_members_have_one_form() {
        use Mode::{Executable, Plain};
        let (module, metadata) = (
            ("a.py", Plain, b"x = 1\n".as_slice()),
            ("a-1.dist-info/METADATA", Plain, b"Name: a\n".as_slice()),
        );
        let mut a = wheel(&[metadata, ("a-1.dist-info/RECORD", Plain, b"in any order"), module]);
        let mut b = wheel(&[metadata, ("a-1.dist-info/RECORD", Executable, b"in another"), module]);
        assert_eq!(a.difference(&mut b).unwrap(), None);
        let form = a.normal_form(Vec::new()).unwrap();
        assert_eq!(form, b.normal_form(Vec::new()).unwrap());
        let mut again = BuiltWheel::read(&a.file_name, Cursor::new(form.clone())).unwrap();
        let record = again.members[&TreePath::new("a-1.dist-info/RECORD").unwrap()].place.clone();
        let text = String::from_utf8(again.archive.read(&record).unwrap()).unwrap();
        assert!(text.starts_with("a-1.dist-info/METADATA,sha256="), "{text}");
        assert_eq!(text.lines().count(), 3);
        assert_eq!(again.normal_form(Vec::new()).unwrap(), form);
    }

    #[track_caller]
    fn differs(a: &[(&str, Mode, &[u8])], b: &[(&str, Mode, &[u8])], place: &str, how: &str) {
        let difference = wheel(a).difference(&mut wheel(b)).unwrap().unwrap();
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
        let mut other = named("a-2-py3-none-any.whl", &[]);
        assert_eq!(wheel(&[]).difference(&mut other).unwrap().unwrap().path, "the file name");
    }
}
