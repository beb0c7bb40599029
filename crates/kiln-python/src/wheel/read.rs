//! Wheels: from the members of the archive to the files of an installed distribution.
//!
//! The rules are those of the binary distribution format (PEP 427) and of "Recording installed projects" (PEP
//! 376), with the layout that `pip install --target` gives: everything below one folder, `bin/` for commands.
//! Where kiln differs from pip, it is for the sake of equal bytes: interpreter lines are
//! [`/usr/bin/env python3`](crate::read_wheel), RECORD is complete, sorted and relative to that folder, and
//! what only says who installed (`INSTALLER`, `REQUESTED`, `direct_url.json`) is not there.

use super::archive::{Archive, Scheme, WheelMember};
use super::entry_points::{command_script, is_wrapper, parse_commands, rewrite_shebang};
use super::file_name::WheelName;
use super::installed::{FileSource, InstalledFile, Wheel};
use super::metadata::parse_metadata;
use super::modules::top_level_modules;
use super::record::render_record;
use crate::error::PythonError;
use kiln_record::{Digest, Mode, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// Files that say who installed a distribution and from where. An artifact says that in its record, without
/// host paths.
const INSTALLER_FILES: &[&str] = &["INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"];

/// Reads a wheel: checks every member against RECORD and says what installing it gives.
///
/// Placement follows `pip install --target`: `.data/purelib` and `.data/platlib` join the root of the
/// archive, `.data/scripts` goes to `bin/`, `.data/headers` to `include/python/<Name>/`, `.data/data` to the
/// installation folder itself. (pip leaves out what `.data/data` holds below `lib/`; kiln keeps it, because
/// nothing may be silently missing.)
///
/// `content` is asked only for metadata, for `.data/scripts`, and for members whose RECORD hash is not
/// SHA-256.
///
/// # Errors
/// [`PythonError::WheelName`] and [`PythonError::InvalidWheel`] if the file is no wheel, says different
/// things about its name or version in different places, or would place two members at one path;
/// [`PythonError::RecordMismatch`] if RECORD and the members differ in any way; [`PythonError::Member`] if
/// `content` fails or brings other bytes than the member has.
pub fn read_wheel<E: Display>(
    file_name: &str,
    members: &[WheelMember],
    content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
) -> Result<Wheel, PythonError> {
    let archive = Archive::new(file_name, members)?;
    archive.check_record(&archive.dist_info()?, content)?;
    read_wheel_without_record(file_name, members, content)
}

/// Reads a wheel whose RECORD is known to be wrong and accepted as such: it is not looked at, and what is installed
/// gets one of the members as they are. Everything else is checked as in [`read_wheel`].
///
/// # Errors
/// As [`read_wheel`], but for [`PythonError::RecordMismatch`].
pub fn read_wheel_without_record<E: Display>(
    file_name: &str,
    members: &[WheelMember],
    content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
) -> Result<Wheel, PythonError> {
    let name = WheelName::parse(file_name)?;
    let archive = Archive::new(file_name, members)?;
    let dist_info = archive.dist_info()?;

    archive.check_format(&archive.text(&dist_info, "WHEEL", content)?)?;
    let core = parse_metadata(&archive.text(&dist_info, "METADATA", content)?);
    archive.check_bounds(&core)?;
    let version = archive.check_identity(&name, &dist_info, &core)?;
    let commands = if archive.members.contains_key(format!("{dist_info}/entry_points.txt").as_str()) {
        let text = archive.text(&dist_info, "entry_points.txt", content)?;
        parse_commands(&text).map_err(|reason| archive.invalid(reason))?
    } else {
        BTreeMap::new()
    };

    let written_name = core.name.as_deref().unwrap_or(name.name.as_str());
    let mut files = Placed { archive: &archive, files: BTreeMap::new() };
    let mut site: BTreeSet<TreePath> = BTreeSet::new();
    for member in archive.members.values() {
        let place = archive.place(&member.path, written_name)?;
        match place.scheme {
            Scheme::Site => {
                if is_left_out(&place.path, &dist_info) {
                    continue;
                }
                site.insert(place.path.clone());
                files.member(place.path, Mode::Plain, member)?;
            }
            Scheme::Data => files.member(place.path, Mode::Plain, member)?,
            Scheme::Scripts => {
                if is_wrapper(place.path.file_name(), &commands) {
                    continue;
                }
                let script = archive.read(&member.path, content)?;
                match rewrite_shebang(&script) {
                    Some(rewritten) => files.generated(place.path, Mode::Executable, rewritten)?,
                    None => files.member(place.path, Mode::Executable, member)?,
                }
            }
        }
    }
    for command in commands.values() {
        let path = archive.path(&format!("bin/{}", command.name))?;
        files.generated(path, Mode::Executable, command_script(command).into_bytes())?;
    }
    let record = archive.path(&format!("{dist_info}/RECORD"))?;
    let listed = files.files.values().map(|file| (&file.path, file.digest, file.size));
    let text = render_record(listed, &record);
    files.generated(record, Mode::Plain, text.into_bytes())?;

    let sboms = format!("{dist_info}/sboms");
    let files: Vec<InstalledFile> = files.files.into_values().collect();
    Ok(Wheel {
        name: name.name,
        version,
        metadata: core.about,
        requires_dist: core.requires_dist,
        requires_python: core.requires_python,
        extras: core.extras,
        top_level: top_level_modules(site.iter()),
        embedded_sboms: files.iter().map(|f| &f.path).filter(|p| p.is_within(&sboms)).cloned().collect(),
        license_files: files
            .iter()
            .map(|file| &file.path)
            .filter(|path| path.is_within(&dist_info) && !path.is_within(&sboms) && is_license(path))
            .cloned()
            .collect(),
        dist_info,
        files,
    })
}

/// Whether a file has the text of a licence, by the names that PEP 639 takes as usual; notices and authors have none.
fn is_license(path: &TreePath) -> bool {
    let name = path.file_name().to_ascii_lowercase();
    ["licen", "copying", "unlicen"].iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a member has no place in an installed distribution: RECORD, which is written anew, and traces of
/// installers.
fn is_left_out(path: &TreePath, dist_info: &str) -> bool {
    path.parent() == dist_info
        && (path.file_name() == "RECORD" || INSTALLER_FILES.contains(&path.file_name()))
}

/// Files placed so far.
struct Placed<'a> {
    archive: &'a Archive<'a>,
    files: BTreeMap<TreePath, InstalledFile>,
}

impl Placed<'_> {
    fn member(&mut self, path: TreePath, mode: Mode, member: &WheelMember) -> Result<(), PythonError> {
        let mode = if member.executable { Mode::Executable } else { mode };
        let source = FileSource::Member(member.path.clone());
        self.add(InstalledFile { path, mode, size: member.size, digest: member.digest, source })
    }

    fn generated(&mut self, path: TreePath, mode: Mode, bytes: Vec<u8>) -> Result<(), PythonError> {
        self.add(InstalledFile {
            path,
            mode,
            size: bytes.len() as u64,
            digest: Digest::of(&bytes),
            source: FileSource::Generated(bytes),
        })
    }

    fn add(&mut self, file: InstalledFile) -> Result<(), PythonError> {
        match self.files.get(&file.path) {
            Some(there) if there.digest != file.digest || there.mode != file.mode => {
                Err(self.archive.invalid(format!("two of its files belong at `{}`", file.path)))
            }
            Some(_) => Ok(()),
            None => {
                self.files.insert(file.path.clone(), file);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::record::{RecordHash, parse_record};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::convert::Infallible;

    const WHEEL: &[u8] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    const METADATA: &[u8] = b"Metadata-Version: 2.1\nName: Demo_Pkg\nVersion: 1.0\n";

    /// A made-up wheel: paths, content, and whether they are executable; RECORD is written unless given.
    fn read(file_name: &str, files: &[(&str, &[u8], bool)]) -> Result<Wheel, String> {
        let mut files: Vec<(String, Vec<u8>, bool)> =
            files.iter().map(|(path, bytes, x)| ((*path).to_owned(), bytes.to_vec(), *x)).collect();
        let dist_info = "demo_pkg-1.0.dist-info";
        for (name, bytes) in [("WHEEL", WHEEL), ("METADATA", METADATA)] {
            let path = format!("{dist_info}/{name}");
            if !files.iter().any(|f| f.0 == path) {
                files.push((path, bytes.to_vec(), false));
            }
        }
        if !files.iter().any(|f| f.0.ends_with("/RECORD")) {
            let mut record = format!("{dist_info}/RECORD,,\n");
            for (path, bytes, _) in &files {
                let hash = URL_SAFE_NO_PAD.encode(Digest::of(bytes).as_bytes());
                record.push_str(&format!("\"{path}\",sha256={hash},{}\n", bytes.len()));
            }
            files.push((format!("{dist_info}/RECORD"), record.into_bytes(), false));
        }
        let members: Vec<WheelMember> = files
            .iter()
            .map(|(path, bytes, executable)| WheelMember {
                path: TreePath::new(path).unwrap(),
                executable: *executable,
                size: bytes.len() as u64,
                digest: Digest::of(bytes),
            })
            .collect();
        read_wheel::<Infallible>(file_name, &members, &mut |path| {
            Ok(files.iter().find(|f| f.0 == path.as_str()).unwrap().1.clone())
        })
        .map_err(|e| e.to_string())
    }

    const NAME: &str = "demo_pkg-1.0-py3-none-any.whl";

    #[test]
    fn everything_has_its_place() {
        let wheel = read(
            NAME,
            &[
                ("demo/__init__.py", b"", false),
                ("demo/tool.sh", b"#!/bin/sh\n", true),
                ("demo_pkg-1.0.data/purelib/more.py", b"1", false),
                ("demo_pkg-1.0.data/platlib/demo/fast.abi3.so", b"2", true),
                ("demo_pkg-1.0.data/scripts/old", b"#!python\nx\n", false),
                ("demo_pkg-1.0.data/scripts/sh", b"#!/bin/sh\n", false),
                ("demo_pkg-1.0.data/scripts/run-script.py", b"wrapper", false),
                ("demo_pkg-1.0.data/headers/demo.h", b"h", false),
                ("demo_pkg-1.0.data/data/share/x.txt", b"d", false),
                ("demo_pkg-1.0.data/data/lib/y.txt", b"d", false),
                ("demo_pkg-1.0.dist-info/entry_points.txt", b"[console_scripts]\nrun = demo:main\n", false),
                ("demo_pkg-1.0.dist-info/INSTALLER", b"x", false),
                ("demo_pkg-1.0.dist-info/direct_url.json", b"{}", false),
                ("demo_pkg-1.0.dist-info/sboms/a.cdx.json", b"{}", false),
            ],
        )
        .unwrap();
        let files: Vec<String> = wheel.files.iter().map(|f| format!("{} {}", f.mode, f.path)).collect();
        assert_eq!(
            files,
            [
                "0755 bin/old",
                "0755 bin/run",
                "0755 bin/sh",
                "0644 demo/__init__.py",
                "0755 demo/fast.abi3.so",
                "0755 demo/tool.sh",
                "0644 demo_pkg-1.0.dist-info/METADATA",
                "0644 demo_pkg-1.0.dist-info/RECORD",
                "0644 demo_pkg-1.0.dist-info/WHEEL",
                "0644 demo_pkg-1.0.dist-info/entry_points.txt",
                "0644 demo_pkg-1.0.dist-info/sboms/a.cdx.json",
                "0644 include/python/Demo_Pkg/demo.h",
                "0644 lib/y.txt",
                "0644 more.py",
                "0644 share/x.txt",
            ]
        );
        assert_eq!((wheel.name.as_str(), wheel.version.as_str()), ("demo-pkg", "1.0"));
        assert_eq!(wheel.top_level, ["demo", "more"]);
        assert_eq!(wheel.embedded_sboms, [TreePath::new("demo_pkg-1.0.dist-info/sboms/a.cdx.json").unwrap()]);
        let source = |path: &str| &wheel.files.iter().find(|f| f.path.as_str() == path).unwrap().source;
        assert_eq!(source("bin/old"), &FileSource::Generated(b"#!/usr/bin/env python3\nx\n".to_vec()));
        assert_eq!(
            source("lib/y.txt"),
            &FileSource::Member(TreePath::new("demo_pkg-1.0.data/data/lib/y.txt").unwrap())
        );
    }

    #[test]
    fn the_new_record_is_complete_sorted_and_true() {
        let wheel = read(NAME, &[("demo.py", b"x", false), ("a,b.txt", b"y", false)]).unwrap();
        let record = wheel.files.iter().find(|f| f.path.file_name() == "RECORD").unwrap();
        let FileSource::Generated(bytes) = &record.source else { panic!("{:?}", record.source) };
        assert_eq!((record.size, record.digest), (bytes.len() as u64, Digest::of(bytes)));
        let rows = parse_record(NAME, std::str::from_utf8(bytes).unwrap()).unwrap();
        let listed: Vec<&str> = rows.keys().map(String::as_str).collect();
        let files: Vec<&str> = wheel.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(listed, files);
        for file in &wheel.files {
            let expected = (file != record).then_some(RecordHash::Sha256(file.digest));
            assert_eq!(rows[file.path.as_str()].hash, expected, "{}", file.path);
        }
    }

    #[test]
    fn it_survives_the_cache() {
        let wheel = read(NAME, &[("demo.py", b"\xff", false)]).unwrap();
        let json = serde_json::to_string(&wheel).unwrap();
        assert_eq!(serde_json::from_str::<Wheel>(&json).unwrap(), wheel);
    }

    #[test]
    fn record_is_checked_both_ways() {
        let record = "demo_pkg-1.0.dist-info/RECORD";
        let hash = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(Digest::of(bytes).as_bytes());
        let fixed = format!(
            "demo_pkg-1.0.dist-info/WHEEL,sha256={},{}\ndemo_pkg-1.0.dist-info/METADATA,sha256={},{}\n{record},,\n",
            hash(WHEEL),
            WHEEL.len(),
            hash(METADATA),
            METADATA.len()
        );
        let check = |line: &str, expected: &str| {
            let text = format!("{fixed}{line}\n");
            let result = read(NAME, &[("demo.py", b"x", false), (record, text.as_bytes(), false)]);
            match expected {
                "" => assert!(result.is_ok(), "{line}: {result:?}"),
                _ => {
                    let error = result.unwrap_err();
                    assert!(error.contains("does not match its RECORD"), "{error}");
                    assert!(error.contains(expected), "{error}");
                }
            }
        };
        let good = format!("demo.py,sha256={},1", hash(b"x"));
        check(&good, "");
        check(&format!("{good}\ndemo/,,"), "");
        check("", "`demo.py` is not listed");
        check("demo.py,,", "listed without a hash");
        check(&format!("demo.py,sha256={},1", hash(b"y")), "`demo.py` has sha256:");
        check(&format!("demo.py,sha256={},2", hash(b"x")), "has 1 bytes, RECORD says 2");
        check(
            &format!("{good}\nghost.py,sha256={},1", hash(b"x")),
            "`ghost.py` is listed but not in the archive",
        );
        check(&format!("demo.py,sha512={},1", URL_SAFE_NO_PAD.encode([0; 64])), "another hash");
    }

    #[test]
    fn contradictions_are_refused() {
        let check = |name: &str, files: &[(&str, &[u8], bool)], expected: &str| {
            let error = read(name, files).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("other-1.0-py3-none-any.whl", &[], "METADATA names it `Demo_Pkg`, its file name `other`");
        check("demo_pkg-2.0-py3-none-any.whl", &[], "METADATA has version `1.0`, its file name `2.0`");
        check("demo_pkg-1.0.zip", &[], "not a wheel file name");
        check(NAME, &[("x-1.dist-info/METADATA", b"", false)], "more than one .dist-info");
        check(
            NAME,
            &[("demo_pkg-1.0.dist-info/WHEEL", b"Wheel-Version: 2.0\n", false)],
            "`2.0`; kiln reads version 1",
        );
        check(NAME, &[("demo_pkg-1.0.dist-info/WHEEL", b"", false)], "no Wheel-Version");
        check(NAME, &[("demo_pkg-1.0.dist-info/METADATA", b"Name: x\n", false)], "no Version");
        check(NAME, &[("demo_pkg-1.0.data/other/x", b"", false)], "unknown installation folder `other`");
        check(NAME, &[("demo_pkg-1.0.data/x", b"", false)], "none of its installation folders");
        check(
            NAME,
            &[("a.py", b"1", false), ("demo_pkg-1.0.data/purelib/a.py", b"2", false)],
            "two of its files belong at `a.py`",
        );
        check(
            NAME,
            &[("demo_pkg-1.0.dist-info/entry_points.txt", b"[console_scripts]\n../x = a:b\n", false)],
            "cannot be a script's file name",
        );
        assert!(read("demo_pkg-1.0.0-py3-none-any.whl", &[]).is_ok());
    }

    #[test]
    fn damaged_text_is_read_or_refused_by_name() {
        let texts = [
            ("demo_pkg-1.0.dist-info/WHEEL", WHEEL),
            (
                "demo_pkg-1.0.dist-info/METADATA",
                b"Name: Demo_Pkg\nVersion: 1.0\nAuthor-email: \"A\" <a@b>, c\nLicense: x\n       |y\n",
            ),
            (
                "demo_pkg-1.0.dist-info/entry_points.txt",
                b"[console_scripts]\na = b.c:d.e [f]\n[gui_scripts]\n",
            ),
            (
                "demo_pkg-1.0.dist-info/RECORD",
                b"\"a\"\"b\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n",
            ),
        ];
        // A fixed sequence of damage: the same on every run.
        let mut state: u64 = 1;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let damage = [0, b'\n', b'"', b',', b'/', b'.', b'=', b':', b'[', b' ', 0xff, 0xc3];
        for round in 0..4000 {
            let (path, text) = texts[round % texts.len()];
            let mut text = text.to_vec();
            for _ in 0..=next(4) {
                let at = next(text.len());
                text[at] = damage[next(damage.len())];
            }
            // Whether it is refused depends on the damage.
            if let Err(error) = read(NAME, &[("a", b"", false), (path, &text, false)]) {
                assert!(error.to_string().contains(NAME), "{error}");
            }
        }
    }

    #[test]
    fn a_reader_that_lies_or_fails_is_noticed() {
        let members = ["WHEEL", "METADATA", "RECORD"].map(|name| WheelMember {
            path: TreePath::new(&format!("demo_pkg-1.0.dist-info/{name}")).unwrap(),
            executable: false,
            size: 1,
            digest: Digest::of(b"x"),
        });
        let lied = read_wheel::<Infallible>(NAME, &members, &mut |_| Ok(b"y".to_vec())).unwrap_err();
        assert!(lied.to_string().contains("not what was hashed"), "{lied}");
        let failed = read_wheel::<&str>(NAME, &members, &mut |_| Err("disk is gone")).unwrap_err();
        assert!(failed.to_string().contains("disk is gone"), "{failed}");
        let twice = [members[0].clone(), members[0].clone()];
        let twice = read_wheel::<&str>(NAME, &twice, &mut |_| Err("")).unwrap_err();
        assert!(twice.to_string().contains("twice"), "{twice}");
    }
}
