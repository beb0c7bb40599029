//! Two large releases, compared in every form: records with the archives that they describe.

use super::run::row;
use kiln_pack::{ZipWriter, compress};
use kiln_record::{ComponentId, Digest, Ecosystem, Entry, FileRecord, Mode, Record, Tree, TreePath};
use std::collections::BTreeMap;
use std::path::Path;

/// Distributions of a release, and the files of each: 20,000 together.
const DISTRIBUTIONS: usize = 100;
const FILES: usize = 200;

/// Makes two releases, in which half of the files differ, and compares them.
pub(crate) fn releases(folder: &Path) {
    release(&folder.join("monday"), 0);
    release(&folder.join("tuesday"), 1);
    let records = ["monday/record.json", "tuesday/record.json"];
    let archives = ["monday.zip", "tuesday.zip"];
    for name in ["monday", "tuesday"] {
        let beside = folder.join(format!("{name}.zip"));
        fs_err::copy(folder.join(name).join("app.zip"), beside).expect("a file is copied");
    }
    let gates = ["--allow", "unexplained", "--format"];
    for format in ["human", "json", "markdown", "sarif", "html"] {
        let what = format!("diff of two builds of {} files, {format}", DISTRIBUTIONS * FILES);
        row(&what, folder, &[&["diff"], &records[..], &gates, &[format]].concat());
    }
    row(
        "the same, of two zips that have no record",
        folder,
        &[&["diff"], &archives[..], &gates, &["html"]].concat(),
    );
}

/// Writes a release. Every second distribution has another version for another seed, and other content in every file.
fn release(folder: &Path, seed: usize) {
    let mut zip = ZipWriter::new(Vec::new());
    let (mut files, mut components) = (BTreeMap::new(), Vec::new());
    for number in 0..DISTRIBUTIONS {
        let name = format!("dist-{number}");
        let id = ComponentId::new(Ecosystem::Python, &name);
        let moved = number % 2 * seed;
        let mut bytes = 0;
        for file in 0..FILES {
            let path =
                TreePath::new(&format!("dist_{number}/part_{}/module_{file}.py", file % 7)).expect("a path");
            let content = module(number * FILES + file, moved);
            bytes += content.len();
            files.insert(path, (id.clone(), content));
        }
        components.push(serde_json::json!({
            "id": id, "ecosystem": "python", "name": name, "version": format!("1.{moved}"), "bytes": bytes, "files": FILES,
            "origin": null, "requires": [], "within": null,
            "metadata": { "license_expression": "MIT", "license": null, "license_classifiers": [], "supplier": null,
                "summary": null, "homepage": null, "source": null },
        }));
    }
    let mut listed = Vec::new();
    for (path, (component, content)) in files {
        zip.add_file(&path, Mode::Plain, &compress(&content)).expect("an entry");
        let (digest, size) = (Digest::of(&content), content.len() as u64);
        listed.push(FileRecord { path, entry: Entry::File { digest, size, mode: Mode::Plain }, component });
    }
    let archive = zip.finish().expect("an archive");
    let tree: Tree = listed.iter().map(|file| (file.path.clone(), file.entry.clone())).collect();
    components.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    let digest = Digest::of(&archive);
    let json = serde_json::json!({
        "format": "1.0", "artifact": "app", "kind": "lambda-zip",
        "target": { "runtime": "python3.13", "architecture": "amd64" },
        "handler": null, "layers": [], "plan": Digest::of(format!("{seed}").as_bytes()), "epoch": "2026-01-01T00:00:00Z",
        "inputs": [{ "role": "lock", "name": "requirements.txt", "digest": Digest::of(format!("{seed}").as_bytes()) }],
        "tree": tree.digest(), "unpacked_size": tree.size(), "files": listed, "components": components, "gaps": [],
        "findings": [], "checks": [], "tools": {},
        "outputs": [{ "file_name": "app.zip", "media_type": "application/zip", "size": archive.len(), "digest": digest,
            "sha256_base64": digest.base64() }],
    });
    let record: Record = serde_json::from_value(json).expect("a record");
    fs_err::create_dir_all(folder).expect("a folder");
    fs_err::write(folder.join("record.json"), record.to_json().expect("JSON")).expect("a file");
    fs_err::write(folder.join("app.zip"), archive).expect("a file");
}

/// A module of about four kilobytes that looks like code to a compressor.
fn module(number: usize, seed: usize) -> Vec<u8> {
    let mut state = (number as u64 * 2 + seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = format!("\"\"\"Module {number}, in edition {seed}.\"\"\"\n\n");
    for line in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!(
            "def function_{line}(value):\n    return value + {}  # {:x}\n\n",
            state >> 48,
            state >> 40
        );
    }
    text.into_bytes()
}
