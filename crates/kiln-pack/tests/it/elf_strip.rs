//! Stripping real output of a compiler: what is left still runs, and says the same about its segments.

use kiln_pack::{StripLevel, Stripped, strip_elf};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = r#"
#include <stdio.h>
static int table[64] = {1, 2, 3};
static __thread int counter = 7;
int main(int argc, char **argv) {
    for (int i = 0; i < 64; i++) table[i] += argc;
    printf("%d %d\n", table[0] + table[63], ++counter);
    return 0;
}
"#;

fn compiled(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    fs_err::write(folder.join("p.c"), PROGRAM).unwrap();
    let out = folder.join("p");
    let done =
        Command::new("cc").arg("-o").arg(&out).arg(folder.join("p.c")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs_err::read(out).unwrap()
}

fn output(folder: &Path, program: &[u8]) -> String {
    let path = folder.join("stripped");
    fs_err::write(&path, program).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = Command::new(&path).output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

fn smaller(bytes: &[u8], level: StripLevel) -> Vec<u8> {
    match strip_elf(bytes, level) {
        Stripped::Smaller(stripped) => stripped,
        other => panic!("{other:?}"),
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn what_is_left_runs_and_strips_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["-g"][..], &["-g", "-no-pie", "-O2"], &["-g", "-Wl,-z,max-page-size=65536"]] {
        let program = compiled(folder.path(), arguments);
        assert!(holds(&program, b"counter"), "the debug information names variables");
        for level in [StripLevel::Debug, StripLevel::Symbols] {
            let stripped = smaller(&program, level);
            assert!(stripped.len() < program.len());
            assert_eq!(output(folder.path(), &stripped), "3 8\n", "{arguments:?} {level:?}");
            assert_eq!(stripped, smaller(&program, level), "the same each time");
            assert_eq!(strip_elf(&stripped, level), Stripped::Unchanged);
            assert_eq!(
                holds(&stripped, b"counter"),
                level == StripLevel::Debug,
                "the symbol table names it, too"
            );
            assert!(!holds(&stripped, b"long long unsigned int"), "types are debug information");
        }
    }
}

/// Newer releases of patchelf put the table of sections into a segment: it stays there as it was, and is written anew.
#[test]
fn a_section_table_that_is_loaded_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = compiled(folder.path(), &["-g3"]);
    let at =
        |program: &[u8], offset: usize| u64::from_le_bytes(program[offset..offset + 8].try_into().unwrap());
    let sections = at(&program, 40) as usize;
    let length = usize::from(u16::from_le_bytes([program[60], program[61]])) * 64;
    let table = program[sections..sections + length].to_vec();
    let headers = at(&program, 32) as usize;
    let count = u16::from_le_bytes(program[56..58].try_into().unwrap()) as usize;
    let stack = (0..count)
        .map(|index| headers + index * 56)
        .find(|header| program[*header..header + 4] == 0x6474_e551_u32.to_le_bytes())
        .unwrap();
    let offset = program.len().next_multiple_of(4096) as u64;
    program.resize(offset as usize, 0);
    program.extend(&table);
    program.extend(b"more that is loaded");
    let size = program.len() as u64 - offset;
    program[40..48].copy_from_slice(&offset.to_le_bytes());
    program[stack..stack + 4].copy_from_slice(&1_u32.to_le_bytes());
    for (field, value) in [(8, offset), (16, 0x50_0000), (24, 0x50_0000), (32, size), (40, size), (48, 4096)]
    {
        program[stack + field..stack + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    let stripped = smaller(&program, StripLevel::Symbols);
    let moved = at(&stripped, stack + 8) as usize;
    assert_eq!(
        stripped[moved..moved + size as usize],
        program[offset as usize..],
        "all that is loaded is the same"
    );
    assert!(at(&stripped, 40) as usize >= moved + size as usize, "the new table is behind it");
    assert_eq!(output(folder.path(), &stripped), "3 8\n");
    assert_eq!(strip_elf(&stripped, StripLevel::Symbols), Stripped::Unchanged);
}

/// What auditwheel's patchelf makes: a segment that is loaded lies behind the debug information.
#[test]
fn a_segment_behind_the_debug_information_moves_up_with_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = compiled(folder.path(), &["-g3"]);
    // `PT_GNU_STACK` has no content: it becomes a segment that is loaded from the end of the file.
    let at =
        |program: &[u8], offset: usize| u64::from_le_bytes(program[offset..offset + 8].try_into().unwrap());
    let headers = at(&program, 32) as usize;
    let count = u16::from_le_bytes(program[56..58].try_into().unwrap()) as usize;
    let stack = (0..count)
        .map(|index| headers + index * 56)
        .find(|header| program[*header..header + 4] == 0x6474_e551_u32.to_le_bytes())
        .unwrap();
    let offset = program.len().next_multiple_of(4096) as u64;
    program.resize(offset as usize, 0);
    program.extend(b"content that is loaded".repeat(100));
    let size = 2200_u64;
    // The table of sections is written anew at the end, and the old one stays behind.
    let sections = at(&program, 40) as usize;
    let table = program
        [sections..sections + usize::from(u16::from_le_bytes([program[60], program[61]])) * 64]
        .to_vec();
    program.resize(program.len().next_multiple_of(8), 0);
    let moved_to = program.len() as u64;
    program[40..48].copy_from_slice(&moved_to.to_le_bytes());
    program.extend(table);
    program[stack..stack + 4].copy_from_slice(&1_u32.to_le_bytes());
    for (field, value) in [(8, offset), (16, 0x50_0000), (24, 0x50_0000), (32, size), (40, size), (48, 4096)]
    {
        program[stack + field..stack + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    let stripped = smaller(&program, StripLevel::Debug);
    let moved = at(&stripped, stack + 8);
    assert!(moved < offset && moved.is_multiple_of(4096), "{moved} {offset}");
    assert_eq!(
        stripped[moved as usize..(moved + size) as usize],
        program[offset as usize..(offset + size) as usize]
    );
    assert_eq!(output(folder.path(), &stripped), "3 8\n");
}

#[test]
fn what_has_nothing_to_remove_or_is_odd_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let bare = compiled(folder.path(), &["-s"]);
    assert_eq!(strip_elf(&bare, StripLevel::Symbols), Stripped::Unchanged);
    assert_eq!(strip_elf(b"text", StripLevel::Symbols), Stripped::Unchanged);
    let program = compiled(folder.path(), &["-g"]);
    let mut appended = program.clone();
    appended.extend(b"PK an archive that the program reads from itself");
    assert_eq!(
        strip_elf(&appended, StripLevel::Debug),
        Stripped::LeftAlone("it holds data that none of its headers describes")
    );
    let object = {
        let status = Command::new("cc")
            .args(["-g", "-c", "-o"])
            .arg(folder.path().join("o"))
            .arg(folder.path().join("p.c"))
            .status()
            .unwrap();
        assert!(status.success());
        fs_err::read(folder.path().join("o")).unwrap()
    };
    assert!(matches!(strip_elf(&object, StripLevel::Debug), Stripped::LeftAlone(_)));
    // However it is cut or bent, it is refused or still loads the same.
    for cut in [5, 63, 64, 100, program.len() / 2, program.len() - 1] {
        assert!(!matches!(strip_elf(&program[..cut], StripLevel::Debug), Stripped::Smaller(_)), "{cut}");
    }
    for at in (0..64).chain(program.len() - 64 * 8..program.len()) {
        let mut bent = program.clone();
        bent[at] ^= 0xff;
        let _ = strip_elf(&bent, StripLevel::Symbols);
    }
}

/// Comparing what is loaded before and after takes time for each segment: a file of a few MB would take hours.
#[test]
fn a_file_that_is_many_times_over_in_segments_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = compiled(folder.path(), &["-g"]);
    program.resize(program.len().next_multiple_of(8), 0);
    let size = program.len() as u64;
    program[32..40].copy_from_slice(&size.to_le_bytes());
    program[56..58].copy_from_slice(&40_u16.to_le_bytes());
    for _ in 0..40 {
        let mut header = [0; 56];
        header[..4].copy_from_slice(&4_u32.to_le_bytes());
        header[32..40].copy_from_slice(&size.to_le_bytes());
        program.extend(header);
    }
    assert!(matches!(strip_elf(&program, StripLevel::Debug), Stripped::LeftAlone(_)));
}
