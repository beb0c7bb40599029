//! Distributions made on the spot.

use flate2::{Compression, write::GzEncoder};
use kiln_engine::contract::tar_of;
use kiln_pack::{ZipWriter, compress};
use kiln_record::{Digest, Mode, TreePath};
use std::collections::BTreeMap;
use std::io::Write as _;

/// A file of a release.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// The distribution's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file's name.
    pub file_name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Distribution {
    /// The file's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The line of a requirements file with hashes that takes it from an index.
    #[must_use]
    pub fn requirement(&self) -> String {
        format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.digest().hex())
    }
}

/// A wheel of a tag such as `py3-none-any`. `requires` are values of `Requires-Dist`.
#[must_use]
pub fn wheel(
    name: &str,
    version: &str,
    tag: &str,
    requires: &[&str],
    files: &[(&str, &[u8])],
) -> Distribution {
    let stem = format!("{}-{version}", name.replace('-', "_"));
    let info = format!("{stem}.dist-info");
    let requires: String = requires.iter().map(|text| format!("Requires-Dist: {text}\n")).collect();
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}");
    let pure = tag.ends_with("-any");
    let format = format!("Wheel-Version: 1.0\nGenerator: kiln\nRoot-Is-Purelib: {pure}\nTag: {tag}\n");
    let mut members: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
    members.insert(format!("{info}/METADATA"), metadata.into_bytes());
    members.insert(format!("{info}/WHEEL"), format.into_bytes());
    let row = |(path, content): (&String, &Vec<u8>)| {
        let digest = Digest::of(content).base64().replace('+', "-").replace('/', "_");
        format!("{path},sha256={},{}\n", digest.trim_end_matches('='), content.len())
    };
    let rows: String = members.iter().map(row).collect();
    members.insert(format!("{info}/RECORD"), format!("{rows}{info}/RECORD,,\n").into_bytes());
    let mut zip = ZipWriter::new(Vec::new());
    for (path, content) in &members {
        zip.add_file(&TreePath::new(path).unwrap(), Mode::Plain, &compress(content)).unwrap();
    }
    Distribution {
        name: name.to_owned(),
        version: version.to_owned(),
        file_name: format!("{stem}-{tag}.whl"),
        bytes: zip.finish().unwrap(),
    }
}

/// A source distribution of files below its one folder, built by a backend that it brings along, with nothing else.
#[must_use]
pub fn sdist(name: &str, version: &str, files: &[(&str, &[u8])]) -> Distribution {
    let folder = format!("{}-{version}", name.replace('-', "_"));
    let project: &[u8] =
        b"[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    let files: Vec<(String, &[u8])> = files
        .iter()
        .copied()
        .chain([("pyproject.toml", project)])
        .map(|(path, content)| (format!("{folder}/{path}"), content))
        .collect();
    let entries: Vec<(&str, u32, &[u8])> =
        files.iter().map(|(path, content)| (path.as_str(), 0o644, *content)).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar_of(&entries)).unwrap();
    Distribution {
        name: name.to_owned(),
        version: version.to_owned(),
        file_name: format!("{folder}.tar.gz"),
        bytes: gzip.finish().unwrap(),
    }
}
