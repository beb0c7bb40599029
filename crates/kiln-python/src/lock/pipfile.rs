//! `Pipfile.lock` of Pipenv (`pipfile-spec` 6), with its `Pipfile` if that is there.
//!
//! The lock is JSON: one section for each category of packages, each a flat list for the one environment that
//! it was resolved in. What did not apply there is kept as a name with a marker, without version and files.

use super::file_place::FilePlace;
use super::locked::{Lock, LockFormat, Locked, LockedFile, LockedIndex, WeakFile};
use super::pipfile_hash::is_fresh;
use crate::input::{
    InputProblem, Lines, ProblemKind, get_str, get_strings, get_table, parse_toml, too_large,
    without_credentials,
};
use crate::project::{Declared, RequiresPython};
use crate::specifier::{Constraint, Marker, Variable, all_markers, normal_extra, poetry_constraint};
use kiln_record::{Digest, DistributionName};
use pep440_rs::Version;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// Reads a Pipenv lock, and checks that it belongs to its `Pipfile` if that is given as name and text.
///
/// The section `default` is the group `main`, `develop` is `dev`, and every other category keeps its name.
///
/// # Errors
/// Every problem of both files; a lock that was made for another state of the `Pipfile` is
/// [`ProblemKind::LockStale`].
pub fn parse_pipfile(
    lock_file: &str,
    lock: &str,
    pipfile: Option<(&str, &str)>,
) -> Result<Lock, Vec<InputProblem>> {
    if let Some(problem) = too_large(lock_file, lock.len(), 0) {
        return Err(vec![problem]);
    }
    let text = lock.strip_prefix('\u{feff}').unwrap_or(lock);
    let root: Value = serde_json::from_str(text).map_err(|error| {
        let message = format!("not valid JSON: {error}");
        vec![InputProblem::new(ProblemKind::Invalid, lock_file, Some(error.line()), message)]
    })?;
    let lines = key_lines(text);
    let mut reader = Reader { file: lock_file, lines: &lines, problems: Vec::new() };
    let (Some(root), Some(meta)) = (root.as_object(), root.get("_meta").and_then(Value::as_object)) else {
        reader.problem(ProblemKind::Invalid, None, "not a lock of Pipenv: it has no `_meta`");
        return Err(reader.problems);
    };
    let specification = meta.get("pipfile-spec").and_then(Value::as_u64);
    if specification != Some(6) {
        let shown = specification.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let message = format!("`pipfile-spec` {shown} is not supported; 6 is");
        reader.problem(ProblemKind::Unsupported, reader.line(&["_meta", "pipfile-spec"]), message);
    }
    let mut requires_python = reader.requires_python(meta);
    let mut distributions = reader.sections(root);
    for one in &mut distributions {
        if let LockedIndex::Named(name) = &one.index {
            one.index = source_url(meta, name).map_or(LockedIndex::Unsaid, LockedIndex::Url);
        }
    }
    let mut groups: BTreeSet<String> =
        root.keys().filter(|key| *key != "_meta").map(|key| group(key)).collect();
    groups.insert("main".to_owned());
    let declared = match pipfile {
        Some((file, text)) => match reader.pipfile(file, text, meta) {
            Ok((declared, requires)) => {
                // The words to change are those of the Pipfile.
                if let (Some(python), Some(line)) = (&mut requires_python, requires) {
                    file.clone_into(&mut python.file);
                    python.line = line;
                }
                declared
            }
            Err(found) => {
                reader.problems.extend(found);
                Vec::new()
            }
        },
        None => Vec::new(),
    };
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    groups.extend(declared.iter().map(|one| one.group.clone()));
    Ok(Lock {
        format: LockFormat::Pipfile,
        name: lock_file.to_owned(),
        requires_python,
        declared,
        distributions,
        groups: groups.into_iter().collect(),
        extras: Vec::new(),
        default_groups: Vec::new(),
        environments: Vec::new(),
        overridden: Vec::new(),
        conflicts: Vec::new(),
        root: None,
        made_by: Some("pipenv lock".to_owned()),
        remarks: Vec::new(),
    })
}

