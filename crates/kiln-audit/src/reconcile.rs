//! What the lock says against what is in the tree.
//!
//! The installed side is read from the tree itself, not from what the installer meant to do: each `*.dist-info` folder's
//! METADATA (Core metadata specification) and RECORD ("Recording installed projects", PyPA specifications).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kiln_record::{
    Check, CheckName, Code, Digest, DistributionName, Entry, Finding, MetadataFields, Tree, TreePath, excerpt,
};
use pep440_rs::Version;
use std::collections::BTreeMap;
use std::str::FromStr as _;

/// A distribution that should be in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its name.
    pub name: DistributionName,
    /// Its version, as locked.
    pub version: String,
}

/// A distribution that is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDistribution {
    /// Its name, from METADATA; from the folder's name where METADATA does not tell.
    pub name: DistributionName,
    /// Its version, from the same place.
    pub version: String,
    /// Its `*.dist-info` folder.
    pub dist_info: TreePath,
    /// What METADATA and RECORD say that the tree contradicts, one line each, at most [`MAX_PROBLEMS`] and a count of
    /// the rest.
    pub record_problems: Vec<String>,
    /// Why its modules are not there although its metadata is, if they are not.
    pub hollow: Option<String>,
}

/// Problems listed for one distribution.
pub const MAX_PROBLEMS: usize = 20;

/// Compares the distributions that should be there with those that are.
///
/// Versions are compared as PEP 440 does, so that `1.0` is `1.0.0`.
#[must_use]
pub fn reconcile(expected: &[Expected], found: &[FoundDistribution]) -> (Vec<Finding>, Check) {
    let mut findings = Vec::new();
    let mut by_name: BTreeMap<&DistributionName, Vec<&FoundDistribution>> = BTreeMap::new();
    for distribution in found {
        by_name.entry(&distribution.name).or_default().push(distribution);
    }
    for wanted in expected {
        let there = by_name.get_mut(&wanted.name);
        let matching =
            there.as_ref().and_then(|all| all.iter().position(|d| same_version(&d.version, &wanted.version)));
        match (there, matching) {
            (Some(all), Some(index)) => {
                all.remove(index);
            }
            (Some(all), None) if !all.is_empty() => {
                // One finding for the pair: the one that is there is not also "not locked".
                let other = all.remove(0);
                findings.push(
                    missing(wanted, &format!("the tree holds version {} instead", other.version))
                        .detail(format!("found in `{}`", other.dist_info)),
                );
            }
            _ => findings.push(missing(wanted, "the tree holds no metadata of it")),
        }
    }
    for extra in by_name.into_values().flatten() {
        let twice = expected.iter().any(|e| e.name == extra.name);
        let cause = if twice {
            format!("{} {} is in the tree a second time", extra.name, extra.version)
        } else {
            format!("{} {} is in the tree, but no lock names it", extra.name, extra.version)
        };
        findings.push(
            Finding::new(Code::InstalledNotLocked, format!("{} {}", extra.name, extra.version), cause)
                .detail(format!("found in `{}`", extra.dist_info))
                .remedy("add it to the project's dependencies and lock again: `kiln lock`")
                .remedy("or remove the folder from the artifact's source, if a copy was committed there"),
        );
    }
    for distribution in found.iter().filter(|d| !d.record_problems.is_empty()) {
        let mut finding = Finding::new(
            Code::RecordMismatch,
            format!("{} {}", distribution.name, distribution.version),
            format!(
                "the files of {} {} are not those that its metadata lists",
                distribution.name, distribution.version
            ),
        );
        for problem in &distribution.record_problems {
            finding = finding.detail(problem.as_str());
        }
        findings.push(
            finding
                .remedy("see which input wrote these paths: two distributions, or the artifact's own source over them")
                .remedy("or lock another version, if its wheel is published like this"),
        );
    }
    for distribution in found {
        let Some(why) = &distribution.hollow else { continue };
        let shown = format!("{} {}", distribution.name, distribution.version);
        findings.push(
            Finding::new(
                Code::MetadataWithoutModule,
                shown.as_str(),
                format!("{shown} has its metadata in the artifact, but {why}"),
            )
            .detail(format!("found in `{}`", distribution.dist_info))
            .remedy(
                "look at its wheel: it was built without its modules, as happens with a wrong package folder",
            )
            .remedy(format!("or lock another version of {}", distribution.name)),
        );
    }
    (findings, Check::ran(CheckName::Reconcile, expected.len().max(found.len()), "distributions"))
}

