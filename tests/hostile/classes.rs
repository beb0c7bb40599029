//! The classes of hostile input, each at or beyond a bound of docs/security.md.

use crate::index::LocalIndex;
use crate::measure::Workspace;
use crate::server::{Manner, serve};
use crate::wheel::{WheelFile, wheel};
use fs_err as fs;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::Path;

/// What is served for a class, until the value is dropped.
pub(crate) enum Served {
    /// Nothing.
    Nothing,
    /// A package index.
    Index(#[expect(dead_code, reason = "it is only kept")] LocalIndex),
    /// A server at this address, which `{address}` in the arguments stands for.
    At(SocketAddr),
}

/// A kind of hostile input.
pub(crate) struct Class {
    /// What chooses it on the command line.
    pub(crate) name: &'static str,
    /// What it is, in the table.
    pub(crate) what: &'static str,
    /// Writes the workspace; what is served is served until the value is dropped.
    pub(crate) make: fn(&Workspace) -> Served,
    /// What is measured.
    pub(crate) arguments: &'static [&'static str],
    /// Whether the workspace is built before, which is not measured.
    pub(crate) after_a_build: bool,
    /// What happens to the workspace after that build.
    pub(crate) then: fn(&Path),
}

const BUILD: &[&str] = &["build", "--all", "--color", "never"];
const OK: (&str, &[u8]) = ("evil/__init__.py", b"x = 1\n");

const fn built(name: &'static str, what: &'static str, make: fn(&Workspace) -> Served) -> Class {
    Class { name, what, make, arguments: BUILD, after_a_build: false, then: |_| {} }
}

const fn asked(
    name: &'static str,
    what: &'static str,
    make: fn(&Workspace) -> Served,
    arguments: &'static [&'static str],
) -> Class {
    Class { name, what, make, arguments, after_a_build: false, then: |_| {} }
}

const PULL: &[&str] = &["pull", "{address}/evil:1", "--into", "there"];
const LOCK_BASE: &[&str] = &["lock", "--base", "python-3.13"];
const LOCK: &[&str] = &["lock", "app"];

const fn verified(name: &'static str, what: &'static str, then: fn(&Path)) -> Class {
    Class { name, what, make: nothing, arguments: &["verify"], after_a_build: true, then }
}

pub(crate) const ALL: &[Class] = &[
    built("nothing", "a function of one file, for comparison", nothing),
    built("bomb", "wheel of 1 MB with one member of 1 GiB", bomb),
    built("bombs", "wheel of 3 MB with three members of 1 GiB", bombs),
    built("deep", "wheel with 8,000 members, 1,500 folders deep", deep),
    built("deep-within", "wheel with 8,000 members, 60 folders deep", deep_within),
    built("members-within", "wheel with 60,000 empty members", members_within),
    built("commands", "wheel with 100,000 commands", commands),
    built("commands-within", "wheel with 9,900 commands", commands_within),
    built("summary", "wheel whose summary has 50 MB", summary),
    built("requires", "wheel with 100,000 requirements", requires),
    built("marker", "lock with a marker of 100,000 parentheses", marker),
    built("lock", "lock of 100,000 distributions", lock),
    built("page", "index page of 80 MB", page),
    built("manifest", "manifest with an array 100,000 deep", manifest),
    built("expansions", "Dockerfile with 100,000 expansions in each other", expansions),
    built("output", "step that writes 1,000 MiB", output),
    built("output-beyond", "step that writes without an end", output_beyond),
    built("output-files", "step that writes 100,000 files", output_files),
    asked("registry-endless", "registry whose manifest has no end", registry_endless, PULL),
    asked("registry-silent", "registry that never answers", registry_silent, PULL),
    asked("registry-trickling", "registry that gives a byte a second", registry_trickling, PULL),
    asked("registry-headers", "registry whose headers have no end", registry_headers, PULL),
    asked("registry-redirects", "registry that sends on without an end", registry_redirects, PULL),
    built("index-endless", "package index whose page has no end", index_endless),
    built("index-headers", "package index whose headers have no end", index_headers),
    asked("debian-headers", "Debian mirror whose headers have no end", debian_headers, LOCK_BASE),
    asked("debian-endless", "Debian mirror whose `InRelease` has no end", debian_endless, LOCK_BASE),
    asked("debian-silent", "Debian mirror that never answers", debian_silent, LOCK_BASE),
    asked("git-endless", "git server whose answer has no end", git_endless, LOCK),
    asked("git-silent", "git server that never answers", git_silent, LOCK),
    verified("record", "published record of 80 MB", |root| {
        fs::write(root.join("dist/app/record.json"), vec![b'['; 80 << 20]).expect("a record");
    }),
    verified("index", "`dist/index.json` of 80 MB", |root| {
        fs::write(root.join("dist/index.json"), vec![b'['; 80 << 20]).expect("an index");
    }),
    verified("heads", "`.kiln/heads.json` of 80 MB", |root| {
        fs::write(root.join(".kiln/heads.json"), vec![b'['; 80 << 20]).expect("heads");
    }),
];

