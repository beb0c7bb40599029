//! How requirements files refer to other files (pip documentation, "requirements file format").

/// Most files that may be inside each other.
pub(crate) const DEEPEST: usize = 16;
/// Most files that one requirements file may lead to.
pub(crate) const MOST_FILES: usize = 200;

/// The path that `reference` in the file `including` means, as a path of the same kind: pip takes it relative to the
/// folder of the file that includes it.
///
/// # Errors
/// Why the reference cannot be followed: a lower-case fragment.
pub(crate) fn included_path(including: &str, reference: &str) -> Result<String, String> {
    if reference.is_empty() {
        return Err("it names no file".to_owned());
    }
    if reference.contains("://") || reference.starts_with("file:") {
        return Err("it is a URL, which nothing pins".to_owned());
    }
    if reference.starts_with('/') {
        return Err("it is an absolute path, which is another file on another machine".to_owned());
    }
    let mut parts: Vec<&str> = including.split('/').collect();
    parts.pop();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err("it leaves the source tree".to_owned());
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_requirements;
    use crate::requirements::tests::{A, B, read};

    #[test]
    fn paths_are_relative_to_the_including_file() {
        for (including, reference, expect) in [
            ("requirements.txt", "base.txt", Some("base.txt")),
            ("a/b/requirements.txt", "base.txt", Some("a/b/base.txt")),
            ("a/b/requirements.txt", "../c/./d.txt", Some("a/c/d.txt")),
            ("a/r.txt", "../../d.txt", None),
            ("r.txt", "../d.txt", None),
            ("r.txt", "/etc/passwd", None),
            ("r.txt", "https://example.org/r.txt", None),
            ("r.txt", "file:r.txt", None),
            ("r.txt", "", None),
        ] {
            assert_eq!(
                included_path(including, reference).ok().as_deref(),
                expect,
                "{including} {reference}"
            );
        }
    }

    #[test]
    fn files_are_included_relative_to_each_other() {
        let a = format!("--hash=sha256:{A}");
        let lock = read(
            &format!("-r base.txt\n--requirement=../more/x.txt\nidna==3.10 {a}\n"),
            &[
                ("reqs/base.txt", &format!("-rdeep/d.txt\n\nsix==1.17.0 {a}\n")),
                ("reqs/deep/d.txt", &format!("-r ../../more/x.txt\nattrs==25.1 {a}\n")),
                ("more/x.txt", &format!("certifi==2025.1 {a}\n")),
            ],
        )
        .unwrap();
        let places: Vec<(&str, String)> =
            lock.distributions.iter().map(|d| (d.name.as_str(), lock.place(d))).collect();
        assert_eq!(
            places,
            [
                ("certifi", "more/x.txt:1".to_owned()),
                ("attrs", "reqs/deep/d.txt:2".to_owned()),
                ("six", "reqs/base.txt:3".to_owned()),
                ("idna", "reqs/main.txt:3".to_owned()),
            ]
        );
        assert_eq!(lock.declared[0].file, "more/x.txt");
    }

    #[test]
    fn circles_and_missing_files_end() {
        let found = read("-r b.txt", &[("reqs/b.txt", "\n-r main.txt")]).unwrap_err();
        assert_eq!((found[0].place().as_str(), found.len()), ("reqs/b.txt:2", 1));
        assert!(found[0].message.contains("`reqs/main.txt` again"), "{found:?}");
        let found = read("x==1\n-c none.txt", &[]).unwrap_err();
        assert!(found[1].message.contains("`reqs/none.txt`") && found[1].line == Some(2), "{found:?}");
        let mut asked = 0;
        let deep = parse_requirements("0.txt", "-r 1.txt", &mut |_| {
            asked += 1;
            Some(format!("-r {}.txt\n-r x{asked}.txt", asked + 1))
        });
        assert!(deep.unwrap_err().iter().any(|p| p.message.contains("one file too many")));
        assert!(asked <= MOST_FILES, "{asked}");
    }

    #[test]
    fn constraints_narrow_and_complete() {
        let a = format!("--hash=sha256:{A}");
        let files = [("reqs/c.txt", format!("six==1.17.0 {a}\nunused==1\nidna<3 ; python_version < '3'\n"))];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let lock = read(&format!("-c c.txt\nsix>=1\nidna==3.10 {a}\n"), &files).unwrap();
        let found: Vec<(&str, &str)> =
            lock.distributions.iter().map(|d| (d.name.as_str(), d.version.as_str())).collect();
        assert_eq!(found, [("six", "1.17.0"), ("idna", "3.10")]);
        for (text, expect) in [
            (format!("six==1.16.0 {a}"), "does not fit the constraint `six==1.17.0` (reqs/c.txt:1)"),
            (format!("six==1.17.0 --hash=sha256:{B}"), "shares no hash"),
            ("six<1".to_owned(), "not pinned"),
            ("unused".to_owned(), "no `--hash"),
        ] {
            let found = read(&format!("-c c.txt\n{text}\n"), &files).unwrap_err();
            assert!(found[0].message.contains(expect), "{text}: {found:?}");
        }
        let found = read("-c c.txt", &[("reqs/c.txt", "six[a]==1")]).unwrap_err();
        assert!(found[0].message.contains("extras"), "{found:?}");
    }
}
