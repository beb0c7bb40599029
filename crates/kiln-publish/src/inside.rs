//! Where two files differ first, archives within archives included: in a wheel, a tar or a compressed file that is part of a build
//! the difference is told of the member that differs.

use kiln_audit::{FirstDifference, LARGEST_EXPLAINED, first_difference};
use kiln_pack::{FieldDifference, LayerCodec, Limits, PackError, TarContent, ZipReader};
use kiln_pack::{gzip_differences, layer_tar, read_tar, tar_differences, zip_differences};
use kiln_record::excerpt;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};

/// How deep archives are looked into.
const DEEPEST: usize = 3;
/// What an archive may hold to be looked into.
const LIMITS: Limits = Limits {
    max_members: 20_000,
    max_member_size: LARGEST_EXPLAINED,
    max_total_size: 64 << 20,
    max_ratio: 1032,
};

/// The content of an archive's files, and the targets of its links.
type Members = BTreeMap<String, Vec<u8>>;

/// Where two contents of the file `path` differ first; none if they are equal.
pub(crate) fn difference(path: &str, before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    at_depth(path, before, after, 0)
}

fn at_depth(path: &str, before: &[u8], after: &[u8], depth: usize) -> Option<FirstDifference> {
    if before == after {
        return None;
    }
    let both = |is: fn(&[u8]) -> bool| depth < DEEPEST && is(before) && is(after);
    let found = if both(|bytes| bytes.starts_with(&[0x1f, 0x8b])) {
        compressed(path, before, after, depth)
    } else if both(|bytes| bytes.starts_with(b"PK\x03\x04")) {
        let fields = zip_differences(Cursor::new(before), Cursor::new(after), &LIMITS).unwrap_or_default();
        zipped(before).zip(zipped(after)).and_then(|(old, new)| archived(&old, &new, &fields, depth))
    } else if both(|bytes| bytes.get(257..262) == Some(b"ustar")) {
        let fields = tar_differences(before, after, &LIMITS).unwrap_or_default();
        tarred(before).zip(tarred(after)).and_then(|(old, new)| archived(&old, &new, &fields, depth))
    } else {
        None
    };
    found.or_else(|| first_difference(path, before, after))
}

/// A gzip stream: what it unpacks to, then its header, then that only the compressor differs.
fn compressed(path: &str, before: &[u8], after: &[u8], depth: usize) -> Option<FirstDifference> {
    let (old, new) = (unpacked(before)?, unpacked(after)?);
    let inner = path.strip_suffix(".gz").unwrap_or(path);
    if let Some(found) = at_depth(inner, &old, &new, depth + 1) {
        return Some(FirstDifference { place: format!("unpacked, {}", found.place), ..found });
    }
    let fields = gzip_differences(before, after).ok()?;
    let Some(first) = fields.first() else {
        let mut found = first_difference("", before, after)?;
        found.notes.push("it unpacks to the same; another compressor, or another effort, made it".to_owned());
        return Some(found);
    };
    let place = format!("header of gzip, {}", first.field);
    Some(FirstDifference {
        notes: besides(&fields),
        ..FirstDifference::at(place, &first.before, &first.after)
    })
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    layer_tar(bytes, LayerCodec::Gzip).ok()?.take(LIMITS.max_total_size + 1).read_to_end(&mut all).ok()?;
    (all.len() as u64 <= LIMITS.max_total_size).then_some(all)
}

/// An archive: the first member that differs, then the fields around members.
fn archived(
    old: &Members,
    new: &Members,
    fields: &[FieldDifference],
    depth: usize,
) -> Option<FirstDifference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let place = format!("member {}", name_of(name));
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) => {
                if let Some(found) = at_depth(name, a, b, depth + 1) {
                    return Some(FirstDifference { place: format!("{place}, {}", found.place), ..found });
                }
            }
            (a, _) => {
                let there = |is_there: bool| if is_there { "there" } else { "no such member" };
                return Some(FirstDifference::at(place, there(a.is_some()), there(a.is_none())));
            }
        }
    }
    let first = fields.first()?;
    let place = match &first.example {
        Some(example) => format!("{} of the member {}", first.field, name_of(example)),
        None => first.field.to_owned(),
    };
    let (before, after) = (excerpt(&first.before), excerpt(&first.after));
    Some(FirstDifference { notes: besides(fields), ..FirstDifference::at(place, before, after) })
}

fn besides(fields: &[FieldDifference]) -> Vec<String> {
    let others: Vec<&str> = fields.iter().skip(1).map(|field| field.field).collect();
    let mut notes = vec!["the content is equal, only the container differs".to_owned()];
    if !others.is_empty() {
        notes.push(format!("fields that differ besides: {}", others.join(", ")));
    }
    notes
}

fn name_of(name: &str) -> String {
    excerpt(&name.chars().take(100).collect::<String>())
}

fn zipped(bytes: &[u8]) -> Option<Members> {
    let mut archive = ZipReader::open(Cursor::new(bytes), &LIMITS).ok()?;
    let members = archive.members().to_vec();
    let read = members.into_iter().map(|member| Some((member.path.to_string(), archive.read(&member).ok()?)));
    read.collect()
}

fn tarred(bytes: &[u8]) -> Option<Members> {
    let mut members = Members::new();
    let read = read_tar(bytes, &LIMITS, |item| {
        let content = match item.content {
            TarContent::File(content) => content,
            TarContent::Folder => return Ok::<_, PackError>(()),
            TarContent::Symlink(target) => target.into_bytes(),
            TarContent::HardLink(target) => target.to_string().into_bytes(),
        };
        members.insert(item.path.to_string(), content);
        Ok(())
    });
    read.ok().map(|()| members)
}
