//! The same workspace gives the same bytes, whoever builds it, where and how.

use crate::harness::{Kiln, Sandbox, copy_cargo_home, published_repository, repository};
use crate::lacking;
use fs_err as fs;
use kiln_record::{Digest, exit};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Writes the golden digests instead of checking them.
const REWRITE: &str = "KILN_TESTS_WRITE_GOLDEN";
const REWRITE_COMMAND: &str =
    "KILN_TESTS_WRITE_GOLDEN=1 cargo test --release -p kiln-tests --test it golden_digests";
/// Somebody without a name, who owns nothing on this machine.
const ANOTHER_USER: u32 = 54_321;

/// Mode and digest of each file of a `dist/`.
type Listing = BTreeMap<String, (u32, Digest)>;

#[test]
fn same_bytes_everywhere() {
    // One build: this user, umask 022, TZ=UTC, LC_ALL=C, four jobs, the store that the tests share.
    let one = published_repository();

    // The other: another path and user, files as a clone under umask 077 makes them, in another order and of another
    // time, another zone and locale, one job, an empty store. The clock differs because the build is later: nothing but
    // the ledger may notice.
    let other = Sandbox::of_repository();
    age_and_close(&other.root());
    let store = tempfile::Builder::new().prefix("a store, ünd empty ").tempdir().unwrap();
    let program = store.path().join("kiln");
    fs::copy(Kiln::program(), &program).unwrap();
    let cargo = store.path().join("cargo");
    copy_cargo_home(&cargo);
    let mut user = rustix::process::geteuid().as_raw();
    let mut kiln = other
        .kiln()
        .with_program(&program)
        .with_store(&store.path().join("store"))
        .with_variable("CARGO_HOME", cargo.to_str().unwrap())
        .with_variable("TZ", "Pacific/Kiritimati")
        .with_variable("LANG", "tr_TR.UTF-8")
        .with_variable("LC_ALL", "tr_TR.UTF-8")
        .in_shell("umask 077; exec \"$@\"");
    if let Some(group) = lacking::ANOTHER_USER.unless(another_user()) {
        give(other.folder(), group);
        give(store.path(), group);
        kiln = kiln.with_user(ANOTHER_USER, group);
        user = ANOTHER_USER;
    }
    kiln.run(["build", "--all", "--jobs", "1"]).ends_with(exit::SUCCESS);
    assert_eq!(fs::metadata(other.path("dist/index.json")).unwrap().uid(), user, "who built it");
    assert_same(
        &listing(one),
        &listing(&other),
        "another user, path, umask, zone, locale, job count, empty store",
    );

    // Once more where the store is warm and everything is there already.
    kiln.run(["build", "--jobs", "4", "--force", "dashboard", "waf-reputation-list"])
        .ends_with(exit::SUCCESS);
    assert_same(&listing(one), &listing(&other), "a warm store");
}

#[test]
fn golden_digests() {
    let file = repository().join("tests/golden/digests.toml");
    let committed = fs::read_to_string(&file).unwrap();
    let golden: BTreeMap<String, String> = toml::from_str(&committed).unwrap();
    assert!(golden.len() >= 4, "{} names artifacts", file.display());
    let built = published_repository();
    let found: BTreeMap<String, String> = golden
        .keys()
        .map(|name| (name.clone(), Digest::of(&built.read(&format!("dist/{name}/{name}.zip"))).hex()))
        .collect();
    if std::env::vars_os().any(|(name, _)| name == REWRITE) {
        let comments: String = committed
            .lines()
            .take_while(|line| line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let lines: String = found.iter().map(|(name, digest)| format!("{name} = \"{digest}\"\n")).collect();
        fs::write(&file, format!("{comments}\n{lines}")).unwrap();
        return;
    }
    let differing: Vec<String> = found
        .iter()
        .filter(|(name, digest)| golden[*name] != **digest)
        .map(|(name, digest)| format!("{name}: {} is committed, {digest} was built", golden[name]))
        .collect();
    assert!(
        differing.is_empty(),
        "archives are not the golden ones:\n{}\nIf they were meant to change, write them anew and say why in the \
         commit:\n  {REWRITE_COMMAND}",
        differing.join("\n")
    );
}

/// Fails the test with a list of what differs.
#[track_caller]
fn assert_same(one: &Listing, other: &Listing, how: &str) {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing: Vec<String> = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| format!("{name}: {:?} and {:?}", one.get(name), other.get(name)))
        .collect();
    assert!(differing.is_empty(), "built with {how}, these differ:\n{}", differing.join("\n"));
    let manifests = fs::read_dir(repository().join("manifests")).unwrap();
    let files = manifests.map(|entry| entry.unwrap().path());
    // kiln's own release is built on request.
    let of_all = files.filter(|file| {
        file.extension().is_some_and(|extension| extension == "toml")
            && !fs::read_to_string(file).unwrap().contains("on-request = true")
    });
    let artifacts: BTreeSet<String> =
        of_all.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let built: BTreeSet<&str> = one.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    assert_eq!(built, artifacts.iter().map(String::as_str).collect(), "every artifact was built");
}

fn listing(sandbox: &Sandbox) -> Listing {
    let mode = |name: &str| fs::metadata(sandbox.path("dist").join(name)).unwrap().mode() & 0o7777;
    sandbox
        .dist()
        .into_iter()
        .map(|(name, content)| (name.clone(), (mode(&name), Digest::of(&content))))
        .collect()
}

/// The group that another user needs for the engine, or why there can be no other user.
fn another_user() -> Result<u32, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can start a process as another user".to_owned());
    }
    let host = std::env::vars().find(|(name, _)| name == "DOCKER_HOST").map(|(_, host)| host);
    let socket = match host.as_deref() {
        None | Some("") => PathBuf::from("/var/run/docker.sock"),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => PathBuf::from(path),
            // Whoever can connect may use it.
            None => return Ok(ANOTHER_USER),
        },
    };
    let metadata = fs::metadata(&socket).map_err(|error| error.to_string())?;
    if metadata.mode() & 0o060 != 0o060 {
        return Err(format!("no group may use {}", socket.display()));
    }
    Ok(metadata.gid())
}

/// Gives a folder and everything in it to the other user.
fn give(path: &Path, group: u32) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), group);
        }
    }
    chown(path, Some(ANOTHER_USER), Some(group)).unwrap();
}

/// Makes every file anew in reverse order, readable for its owner alone, with a time long ago.
fn age_and_close(path: &Path) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().rev().for_each(|entry| age_and_close(entry));
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        return;
    }
    let content = fs::read(path).unwrap();
    let mode = fs::metadata(path).unwrap().mode() & 0o700;
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 400);
    fs::OpenOptions::new().append(true).open(path).unwrap().file().set_modified(long_ago).unwrap();
}