fn nothing(workspace: &Workspace) -> Served {
    workspace.function("");
    Served::Nothing
}

/// A wheel of one module and what is wrong with it.
fn evil(workspace: &Workspace, files: &[(&str, &[u8])]) -> Served {
    let files = [&[OK], files].concat();
    workspace.installs(wheel("evil", "1.0", "py3-none-any", &[], &files))
}

fn bomb(workspace: &Workspace) -> Served {
    evil(workspace, &[("evil/zeros", &vec![0; 1 << 30])])
}

fn bombs(workspace: &Workspace) -> Served {
    let zeros = vec![0; 1 << 30];
    evil(workspace, &[("evil/a", &zeros), ("evil/b", &zeros), ("evil/c", &zeros)])
}

fn many(workspace: &Workspace, count: usize, name: impl Fn(usize) -> String) -> Served {
    let names: Vec<String> = (0..count).map(name).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    evil(workspace, &files)
}

fn deep(workspace: &Workspace) -> Served {
    // The harness's own writer refuses such paths as the reader does, so another one writes them.
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..8_000 {
        let path = format!("evil/{}m{number}.py", "a/".repeat(1_500));
        zip.start_file(path, zip::write::SimpleFileOptions::default()).expect("a member");
    }
    let bytes = zip.finish().expect("an archive").into_inner();
    workspace.installs(WheelFile::new("evil", "1.0", "evil-1.0-py3-none-any.whl".to_owned(), bytes))
}

fn deep_within(workspace: &Workspace) -> Served {
    many(workspace, 8_000, |number| format!("evil/d{number}/{}m.txt", "a/".repeat(60)))
}

fn members_within(workspace: &Workspace) -> Served {
    many(workspace, 60_000, |number| format!("evil/m{number}.txt"))
}

fn with_commands(workspace: &Workspace, count: usize) -> Served {
    let lines: String = (0..count).map(|number| format!("x{number} = evil:main\n")).collect();
    let text = format!("[console_scripts]\n{lines}");
    evil(workspace, &[("evil-1.0.dist-info/entry_points.txt", text.as_bytes())])
}

fn commands(workspace: &Workspace) -> Served {
    with_commands(workspace, 100_000)
}

fn commands_within(workspace: &Workspace) -> Served {
    with_commands(workspace, 9_900)
}

fn summary(workspace: &Workspace) -> Served {
    // The harness's wheel writes its requirements into METADATA; a line end in one begins another field.
    let field = format!("x\nSummary: {}", "A".repeat(50 << 20));
    let field = field.as_str();
    workspace.installs(wheel("evil", "1.0", "py3-none-any", &[field], &[OK]))
}

fn requires(workspace: &Workspace) -> Served {
    let requires: Vec<String> = (0..100_000).map(|number| format!("other{number}")).collect();
    let requires: Vec<&str> = requires.iter().map(String::as_str).collect();
    workspace.installs(wheel("evil", "1.0", "py3-none-any", &requires, &[OK]))
}

fn marker(workspace: &Workspace) -> Served {
    let nested = format!("{}python_version > '3'{}", "(".repeat(100_000), ")".repeat(100_000));
    workspace.locked(&wheel("evil", "1.0", "py3-none-any", &[], &[OK]).requirement(&nested));
    Served::Nothing
}

fn lock(workspace: &Workspace) -> Served {
    let hash = "0".repeat(64);
    let lines = (0..100_000).map(|number| format!("other{number}==1.0 --hash=sha256:{hash}\n"));
    // Nothing of it is served: the first that is asked for is missing.
    let index = LocalIndex::empty();
    workspace.locked(&lines.collect::<String>());
    workspace.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    Served::Index(index)
}

fn page(workspace: &Workspace) -> Served {
    let wheel = wheel("evil", "1.0", "py3-none-any", &[], &[OK]);
    workspace.locked(&wheel.requirement(""));
    let index = LocalIndex::empty();
    // One link whose fragment makes the page as long as it is.
    index.add(&wheel, &"0".repeat(80 << 20), &wheel.bytes);
    workspace.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
    Served::Index(index)
}

