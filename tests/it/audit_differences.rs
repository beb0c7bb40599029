//! Where two files of two releases differ first, by their format: each pair is compared by the real binary.

use crate::harness::{Release, audit, compiled_with};
use flate2::{Compression, GzBuilder};
use kiln_pack::{ZipWriter, compress};
use kiln_record::{InputRole, Mode, TreePath, exit};
use serde_json::Value;
use std::io::Write as _;

/// A pair of files at one path, with the words in which their first difference is told.
struct Pair {
    path: &'static str,
    files: [Vec<u8>; 2],
    place: &'static str,
    values: Option<[&'static str; 2]>,
    notes: &'static [&'static str],
}

fn pair(path: &'static str, files: [Vec<u8>; 2], place: &'static str) -> Pair {
    Pair { path, files, place, values: None, notes: &[] }
}

impl Pair {
    fn values(self, before: &'static str, after: &'static str) -> Self {
        Self { values: Some([before, after]), ..self }
    }

    fn notes(self, notes: &'static [&'static str]) -> Self {
        Self { notes, ..self }
    }
}

/// Compares two releases that differ in these files, and holds each against what is to be said of it, in JSON and in words.
fn are_told(pairs: &[Pair]) {
    let release = |side: usize| {
        let mut release = Release::new("app");
        for pair in pairs {
            release.own(pair.path, &pair.files[side]);
        }
        release
    };
    let (before, mut after) = (release(0), release(1));
    after.moves(InputRole::Source);
    let folder = tempfile::tempdir().unwrap();
    before.write(&folder.path().join("monday"));
    after.write(&folder.path().join("tuesday"));
    let run = |format: &str| {
        audit(folder.path(), &["diff", "monday", "tuesday", "--format", format]).ends_with(exit::SUCCESS)
    };
    let (json, human, page) = (run("json").json(), run("human").stdout, run("html").stdout);
    let files: &Vec<Value> = json["files"].as_array().unwrap();
    assert_eq!(files.len(), pairs.len(), "{json:#}");
    for pair in pairs {
        let file = files.iter().find(|file| file["path"] == pair.path).unwrap();
        let found = &file["difference"];
        let place = found["place"].as_str().unwrap_or_else(|| panic!("{}: {file:#}", pair.path));
        // How far into a section something is differs from compiler to compiler.
        let is_there = match pair.place.split_once('*') {
            None => place == pair.place,
            Some((start, end)) => place.starts_with(start) && place.ends_with(end),
        };
        assert!(is_there, "{}, {}: {found:#}", pair.path, pair.place);
        if let Some([before, after]) = pair.values {
            assert_eq!(
                (found["before"].as_str(), found["after"].as_str()),
                (Some(before), Some(after)),
                "{found:#}"
            );
        }
        let notes = found["notes"].to_string();
        assert!(pair.notes.iter().all(|note| notes.contains(note)), "{}: {found:#}", pair.path);
        let line = format!("first at {place}: ");
        assert!(pairs.len() > 12 || human.contains(&line), "{line}\n{human}");
        let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(page.contains(&escaped), "{}: {escaped}", pair.path);
    }
}

