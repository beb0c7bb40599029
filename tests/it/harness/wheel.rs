//! Wheels made on the spot.

use kiln_pack::{ZipWriter, compress};
use kiln_record::{Digest, Mode, TreePath};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A wheel's file name and bytes; or a source distribution's.
#[derive(Clone, Debug)]
pub(crate) struct WheelFile {
    pub(crate) file_name: String,
    pub(crate) bytes: Vec<u8>,
    name: String,
    version: String,
}

impl WheelFile {
    /// Any file of a release.
    pub(crate) fn new(name: &str, version: &str, file_name: String, bytes: Vec<u8>) -> Self {
        Self { file_name, bytes, name: name.to_owned(), version: version.to_owned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The line of a hashed requirements file, with a marker or without.
    pub(crate) fn requirement(&self, marker: &str) -> String {
        let marker = if marker.is_empty() { String::new() } else { format!(" ; {marker}") };
        format!("{}=={}{marker} \\\n    --hash=sha256:{}\n", self.name, self.version, self.digest().hex())
    }
}

/// Makes a wheel. `tag` is such as `py3-none-any`; `requires` are `Requires-Dist` values; `files` are paths and content,
/// of which a RECORD replaces the true one.
pub(crate) fn wheel(
    name: &str,
    version: &str,
    tag: &str,
    requires: &[&str],
    files: &[(&str, &[u8])],
) -> WheelFile {
    let fields: Vec<String> =
        requires.iter().map(|requirement| format!("Requires-Dist: {requirement}")).collect();
    wheel_saying(name, version, tag, &fields.iter().map(String::as_str).collect::<Vec<_>>(), files)
}

/// Makes a wheel with further fields in its METADATA.
pub(crate) fn wheel_saying(
    name: &str,
    version: &str,
    tag: &str,
    fields: &[&str],
    files: &[(&str, &[u8])],
) -> WheelFile {
    let stem = format!("{}-{version}", name.replace('-', "_"));
    let info = format!("{stem}.dist-info");
    let mut metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    for field in fields {
        metadata.push_str(&format!("{field}\n"));
    }
    let pure = tag.ends_with("-any");
    let format = format!("Wheel-Version: 1.0\nGenerator: kiln-tests\nRoot-Is-Purelib: {pure}\nTag: {tag}\n");
    let mut members: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
    members.insert(format!("{info}/METADATA"), metadata.into_bytes());
    members.insert(format!("{info}/WHEEL"), format.into_bytes());
    let mut record: String = members
        .iter()
        .map(|(path, content)| format!("{path},sha256={},{}\n", urlsafe(&Digest::of(content)), content.len()))
        .collect();
    record.push_str(&format!("{info}/RECORD,,\n"));
    members.entry(format!("{info}/RECORD")).or_insert(record.into_bytes());

    let mut zip = ZipWriter::new(Vec::new());
    for (path, content) in &members {
        zip.add_file(&TreePath::new(path).unwrap(), Mode::Plain, &compress(content)).unwrap();
    }
    WheelFile {
        file_name: format!("{stem}-{tag}.whl"),
        bytes: zip.finish().unwrap(),
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

/// Base64 as RECORD has it: URL-safe, without padding.
fn urlsafe(digest: &Digest) -> String {
    digest.base64().replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// A shared object compiled from C with the host's compiler, which every Rust toolchain needs for linking.
pub(crate) fn shared_object(code: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    compile(folder.path(), "m", code, &[]);
    fs_err::read(folder.path().join("m")).unwrap()
}

/// A shared object of code, compiled with further arguments.
pub(crate) fn compiled_with(code: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    compile(folder.path(), "m", code, arguments);
    fs_err::read(folder.path().join("m")).unwrap()
}

/// A shared object that calls a function without arguments, which the C library has under `version` (`GLIBC_2.34`). It
/// is linked against a library made for this, so that the host's own C library does not matter.
pub(crate) fn shared_object_needing(symbol: &str, version: &str, code: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let library = "libc.so.6";
    let map = folder.path().join("map");
    fs_err::write(&map, format!("{version} {{ {symbol}; }};\n")).unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    let soname = format!("-Wl,-soname,{library}");
    compile(folder.path(), library, &format!("void {symbol}(void) {{}}\n"), &["-nostdlib", &soname, &script]);
    let library = folder.path().join(library);
    compile(folder.path(), "m", code, &["-nostdlib", library.to_str().unwrap()]);
    fs_err::read(folder.path().join("m")).unwrap()
}

/// A shared object that needs a library of this name, which is made for the linking alone.
pub(crate) fn shared_object_linked_to(library: &str, code: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let soname = format!("-Wl,-soname,{library}");
    compile(folder.path(), library, "int unused;\n", &["-nostdlib", &soname]);
    let library = folder.path().join(library);
    compile(folder.path(), "m", code, &["-Wl,--no-as-needed", library.to_str().unwrap()]);
    fs_err::read(folder.path().join("m")).unwrap()
}

/// Compiles code to a shared object of this name.
fn compile(folder: &Path, name: &str, code: &str, arguments: &[&str]) {
    let source = folder.join(format!("{name}.c"));
    fs_err::write(&source, code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-fno-builtin", "-fno-stack-protector", "-Wl,--build-id=none", "-o"])
        .arg(folder.join(name))
        .arg(&source)
        .args(arguments)
        .output()
        .expect("cc is there");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}