/// The URL of one of the lock's sources, without credentials.
fn source_url(meta: &Map<String, Value>, name: &str) -> Option<String> {
    let sources = meta.get("sources")?.as_array()?;
    let source = sources.iter().find(|source| source.get("name").and_then(Value::as_str) == Some(name))?;
    source.get("url")?.as_str().map(without_credentials)
}

/// The dependency group that a section of the lock or of the `Pipfile` is.
fn group(section: &str) -> String {
    match section {
        "default" | "packages" => "main".to_owned(),
        "develop" | "dev-packages" => "dev".to_owned(),
        other => normal_extra(other),
    }
}

struct Reader<'a> {
    file: &'a str,
    lines: &'a BTreeMap<(String, String), usize>,
    problems: Vec<InputProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, kind: ProblemKind, line: Option<usize>, message: impl Into<String>) {
        self.problems.push(
            InputProblem::new(kind, self.file, line, message).remedy("make the lock again: pipenv lock"),
        );
    }

    /// The line of a key of the first or second level.
    fn line(&self, path: &[&str]) -> Option<usize> {
        let (first, second) = (path.first()?, path.get(1).unwrap_or(&""));
        self.lines.get(&((*first).to_owned(), (*second).to_owned())).copied()
    }

    fn requires_python(&mut self, meta: &Map<String, Value>) -> Option<RequiresPython> {
        let requires = meta.get("requires")?.as_object()?;
        let full = requires.get("python_full_version").and_then(Value::as_str);
        let minor = requires.get("python_version").and_then(Value::as_str).filter(|text| *text != "*");
        let (text, specifier) = match (full, minor) {
            (Some(full), _) => (full, format!("=={full}")),
            (None, Some(minor)) if minor.starts_with(|c: char| c.is_ascii_digit()) => {
                (minor, format!("=={}.*", minor.trim_end_matches(".*")))
            }
            (None, Some(minor)) => (minor, minor.to_owned()),
            (None, None) => return None,
        };
        let line = self.line(&["_meta", "requires"]);
        match Constraint::pep440(&specifier) {
            Ok(constraint) => Some(RequiresPython {
                // Written as the constraint that it means: `3.11` stands for every 3.11 release.
                text: constraint.to_string(),
                file: self.file.to_owned(),
                line: line.unwrap_or(1),
                constraint,
            }),
            Err(_) => {
                let message = format!("`{text}` is not a version of Python");
                self.problem(ProblemKind::Invalid, line, message);
                None
            }
        }
    }

    fn sections(&mut self, root: &Map<String, Value>) -> Vec<Locked> {
        let count = root.values().filter_map(Value::as_object).map(Map::len).sum();
        if let Some(problem) = too_large(self.file, 0, count) {
            self.problems.push(problem);
            return Vec::new();
        }
        let mut locked: Vec<Locked> = Vec::new();
        for (section, entries) in root.iter().filter(|(section, _)| *section != "_meta") {
            let Some(entries) = entries.as_object() else {
                let message = format!("`{section}` is not an object");
                self.problem(ProblemKind::Invalid, self.line(&[section]), message);
                continue;
            };
            for (name, entry) in entries {
                let line = self.line(&[section, name]);
                match read_entry(self.file, name, entry, line.unwrap_or(1), &group(section)) {
                    Err(message) => self.problem(ProblemKind::Invalid, line, message),
                    Ok(one) => match locked.iter_mut().find(|other| is_same(other, &one)) {
                        Some(other) => other.groups.extend(one.groups),
                        None => locked.push(one),
                    },
                }
            }
        }
        locked.sort_by_key(|one| one.line);
        locked
    }

    /// What the `Pipfile` declares and where it names a Python, after a look at whether the lock belongs to
    /// it.
    fn pipfile(
        &mut self,
        file: &str,
        text: &str,
        meta: &Map<String, Value>,
    ) -> Result<(Vec<Declared>, Option<usize>), Vec<InputProblem>> {
        let root = parse_toml(file, text)?;
        let root = root.get_ref();
        let hash = meta.get("hash").and_then(|hash| hash.get("sha256")).and_then(Value::as_str).unwrap_or("");
        if !is_fresh(root, meta.get("sources"), hash) {
            let message = format!("the lock was made for another {file}: it has changed since");
            self.problem(ProblemKind::LockStale, self.line(&["_meta", "hash"]), message);
            if let Some(problem) = self.problems.last_mut() {
                problem.remedy.push(format!("or take back the change in {file}"));
            }
        }
        let requires = get_table(root, "requires").and_then(|requires| {
            ["python_full_version", "python_version"].into_iter().find_map(|key| requires.get(key))
        });
        let line = requires.map(|value| Lines::new(text).of(value.span().start));
        Ok((declared(file, text, root)?, line))
    }
}

