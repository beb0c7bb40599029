//! Pages as people see them: Chromium clicks through each, in a root of Debian's packages that kiln locks and assembles, with
//! no network and nothing of this machine. What is held of a page is in `tests/browser/look.py`.

use crate::harness::{LocalIndex, Sandbox, WheelFile, debian_base, limits, ran_in_engine, repository, wheel};
use fs_err as fs;
use kiln_engine::contract::Kept;
use kiln_engine::{GuestPath, InputTree, Limits, RunSpec};
use kiln_pack::TarWriter;
use kiln_record::{Digest, Mode, TreePath, exit};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// The browser, what drives it, a font, and what its driver's driver is written in.
const PACKAGES: [&str; 8] = [
    "base-files",
    "base-passwd",
    "chromium",
    "chromium-driver",
    "fonts-dejavu-core",
    "libc-bin",
    "libpython3.11-stdlib",
    "python3.11-minimal",
];
/// What only maintainer scripts, desktops and graphics cards need.
const EXCLUDE: [&str; 20] = [
    "adduser",
    "awk",
    "debconf",
    "default-dbus-session-bus",
    "libasound2-data",
    "libdb5.3",
    "libdebconfclient0",
    "libgtk-3-0",
    "libnsl2",
    "libtirpc3",
    "libwrap0",
    "readline-common",
    "shared-mime-info",
    "sensible-utils",
    "ucf",
    "x11-common",
    "x11-utils",
    "xdg-desktop-portal-backend",
    "xdg-utils",
    "xkb-data",
];
const PYTHON: &str = "/usr/bin/python3.11";

type Files = BTreeMap<String, Vec<u8>>;

/// The name in the engine of a root with the browser. A function that is built on it brings it there.
fn browser() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(make_browser)
}

fn make_browser() -> String {
    let sandbox = Sandbox::bare();
    let keyring = "images/keys/debian-archive-keyring.gpg";
    sandbox.write(keyring, fs::read(repository().join(keyring)).unwrap());
    sandbox.write("images/browser.toml", debian_base(&PACKAGES, &EXCLUDE, PYTHON));
    let manifest = "kind = \"lambda-zip\"\nbase = \"browser\"\nhandler = \"app.handler\"\n[target]\nruntime = \"python3.11\"\n\
                    architecture = \"x86_64\"\n[source]\npath = \"app\"\n";
    sandbox.write("manifests/app.toml", manifest);
    let code = format!("HERE = {:?}\n\ndef handler(event, context):\n    return HERE\n", sandbox.root());
    sandbox.write("manifests/app/app.py", code);
    sandbox.kiln().run(["lock", "--base", "browser"]).ends_with(exit::SUCCESS);
    sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    let lock: toml::Table = String::from_utf8(sandbox.read("images/browser.lock")).unwrap().parse().unwrap();
    let manifest: Digest = lock["platform"]["linux/amd64"]["manifest"].as_str().unwrap().parse().unwrap();
    format!("localhost/kiln/browser:{}", &manifest.hex()[..12])
}

fn released(name: &str, version: &str, requires: &[&str], size: usize) -> WheelFile {
    let module = format!("VALUE = {version:?}\nTABLE = [{}]\n", "7, ".repeat(size));
    wheel(name, version, "py3-none-any", requires, &[(&format!("{name}.py"), module.as_bytes())])
}

/// A workspace of two functions, one of which was built several times and changed in every way that a page tells of.
fn pages() -> &'static Files {
    static PAGES: OnceLock<Files> = OnceLock::new();
    PAGES.get_or_init(make_pages)
}

