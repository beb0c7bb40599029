//! `docs/release.md`: kiln's own release, by its own manifests.
//!
//! To compile kiln in a container takes more than an hour. So its sources are replaced by a program of a few lines, which writes a
//! manual as kiln does, and the compiler by the older one that other tests know. Everything else is as it is released.

use crate::harness::page::Walk;
use crate::harness::{Sandbox, forget, repository};
use fs_err as fs;
use kiln_record::exit;
use std::io::Read as _;

const CODE: &str = r#"use std::path::PathBuf;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["util", "man", folder] => {
            let folder = PathBuf::from(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("kiln.1"), ".TH kiln 1\n").unwrap();
        }
        _ => println!("stands for kiln: {} words, {}", itoa::Buffer::new().format(words.len()), words.join(" ")),
    }
}
"#;

/// What stands for `Cargo.toml`, with the profile that a release is compiled with.
const WORKSPACE: &str = "[workspace]\nmembers = [\"crates/kiln-cli\"]\nresolver = \"2\"\n\n[profile.dist]\ninherits = \"release\"\n";

const PACKAGE: &str = r#"[package]
name = "kiln-cli"
version = "0.1.0"
edition = "2021"

[[bin]]
name = "kiln"
path = "src/main.rs"

[dependencies]
itoa = "1"
"#;

/// A lock with the one crate, as this repository has it.
fn lock() -> String {
    let ours: toml::Table = fs::read_to_string(repository().join("Cargo.lock")).unwrap().parse().unwrap();
    let package =
        ours["package"].as_array().unwrap().iter().find(|package| package["name"].as_str() == Some("itoa"));
    let package = toml::to_string(package.expect("kiln uses it")).unwrap();
    let own = "[[package]]\nname = \"kiln-cli\"\nversion = \"0.1.0\"\ndependencies = [\"itoa\"]\n";
    format!("version = 4\n\n[[package]]\n{package}\n{own}")
}

#[test]
fn the_zip_and_the_image_are_made_of_one_program() {
    let sandbox = Sandbox::new();
    let release = fs::read_to_string(repository().join("images/release.toml")).unwrap();
    sandbox.write("images/release.toml", release);
    // Its packages are those of today: nothing else is tested on it.
    sandbox.kiln().run(["lock", "--base", "release"]).ends_with(exit::SUCCESS);
    for name in ["kiln", "kiln-image"] {
        let manifest = fs::read_to_string(repository().join(format!("manifests/{name}.toml"))).unwrap();
        assert!(manifest.contains("base = \"rust-web\""), "{manifest}");
        sandbox.write(
            &format!("manifests/{name}.toml"),
            manifest.replace("base = \"rust-web\"", "base = \"rust\""),
        );
    }
    for (path, content) in [
        ("Cargo.toml", WORKSPACE),
        ("Cargo.lock", &lock()),
        ("crates/kiln-cli/Cargo.toml", PACKAGE),
        ("crates/kiln-cli/src/main.rs", CODE),
        ("docs/findings.md", ""),
        ("tests/Cargo.toml", ""),
        ("tests/src/lib.rs", ""),
    ] {
        sandbox.write(path, content);
    }

    let mut walk = Walk::of("docs/release.md", &[]);
    walk.next(&sandbox.kiln()).says(&["published"]);
    let zip = sandbox.read("dist/kiln/kiln.zip");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut program = Vec::new();
    zip.by_name("bin/kiln").unwrap().read_to_end(&mut program).unwrap();
    assert!(program.starts_with(b"\x7fELF"));
    zip.by_name("share/man/man1/kiln.1").expect("the manual, which the program has written");

    // What is pulled is named by digits of its digest, which the engine says when it takes the image.
    let loaded = walk.next(&sandbox.kiln());
    let image = loaded.stdout.split_whitespace().last().expect("the engine says a name").to_owned();
    let digits = image.strip_prefix("kiln-image:").unwrap_or_else(|| panic!("{loaded}"));
    let command = walk.command().replace("DIGITS", digits);
    let outcome = walk.run(&sandbox.kiln(), &command);
    forget(&image);
    outcome.prints(&["stands for kiln: 2 words, build --all"]);
}
