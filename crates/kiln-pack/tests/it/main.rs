//! Tests of packing and unpacking through the public interface.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected must fail where it does")]

mod container;
mod deflate;
mod elf_strip;
mod forged_zip;
mod sample;
mod streamed;
mod tar_hostile;
mod tar_round_trip;
mod zip_hostile;
mod zip_round_trip;
mod zip_writer;

/// A file that is not declared above would never be compiled, and its tests never run.
#[test]
fn every_file_is_declared() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in fs_err::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".rs").unwrap();
        assert!(stem == "main" || include_str!("main.rs").contains(&format!("mod {stem};")), "{name}");
    }
}
