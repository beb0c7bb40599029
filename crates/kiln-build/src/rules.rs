//! Which kiln this is, as far as artifacts are concerned: the digests of the code that makes and judges them, computed
//! when it was compiled. Nobody has to remember anything for a changed rule to be applied.

#[cfg(test)]
mod sources;

use kiln_invocation::Rules;
use kiln_record::Digest;

/// The rules of this kiln.
///
/// # Panics
/// Never: the build script writes digests.
#[must_use]
pub fn rules() -> Rules {
    let digest = |hex: &str| Digest::from_hex(hex).expect("the build script writes digests");
    Rules { makers: digest(env!("KILN_MAKERS")), judges: digest(env!("KILN_JUDGES")) }
}

#[cfg(test)]
mod tests {
    use super::rules;
    use super::sources::{Part, digest_of, files, part_of};
    use fs_err as fs;
    use std::path::Path;

    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// Makers and judges of a folder that holds a file of each sort, after `change`.
    fn digests(change: impl FnOnce(&Path)) -> [String; 2] {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "code").unwrap();
        };
        put("Cargo.lock");
        put("crates/kiln-pack/src/zip.rs");
        put("crates/kiln-pack/tests/it.rs");
        put("crates/kiln-audit/src/elf.rs");
        put("crates/kiln-cli/src/args.rs");
        change(root.path());
        let files = files(root.path()).unwrap();
        [Part::Makes, Part::Judges].map(|part| digest_of(root.path(), &files, part).unwrap())
    }

    #[test]
    fn a_change_shows_where_it_decides_something() {
        let before = digests(|_| ());
        let after = |path: &'static str| {
            let [makers, judges] = digests(|root| {
                fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
                fs::write(root.join(path), "other code").unwrap();
            });
            (makers != before[0], judges != before[1])
        };
        assert_eq!(after("crates/kiln-pack/src/zip.rs"), (true, false));
        assert_eq!(after("crates/kiln-new/src/lib.rs"), (true, false), "a crate that nobody listed");
        assert_eq!(after("Cargo.lock"), (true, false));
        assert_eq!(after("crates/kiln-audit/src/elf.rs"), (false, true));
        assert_eq!(after("crates/kiln-audit/src/new.rs"), (false, true));
        for path in
            ["crates/kiln-cli/src/args.rs", "crates/kiln-pack/tests/it.rs", "crates/kiln-pack/src/.zip.swp"]
        {
            assert_eq!(after(path), (false, false), "{path}");
        }
        let renamed = |root: &Path| {
            let folder = root.join("crates/kiln-audit/src");
            fs::rename(folder.join("elf.rs"), folder.join("file.rs")).unwrap();
        };
        assert_ne!(digests(renamed)[1], before[1], "a name is code: modules are found by it");
    }

    /// What is listed is there: a file that was moved would otherwise change sides in silence.
    #[test]
    fn every_listed_path_is_there_and_both_sorts_of_code_are_compiled_in() {
        for (path, _) in super::sources::LISTED {
            assert!(repository().join(path).exists(), "{path}");
        }
        assert_eq!(part_of("crates/kiln-check/src/smoke.rs"), Part::Judges);
        let files = files(repository()).unwrap();
        let digest = |part| digest_of(repository(), &files, part).unwrap();
        let compiled = rules();
        assert_eq!(
            [compiled.makers.hex(), compiled.judges.hex()],
            [digest(Part::Makes), digest(Part::Judges)]
        );
    }
}
