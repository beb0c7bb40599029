//! What kiln itself computes, with bytes per second: medians, on a tree that is made for it.

use crate::many;
use crate::measured::{Measured, median, program};
use kiln_pack::{TarWriter, ZipWriter, compress_all};
use kiln_record::{Digest, Mode, TreePath};
use std::io;
use std::path::Path;
use std::time::Instant;

/// Files of the large function, and their bytes together: as much as Lambda takes unpacked, and many files.
const FILES: usize = 20_000;
const BYTES: usize = 245 << 20;
/// Files that are hashed and packed in memory.
const IN_MEMORY: usize = 2_000;
const RUNS: usize = 5;

/// Hashing, zip and tar in memory; then scan, bill, difference, a large build, and many artifacts through the binary.
pub(crate) fn work(folder: &Path) {
    in_memory();
    large(&folder.join("large"));
    thousand(&folder.join("thousand"));
    starting();
}

/// Text that compresses as sources do: words of a list, in an order that differs from file to file.
fn content(seed: usize, bytes: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "import",
        "return",
        "self",
        "value",
        "def",
        "class",
        "None",
        "for",
        "in",
        "if",
        "not",
        "raise",
        "TypeError",
        "result",
        "items",
        "context",
    ];
    let mut state = seed as u64 | 1;
    let mut text = Vec::with_capacity(bytes + 16);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = WORDS[usize::try_from(state % 16).unwrap_or(0)];
        text.extend_from_slice(word.as_bytes());
        text.push(if state.is_multiple_of(61) { b'\n' } else { b' ' });
    }
    text.truncate(bytes);
    text
}

fn in_memory() {
    let contents: Vec<Vec<u8>> = (0..IN_MEMORY).map(|seed| content(seed, BYTES / FILES)).collect();
    let bytes: usize = contents.iter().map(Vec::len).sum();
    let path = |number: usize| TreePath::new(&format!("package/module{number:05}.py")).expect("a path");
    row("hashing", bytes, || {
        assert!(contents.iter().map(|content| Digest::of(content)).max().is_some());
    });
    row("zip, every file compressed", bytes, || drop(compress_all(&contents)));
    let streams = compress_all(&contents);
    row("zip, of streams that are there", bytes, || {
        let mut zip = ZipWriter::new(io::sink());
        for (number, stream) in streams.iter().enumerate() {
            zip.add_file(&path(number), Mode::Plain, stream).expect("an entry");
        }
        zip.finish().expect("an archive");
    });
    row("tar", bytes, || {
        let mut tar = TarWriter::new(io::sink(), 0);
        for (number, content) in contents.iter().enumerate() {
            tar.add_file(&path(number), Mode::Plain, content).expect("an entry");
        }
        tar.finish().expect("an archive");
    });
}

fn row(what: &str, bytes: usize, mut work: impl FnMut()) {
    let runs = (0..RUNS).map(|_| {
        let start = Instant::now();
        work();
        Measured { wall: start.elapsed(), peak: 0 }
    });
    tell(what, bytes, &median(runs.collect()));
}

fn tell(what: &str, bytes: usize, measured: &Measured) {
    let Measured { wall, peak } = measured;
    let rate = match bytes {
        0 => String::new(),
        bytes => format!(", {:.0} MB/s", bytes as f64 / 1e6 / wall.as_secs_f64()),
    };
    let peak = if *peak == 0 { String::new() } else { format!(", peak {:.0} MB", *peak as f64 / 1e6) };
    println!("{what}: {wall:.2?}{rate}{peak}");
}

/// A function of many files and bytes, whose runtime needs no engine: built, and looked at.
fn large(root: &Path) {
    many::write(root, 1, 1);
    for number in 0..FILES - 1 {
        let path = root.join(format!("manifests/app-0/src/data/{:03}/{number:05}.py", number / 100));
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs_err::write(path, content(number, BYTES / FILES)).expect("a file");
    }
    let built = |arguments: &[&str]| {
        program(RUNS.min(3), root, &[&["build", "app-0", "--quiet"], arguments].concat())
    };
    tell("build of 20,000 files, the first", BYTES, &program(1, root, &["build", "app-0", "--quiet"]));
    tell("build of 20,000 files, forced", BYTES, &built(&["--force"]));
    tell("build of 20,000 files, nothing changed", 0, &built(&[]));
    let archive = "dist/app-0/app-0.zip";
    tell("scan and bill of its zip", BYTES, &program(3, root, &["sbom", archive]));
    tell("difference of two zips of it", 2 * BYTES, &program(3, root, &["diff", archive, archive]));
}

/// A thousand artifacts on twenty bases: planned, built, and found unchanged.
fn thousand(root: &Path) {
    many::write(root, 1000, 20);
    let all = ["build", "--all", "--quiet"];
    tell("1,000 artifacts, the first build", 0, &program(1, root, &all));
    tell("1,000 artifacts, planned and unchanged", 0, &program(RUNS, root, &all));
    many::lock(root, 7, "another");
    tell("1,000 artifacts, one of twenty locks changed", 0, &program(1, root, &all));
}

fn starting() {
    tell("kiln --version", 0, &program(21, Path::new("/"), &["--version"]));
    let size = fs_err::metadata(crate::run::kiln()).map_or(0, |file| file.len());
    println!("the binary has {:.1} MB", size as f64 / 1e6);
}