fn missing(wanted: &Expected, why: &str) -> Finding {
    Finding::new(
        Code::LockedNotInstalled,
        format!("{} {}", wanted.name, wanted.version),
        format!("the lock has {} {}, but {why}", wanted.name, wanted.version),
    )
    .remedy("check that no exclusion of the manifest removes its files")
    .remedy("or lock again if the lock is wrong: `kiln lock`")
}

fn same_version(a: &str, b: &str) -> bool {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Finds the distributions of a tree: every `*.dist-info` folder directly in `prefix` (the top if absent; `python` in
/// a layer), in path order. Their METADATA and RECORD are read through `content`, and RECORD is compared with the tree.
///
/// Files of a distribution's folders that RECORD does not list are not looked for here.
///
/// # Errors
/// Whatever `content` returns.
pub fn distributions_in_tree<E>(
    tree: &Tree,
    prefix: Option<&str>,
    content: &mut dyn FnMut(&TreePath) -> Result<Vec<u8>, E>,
) -> Result<Vec<FoundDistribution>, E> {
    let prefix = prefix.unwrap_or("").trim_matches('/');
    let mut folders: Vec<TreePath> = Vec::new();
    for (path, _) in tree.iter() {
        let below = match prefix {
            "" => path.as_str(),
            _ => match path.as_str().strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
                Some(below) => below,
                None => continue,
            },
        };
        let Some((folder, _)) = below.split_once('/') else { continue };
        if folder.ends_with(".dist-info")
            && let Ok(folder) = TreePath::new(&join(prefix, folder))
            && folders.last() != Some(&folder)
        {
            folders.push(folder);
        }
    }
    let mut found = Vec::with_capacity(folders.len());
    for dist_info in folders {
        let mut read = |name: &str| -> Result<Option<Vec<u8>>, E> {
            match TreePath::new(&join(dist_info.as_str(), name)) {
                Ok(path) if matches!(tree.get(&path), Some(Entry::File { .. })) => content(&path).map(Some),
                _ => Ok(None),
            }
        };
        let metadata = read("METADATA")?;
        let record = read("RECORD")?;
        let top_level = read("top_level.txt")?;
        let hollow =
            hollow(tree, prefix, &dist_info, metadata.as_deref(), record.as_deref(), top_level.as_deref());
        let mut distribution = describe(tree, prefix, dist_info, metadata.as_deref(), record.as_deref());
        distribution.hollow = hollow;
        found.push(distribution);
    }
    Ok(found)
}

fn describe(
    tree: &Tree,
    prefix: &str,
    dist_info: TreePath,
    metadata: Option<&[u8]>,
    record: Option<&[u8]>,
) -> FoundDistribution {
    let mut problems = Problems::default();
    let stem = dist_info.file_name().trim_end_matches(".dist-info").to_owned();
    let (folder_name, folder_version) = stem.split_once('-').unwrap_or((&stem, ""));
    let (mut name, mut version) = (None, None);
    match metadata {
        Some(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let fields = MetadataFields::read(&text);
            name = fields.one("Name").and_then(|n| n.parse::<DistributionName>().ok());
            version = fields.one("Version").map(str::to_owned);
            if name.is_none() {
                problems.add(|| format!("`{dist_info}/METADATA` has no valid Name"));
            }
            if version.is_none() {
                problems.add(|| format!("`{dist_info}/METADATA` has no Version"));
            }
        }
        None => problems.add(|| format!("`{dist_info}/METADATA` is missing")),
    }
    match record {
        Some(bytes) => check_record(tree, prefix, &dist_info, &String::from_utf8_lossy(bytes), &mut problems),
        None => problems.add(|| format!("`{dist_info}/RECORD` is missing")),
    }
    FoundDistribution {
        name: name.unwrap_or_else(|| nearest_name(folder_name)),
        version: version.unwrap_or_else(|| folder_version.to_owned()),
        dist_info,
        record_problems: problems.finish(),
        hollow: None,
    }
}

/// Why a distribution with metadata has no module, if it should have one: `top_level.txt` names modules of which none is
/// there, or RECORD lists nothing but the metadata although nothing is required either. A distribution that only requires
/// others needs no file of its own.
fn hollow(
    tree: &Tree,
    prefix: &str,
    dist_info: &TreePath,
    metadata: Option<&[u8]>,
    record: Option<&[u8]>,
    top_level: Option<&[u8]>,
) -> Option<String> {
    let (metadata, record) = (String::from_utf8_lossy(metadata?), String::from_utf8_lossy(record?));
    let listed: Vec<TreePath> = record
        .lines()
        .filter_map(fields)
        .filter_map(|[path, ..]| recorded_path(prefix, &path))
        .filter(|path| !path.is_within(dist_info.as_str()))
        .collect();
    let top_level = top_level.map(String::from_utf8_lossy).unwrap_or_default();
    let named: Vec<&str> = top_level.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_there = |name: &&str| {
        let module = join(prefix, name);
        let folder = format!("{module}/");
        tree.iter().any(|(path, _)| {
            let path = path.as_str();
            path.starts_with(&folder)
                || path
                    .strip_prefix(&module)
                    .is_some_and(|rest| rest == ".py" || rest.starts_with('.') && rest.ends_with(".so"))
        })
    };
    let has_python =
        listed.iter().any(|path| path.as_str().ends_with(".py") || path.as_str().ends_with(".so"));
    if !named.is_empty() && !has_python && !named.iter().any(is_there) {
        return Some(format!("none of the modules that it names is there: {}", named.join(", ")));
    }
    let requires = MetadataFields::read(&metadata).one("Requires-Dist").is_some();
    (listed.is_empty() && !requires).then(|| "no file beside it, and it requires nothing".to_owned())
}

/// A name for a folder that has none: what is valid in its own name.
fn nearest_name(folder: &str) -> DistributionName {
    let kept: String = folder.chars().filter(char::is_ascii_alphanumeric).collect();
    let unnamed = || DistributionName::from_str("unnamed").expect("a constant of letters is a valid name");
    folder.parse().or_else(|_| kept.parse()).unwrap_or_else(|_| unnamed())
}

fn check_record(tree: &Tree, prefix: &str, dist_info: &TreePath, text: &str, problems: &mut Problems) {
    let own = join(dist_info.as_str(), "RECORD");
    let mut lists_itself = false;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let at = number + 1;
        let Some([listed, hash, size]) = fields(line) else {
            problems.add(|| format!("RECORD line {at} does not have three fields"));
            continue;
        };
        let Some(path) = recorded_path(prefix, &listed) else {
            problems.add(|| format!("RECORD line {at} names `{}`, outside the tree", excerpt(&listed)));
            continue;
        };
        lists_itself |= path.as_str() == own;
        let entry = tree.get(&path);
        if hash.is_empty() {
            // Only RECORD itself and bytecode may be listed without a hash, and bytecode may be left out.
            if entry.is_none() && !listed.ends_with(".pyc") {
                problems.add(|| format!("`{path}` is listed but missing"));
            }
            continue;
        }
        let Some(Entry::File { digest, size: actual, .. }) = entry else {
            problems.add(|| match entry {
                None => format!("`{path}` is listed but missing"),
                Some(_) => format!("`{path}` is listed as a file but is a link"),
            });
            continue;
        };
        match hash.split_once('=') {
            Some(("sha256", encoded)) => {
                let stated = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
                let stated = stated.and_then(|b| <[u8; 32]>::try_from(b).ok()).map(Digest::from_bytes);
                if stated != Some(*digest) {
                    problems.add(|| {
                        format!("`{path}` has other content: RECORD says {hash}, the file is {digest}")
                    });
                    continue;
                }
            }
            Some((algorithm, _)) => {
                problems.add(|| format!("`{path}` is hashed with {}, not sha256", excerpt(algorithm)));
            }
            None => problems.add(|| format!("RECORD line {at} has a hash without algorithm")),
        }
        if !size.is_empty() && size.parse() != Ok(*actual) {
            problems.add(|| format!("`{path}` has {actual} bytes: RECORD says {}", excerpt(&size)));
        }
    }
    if !lists_itself {
        problems.add(|| "RECORD does not list itself".to_owned());
    }
}

