//! The rules by which what a Dockerfile made is brought into one form. Times and the order of entries are not among them:
//! layers are written anew from what is left here, without either.

use kiln_audit::recorded_path;
use kiln_image::{FileSystem, Node, NodeContent};
use kiln_record::{Digest, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// The files of the image whose content a rule changed, by the rule's name. What rules take away is not told: how much a run
/// leaves behind differs from run to run.
pub(crate) type AppliedRules = BTreeMap<String, BTreeSet<TreePath>>;

/// A rule that takes files away: the base's stay as they are there.
struct Rule {
    name: &'static str,
    /// Whether it holds for a path.
    applies: fn(&str) -> bool,
}

const ENGINE_FILES: &str = "engine-files";
const OWN: &str = "own-dockerfile";
const BYTECODE: &str = "bytecode";
const TARGET_SCRIPTS: &str = "target-scripts";

const RULES: [Rule; 4] = [
    // What engines put in place while a container runs.
    Rule {
        name: ENGINE_FILES,
        applies: |path| {
            matches!(path, ".dockerenv" | "etc/hosts" | "etc/hostname" | "etc/resolv.conf" | "etc/mtab")
                || matches!(path, "etc/machine-id" | "var/lib/dbus/machine-id")
                || ["dev", "proc", "sys"].contains(&first(path))
        },
    },
    Rule {
        name: "package-caches",
        applies: |path| {
            below(
                path,
                &["var/cache/apt", "var/lib/apt/lists", "var/cache/dnf", "var/cache/yum", "var/cache/apk"],
            ) || below(path, &["var/cache/debconf", "root/.npm/_cacache"])
                || path == "var/cache/ldconfig/aux-cache"
                || path.contains("/.cache/pip/")
        },
    },
    Rule {
        name: "package-logs",
        applies: |path| {
            below(path, &["var/log/apt"])
                || [
                    "dpkg.log",
                    "alternatives.log",
                    "bootstrap.log",
                    "lastlog",
                    "faillog",
                    "tallylog",
                    "wtmp",
                    "btmp",
                ]
                .iter()
                .chain(&["dnf.log", "dnf.librepo.log", "dnf.rpm.log", "hawkey.log", "yum.log"])
                .any(|name| path.strip_prefix("var/log/") == Some(name))
        },
    },
    // What programs keep of a file before they change it.
    Rule {
        name: "backups",
        applies: |path| {
            ["passwd-", "shadow-", "group-", "gshadow-", "subuid-", "subgid-", ".pwd.lock"]
                .iter()
                .any(|name| path.strip_prefix("etc/") == Some(name))
                || path.starts_with("var/lib/dpkg/") && path.ends_with("-old")
                || path == "var/lib/dpkg/lock"
                || path == "var/lib/dpkg/lock-frontend"
        },
    },
];

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn below(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// What reads and keeps the content of files for the rules that look inside.
pub(crate) trait Contents {
    type Error;
    fn read(&mut self, digest: &Digest) -> Result<Vec<u8>, Self::Error>;
    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, Self::Error>;
}

/// Brings a state into its form: what `base` is not the reason of. `own` are the names that were added to the context.
pub(crate) fn normalise<C: Contents>(
    state: &mut FileSystem,
    base: &FileSystem,
    own: &BTreeSet<String>,
    contents: &mut C,
) -> Result<AppliedRules, C::Error> {
    let mut applied = AppliedRules::new();
    let mut has_no_bytecode = false;
    let new: Vec<(TreePath, Node)> = state
        .iter()
        .filter(|(path, node)| base.get(path) != Some(node))
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect();
    let new_paths: BTreeSet<&TreePath> = new.iter().map(|(path, _)| path).collect();
    for (path, node) in &new {
        let rule = RULES.iter().find(|rule| (rule.applies)(path.as_str())).map(|rule| rule.name);
        let rule = rule.or_else(|| path.as_str().split('/').any(|name| own.contains(name)).then_some(OWN));
        let rule = match rule {
            Some(rule) => Some(rule),
            None if is_stale_bytecode(path, node, contents)? => Some(BYTECODE),
            None => None,
        };
        if let Some(rule) = rule {
            match base.get(path) {
                Some(before) => state.put(path.clone(), before.clone()),
                // An empty folder harms nobody, and something may expect it.
                None if node.content == NodeContent::Folder && rule != ENGINE_FILES && rule != OWN => {
                    continue;
                }
                None => state.remove(path.as_str(), true),
            }
            has_no_bytecode |= rule == BYTECODE;
        } else if path.as_str() == "etc/shadow"
            && let NodeContent::File { digest, .. } = &node.content
        {
            let bytes = contents.read(digest)?;
            let before = match base.get(path).map(|node| &node.content) {
                Some(NodeContent::File { digest, .. }) => contents.read(digest).unwrap_or_default(),
                _ => Vec::new(),
            };
            if let Some(undated) = without_days(&bytes, &before) {
                let kept = NodeContent::File { digest: contents.keep(&undated)?, size: undated.len() as u64 };
                state.put(path.clone(), Node { content: kept, ..node.clone() });
                applied.entry("password-days".to_owned()).or_default().insert(path.clone());
            }
        }
    }
    mend_records(state, &new, has_no_bytecode, &mut applied, contents)?;
    // Cache folders of bytecode that hold nothing any more.
    for path in new_paths.iter().rev().filter(|path| path.file_name() == "__pycache__") {
        let is_empty = !state.iter().any(|(other, _)| *other != **path && other.is_within(path.as_str()));
        if is_empty && base.get(path).is_none() {
            state.remove(path.as_str(), true);
        }
    }
    Ok(applied)
}

/// Whether a file is bytecode that holds for a source of one time (PEP 552): its source has none any more, or is gone, so
/// that Python would never use it.
fn is_stale_bytecode<C: Contents>(path: &TreePath, node: &Node, contents: &mut C) -> Result<bool, C::Error> {
    let NodeContent::File { digest, .. } = &node.content else { return Ok(false) };
    if !path.parent().ends_with("__pycache__") || !path.file_name().ends_with(".pyc") {
        return Ok(false);
    }
    let bytes = contents.read(digest)?;
    Ok(bytes.get(4..8) == Some(&[0; 4]))
}

/// Lets the RECORD of each new distribution say what is there: nothing of bytecode that is gone, and scripts where
/// `pip install --target` puts them, which RECORD is not told.
fn mend_records<C: Contents>(
    state: &mut FileSystem,
    new: &[(TreePath, Node)],
    has_no_bytecode: bool,
    applied: &mut AppliedRules,
    contents: &mut C,
) -> Result<(), C::Error> {
    for (path, node) in new {
        let NodeContent::File { digest, .. } = &node.content else { continue };
        if path.file_name() != "RECORD" || !path.parent().ends_with(".dist-info") {
            continue;
        }
        let bytes = contents.read(digest)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let site = path.parent().rsplit_once('/').map_or("", |(above, _)| above);
        let is_there =
            |listed: &str| recorded_path(site, listed).is_some_and(|listed| state.get(&listed).is_some());
        let (mut mended, mut rules) = (String::new(), BTreeSet::new());
        for line in text.split_inclusive('\n') {
            let listed = line.rsplitn(3, ',').nth(2).unwrap_or_default();
            if is_there(listed.trim_matches('"')) {
                mended.push_str(line);
            } else if listed.ends_with(".pyc") && has_no_bytecode {
                rules.insert(BYTECODE);
            } else if let Some(script) = listed.strip_prefix("../../bin/")
                && is_there(&format!("bin/{script}"))
            {
                mended.push_str(&line.replacen("../../bin/", "bin/", 1));
                rules.insert(TARGET_SCRIPTS);
            } else {
                mended.push_str(line);
            }
        }
        if !rules.is_empty() {
            let content =
                NodeContent::File { digest: contents.keep(mended.as_bytes())?, size: mended.len() as u64 };
            state.put(path.clone(), Node { content, ..node.clone() });
            for rule in rules {
                applied.entry(rule.to_owned()).or_default().insert(path.clone());
            }
        }
    }
    Ok(())
}

/// `/etc/shadow` without the day of the last change (shadow(5), third field) in lines that the base does not have; none if
/// there is no such day.
fn without_days(bytes: &[u8], before: &[u8]) -> Option<Vec<u8>> {
    let (text, before) = (std::str::from_utf8(bytes).ok()?, std::str::from_utf8(before).unwrap_or_default());
    let there: BTreeSet<&str> = before.lines().collect();
    let mut undated = String::new();
    for line in text.split_inclusive('\n') {
        let mut fields: Vec<&str> = line.split(':').collect();
        if !there.contains(line.trim_end_matches('\n')) && fields.len() > 3 {
            fields[2] = "";
        }
        undated.push_str(&fields.join(":"));
    }
    (undated != text).then(|| undated.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[derive(Default)]
    struct Memory(BTreeMap<Digest, Vec<u8>>);

    impl Contents for Memory {
        type Error = Infallible;
        fn read(&mut self, digest: &Digest) -> Result<Vec<u8>, Infallible> {
            Ok(self.0.get(digest).cloned().unwrap_or_default())
        }
        fn keep(&mut self, bytes: &[u8]) -> Result<Digest, Infallible> {
            let digest = Digest::of(bytes);
            self.0.insert(digest, bytes.to_vec());
            Ok(digest)
        }
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn state(memory: &mut Memory, files: &[(&str, &[u8])]) -> FileSystem {
        let mut state = FileSystem::new();
        for (name, bytes) in files {
            let digest = memory.keep(bytes).unwrap();
            let content = NodeContent::File { digest, size: bytes.len() as u64 };
            let node = Node { content, mode: 0o644, user: 0, group: 0, xattrs: BTreeMap::new() };
            state.put(path(name), node);
        }
        state
    }

    #[test]
    fn what_runs_leave_behind_is_taken_away_and_the_rest_is_kept() {
        let mut memory = Memory::default();
        let base = state(&mut memory, &[("etc/hosts", b"base"), ("etc/shadow", b"root:*:1:0:::::\n")]);
        let timed: &[u8] = b"MAGC\0\0\0\0timesize";
        let hashed: &[u8] = b"MAGC\x01\0\0\0hashhash";
        let mut after = state(
            &mut memory,
            &[
                (".dockerenv", b""),
                ("dev/console", b""),
                ("etc/hosts", b"127.0.0.1 x"),
                ("etc/passwd-", b"old"),
                ("etc/shadow", b"root:*:1:0:::::\napp:!:20420:0:99999:7:::\n"),
                ("root/.cache/pip/x", b"cache"),
                ("root/.cache/model/w", b"mine"),
                ("var/cache/apt/pkgcache.bin", b"cache"),
                ("var/log/dpkg.log", b"2026-11-28"),
                ("var/log/app.log", b"mine"),
                ("app/m.py", b"pass"),
                ("app/__pycache__/m.cpython-313.pyc", timed),
                ("app/d-1.dist-info/RECORD", b"m.py,sha256=x,4\n__pycache__/m.cpython-313.pyc,,\n../../bin/run,sha256=y,1\nd-1.dist-info/RECORD,,\n"),
                ("app/bin/run", b"#!"),
                ("lib/n.py", b"pass"),
                ("lib/__pycache__/n.cpython-313.pyc", hashed),
                ("lib/__pycache__/gone.cpython-313.pyc", timed),
                ("src/.kiln-12.dockerfile", b"FROM x"),
                ("src/.kiln-34.heredoc/motd", b"hello"),
                ("run/app/.keep", b""),
            ],
        );
        let own = [".kiln-12.dockerfile", ".kiln-34.heredoc"].map(str::to_owned).into();
        let applied = normalise(&mut after, &base, &own, &mut memory).unwrap();
        let left: Vec<&str> = after
            .iter()
            .filter(|(_, node)| node.content != NodeContent::Folder)
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(
            left,
            [
                "app/bin/run",
                "app/d-1.dist-info/RECORD",
                "app/m.py",
                "etc/hosts",
                "etc/shadow",
                "lib/__pycache__/n.cpython-313.pyc",
                "lib/n.py",
                "root/.cache/model/w",
                "run/app/.keep",
                "var/log/app.log",
            ]
        );
        assert_eq!(after.get(&path("etc/hosts")), base.get(&path("etc/hosts")));
        let NodeContent::File { digest, .. } = after.get(&path("etc/shadow")).unwrap().content else {
            panic!()
        };
        assert_eq!(memory.read(&digest).unwrap(), b"root:*:1:0:::::\napp:!::0:99999:7:::\n");
        let record = after.get(&path("app/d-1.dist-info/RECORD")).unwrap();
        let NodeContent::File { digest, .. } = record.content else { panic!() };
        assert_eq!(
            memory.read(&digest).unwrap(),
            b"m.py,sha256=x,4\nbin/run,sha256=y,1\nd-1.dist-info/RECORD,,\n"
        );
        assert!(after.get(&path("src/.kiln-34.heredoc")).is_none());
        assert!(after.get(&path("app/__pycache__")).is_none() && after.get(&path("dev")).is_none());
        let rules: Vec<(&str, usize)> =
            applied.iter().map(|(rule, files)| (rule.as_str(), files.len())).collect();
        assert_eq!(rules, [("bytecode", 1), ("password-days", 1), ("target-scripts", 1)]);
    }
}
