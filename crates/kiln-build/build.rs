//! Hands the digests of kiln's own code to the compiler: see `src/rules.rs`.

#[path = "src/rules/sources.rs"]
mod sources;

use sources::{Part, digest_of, files, folders};
use std::path::Path;

fn main() -> std::io::Result<()> {
    // The workspace, seen from the folder of this package, in which cargo runs its build script.
    let root = Path::new("../..");
    let files = files(root)?;
    for path in folders(&files) {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    for (name, part) in [("KILN_MAKERS", Part::Makes), ("KILN_JUDGES", Part::Judges)] {
        println!("cargo::rustc-env={name}={}", digest_of(root, &files, part)?);
    }
    Ok(())
}
