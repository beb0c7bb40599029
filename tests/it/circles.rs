//! No file of a crate needs a file that needs it: what belongs together is one file, and what does not can be read, moved
//! and tested alone.

mod graph;

use crate::harness::repository;
use graph::{Circle, Sources, circles, edges};
use std::path::Path;

/// All sources below a folder.
fn read(folder: &Path, below: &str, sources: &mut Sources) {
    for entry in fs_err::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{below}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read(folder, &format!("{path}/"), sources);
        } else if path.ends_with(".rs") {
            sources.insert(path, fs_err::read_to_string(entry.path()).unwrap());
        }
    }
}

#[test]
fn no_crate_has_a_circle_of_files() {
    let mut wrong = String::new();
    for entry in fs_err::read_dir(repository().join("crates")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let mut sources = Sources::new();
        read(&entry.path().join("src"), "", &mut sources);
        let found = circles(&edges(&sources));
        wrong.extend(found.iter().map(|circle| format!("{name}: {circle}")));
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn of<const N: usize>(files: [(&str, &str); N]) -> Vec<Circle> {
    let sources = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    circles(&edges(&sources))
}

/// The only circle of these files, as text.
fn only<const N: usize>(files: [(&str, &str); N]) -> String {
    let found = of(files);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

const TWO: &str = "2 files in a circle:\n  a.rs -> b.rs: B\n  b.rs -> a.rs: A\n";

#[test]
fn one_way_is_no_circle() {
    let found = of([
        ("lib.rs", "mod a; mod b; mod c; pub use a::A; pub use c::C;"),
        ("a.rs", "use crate::b::B; pub struct A(B, crate::C);"),
        ("b.rs", "use crate::c::C; pub struct B(C); #[cfg(test)] mod tests { use crate::A; }"),
        ("c.rs", "pub struct C; impl C { #[cfg(test)] fn a() -> crate::A { todo!() } } /* crate::A */"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn re_exports_lead_to_the_definition() {
    let root = "mod a; mod b; pub use a::*; pub use crate::b::B as Other;";
    let (a, b) = ("use crate::Other; pub struct A(Other);", "pub struct B; fn f(_: &crate::A) {}");
    assert_eq!(only([("lib.rs", root), ("a.rs", a), ("b.rs", b)]), TWO);
    let chain = [
        ("lib.rs", "mod a; mod deep;"),
        ("a.rs", "pub struct A(crate::deep::B);"),
        ("deep/mod.rs", "mod b; pub(crate) use self::b::B;"),
        ("deep/b.rs", "use crate::a::{self, A as First}; pub struct B(First, a::A);"),
    ];
    assert_eq!(only(chain), "2 files in a circle:\n  a.rs -> deep/b.rs: B\n  deep/b.rs -> a.rs: A\n");
}

/// A module that hands out what its own modules define does not need it; one that works with it does.
#[test]
fn a_re_export_is_needed_by_who_mentions_it() {
    let child = ("m/child.rs", "use super::Parent; pub struct Child(Parent);");
    let root = ("lib.rs", "mod m;");
    let hands_out = "mod child; pub use child::Child; pub struct Parent;";
    assert!(of([root, ("m/mod.rs", hands_out), child]).is_empty());
    let works = format!("{hands_out} fn f(_: Child) {{}}");
    assert_eq!(
        only([root, ("m/mod.rs", &works), child]),
        "2 files in a circle:\n  m/child.rs -> m/mod.rs: Parent\n  m/mod.rs -> m/child.rs: Child\n"
    );
}

#[test]
fn super_is_the_module_above() {
    let (a, b) = ("use super::b::B; pub struct A(B);", "pub struct B; fn f() { super::a::A; }");
    assert_eq!(only([("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)]), TWO);
    let inside = "pub struct B; mod inline { use super::super::a; fn f(_: a::A) {} }";
    assert_eq!(only([("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", inside)]), TWO);
}

#[test]
fn types_values_macros_and_attributes_mention_paths() {
    let root = ("lib.rs", "mod a; mod b;");
    let a = ("a.rs", "pub struct A; impl A { pub fn new() {} } fn f(b: crate::b::B) { b.method() }");
    for mention in [
        "fn f() { crate::a::A::new() }",
        "fn f() -> Vec<Option<crate::a::A>> { todo!() }",
        "fn f() { println!(\"{:?}\", vec![1, crate::a::A::new().len()]) }",
        "fn f() { use crate::a::*; let _ = A::new(); }",
        "impl Clone for crate::a::A {}",
        "impl Iterator for B { type Item = <crate::a::A as Clone>::Owned; }",
        "struct S { #[serde(default, with = \"crate::a::A\")] field: u8 }",
    ] {
        let b = format!("pub struct B; {mention}");
        assert_eq!(only([root, a, ("b.rs", &b)]), TWO, "{mention}");
    }
    for none in ["fn f() { say!(x.a, ::a::A, Other::a) }", "fn f(a: u8) { a::<u8>(); }", "use ::a::A;"] {
        let b = format!("pub struct B; {none}");
        assert!(of([root, a, ("b.rs", &b)]).is_empty(), "{none}");
    }
}

#[test]
fn every_circle_is_told_with_all_its_files() {
    let found = of([
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
        ("a.rs", "pub struct A(crate::b::B);"),
        ("b.rs", "pub struct B(crate::c::C);"),
        ("c.rs", "pub struct C(crate::a::A, crate::d::D);"),
        ("d.rs", "pub struct D(crate::e::E);"),
        ("e.rs", "pub struct E(crate::d::D, crate::f::F);"),
        ("f.rs", "pub struct F;"),
    ]);
    let files: Vec<Vec<&str>> =
        found.iter().map(|circle| circle.files.iter().map(String::as_str).collect()).collect();
    assert_eq!(files, [vec!["a.rs", "b.rs", "c.rs"], vec!["d.rs", "e.rs"]]);
}