fn make_pages() -> Files {
    let before = [
        released("alpha", "1.9", &["beta"], 4_000),
        released("beta", "2.0", &["gamma"], 900),
        released("gamma", "0.3", &[], 20_000),
        released("delta", "5.1", &["epsilon"], 300),
        released("epsilon", "1.0", &[], 10),
        released("leaving", "1.0", &[], 2_500),
    ];
    let after = [released("alpha", "1.10", &["beta"], 9_000), released("coming", "0.1", &["gamma"], 7_000)];
    let index = LocalIndex::serve(&[&before[..], &after].concat());
    let sandbox = Sandbox::new().with_index(&index);
    let lock = |wheels: &[&WheelFile]| -> String {
        let marker = "sys_platform == 'win32'";
        let elsewhere = released("elsewhere", "1.0", &[], 1).requirement(marker);
        wheels.iter().map(|wheel| wheel.requirement("")).chain([elsewhere]).collect()
    };
    let code = |number: u32| {
        let own = "x = 0\n".repeat(200 * number as usize);
        format!(
            "import alpha, delta\nNUMBER = {number}\n{own}\ndef handler(event, context):\n    return alpha.VALUE\n"
        )
    };
    let [alpha, beta, gamma, delta, epsilon, leaving] = &before;
    let all = lock(&[alpha, beta, gamma, delta, epsilon, leaving]);
    sandbox.function("app", "3.13", &code(1), &all);
    sandbox.function("other", "3.13", "def handler(event, context):\n    return 1\n", "");
    let kiln = |arguments: &[&str]| sandbox.kiln().run(arguments).ends_with(exit::SUCCESS).stdout;
    for number in 1..5 {
        sandbox.write("manifests/app/src/app.py", code(number));
        kiln(&["build", "--all"]);
    }
    for (name, content) in sandbox.dist() {
        sandbox.write(&format!("monday/{name}"), content);
    }
    sandbox.write("manifests/app/src/app.py", code(5));
    sandbox
        .write("manifests/app/requirements.txt", lock(&[&after[0], beta, gamma, delta, epsilon, &after[1]]));
    sandbox.function("new", "3.13", "def handler(event, context):\n    return 2\n", "");
    kiln(&["build", "--all"]);
    // A line in front of it, as of a program that unpacks itself: no ledger has that.
    let theirs = [&b"#!/usr/bin/env python3\n"[..], &sandbox.read("monday/app/app.zip")].concat();
    sandbox.write("theirs/app.zip", theirs);

    let html = |arguments: &[&str]| kiln(&[arguments, &["--format", "html"]].concat()).into_bytes();
    let mut pages = Files::from([
        ("change.html".to_owned(), html(&["diff", "app@4", "app@5"])),
        ("same.html".to_owned(), html(&["diff", "other@1", "monday/other"])),
        ("workspaces.html".to_owned(), html(&["diff", "monday", "dist"])),
        ("foreign.html".to_owned(), html(&["diff", "theirs/app.zip", "dist/app"])),
        ("list.html".to_owned(), html(&["diff", "monday/app", "dist/app/app.cdx.json"])),
        ("builds.html".to_owned(), html(&["report", "app", "app@1", "theirs/app.zip"])),
    ]);
    kiln(&["report", "--site", "site"]);
    for entry in fs::read_dir(sandbox.path("site")).unwrap() {
        let entry = entry.unwrap();
        pages.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    }
    assert!(pages.contains_key("index.html") && pages.contains_key("app.html"), "{:?}", pages.keys());
    pages
}

/// Pages that others lead to and that are of a kind with one that is looked at.
const OF_A_KIND: [&str; 1] = ["new.html"];

fn tree(path: &str, files: &Files) -> InputTree {
    let mut tar = TarWriter::new(Vec::new(), 0);
    for (path, content) in files {
        tar.add_file(&TreePath::new(path).unwrap(), Mode::Plain, content).unwrap();
    }
    InputTree::new(GuestPath::new(path).unwrap(), Cursor::new(tar.finish().unwrap()))
}

