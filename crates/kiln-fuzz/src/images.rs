//! Images: their documents, their layers, and the names of them and of other things.

use crate::invariant::holds;
use crate::sections::{sections, text_of};
use kiln_image::{
    ArtifactManifest, BaseConfig, Change, ContentsReader, FileSystem, Image, NodeContent, Reference,
    image_config, index_layout_documents, manifest_blobs, read_image_index, read_referrers, with_referrers,
    write_changes,
};
use kiln_pack::{LayerCodec, layer_tar};
use kiln_record::{
    ArtifactName, BaseName, Digest, DistributionName, Epoch, FormatVersion, Hasher, Platform, TreePath,
};
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::io::{self, Read};
use std::str::FromStr;

/// The most that is unpacked of a layer here, in bytes.
const LAYER_LIMIT: u64 = 8 << 20;

/// Documents of registries and layouts, one alone or an image's in the sections `manifest` and `config`: what is written
/// is read back, and a list of referrers that is completed has each once.
pub fn oci_document(data: &[u8]) {
    let files = sections(data);
    if let (Some(manifest), Some(config)) = (text_of(&files, "manifest"), text_of(&files, "config"))
        && let Ok(image) = Image::read(manifest.as_bytes().to_vec(), config.as_bytes().to_vec())
    {
        let read = holds(BaseConfig::read(config.as_bytes()), "its config is one");
        assert_eq!(image.layers.len(), read.diff_ids.len());
        assert_eq!(
            read.history.iter().filter(|entry| entry.get("empty_layer") != Some(&true.into())).count(),
            image.layers.len()
        );
    }
    if let Ok(manifest) = ArtifactManifest::from_json(data) {
        let json = holds(manifest.to_json(), "a manifest is written");
        let again = holds(ArtifactManifest::from_json(&json), "what was written is read");
        assert_eq!(holds(again.to_json(), "a manifest is written"), json);
        holds(manifest_blobs(&json), "what was written is a manifest");
    }
    let _ = (manifest_blobs(data), image_config(data), read_image_index(data), BaseConfig::read(data));
    let _ = (BaseConfig::stated_platform(data), index_layout_documents(data, "demo:1"));
    let Ok(referrers) = read_referrers(data) else { return };
    if let Ok(Some(index)) = with_referrers(Some(data), &referrers) {
        let again = holds(read_referrers(&index), "what was written is read");
        assert!(referrers.iter().all(|referrer| again.contains(referrer)), "none is lost");
        let unchanged = holds(with_referrers(Some(&index), &again), "a list is completed");
        assert!(unchanged.is_none_or(|written| written == index), "the second time changes nothing");
    }
}

/// Layers, two in one input: the first two bytes say how many blocks the first one has. The difference between what both
/// hold and what the first one holds, written as a layer and put over the first one, gives what both hold.
pub fn image_layers(data: &[u8]) {
    for codec in [LayerCodec::Gzip, LayerCodec::Zstd] {
        if let Ok(tar) = layer_tar(data, codec) {
            let mut reader = ContentsReader::new();
            let _ = reader.add(tar.take(LAYER_LIMIT)).map(|()| reader.finish());
        }
    }
    let Some((head, tars)) = data.split_at_checked(2) else { return };
    let first = usize::from(u16::from_le_bytes([head[0], head[1]])) * 512;
    let (lower, upper) = tars.split_at_checked(first).unwrap_or((tars, &[]));

    let mut reader = ContentsReader::new();
    if reader.add(lower).is_ok()
        && reader.add(upper).is_ok()
        && let Ok(contents) = reader.finish()
    {
        let _ = (contents.surface(), contents.size(), contents.loaders(), contents.libraries(&["/opt/lib"]));
        let _ = (contents.resolve("/usr/bin/python3"), contents.has_file("etc/passwd"));
    }
    let mut kept: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut below = FileSystem::new();
    let mut keep = |_: &TreePath, content: &mut dyn Read| -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.take(LAYER_LIMIT).read_to_end(&mut bytes)?;
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        let (digest, size) = (hasher.finish(), bytes.len() as u64);
        kept.insert(digest, bytes);
        Ok((digest, size))
    };
    if below.add(lower, &mut keep).is_err() {
        return;
    }
    let mut both = below.clone();
    if both.add(upper, &mut keep).is_err() {
        return;
    }
    let changes = both.changes_since(&below);
    let is_special = |change: &Change| matches!(change, Change::Put(node) if matches!(node.content, NodeContent::Special { .. }));
    if changes.values().any(is_special) {
        return;
    }
    let written = write_changes(Vec::new(), &changes, 0, |digest| {
        Ok(Box::new(io::Cursor::new(kept.get(digest).cloned().unwrap_or_default())))
    });
    let written = holds(written, "a difference is written");
    let mut again = below;
    let known = |_: &TreePath, content: &mut dyn Read| -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok((Digest::of(&bytes), bytes.len() as u64))
    };
    holds(again.add(written.as_slice(), known), "what was written is read");
    let differs = again.changes_since(&both);
    // Folders without an entry of their own have one in what was written.
    assert!(
        differs.is_empty() && again.iter().eq(both.iter()),
        "the difference makes the one of the other: {differs:?}"
    );
}

/// Names, one to a line: what is written is read back, and equal to what was read.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(64) {
        comes_back::<Reference>(line);
        comes_back::<Digest>(line);
        comes_back::<Platform>(line);
        comes_back::<ArtifactName>(line);
        comes_back::<BaseName>(line);
        comes_back::<DistributionName>(line);
        comes_back::<Epoch>(line);
        comes_back::<FormatVersion>(line);
        if let Ok(reference) = line.parse::<Reference>() {
            // A digest may be written in capitals.
            assert!(reference.to_string().eq_ignore_ascii_case(line), "nothing is completed: {reference}");
        }
        if let Ok(path) = TreePath::new(line) {
            assert_eq!(path.as_str(), line);
            assert!(!line.starts_with('/') && line.split('/').all(|part| !matches!(part, "" | "." | "..")));
            assert!(!line.chars().any(char::is_control));
        }
    }
}

fn comes_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let written = value.to_string();
    match written.parse::<T>() {
        Ok(again) => assert_eq!(again, value, "`{text}` is written as `{written}`"),
        Err(_) => panic!("`{text}` is written as `{written}`, which is not read"),
    }
}