fn manifest(workspace: &Workspace) -> Served {
    workspace.function(&format!("\nmore = {}{}\n", "[".repeat(100_000), "]".repeat(100_000)));
    Served::Nothing
}

fn expansions(workspace: &Workspace) -> Served {
    let nested = format!("{}x{}", "${X:-".repeat(100_000), "}".repeat(100_000));
    let manifest = "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"app/Dockerfile\"\n";
    workspace.write("manifests/app.toml", manifest);
    workspace.write(
        "manifests/app/Dockerfile",
        format!("ARG X\nARG A={nested}\nFROM localhost/kiln/python-3.13\n"),
    );
    Served::Nothing
}

/// A function with a step of a Python program.
fn step(workspace: &Workspace, program: &str) -> Served {
    // No two are alike, so that the store remembers no output of it.
    let unique = tempfile::tempdir().expect("a temporary folder");
    let program = format!("# {}\\n{program}", unique.path().display());
    workspace.function(&format!(
        "\n[[step]]\nname = \"evil\"\nargv = [\"/usr/bin/python3.13\", \"-c\", \"{program}\"]\n\
         outputs = [{{ path = \"/out/made\" }}]\nreproducible = \"assume\"\n"
    ));
    Served::Nothing
}

fn output(workspace: &Workspace) -> Served {
    step(
        workspace,
        "import os\\nos.mkdir('/out/made')\\nf = open('/out/made/f', 'wb')\\nfor _ in range(1000): f.write(bytes(1 << 20))",
    )
}

fn output_beyond(workspace: &Workspace) -> Served {
    step(
        workspace,
        "import os\\nos.mkdir('/out/made')\\nfor n in range(1 << 30): open('/out/made/%d' % n, 'wb').write(bytes(1 << 24))",
    )
}

fn output_files(workspace: &Workspace) -> Served {
    step(
        workspace,
        "import os\\nos.mkdir('/out/made')\\nfor n in range(100000): open('/out/made/%d' % n, 'w').close()",
    )
}

fn at(manner: Manner) -> Served {
    Served::At(serve(manner))
}

fn registry_endless(workspace: &Workspace) -> Served {
    workspace.function("");
    at(Manner::Endless)
}

fn registry_silent(workspace: &Workspace) -> Served {
    workspace.function("");
    at(Manner::Silent)
}

fn registry_trickling(workspace: &Workspace) -> Served {
    workspace.function("");
    at(Manner::Trickling)
}

fn registry_headers(workspace: &Workspace) -> Served {
    workspace.function("");
    at(Manner::Headers)
}

fn registry_redirects(workspace: &Workspace) -> Served {
    workspace.function("");
    at(Manner::Redirects)
}

/// A function with a lock whose index is that server.
fn index(workspace: &Workspace, manner: Manner) -> Served {
    let address = serve(manner);
    workspace.locked(&wheel("evil", "1.0", "py3-none-any", &[], &[OK]).requirement(""));
    workspace.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"http://{address}/simple/\"\n"));
    Served::At(address)
}

fn index_endless(workspace: &Workspace) -> Served {
    index(workspace, Manner::Endless)
}

fn index_headers(workspace: &Workspace) -> Served {
    index(workspace, Manner::Headers)
}

/// A workspace whose Debian mirror is that server.
fn debian(workspace: &Workspace, manner: Manner) -> Served {
    let address = serve(manner);
    workspace
        .write("kiln.toml", format!("format = \"1\"\n[debian]\nmirror = \"http://{address}/debian/\"\n"));
    Served::At(address)
}

fn debian_headers(workspace: &Workspace) -> Served {
    debian(workspace, Manner::Headers)
}

fn debian_endless(workspace: &Workspace) -> Served {
    debian(workspace, Manner::Endless)
}

fn debian_silent(workspace: &Workspace) -> Served {
    debian(workspace, Manner::Silent)
}

/// A function with an upstream source that is on that server.
fn git(workspace: &Workspace, manner: Manner) -> Served {
    let address = serve(manner);
    workspace.function(&format!(
        "\n[[upstream]]\nname = \"evil\"\ngit = \"http://{address}/evil.git\"\nrevision = \"v1\"\n"
    ));
    Served::At(address)
}

fn git_endless(workspace: &Workspace) -> Served {
    git(workspace, Manner::Endless)
}

fn git_silent(workspace: &Workspace) -> Served {
    git(workspace, Manner::Silent)
}
