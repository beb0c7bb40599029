//! Parts made by hand, merged into one tree; and what a policy makes of what is found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_collect::{
    BroughtBy, Collection, Content, MemberStream, OpenArchives, Part, PartFile, audit_policy, component,
    has_ended, how_differ, strip, tree_of_archive,
};
use kiln_pack::{Method, ZipReader, ZipWriter, compress, inflate};
use kiln_plan::{PolicyException, PolicySection, Strip};
use kiln_record::{
    Code, Component, ComponentId, Digest, Ecosystem, Entry, Epoch, Finding, Level, Mode, PolicyLevel,
    TreePath,
};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::io::Cursor;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn file(text: &str) -> Entry {
    Entry::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode: Mode::Plain }
}

fn python(name: &str) -> ComponentId {
    ComponentId::new(Ecosystem::Python, name)
}

/// A part of files whose text is in memory.
fn part(by: BroughtBy, name: &str, files: &[(&str, &str)]) -> Part {
    let ecosystem = if by == BroughtBy::Distribution { Ecosystem::Python } else { Ecosystem::Application };
    let files = files.iter().map(|(place, text)| PartFile {
        path: path(place),
        stated: path(place.rsplit('/').next().unwrap()),
        entry: file(text),
        content: Some(Content::Made(text.as_bytes().into())),
        elf: None,
        bundled: place.contains(".libs/"),
    });
    Part {
        folder: None,
        component: component(ComponentId::new(ecosystem, name), ecosystem, name),
        brought_by: by,
        files: files.collect(),
        modules: Vec::new(),
        unreadable_elf: BTreeMap::new(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn what_two_claim_is_a_finding_that_says_whose_and_how_to_part_them() {
    let check = |parts: &[Part], cause: &str, remedy: &[&str]| {
        let collection = Collection::new("app", parts);
        let [finding] = collection.findings.as_slice() else { panic!("{:?}", collection.findings) };
        assert_eq!((finding.code, finding.cause.as_str()), (Code::PathCollision, cause));
        assert_eq!(finding.remedy, remedy);
    };
    let alpha = || part(BroughtBy::Distribution, "alpha", &[("a.py", "distribution")]);
    let by = |by, name| part(by, name, &[("a.py", "mine")]);
    let leave_out = "or leave the distribution out: add `alpha` to `exclude` under `[python]`";
    check(
        &[alpha(), by(BroughtBy::Source, "app")],
        "your own file and alpha both claim `a.py`, with different content",
        &["rename your file, or leave it out: add `a.py` to `exclude` under `[source]`", leave_out],
    );
    check(
        &[alpha(), by(BroughtBy::Upstream, "tools")],
        "the upstream source tools and alpha both claim `a.py`, with different content",
        &["rename one of them, or leave it out: add `a.py` to `exclude` under `[[upstream]]`", leave_out],
    );
    check(
        &[by(BroughtBy::Source, "app"), part(BroughtBy::Step, "make", &[("a.py", "made")])],
        "the step make and app both claim `a.py`, with different content",
        &["let the step make make it elsewhere, or give its output another folder with `into`"],
    );
    let pair = Collection::new("app", &[alpha(), part(BroughtBy::Source, "app", &[("A.py", "mine")])]);
    let [finding] = pair.findings.as_slice() else { panic!("{:?}", pair.findings) };
    assert_eq!(
        (finding.code, finding.cause.as_str()),
        (Code::CaseCollision, "`A.py` of application/app and `a.py` of python/alpha differ only in case")
    );
    let folder = Collection::new("app", &[alpha(), part(BroughtBy::Source, "app", &[("a.py/b", "mine")])]);
    assert_eq!(folder.findings[0].code, Code::PathCollision, "a file is no folder");
    let same =
        Collection::new("app", &[alpha(), part(BroughtBy::Source, "app", &[("a.py", "distribution")])]);
    assert_eq!(same.findings, [], "the same content may come from two");
}

#[test]
fn every_path_belongs_to_a_component_that_counts_it() {
    let mut alpha =
        part(BroughtBy::Distribution, "alpha", &[("a/__init__.py", "12"), ("a.libs/x.so", "123")]);
    alpha.component.requires = [python("beta")].into();
    let beta = part(BroughtBy::Distribution, "beta", &[]);
    let source = part(BroughtBy::Source, "app", &[("app.py", "12345"), ("b.py", "1")]);
    let unused = part(BroughtBy::Upstream, "tools", &[]);
    let mut collection = Collection::new("app", &[alpha, beta, source, unused]);
    let counted = |collection: &Collection| -> Vec<(String, u64, u64)> {
        let each = collection.components.iter();
        each.map(|Component { id, bytes, files, .. }| (id.to_string(), *bytes, *files)).collect()
    };
    let row = |id: &str, bytes, files| (id.to_owned(), bytes, files);
    assert_eq!(
        counted(&collection),
        [
            row("application/app", 6, 2),
            row("native/alpha/x.so", 3, 1),
            row("python/alpha", 2, 1),
            row("python/beta", 0, 0),
        ]
    );
    let find = |name: &str| collection.components.iter().find(|one| one.id.as_str() == name).unwrap();
    assert_eq!(find("native/alpha/x.so").within, Some(python("alpha")));
    let asked_for: Vec<&ComponentId> = find("application/app").requires.iter().collect();
    assert_eq!(asked_for, [&python("alpha")], "beta is there because alpha requires it");
    assert_eq!(collection.largest()[0], "app has 6 B unpacked, 5 B of it in app.py");

    let taken = collection.take_out(&path("app.py"));
    assert_eq!(taken, Some((ComponentId::new(Ecosystem::Application, "app"), 5)));
    assert_eq!(collection.take_out(&path("app.py")), None);
    assert!(
        collection.left_out.contains(&path("app.py")) && !collection.owners.contains_key(&path("app.py"))
    );
    let longer = "longer than before";
    let made = Content::Made(longer.as_bytes().into());
    collection.replace(&path("b.py"), Digest::of(longer.as_bytes()), longer.len() as u64, made);
    assert_eq!(collection.tree.get(&path("b.py")), Some(&file(longer)));
    collection.recount();
    assert_eq!(counted(&collection)[0], row("application/app", 18, 1));
    assert!(!collection.components.iter().any(|one| one.id == python("beta")), "nothing is left of it");
}

/// An archive with one deflated member, and where its stream is.
fn archive(store: &Store, name: &str, text: &str) -> (Digest, MemberStream) {
    let mut zip = ZipWriter::new(Vec::new());
    zip.add_file(&path(name), Mode::Plain, &compress(text.as_bytes())).unwrap();
    let bytes = zip.finish().unwrap();
    let stream = compress(text.as_bytes());
    let deflated = stream.method == Method::Deflate;
    let offset =
        bytes.windows(stream.stream.len()).position(|window| window == stream.stream).unwrap() as u64;
    let member = MemberStream {
        offset,
        compressed_size: stream.stream.len() as u64,
        size: text.len() as u64,
        crc32: stream.crc32,
        deflated,
    };
    (store.put(&bytes).unwrap(), member)
}

#[test]
fn content_reads_back_wherever_it_is() {
    let (folder, store) = store();
    let on_disk = folder.path().join("own.py");
    let text = "the same line\n".repeat(30);
    fs_err::write(&on_disk, &text).unwrap();
    let (archive, stream) = archive(&store, "m.py", &text);
    let check = |content: Content, by_stream: bool| {
        let mut part = part(BroughtBy::Source, "app", &[("x.py", &text)]);
        part.files[0].content = Some(content);
        let collection = Collection::new("app", &[part]);
        assert_eq!(collection.read(&store, &path("x.py")).unwrap(), text.as_bytes());
        let packed = collection.compressed(&mut OpenArchives::new(&store), &path("x.py")).unwrap();
        assert_eq!(inflate(&packed.stream, packed.size).unwrap(), text.as_bytes());
        assert!(!by_stream || packed.stream.len() as u64 == stream.compressed_size);
    };
    check(Content::Made(text.as_bytes().into()), false);
    check(Content::Stored(store.put(text.as_bytes()).unwrap()), false);
    check(Content::File(on_disk.clone()), false);
    assert!(stream.deflated);
    check(Content::Member { archive, stream }, true);

    let mut changed = part(BroughtBy::Source, "app", &[("x.py", &text)]);
    changed.files[0].content = Some(Content::File(on_disk.clone()));
    let collection = Collection::new("app", &[changed]);
    fs_err::write(&on_disk, "edited meanwhile").unwrap();
    let error = collection.read(&store, &path("x.py")).unwrap_err().to_string();
    assert_eq!(error, format!("{} changed while it was being built", on_disk.display()));
    assert!(collection.read(&store, &path("no.py")).is_err());
}

#[test]
fn an_archive_reads_back_as_the_tree_that_was_packed() {
    let (folder, _) = store();
    let mut zip = ZipWriter::new(Vec::new());
    zip.add_file(&path("bin/run"), Mode::Executable, &compress(b"#!")).unwrap();
    zip.add_symlink(&path("link"), "bin/run").unwrap();
    let bytes = zip.finish().unwrap();
    let place = folder.path().join("app.zip");
    fs_err::write(&place, &bytes).unwrap();
    let tree = tree_of_archive(&place).unwrap();
    let run = Entry::File { digest: Digest::of(b"#!"), size: 2, mode: Mode::Executable };
    let entries: Vec<(&str, &Entry)> = tree.iter().map(|(path, entry)| (path.as_str(), entry)).collect();
    let link = Entry::Symlink { target: "bin/run".to_owned() };
    assert_eq!(entries, [("bin/run", &run), ("link", &link)]);
    fs_err::write(&place, &bytes[..bytes.len() - 1]).unwrap();
    assert!(tree_of_archive(&place).is_err(), "half an archive is none");
    assert!(ZipReader::open(Cursor::new(bytes), &kiln_pack::Limits::default()).is_ok());
}

#[test]
fn native_code_is_stripped_once_and_what_is_no_elf_file_stays() {
    let (_folder, store) = store();
    // The compiler that every toolchain links with; it is the subject's maker, not the subject.
    let place = tempfile::tempdir().unwrap();
    fs_err::write(place.path().join("x.c"), "int answer(void) { return 42; }\n").unwrap();
    let made = std::process::Command::new("cc")
        .args(["-g", "-shared", "-fPIC", "-o", "x.so", "x.c"])
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
    let native = fs_err::read(place.path().join("x.so")).unwrap();
    let collect = || {
        let mut own = part(BroughtBy::Source, "app", &[("app.py", "pass"), ("x.so", "")]);
        own.files[1].entry =
            Entry::File { digest: Digest::of(&native), size: native.len() as u64, mode: Mode::Executable };
        own.files[1].content = Some(Content::Made(native.as_slice().into()));
        Collection::new("app", &[own])
    };
    let mut untouched = collect();
    strip(&store, Strip::None, &mut untouched).unwrap();
    assert!(untouched.transformations.is_empty());

    let mut stripped = collect();
    strip(&store, Strip::Debug, &mut stripped).unwrap();
    let [rule] = stripped.transformations.as_slice() else { panic!("{:?}", stripped.transformations) };
    assert_eq!((rule.rule.as_str(), rule.files), ("strip-debug", 1));
    assert_eq!(rule.changed, BTreeMap::from([(path("x.so"), Some(Digest::of(&native)))]));
    let after = stripped.read(&store, &path("x.so")).unwrap();
    assert_eq!((rule.bytes_before, rule.bytes_after), (native.len() as u64, after.len() as u64));
    assert!(after.len() < native.len());
    let Some(Entry::File { mode, digest, .. }) = stripped.tree.get(&path("x.so")) else { panic!() };
    assert_eq!((*mode, *digest), (Mode::Executable, Digest::of(&after)));

    store.discard(digest).unwrap();
    let mut again = collect();
    strip(&store, Strip::Debug, &mut again).unwrap();
    assert_eq!(again.tree, stripped.tree, "what the store lost is made anew, and the same");
    assert!(store.contains(digest));
}

#[test]
fn a_policy_decides_until_its_exceptions_end() {
    let at = |text: &str| text.parse::<Epoch>().unwrap();
    let exception = PolicyException {
        code: Code::HandlerMissing,
        subject: Some("app.handler".to_owned()),
        reason: "known".to_owned(),
        owner: None,
        until: "2026-03-01".to_owned(),
    };
    let section = PolicySection {
        levels: BTreeMap::from([(Code::PathCollision, PolicyLevel::Allow)]),
        exceptions: vec![exception],
    };
    let found = |subject: &str| vec![Finding::new(Code::HandlerMissing, subject, "no handler")];
    let denies = |subject, time| {
        let judged = audit_policy(&section, &section).apply(found(subject), at(time));
        judged.iter().any(|finding| finding.level == Level::Deny)
    };
    assert!(!denies("app.handler", "2026-03-01T23:59:59Z"));
    assert!(denies("app.handler", "2026-03-02T00:00:00Z"));
    assert!(denies("app.other", "2026-03-01T00:00:00Z"), "another subject");
    assert!(!has_ended(&section, at("2026-03-01T23:59:59Z")));
    assert!(has_ended(&section, at("2026-03-02T00:00:00Z")));
    let allowed = vec![Finding::new(Code::PathCollision, "a", "both claim it")];
    assert_eq!(audit_policy(&section, &section).apply(allowed, at("2026-03-01T00:00:00Z")), []);
}

#[test]
fn how_two_contents_differ_is_told_in_a_clause() {
    let check = |a: &[u8], b: &[u8], expect: &str| assert_eq!(how_differ(a, b), expect);
    check(b"a\nb\n", b"a\nc\n", "line 2 is `b` and then `c`");
    check(b"a\n", b"a\nb\n", "line 2 is the end and then `b`");
    check(b"a\n", b"a\r\n", "the line ends differ");
    check(b"\xff\x00", b"\xff", "it has 2 bytes once and 1 bytes once");
    check(b"\xff\x00\x01", b"\xff\x02\x03", "2 of its 3 bytes differ, the first at 1");
}