#[test]
fn elf_files_are_told_by_section_function_and_what_reads_it() {
    let code =
        |value: u32| format!("int add(int a) {{ return a + {value}; }}\nint other(void) {{ return 7; }}\n");
    let object = |code: &str, arguments: &[&str]| compiled_with(code, arguments);
    let (plain, id) = ("-g0", |id: &'static str| [plain_id(id), "-g0"]);
    let with_comment = |text: &str| {
        object(&format!("{}__asm__(\".ident \\\"{text}\\\"\");\n", code(1)), &["-g0", "-fno-ident"])
    };
    are_told(&[
        pair(
            "function.so",
            [object(&code(1), &[plain]), object(&code(2), &[plain])],
            "section .text, byte *, in `add`",
        ),
        pair("build-id.so", [object(&code(1), &id("aa01")), object(&code(1), &id("aa02"))], "build id")
            .values("aa01", "aa02")
            .notes(&["only the build id differs"]),
        pair(
            "debug.so",
            [
                object(&code(1), &["-g", "-Wl,--build-id=0xaa01"]),
                object(&format!("\n\n{}", code(1)), &["-g", "-Wl,--build-id=0xaa02"]),
            ],
            "section .debug_*",
        )
        .notes(&["only what debuggers read differs", ".note.gnu.build-id"]),
        pair("comment.so", [with_comment("maker 1"), with_comment("maker 2")], "section .comment")
            .notes(&["only what compilers say of themselves differs"]),
        pair(
            "symbol.so",
            [
                object(&code(1), &[plain]),
                object(&format!("{}int gained(void) {{ return 1; }}\n", code(1)), &[plain]),
            ],
            "section .*",
        )
        .notes(&["exports now gained", "sections that differ besides"]),
        pair(
            "section.so",
            [
                object(&code(1), &[plain]),
                object(&format!("{}__attribute__((section(\".mine\"))) int x = 1;\n", code(1)), &[plain]),
            ],
            "section .*",
        )
        .notes(&["exports now x", ".mine"]),
    ]);
}

fn plain_id(id: &'static str) -> &'static str {
    if id == "aa01" { "-Wl,--build-id=0xaa01" } else { "-Wl,--build-id=0xaa02" }
}

#[test]
fn texts_documents_and_bytecode_are_told_by_line_path_and_field() {
    let module = |time: u32| {
        let mut bytes = 3571_u16.to_le_bytes().to_vec();
        bytes.extend(b"\r\n\0\0\0\0");
        bytes.extend(time.to_le_bytes());
        bytes.extend(7_u32.to_le_bytes());
        bytes.push(9);
        bytes
    };
    are_told(&[
        pair("a.txt", [b"one\ntwo\n".to_vec(), b"one\nTWO\n".to_vec()], "line 2").values("two", "TWO"),
        pair("a.json", [br#"{"a":[1,2]}"#.to_vec(), br#"{"a":[1,3]}"#.to_vec()], "/a/1").values("2", "3"),
        pair(
            "__pycache__/a.cpython-313.pyc",
            [module(100), module(101)],
            "header of bytecode, time of the source",
        )
        .values("100", "101"),
        pair(
            "mine-1.dist-info/RECORD",
            [b"x.py,sha256=a,1\n".to_vec(), b"x.py,sha256=b,1\n".to_vec()],
            "line 1 of RECORD, about x.py",
        ),
        pair("a.bin", [vec![0, 1, 2], vec![0, 9, 2]], "byte 1").values("01 02", "09 02"),
    ]);
}

#[test]
fn archives_within_a_release_are_told_by_member_and_field() {
    are_told(&[
        pair(
            "wheel.whl",
            [zip(Mode::Plain, b"a = 1\n"), zip(Mode::Plain, b"a = 2\n")],
            "member m/a.py, line 1",
        )
        .values("a = 1", "a = 2"),
        pair(
            "mode.whl",
            [zip(Mode::Plain, b"a\n"), zip(Mode::Executable, b"a\n")],
            "permissions of the member m/a.py",
        )
        .values("100644", "100755")
        .notes(&["only the container differs"]),
        pair("data.tar", [tar(100, b"a\n"), tar(100, b"b\n")], "member m/a.py, line 1").values("a", "b"),
        pair("time.tar", [tar(100, b"a\n"), tar(101, b"a\n")], "time of the member m/a.py")
            .values("100", "101"),
        pair("data.gz", [gzip(1, b"a\n"), gzip(1, b"b\n")], "unpacked, line 1").values("a", "b"),
        pair("time.gz", [gzip(1, b"a\n"), gzip(2, b"a\n")], "header of gzip, time").values("1", "2"),
        pair(
            "both.tar.gz",
            [gzip(1, &tar(1, b"a\n")), gzip(1, &tar(1, b"b\n"))],
            "unpacked, member m/a.py, line 1",
        ),
        pair("lib.a", [ar(1, b"a\n"), ar(1, b"b\n")], "member m.o, line 1").values("a", "b"),
        pair("date.a", [ar(1, b"a\n"), ar(2, b"a\n")], "date of member m.o").values("1", "2"),
    ]);
}

fn zip(mode: Mode, content: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Vec::new());
    zip.add_file(&TreePath::new("m/a.py").unwrap(), mode, &compress(content)).unwrap();
    zip.finish().unwrap()
}

fn gzip(time: u32, content: &[u8]) -> Vec<u8> {
    let mut writer = GzBuilder::new().mtime(time).write(Vec::new(), Compression::default());
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// A tar (POSIX.1-1988) of one file.
fn tar(time: u64, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "m/a.py");
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, &format!("{time:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// A static library of one member.
fn ar(date: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("!<arch>\n{:<16}{date:<12}{:<6}{:<6}{:<8}{:<10}`\n", "m.o/", 0, 0, 100_644, content.len())
            .into_bytes();
    bytes.extend(content);
    bytes
}
