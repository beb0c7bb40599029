//! How kiln compares with what people use today, as ratios. Prints; never fails for being slow.
//!
//! Run with `just bench`, which measures what users install. It needs Docker, and `zip` for the comparison. Names after `--` choose among `workspace`, `releases` and `find`, of which only the first needs Docker, and
//! `--kiln FILE` measures a binary that is there already.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod finding;
#[path = "../it/harness/many.rs"]
mod many;
mod measured;
mod releases;
mod run;
mod work;

use kiln_pack::{Limits, ZipReader, ZipWriter, compress_all};
use kiln_record::{Mode, Record};
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the repository").to_owned();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = fs_err::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{cores} cores, load {}", load.split(' ').next().unwrap_or("not known"));
    // `cargo bench -p kiln-tests --bench peers -- work` measures what needs no engine alone, `-- find` finding.
    let asked = |what: &str| {
        let words: Vec<String> = std::env::args().skip(1).collect();
        // What follows `--kiln` is a file.
        let is_value = |place: usize| place > 0 && words[place - 1] == "--kiln";
        let mut named = words
            .iter()
            .enumerate()
            .filter(|(place, word)| !word.starts_with('-') && !is_value(*place))
            .peekable();
        named.peek().is_none() || named.any(|(_, word)| word == what)
    };
    if asked("work") {
        work::work(folder.path());
    }
    if asked("workspace") {
        whole_workspace(&repository, folder.path());
        packing(folder.path());
    }
    if asked("releases") {
        releases::releases(folder.path());
    }
    if asked("find") {
        finding::finding(folder.path());
    }
}

/// The shortest of a few runs: what else the machine does only ever adds time.
fn best(runs: usize, mut work: impl FnMut()) -> Duration {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn print(what: &str, ours: Duration, theirs_name: &str, theirs: Duration) {
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{what}: {ours:.2?}; {theirs_name}: {theirs:.2?}; ratio {ratio:.1}");
}

/// Builds the repository's workspace into a folder: everything, then nothing changed.
fn whole_workspace(repository: &Path, dist: &Path) {
    let kiln = |arguments: &[&str]| {
        let status = Command::new(run::kiln())
            .args(["--workspace"])
            .arg(repository)
            .args(["build", "--all", "--quiet", "--dist"])
            .arg(dist.join("dist"))
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .expect("the binary starts");
        assert!(status.success(), "the workspace builds");
    };
    kiln(&[]);
    let all = best(2, || kiln(&["--force"]));
    kiln(&[]);
    let nothing = best(5, || kiln(&[]));
    print("whole workspace, nothing changed", nothing, "everything built again, wheels in the store", all);
}

/// Packs one artifact's files: from the streams that wheels have, by compressing each file, and by `zip -9`.
fn packing(folder: &Path) {
    let artifact = folder.join("dist/dashboard/dashboard.zip");
    let record = fs_err::read(folder.join("dist/dashboard/record.json")).expect("a record");
    let record = Record::from_json(&record).expect("a record");
    let mut archive = ZipReader::open(
        BufReader::new(fs_err::File::open(&artifact).expect("an archive")),
        &Limits::default(),
    )
    .expect("an archive");
    let members = archive.members().to_vec();
    let contents: Vec<Vec<u8>> =
        members.iter().map(|member| archive.read(member).expect("a member")).collect();
    let streams: Vec<kiln_pack::Compressed> = members
        .iter()
        .map(|member| kiln_pack::Compressed {
            method: member.method,
            stream: archive.raw_stream(member).expect("a stream"),
            crc32: member.crc32,
            size: member.size,
        })
        .collect();
    let write = |streams: &[kiln_pack::Compressed]| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (member, stream) in members.iter().zip(streams) {
            zip.add_file(&member.path, Mode::Plain, stream).expect("an entry");
        }
        zip.finish().expect("an archive").into_inner().len()
    };
    let kept = best(5, || {
        write(&streams);
    });
    let compressed = best(3, || {
        write(&compress_all(&contents));
    });
    println!("dashboard: {} files, {} bytes unpacked", members.len(), record.unpacked_size);
    print(
        "zip from the wheels' own streams",
        kept,
        "compressing every file again (libdeflate 6)",
        compressed,
    );

    let unpacked = folder.join("unpacked");
    for (member, content) in members.iter().zip(&contents) {
        let path = unpacked.join(member.path.as_str());
        fs_err::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs_err::write(path, content).expect("a file");
    }
    let target = folder.join("zip.zip");
    let mut theirs = Duration::ZERO;
    for _ in 0..2 {
        // An archive that is there would be added to.
        let _ = fs_err::remove_file(&target);
        let start = Instant::now();
        let status = Command::new("zip")
            .args(["-9", "-q", "-r", "-X"])
            .arg(&target)
            .arg(".")
            .current_dir(&unpacked)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            println!("zip is not here: packing was compared with nothing");
            return;
        }
        theirs = start.elapsed();
    }
    print("zip from the wheels' own streams", kept, "`zip -9`", theirs);
    print("zip, every file compressed again", compressed, "`zip -9`", theirs);
    let size = fs_err::metadata(&target).map_or(0, |metadata| metadata.len());
    let ours = record.archive().map_or(0, |archive| archive.size);
    println!("sizes: kiln {ours} bytes, `zip -9` {size} bytes, ratio {:.3}", ours as f64 / size as f64);
}
