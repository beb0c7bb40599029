//! Every public function that takes bytes of anybody's is called by a fuzz target, or is listed with the reason why not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Functions that no target calls, and why that is enough.
const WITHOUT_TARGET: &[(&str, &str)] = &[
    ("kiln-attest: Envelope::mentions", "looks for bytes in bytes, and takes nothing of them apart"),
    ("kiln-attest: Envelope::sign", "signs bytes as they are"),
    ("kiln-attest: Signer::sign", "signs bytes as they are"),
    ("kiln-attest: sign_inside", "reads as `verify_inside` does, and then signs"),
    ("kiln-attest: pre_authentication_encoding", "writes bytes as they are, with their length before"),
    ("kiln-collect: how_differ", "compares two texts byte by byte, and takes nothing of them apart"),
    (
        "kiln-engine: Capture::push",
        "cuts what a program wrote into lines; the crate knows the engine, which no fuzz program is linked with",
    ),
    ("kiln-engine: Engine::export", "writes to the engine"),
    ("kiln-engine: Engine::file_system", "writes to the engine"),
    ("kiln-engine: Engine::load", "writes to the engine"),
    ("kiln-engine: InputTree::new", "writes to the engine"),
    (
        "kiln-engine: Measured::count",
        "counts by the headers of a tar that the engine writes; its own tests cut that in many ways",
    ),
    ("kiln-fetch: Registry::push_bytes", "sends bytes"),
    ("kiln-fetch: Registry::push_manifest", "sends bytes"),
    ("kiln-fetch: Repository::read", "hands objects on as git writes them"),
    ("kiln-guest: AnswerKey::remember", "keeps bytes as they are"),
    (
        "kiln-image: Descriptor::from_value",
        "`ArtifactManifest::from_json` and `manifest_blobs` are made of it",
    ),
    ("kiln-image: Descriptor::of", "only takes the digest"),
    ("kiln-image: RootFs::add_deb", "`UnpackedPackage::read` and `RootFs::add`, which `deb` has"),
    ("kiln-image: WheelDigests::of", "only takes digests"),
    ("kiln-image: write_index_tar", "writes documents of kiln's own"),
    ("kiln-pack: gzip_differences", "the target of containers hands it on by its name"),
    ("kiln-pack: member_at", "reads one member as `ZipReader::read` does"),
    ("kiln-pack: raw_stream_at", "gives the bytes of one member as they are"),
    ("kiln-pack: stream_tar", "`read_tar` is made of it"),
    ("kiln-python: CompileReport::is_used_unchecked", "looks at four bytes of a header"),
    ("kiln-python: InstallerFile::new", "only takes the digest"),
    ("kiln-python: Unreported::new", "quotes the end of a text"),
    ("kiln-python: Unreported::tampered", "quotes the end of a text"),
    (
        "kiln-rebuild: Expected::of_provenance",
        "serde reads it into types; the crate knows the engine, which no fuzz program is linked with",
    ),
    ("kiln-record: LongHasher::of", "only takes the digest"),
    ("kiln-store: Ledger::put_run_statement", "writes bytes as they are"),
    ("kiln-store: Batch::put", "keeps bytes as they are"),
    ("kiln-store: Batch::put_from", "keeps bytes as they are"),
    ("kiln-store: Publication::write", "keeps bytes as they are"),
    ("kiln-store: Store::put", "keeps bytes as they are"),
    ("kiln-store: digests_in", "looks for runs of 64 hexadecimal digits"),
    ("kiln-store: write_atomically", "keeps bytes as they are"),
];

/// Crates whose public functions are for tests.
const FOR_TESTS: [&str; 3] = ["kiln-engine-memory", "kiln-fixtures", "kiln-fuzz"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The sources below a folder, without what is in modules of tests.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs_err::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
        }
    }
}

/// The public functions of a source that take bytes or a reader: `Type::name`, or `name` outside of an `impl`. rustfmt writes
/// `impl` and its end at the first column, and a function's head up to the line that ends in `{`.
fn takes_bytes(text: &str) -> Vec<String> {
    let (mut found, mut holder, mut head) = (Vec::new(), None::<String>, None::<String>);
    for line in text.lines() {
        if line.starts_with("impl") {
            let subject = line.split(" for ").last().unwrap_or_default();
            let subject = subject.trim_start_matches("impl").trim_start();
            // Parameters of the `impl` itself come before its subject.
            let subject = subject
                .strip_prefix('<')
                .map_or(subject, |rest| rest.split_once("> ").map_or(rest, |(_, subject)| subject));
            let name: String = subject.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            holder = Some(name);
        } else if line == "}" {
            holder = None;
        }
        let trimmed = line.trim_start();
        if trimmed.starts_with("pub fn ") || trimmed.starts_with("pub async fn ") {
            head = Some(String::new());
        }
        let Some(text) = &mut head else { continue };
        text.push_str(trimmed);
        text.push(' ');
        if !trimmed.ends_with(['{', ';']) {
            continue;
        }
        let signature = head.take().unwrap_or_default();
        let name = signature.split("fn ").nth(1).unwrap_or_default();
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let parameters = signature.split(" -> ").next().unwrap_or_default();
        let bytes = ["&[u8]", "impl Read", "impl io::Read", "R: Read", "R: io::Read", "&Value", "Vec<u8>"];
        if bytes.iter().any(|bytes| signature_of(parameters, &signature).contains(bytes)) {
            found.push(holder.as_ref().map_or_else(|| name.clone(), |holder| format!("{holder}::{name}")));
        }
    }
    found
}

/// The parameters, with the bounds after `where`.
fn signature_of(parameters: &str, signature: &str) -> String {
    let bounds = signature.split(" where ").nth(1).unwrap_or_default();
    format!("{parameters} {bounds}")
}

#[test]
fn every_public_function_that_takes_bytes_has_a_target() {
    let mut targets = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut targets);
    let targets = targets.join("\n");
    let mut without: BTreeSet<String> = BTreeSet::new();
    for entry in fs_err::read_dir(crates()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if FOR_TESTS.contains(&name.as_str()) || !entry.path().join("src").is_dir() {
            continue;
        }
        let mut texts = Vec::new();
        sources(&entry.path().join("src"), &mut texts);
        for function in texts.iter().flat_map(|text| takes_bytes(text)) {
            // A method needs its type: many have the same name.
            let called = match function.split_once("::") {
                Some((holder, name)) => {
                    targets.contains(&format!("{function}("))
                        || targets.contains(holder) && targets.contains(&format!(".{name}("))
                }
                None => calls(&targets, &function),
            };
            if !called {
                without.insert(format!("{name}: {function}"));
            }
        }
    }
    let listed: BTreeMap<&str, &str> = WITHOUT_TARGET.iter().copied().collect();
    assert_eq!(listed.len(), WITHOUT_TARGET.len(), "each is listed once");
    assert!(listed.values().all(|reason| !reason.is_empty()));
    let new: Vec<&String> = without.iter().filter(|one| !listed.contains_key(one.as_str())).collect();
    let old: Vec<&&str> = listed.keys().filter(|one| !without.contains(**one)).collect();
    assert!(
        new.is_empty() && old.is_empty(),
        "these take bytes, and no target calls them: {new:#?}; these are listed and are gone, or have a target: {old:#?}"
    );
}

/// Whether a text calls a function, or one that ends like it.
fn calls(text: &str, function: &str) -> bool {
    text.match_indices(&format!("{function}(")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    }) || text.contains(&format!("{function}::<"))
}
