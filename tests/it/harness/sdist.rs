//! Source distributions made on the spot.

use super::WheelFile;
use flate2::{Compression, write::GzEncoder};
use kiln_engine::contract::tar_of;
use std::io::Write as _;

/// Makes a source distribution of files below its one folder, as `.tar.gz`.
pub(crate) fn sdist(name: &str, version: &str, files: &[(&str, &str)]) -> WheelFile {
    let folder = format!("{}-{version}", name.replace('-', "_"));
    let paths: Vec<String> = files.iter().map(|(path, _)| format!("{folder}/{path}")).collect();
    let entries: Vec<(&str, u32, &[u8])> = paths
        .iter()
        .zip(files)
        .map(|(path, (_, content))| (path.as_str(), 0o644, content.as_bytes()))
        .collect();
    WheelFile::new(name, version, format!("{folder}.tar.gz"), gzip(&tar_of(&entries)))
}

/// Compresses as gzip does.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Makes a source distribution that brings its own build backend, so that it is built with nothing else. Before the wheel is
/// made, `steps` run: lines of Python. The wheel has one module, whose text is the value of the expression `module`.
///
/// No two of them are alike, so that the store, which outlives the tests, remembers no build of it.
pub(crate) fn self_building(name: &str, version: &str, steps: &[&str], module: &str) -> WheelFile {
    let project = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    let steps: String = steps.iter().map(|line| format!("    {line}\n")).collect();
    let unique = tempfile::tempdir().unwrap();
    let unique = unique.path().display();
    let backend = format!(
        r#"# {unique}
import base64, hashlib, os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
{steps}    info = "{name}-{version}.dist-info"
    files = {{
        "{name}.py": {module},
        info + "/METADATA": "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: own\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }}
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += "%s,sha256=%s,%d\n" % (path, digest, len(text.encode()))
    files[info + "/RECORD"] = record + info + "/RECORD,,\n"
    file_name = "{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, file_name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return file_name
"#
    );
    sdist(name, version, &[("backend.py", &backend), ("pyproject.toml", project)])
}
