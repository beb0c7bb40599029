//! The fuzz targets over what lies in `fuzz/corpus` and `fuzz/regressions`, and over changed copies of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_fuzz::TARGETS;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Changed copies that are tried of each target.
const CHANGED: usize = 300;
/// The largest changed copy in bytes.
const LARGEST: usize = 16 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The inputs in a folder of a target, by their paths; none if there is no such folder.
fn inputs(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join(kind).join(target);
    if !folder.is_dir() {
        return Vec::new();
    }
    let read = |name: String| {
        let bytes = fs_err::read(folder.join(&name)).unwrap();
        (format!("fuzz/{kind}/{target}/{name}"), bytes)
    };
    names_in(&folder).into_iter().map(read).collect()
}

#[test]
fn every_input_holds() {
    let mut failed = Vec::new();
    for (target, run) in TARGETS {
        for (path, bytes) in inputs("corpus", target).into_iter().chain(inputs("regressions", target)) {
            if catch_unwind(|| run(&bytes)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A few hundred changed copies of the corpus, always the same ones: what a parser stumbles over at once is noticed where
/// nobody fuzzes.
#[test]
fn changed_inputs_hold() {
    let mut failed = Vec::new();
    for (target, run) in TARGETS {
        let seeds: Vec<Vec<u8>> = inputs("corpus", target).into_iter().map(|(_, bytes)| bytes).collect();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for round in 0..CHANGED {
            let bytes = changed(&seeds, &mut numbers);
            if catch_unwind(|| run(&bytes)).is_err() {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-{round}"));
                fs_err::write(&kept, &bytes).unwrap();
                failed.push(format!("{target}: {}", kept.display()));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// One list of targets: in the code, among the programs that libFuzzer runs, and in the corpus.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let sources: BTreeSet<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names_in(&fuzz().join("fuzz_targets")), sources);
    assert_eq!(names_in(&fuzz().join("corpus")), targets);
    let manifest: toml::Table = fs_err::read_to_string(fuzz().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap();
    let programs: BTreeSet<String> =
        programs.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(programs, targets);
    for name in &targets {
        assert!(!inputs("corpus", name).is_empty(), "{name} has a corpus");
        let source = fs_err::read_to_string(fuzz().join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("kiln_fuzz::{name}(data)")), "{name}");
    }
    let regressions = fuzz().join("regressions");
    assert!(names_in(&regressions).is_subset(&targets), "regressions are of targets");
}

/// xorshift64*: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound.max(1)
    }
}

fn changed(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let (from, at) = (numbers.below(bytes.len() + 1), numbers.below(bytes.len() + 1));
        let to = (from + numbers.below(64)).min(bytes.len());
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80, b'\n', b'"'][numbers.below(6)],
            2 => drop(bytes.drain(from..to)),
            3 => {
                let copy = bytes[from..to].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            _ => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(256)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
        bytes.truncate(LARGEST);
    }
    bytes
}