/// The path that RECORD means: relative to the folder that holds `*.dist-info`, with `..` for installation schemes. None for
/// what is absolute or leads out of the tree.
#[must_use]
pub fn recorded_path(prefix: &str, listed: &str) -> Option<TreePath> {
    if listed.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = prefix.split('/').filter(|p| !p.is_empty()).collect();
    for part in listed.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    TreePath::new(&parts.join("/")).ok()
}

/// The three fields of a RECORD line: CSV with `"` as quote, doubled inside (Python's `csv` defaults).
fn fields(line: &str) -> Option<[String; 3]> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields.try_into().ok()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Collects problems up to the limit and counts the rest.
#[derive(Default)]
struct Problems {
    lines: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < MAX_PROBLEMS { self.lines.push(line()) } else { self.more += 1 }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Mode;
    use std::convert::Infallible;

    type Files = BTreeMap<String, Vec<u8>>;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(p, c)| ((*p).to_owned(), c.as_bytes().to_vec())).collect()
    }

    fn read(files: &Files, prefix: Option<&str>) -> Vec<FoundDistribution> {
        let tree: Tree = files
            .iter()
            .map(|(path, content)| {
                let entry = Entry::File {
                    digest: Digest::of(content),
                    size: content.len() as u64,
                    mode: Mode::Plain,
                };
                (TreePath::new(path).unwrap(), entry)
            })
            .collect();
        let mut content = |path: &TreePath| Ok::<_, Infallible>(files[path.as_str()].clone());
        distributions_in_tree(&tree, prefix, &mut content).unwrap()
    }

    fn line(path: &str, content: &str) -> String {
        let digest = URL_SAFE_NO_PAD.encode(Digest::of(content.as_bytes()).as_bytes());
        format!("{path},sha256={digest},{}\n", content.len())
    }

    fn six() -> Files {
        let metadata = "Metadata-Version: 2.1\nName: Six\nVersion: 1.17.0\n\nName: not a header\n";
        let record = line("six.py", "x = 1\n")
            + &line("six-1.17.0.dist-info/METADATA", metadata)
            + "six-1.17.0.dist-info/RECORD,,\n__pycache__/six.cpython-313.pyc,,\n";
        files(&[
            ("six.py", "x = 1\n"),
            ("six-1.17.0.dist-info/METADATA", metadata),
            ("six-1.17.0.dist-info/RECORD", &record),
        ])
    }

    fn expected(name: &str, version: &str) -> Expected {
        Expected { name: name.parse().unwrap(), version: version.to_owned() }
    }

    #[test]
    fn a_sound_distribution_is_found_without_problems() {
        let found = read(&six(), None);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("six", "1.17.0"));
        assert_eq!(found[0].record_problems, [""; 0]);
        let (findings, check) = reconcile(&[expected("six", "1.17")], &found);
        assert_eq!(findings, []);
        assert_eq!(check, Check::ran(CheckName::Reconcile, 1, "distributions"));
    }

    #[test]
    fn a_layer_keeps_its_distributions_below_python() {
        let layer: Files = six().into_iter().map(|(p, c)| (format!("python/{p}"), c)).collect();
        assert_eq!(read(&layer, Some("python"))[0].record_problems, [""; 0]);
        assert_eq!(read(&layer, None), []);
    }

    #[test]
    fn a_changed_a_missing_and_an_escaping_file_are_told() {
        let mut files = six();
        files.insert("six.py".to_owned(), b"y = 22\n".to_vec());
        let record = files.get_mut("six-1.17.0.dist-info/RECORD").unwrap();
        record.extend_from_slice(b"gone.py,sha256=AAAA,3\n../../etc/passwd,,\n\"a,\"\"b\",,\nodd\n");
        let problems = &read(&files, None)[0].record_problems;
        let has = |words: &str| assert!(problems.iter().any(|p| p.contains(words)), "{words}: {problems:?}");
        has("`six.py` has other content");
        has("`gone.py` is listed but missing");
        has("outside the tree");
        has("`a,\"b` is listed but missing");
        has("line 8 does not have three fields");
        let (findings, _) = reconcile(&[expected("six", "1.17.0")], &read(&files, None));
        assert_eq!(findings.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::RecordMismatch]);
    }

    #[test]
    fn missing_extra_and_other_versions_are_told_apart() {
        let found = read(&six(), None);
        let (findings, _) = reconcile(&[expected("idna", "3.10")], &found);
        let codes: Vec<Code> = findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, [Code::LockedNotInstalled, Code::InstalledNotLocked]);
        let (findings, _) = reconcile(&[expected("six", "1.16.0")], &found);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].cause.contains("1.17.0 instead"));
    }

    #[test]
    fn a_folder_without_metadata_is_still_a_distribution() {
        let files = files(&[("Foo_Bar-1.0.dist-info/INSTALLER", "x"), ("(!)-2.dist-info/x", "y")]);
        let found = read(&files, None);
        let names: Vec<&str> = found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["unnamed", "foo-bar"]);
        assert!(found.iter().all(|d| d.record_problems.len() == 2));
    }

    #[test]
    fn metadata_without_modules_is_told_from_a_distribution_that_only_requires() {
        let metadata = "Metadata-Version: 2.1\nName: hollow\nVersion: 1.0\n";
        let hollow = |metadata: &str, more: &[(&str, &str)]| {
            let record = line("hollow-1.0.dist-info/METADATA", metadata) + "hollow-1.0.dist-info/RECORD,,\n";
            let record = more.iter().fold(record, |all, (path, content)| all + &line(path, content));
            let mut files = files(more);
            files.insert("hollow-1.0.dist-info/METADATA".to_owned(), metadata.as_bytes().to_vec());
            files.insert("hollow-1.0.dist-info/RECORD".to_owned(), record.into_bytes());
            read(&files, None).remove(0).hollow
        };
        assert!(hollow(metadata, &[]).unwrap().contains("no file beside it"));
        assert_eq!(hollow(&format!("{metadata}Requires-Dist: six\n"), &[]), None);
        assert_eq!(hollow(metadata, &[("hollow/data.json", "{}")]), None);
        let named = hollow(
            &format!("{metadata}Requires-Dist: six\n"),
            &[("hollow-1.0.dist-info/top_level.txt", "hollow\n"), ("other/data.json", "{}")],
        );
        assert!(named.unwrap().contains("none of the modules that it names is there: hollow"));
        let there = [("hollow-1.0.dist-info/top_level.txt", "_x\nhollow\n"), ("hollow.py", "")];
        assert_eq!(hollow(metadata, &there), None);
    }

    #[test]
    fn problems_are_bounded() {
        let mut files = six();
        let record = files.get_mut("six-1.17.0.dist-info/RECORD").unwrap();
        record.extend("bad\n".repeat(1000).into_bytes());
        assert_eq!(read(&files, None)[0].record_problems.len(), MAX_PROBLEMS + 1);
    }
}
