//! Writes the texts of the licences in `licenses.txt`, from SPDX's list, as a constant of this crate.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script where it is by the environment")]

use fs_err as fs;
use spdx::text::LICENSE_TEXTS;
use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=licenses.txt");
    let ids = fs::read_to_string("licenses.txt").expect("licenses.txt is beside this script");
    let mut code = "/// By id, each with its text.\nconst KNOWN: &[(&str, &str)] = &[\n".to_owned();
    for id in ids.lines() {
        let (_, text) =
            LICENSE_TEXTS.iter().find(|(name, _)| *name == id).expect("SPDX has a text for each line");
        code += &format!("    ({id:?}, {text:?}),\n");
    }
    code += "];\n";
    let folder = env::var_os("OUT_DIR").expect("cargo names a folder");
    fs::write(Path::new(&folder).join("licenses.rs"), code).expect("the folder can be written");
}