/// Whether a browser finds nothing wrong with pages, with what it says and the pictures that it took.
fn looked_at(image: &str, pages: &Files) -> (bool, String, Files) {
    let script = fs::read(repository().join("tests/browser/look.py")).unwrap();
    let names = pages.keys().filter(|name| !OF_A_KIND.contains(&name.as_str()));
    let names = names.map(|name| format!("/pages/{name}"));
    let argv = [PYTHON, "/look/look.py", "--into", "/out"].map(str::to_owned).into_iter().chain(names);
    let kept = Kept::default();
    let limits = Limits {
        memory_bytes: 4 << 30,
        scratch_bytes: Some(1 << 30),
        pids: 1_000,
        output_bytes: 256 << 20,
        deadline: Duration::from_secs(1_800),
        ..limits()
    };
    let spec = RunSpec {
        env: BTreeMap::from(
            [("LANG", "C.UTF-8"), ("HOME", "/tmp")].map(|(a, b)| (a.to_owned(), b.to_owned())),
        ),
        working_dir: "/tmp".to_owned(),
        inputs: vec![tree("/look", &Files::from([("look.py".to_owned(), script)])), tree("/pages", pages)],
        outputs: vec![kept.folder("/out")],
        scratch: vec![GuestPath::new("/tmp").unwrap()],
        ..RunSpec::new("browser", image, argv, limits)
    };
    let outcome = ran_in_engine("browser", spec);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&outcome.stdout), text(&outcome.stderr));
    (outcome.exit_code == 0, said, kept.files().into_iter().collect())
}

#[test]
fn pages_hold_in_a_browser_what_they_promise() {
    let image = browser();
    let pages = pages();
    let (is_well, said, pictures) = looked_at(image, pages);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in &pictures {
        fs::write(folder.join(name), content).unwrap();
    }
    assert!(is_well, "pictures are in {}\n{said}", folder.display());
    assert!(said.ends_with(&format!("looked at {} pages\n", pages.len() - OF_A_KIND.len())), "{said}");
    for name in pages.keys().filter(|name| !OF_A_KIND.contains(&name.as_str())) {
        let name = name.trim_end_matches(".html");
        for kind in ["-wide.png", "-narrow.png", "-phone.png", "-dark.png", "-without-scripts.png", ".pdf"] {
            let picture = &pictures[&format!("{name}{kind}")];
            assert!(picture.len() > 5_000, "{name}{kind} has {} bytes", picture.len());
        }
    }
}

/// The browser would notice: each of these pages is spoilt in one way.
#[test]
fn a_browser_sees_what_is_wrong_with_a_page() {
    let image = browser();
    let sound = String::from_utf8(pages()["other.html"].clone()).unwrap();
    let policy = sound.split_once("content=\"default-src").unwrap().1.split_once('"').unwrap().0;
    let open = sound.replace(policy, " * 'unsafe-inline'");
    let spoilt = [
        (
            open.replace("</main>", "</main><img src=\"http://127.0.0.1:1/x.png\" alt=\"x\">"),
            "nothing is asked for but the page",
        ),
        (sound.replace("</main>", "<script>0</script></main>"), "the console is silent"),
        (open.replace("--faint: #59636e", "--faint: #b0b6bc"), "readable in the light"),
        (open.replace("--faint: #9fabb8", "--faint: #59636e"), "readable in the dark"),
        (
            open.replace(":focus-visible {", ":focus-visible { outline: 0 !important; } x {"),
            "the focus is not seen",
        ),
        (open.replace("localeCompare(", "toString("), "of table "),
        (sound.replace("href=\"#checks-0\"", "href=\"#nowhere\""), "every link within it leads somewhere"),
        (
            sound.replace("<h2 id", "<h4 id").replace("</h2>", "</h4>"),
            "headings, tables and sections are what",
        ),
        (open.replace(".verdict {", ".verdict { width: 30rem;"), "400 points are wide enough"),
    ];
    let mut pages = Files::new();
    for (number, (page, wrong)) in spoilt.iter().enumerate() {
        assert_ne!(*page, sound, "{wrong}");
        pages.insert(format!("page-{number}.html"), page.clone().into_bytes());
    }
    let (is_well, said, _) = looked_at(image, &pages);
    assert!(!is_well, "{said}");
    for (number, (_, wrong)) in spoilt.iter().enumerate() {
        let told = said.lines().rev().find(|line| line.starts_with(&format!("page-{number}.html: ")));
        assert!(told.is_some_and(|line| line.contains(wrong)), "page {number}, {wrong}:\n{said}");
    }
}