/// Whether two sections lock the same: then it is one distribution that belongs to both.
fn is_same(a: &Locked, b: &Locked) -> bool {
    a.name == b.name
        && a.version == b.version
        && a.markers == b.markers
        && a.files == b.files
        && a.extras == b.extras
        && a.not_from_index == b.not_from_index
}

fn read_entry(
    lock_file: &str,
    name: &str,
    entry: &Value,
    line: usize,
    group: &str,
) -> Result<Locked, String> {
    let name: DistributionName = name.parse().map_err(|e| format!("{e}"))?;
    let entry = entry.as_object().ok_or_else(|| format!("{name} is not an object"))?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let strings = |key: &str| -> Vec<&str> {
        entry.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let version = text("version").unwrap_or("dynamic").trim_start_matches('=').trim();
    if !matches!(version, "dynamic" | "*") {
        Version::from_str(version).map_err(|e| format!("{name}: {e}"))?;
    }
    let marker = text("markers").filter(|marker| !marker.trim().is_empty()).map(str::to_owned);
    if let Some(marker) = &marker {
        Marker::parse(marker).map_err(|e| format!("{name}: {e}"))?;
    }
    let (mut files, mut weak) = (Vec::new(), Vec::new());
    for hash in strings("hashes") {
        match hash.split_once(':') {
            Some(("sha256", hex)) => {
                let digest = Digest::from_hex(hex).map_err(|e| format!("a file of {name}: {e}"))?;
                files.push(LockedFile { file_name: None, digest });
            }
            Some((algorithm, _)) => weak.push(WeakFile { file_name: None, algorithm: algorithm.to_owned() }),
            None => {}
        }
    }
    files.sort();
    files.dedup();
    let place =
        ["file", "path"].into_iter().find_map(text).map(|reference| FilePlace::of(lock_file, reference));
    let not_from_index = ["git", "hg", "svn", "bzr", "file", "path"].into_iter().find_map(|key| {
        let place = without_credentials(text(key)?);
        Some(text("ref").map_or_else(|| format!("{key} {place}"), |at| format!("{key} {place} at {at}")))
    });
    Ok(Locked {
        name,
        version: version.to_owned(),
        file: None,
        line,
        markers: marker.into_iter().collect(),
        groups: vec![group.to_owned()],
        optional: false,
        extras: strings("extras").into_iter().map(normal_extra).collect(),
        files: if not_from_index.is_some() && place.is_none() { Vec::new() } else { files },
        weak,
        dependencies: Vec::new(),
        not_from_index,
        source: text("index").map(without_credentials),
        // The name is one of the lock's own sources; whoever has them puts their URL in its place.
        index: text("index").map_or(LockedIndex::Unsaid, |name| LockedIndex::Named(name.to_owned())),
        place,
        folder: None,
    })
}

/// What a `Pipfile` asks for, in the order of the file.
fn declared(file: &str, text: &str, root: &DeTable<'_>) -> Result<Vec<Declared>, Vec<InputProblem>> {
    let lines = Lines::new(text);
    let mut problems = Vec::new();
    let mut found = Vec::new();
    let others = ["source", "requires", "scripts", "pipfile", "pipenv", "build-system"];
    for (section, _) in root.iter().filter(|(section, _)| !others.contains(&section.get_ref().as_ref())) {
        let Some(packages) = get_table(root, section.get_ref()) else { continue };
        for (name, value) in packages {
            let line = lines.of(name.span().start);
            match declare(file, line, name.get_ref(), value.get_ref(), &group(section.get_ref())) {
                Ok(one) => found.push(one),
                Err(message) => {
                    problems.push(InputProblem::new(ProblemKind::Invalid, file, Some(line), message));
                }
            }
        }
    }
    found.sort_by_key(|one: &Declared| one.line);
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn declare(
    file: &str,
    line: usize,
    name: &str,
    value: &DeValue<'_>,
    group: &str,
) -> Result<Declared, String> {
    let distribution: DistributionName = name.parse().map_err(|e| format!("{e}"))?;
    let (version, extras, marker) = match value {
        DeValue::String(version) => (Some(version.as_ref()), Vec::new(), None),
        DeValue::Table(table) => {
            let extras = get_strings(table, "extras").into_iter().map(normal_extra).collect();
            (get_str(table, "version"), extras, pipfile_marker(table)?)
        }
        _ => return Err(format!("{distribution}: a package is a version or a table")),
    };
    // Pipenv takes pip's notation; Poetry's holds that and `*` besides.
    let constraint =
        version.map(poetry_constraint).transpose().map_err(|e| format!("{distribution}: {e}"))?;
    Ok(Declared {
        text: version.map_or_else(|| name.to_owned(), |version| format!("{name} = \"{version}\"")),
        name: distribution,
        file: file.to_owned(),
        line,
        marker,
        constraint,
        group: group.to_owned(),
        extras,
        enabled_by: Vec::new(),
    })
}

/// The condition of a package: `markers`, and the variables that may stand as keys,
/// `sys_platform = "== 'linux'"`.
fn pipfile_marker(table: &DeTable<'_>) -> Result<Option<String>, String> {
    let mut markers: Vec<String> = get_str(table, "markers").map(str::to_owned).into_iter().collect();
    for variable in Variable::ENVIRONMENT {
        markers.extend(get_str(table, variable.name()).map(|rest| format!("{} {rest}", variable.name())));
    }
    for marker in &markers {
        Marker::parse(marker).map_err(|e| e.to_string())?;
    }
    Ok(all_markers(markers))
}

/// The lines of the keys of the first two levels of a JSON document that is known to be valid.
fn key_lines(text: &str) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    let (mut line, mut depth) = (1, 0_usize);
    let mut section = String::new();
    let mut last: Option<(String, usize)> = None;
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\n' => line += 1,
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '"' => {
                let mut end = text.len();
                while let Some((position, inside)) = rest.next() {
                    match inside {
                        '\\' => drop(rest.next()),
                        '"' => {
                            end = position;
                            break;
                        }
                        _ => {}
                    }
                }
                last = text.get(at..=end).and_then(|s| serde_json::from_str(s).ok()).map(|key| (key, line));
            }
            ':' => match (depth, last.take()) {
                (1, Some((key, line))) => {
                    section.clone_from(&key);
                    found.insert((key, String::new()), line);
                }
                (2, Some((key, line))) => {
                    found.insert((section.clone(), key), line);
                }
                _ => {}
            },
            _ => {}
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Choice;
    use crate::select::tests::{denied, read_or_refused, select_on, wanted};
    use kiln_record::Cause;

    pub(crate) const PIPFILE: &str = include_str!("samples/Pipfile");

    pub(crate) fn sample() -> String {
        let hash = |text: &str| format!("[\"sha256:{}\"]", Digest::of(text.as_bytes()).hex());
        format!(
            r#"{{
    "_meta": {{
        "hash": {{
            "sha256": "edcb486b3ffc36025ab89c41a6dfb21aa10bdce7b77747623ab23a708ed7d25b"
        }},
        "pipfile-spec": 6,
        "requires": {{"python_version": "3.11"}},
        "sources": [{{"name": "own", "url": "https://index.example/simple", "verify_ssl": true}}]
    }},
    "default": {{
        "certifi": {{"hashes": {}, "markers": "python_version >= '3.7'", "version": "==2025.1.31"}},
        "colorama": {{"markers": "sys_platform == 'win32'", "version": "*"}},
        "newer": {{"hashes": {}, "markers": "python_version >= '3.11'", "version": "==1.0"}},
        "requests": {{"extras": ["socks"], "hashes": {}, "index": "own", "version": "==2.34.2"}},
        "six": {{"git": "https://token@example.org/six.git", "markers": "python_version < '3'", "ref": "0123"}}
    }},
    "develop": {{
        "certifi": {{"hashes": {}, "markers": "python_version >= '3.7'", "version": "==2025.1.31"}},
        "pytest": {{"hashes": {}, "version": "==8.4.2"}}
    }},
    "docs": {{
        "sphinx": {{"hashes": {}, "markers": "python_version >= '3.11'", "version": "==8.2.3"}}
    }}
}}
"#,
            hash("certifi"),
            hash("newer"),
            hash("requests"),
            hash("certifi"),
            hash("pytest"),
            hash("sphinx"),
        )
    }

    fn parse(lock: &str, pipfile: &str) -> Result<Lock, Vec<InputProblem>> {
        parse_pipfile("Pipfile.lock", lock, Some(("Pipfile", pipfile)))
    }

    #[test]
    fn a_lock_and_its_pipfile() {
        let lock = parse(&sample(), PIPFILE).unwrap();
        let found: Vec<(&str, &str, usize, &[String])> = lock
            .distributions
            .iter()
            .map(|d| (d.name.as_str(), d.version.as_str(), d.line, &d.groups[..]))
            .collect();
        let groups = ["main", "dev", "docs"].map(str::to_owned);
        assert_eq!(
            found,
            [
                ("certifi", "2025.1.31", 11, &groups[..2]),
                ("colorama", "*", 12, &groups[..1]),
                ("newer", "1.0", 13, &groups[..1]),
                ("requests", "2.34.2", 14, &groups[..1]),
                ("six", "dynamic", 15, &groups[..1]),
                ("pytest", "8.4.2", 19, &groups[1..2]),
                ("sphinx", "8.2.3", 22, &groups[2..]),
            ]
        );
        assert_eq!(lock.groups, ["dev", "docs", "main"]);
        assert_eq!(lock.distributions[3].extras, ["socks"]);
        assert_eq!(
            lock.distributions[4].not_from_index.as_deref(),
            Some("git https://example.org/six.git at 0123")
        );
        let python = lock.requires_python.unwrap();
        assert_eq!((python.text.as_str(), python.file.as_str(), python.line), ("==3.11.*", "Pipfile", 15));
        let declared: Vec<(&str, usize, &str, Option<&str>)> = lock
            .declared
            .iter()
            .map(|d| (d.name.as_str(), d.line, d.group.as_str(), d.marker.as_deref()))
            .collect();
        assert_eq!(
            declared,
            [
                ("requests", 7, "main", None),
                ("colorama", 8, "main", Some("sys_platform == 'win32'")),
                ("six", 9, "main", None),
                ("pytest", 12, "dev", None),
                ("sphinx", 18, "docs", None),
            ]
        );
        let alone = parse_pipfile("Pipfile.lock", &sample(), None).unwrap();
        assert!(alone.declared.is_empty() && alone.requires_python.unwrap().line == 7);
    }

    #[test]
    fn categories_are_groups() {
        let lock = parse(&sample(), PIPFILE).unwrap();
        let plain = select_on(&lock, "3.11.7", &Choice::default());
        assert_eq!((wanted(&plain), denied(&plain)), (vec!["certifi", "newer", "requests"], vec![]));
        let cause = |name: &str| &plain.gaps.iter().find(|g| g.distribution == name).unwrap().cause;
        assert!(matches!(cause("colorama"), Cause::Marker { .. }));
        assert_eq!(cause("pytest"), &Cause::Group { groups: vec!["dev".to_owned()] });
        let choice = Choice { groups: vec!["dev".to_owned(), "docs".to_owned()], ..Choice::default() };
        let all = select_on(&lock, "3.11.7", &choice);
        assert_eq!(wanted(&all), ["certifi", "newer", "pytest", "requests", "sphinx"]);
    }

    #[test]
    fn a_lock_for_another_python_is_denied() {
        let text = sample().replace("{\"python_version\": \"3.11\"}", "{}");
        let lock = parse_pipfile("Pipfile.lock", &text, None).unwrap();
        // Pip would pass `newer` over without a word.
        let selection = select_on(&lock, "3.10.13", &Choice::default());
        assert_eq!(denied(&selection), [("declared-not-installed", "newer")]);
        assert!(selection.findings[0].cause.contains("(Pipfile.lock:13) is locked, but"), "{selection:?}");
        assert!(selection.findings[0].remedy[0].contains("pipenv lock --python 3.10"), "{selection:?}");
        let pinned = parse(&sample(), PIPFILE).unwrap();
        let selection = select_on(&pinned, "3.12.1", &Choice::default());
        assert_eq!(denied(&selection), [("requires-python-mismatch", "python")]);
    }

    #[test]
    fn what_was_not_resolved_is_missing_where_it_is_needed() {
        let text = sample().replace("sys_platform == 'win32'", "sys_platform == 'linux'");
        let selection = select_on(&parse(&text, PIPFILE).unwrap(), "3.11.7", &Choice::default());
        assert_eq!(denied(&selection), [("lock-missing", "colorama")]);
    }

    #[test]
    fn a_changed_pipfile_makes_the_lock_stale() {
        for (from, to, is_stale) in [
            ("~=8.0", "~=8.1", true),
            ("\"3.11\"", "\"3.12\"", true),
            ("sphinx = \"*\"", "sphinx = \">1\"", true),
            ("index.example", "other.example", true),
            ("python -m", "python3 -m", false),
            ("[packages]\n", "[packages]  # what we need\n", false),
        ] {
            let changed = PIPFILE.replace(from, to);
            assert_ne!(changed, PIPFILE);
            match parse(&sample(), &changed) {
                Ok(_) => assert!(!is_stale, "{from}"),
                Err(found) => {
                    assert!(is_stale && found[0].kind == ProblemKind::LockStale, "{from}: {found:?}");
                    assert_eq!(found[0].line, Some(3));
                }
            }
        }
        // Without sources of its own, a Pipfile has those that Pipenv wrote into the lock.
        let without = PIPFILE.split_once("[packages]").map(|(_, rest)| format!("[packages]{rest}")).unwrap();
        assert!(parse(&sample(), &without).is_ok());
    }

    #[test]
    fn broken_files_are_problems() {
        let good = sample();
        for (lock, expect) in [
            (good.replace("\"pipfile-spec\": 6", "\"pipfile-spec\": 7"), "`pipfile-spec` 7"),
            (good.replace("_meta", "meta"), "_meta"),
            (good.replace("\"newer\"", "\"ne wer\""), "ne wer"),
            (good.replace("==1.0", "==x"), "newer"),
            (good.replace("sys_platform ==", "sys_platform ="), "marker"),
            (good.replace("sha256:", "sha256:zz"), "certifi"),
            (good.replace("\"3.11\"}", "\"x\"}"), "`x` is not a version"),
            (good.replace("\"docs\": {", "\"more\": 3, \"docs\": {"), "`more`"),
            (good.replace("{\"hashes\"", "3, \"x\": {\"hashes\""), "not an object"),
            ("[".repeat(100_000), "JSON"),
            ("[]".to_owned(), "_meta"),
            (String::new(), "JSON"),
        ] {
            let found = parse_pipfile("Pipfile.lock", &lock, None).unwrap_err();
            assert!(found.iter().any(|p| p.message.contains(expect)), "{expect}: {found:?}");
        }
        assert!(parse(&good, "x = ").unwrap_err()[0].message.contains("TOML"));
        let found = parse(&good, "[packages]\n\"a b\" = 1\n").unwrap_err();
        assert!(found.iter().any(|p| p.message.contains("a b") && p.line == Some(2)), "{found:?}");
    }

    #[test]
    fn damaged_text_is_read_or_refused_with_its_line() {
        let good = sample();
        let check = |lock: &str| {
            read_or_refused(parse(lock, PIPFILE), &[("Pipfile.lock", lock), ("Pipfile", PIPFILE)]);
        };
        for end in (0..good.len()).step_by(7) {
            check(&good[..end]);
            check(&format!("{}\\\"{}", &good[..end], &good[end..]));
            let rest = &good[end..];
            assert!(key_lines(rest).values().all(|line| *line <= rest.lines().count()), "{rest}");
        }
    }

    #[test]
    fn keys_have_lines() {
        let lines = key_lines("{\"a\\\"\": {\n\"b\": [{\"c\": \"d\"}],\n \"e{\" : 1},\n\"f\": {}}");
        let found: Vec<(&str, &str, usize)> =
            lines.iter().map(|((a, b), line)| (a.as_str(), b.as_str(), *line)).collect();
        assert_eq!(found, [("a\"", "", 1), ("a\"", "b", 2), ("a\"", "e{", 3), ("f", "", 4)]);
    }
}
