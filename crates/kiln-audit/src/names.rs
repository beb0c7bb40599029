//! Names that mislead: paths that look like others, and modules under names that are taken.

use kiln_record::{ArtifactKind, Code, ComponentId, Finding, Runtime, TreePath, excerpt};
use std::collections::{BTreeMap, BTreeSet};

/// The most files in a zip: the count in its end record has 16 bits, and Lambda reads no zip64 (APPNOTE 4.4.22).
const MOST_FILES_OF_ZIP: usize = 65_535;
/// The most that is read of a path configuration file, in bytes.
pub const LARGEST_PTH: u64 = 64 << 10;
/// Paths that a finding names.
const NAMED: usize = 5;

/// `misleading-file-name`: paths with characters that are not seen or that turn the order of others around ("Trojan Source";
/// Unicode's bidirectional controls, zero-width characters, soft hyphen and tags). One finding for each owner.
pub fn check_file_names<'a>(owned: impl Iterator<Item = (&'a TreePath, &'a ComponentId)>) -> Vec<Finding> {
    let mut by_owner: BTreeMap<&ComponentId, Vec<&TreePath>> = BTreeMap::new();
    for (path, owner) in owned {
        if path.as_str().chars().any(is_unseen) {
            by_owner.entry(owner).or_default().push(path);
        }
    }
    let finding = |(owner, paths): (&ComponentId, Vec<&TreePath>)| {
        let shown: Vec<String> = paths.iter().take(NAMED).map(|path| visible(path.as_str())).collect();
        let more = match paths.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let name = owner.name();
        Finding::new(
            Code::MisleadingFileName,
            visible(paths[0].as_str()),
            format!("{name} has paths with characters that are not seen: {}{more}", shown.join(", ")),
        )
        .detail("such a path looks like another one, in reviews and in listings")
        .remedy(format!("ask who made {name} what they are for; rename files of your own"))
        .remedy("or leave these files out with `exclude`, if nothing needs them")
    };
    by_owner.into_iter().map(finding).collect()
}

/// A path with the characters written out that are not seen.
fn visible(path: &str) -> String {
    let plain: String = path
        .chars()
        .map(|c| if is_unseen(c) { c.escape_unicode().to_string() } else { c.to_string() })
        .collect();
    excerpt(&plain).replace("\\\\u", "\\u")
}

fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A distribution with what it brings.
#[derive(Clone, Copy, Debug)]
pub struct Bringing<'a> {
    /// Its PEP 503 name.
    pub name: &'a str,
    /// The modules that it offers, dotted.
    pub modules: &'a [String],
}

/// `module-taken-over`: modules of distributions under names of the standard library, of what the runtime provides under
/// another distribution's name, or of another distribution. Where Lambda looks for modules, the artifact comes first.
#[must_use]
pub fn check_module_names(
    distributions: &[Bringing<'_>],
    stdlib: &[String],
    runtime: &Runtime,
) -> Vec<Finding> {
    let stdlib: BTreeSet<&str> = stdlib.iter().map(String::as_str).collect();
    let mut brought: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut findings = Vec::new();
    for distribution in distributions {
        let name = distribution.name;
        for module in distribution.modules {
            brought.entry(module).or_default().insert(name);
            let top = module.split('.').next().unwrap_or(module);
            let provider = runtime.provider_of_module(top).filter(|provider| provider.distribution != name);
            let whose = match provider {
                _ if stdlib.contains(top) => "the standard library".to_owned(),
                Some(provider) => format!("{}, which the runtime provides", provider.distribution),
                None => continue,
            };
            findings.push(
                Finding::new(
                    Code::ModuleTakenOver,
                    format!("{name}: {top}"),
                    format!("{name} brings the module `{}`, which is one of {whose}", excerpt(top)),
                )
                .detail("whatever imports it gets the one of the artifact")
                .remedy(format!(
                    "look at what {name} is: the name may be a mistake for another distribution's"
                ))
                .remedy("or accept it in the policy, with the reason"),
            );
        }
    }
    for (module, names) in brought.iter().filter(|(_, names)| names.len() > 1) {
        let names: Vec<&str> = names.iter().copied().collect();
        findings.push(
            Finding::new(
                Code::ModuleTakenOver,
                format!("{}: {module}", names.join(", ")),
                format!("the module `{}` is brought by {}", excerpt(module), names.join(" and ")),
            )
            .detail("which of them is imported depends on which files came last")
            .remedy("keep the one that is meant: the others are often variants or forks of it"),
        );
    }
    findings.sort_by(|a, b| a.subject.cmp(&b.subject));
    findings.dedup();
    findings
}

/// Whether a file at the top of a search path may hold code that runs when an interpreter starts (Python's `site` module):
/// by its name alone.
#[must_use]
pub fn may_start(file_name: &str) -> bool {
    is_pth(file_name) || matches!(file_name, "sitecustomize.py" | "usercustomize.py")
}

fn is_pth(file_name: &str) -> bool {
    file_name.ends_with(".pth")
}

/// `startup-code`: files of a distribution that an interpreter runs before anything is imported, where the folder is a site
/// folder. `content` is absent for a path configuration file above [`LARGEST_PTH`]; such a file counts as one with code.
#[must_use]
pub fn check_startup(owner: &str, path: &TreePath, content: Option<&[u8]>) -> Option<Finding> {
    let runs = match content {
        // Lines that begin so are executed; all others are folders (documentation of `site`).
        Some(bytes) if is_pth(path.file_name()) => bytes
            .split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(b"import ") || line.starts_with(b"import\t")),
        Some(bytes) => !bytes.is_empty(),
        None => true,
    };
    runs.then(|| {
        Finding::new(
            Code::StartupCode,
            path.as_str(),
            format!("{owner} brings `{path}`, whose code an interpreter may run before anything is imported"),
        )
        .detail("Lambda's own interpreter reads no such file in a function's folder; one of an image may")
        .remedy("look at what it does, and leave it out with `exclude` under [package] if nothing needs it")
    })
}

/// `too-many-files`: more files than a zip counts.
#[must_use]
pub fn check_file_count(kind: ArtifactKind, files: usize) -> Option<Finding> {
    (!kind.is_image() && files > MOST_FILES_OF_ZIP).then(|| {
        Finding::new(
            Code::TooManyFiles,
            "files",
            format!("there are {files} files, and a zip that Lambda reads holds {MOST_FILES_OF_ZIP}"),
        )
        .remedy(
            "leave out what is not needed when the function runs, with `exclude` under [source] or [package]",
        )
        .remedy("or make it an image")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn runtime() -> &'static Arc<Runtime> {
        Runtime::named("python3.13").unwrap()
    }

    #[test]
    fn unseen_characters_in_paths_are_told() {
        let owner: ComponentId = "python/evil".parse().unwrap();
        let path = |text: &str| TreePath::new(text).unwrap();
        let paths =
            ["a/txt\u{202e}yp.exe", "ad\u{200b}min.py", "b\u{e0041}.py", "é/日本.py", "plain.py"].map(path);
        let findings = check_file_names(paths.iter().map(|path| (path, &owner)));
        assert_eq!(findings.len(), 1);
        let text = format!("{} {}", findings[0].subject, findings[0].cause);
        assert!(text.contains("\\u{202e}") && text.contains("\\u{200b}"), "{text}");
        assert!(!text.chars().any(is_unseen) && !text.contains("plain.py"), "{text}");
    }

    #[test]
    fn names_of_others_are_told() {
        let modules =
            |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let stdlib = modules(&["json", "os", "secrets"]);
        let check = |given: &[(&str, &[&str])]| -> Vec<String> {
            let owned: Vec<(&str, Vec<String>)> =
                given.iter().map(|(name, names)| (*name, modules(names))).collect();
            let bringing: Vec<Bringing<'_>> =
                owned.iter().map(|(name, modules)| Bringing { name, modules }).collect();
            check_module_names(&bringing, &stdlib, runtime()).into_iter().map(|f| f.subject).collect()
        };
        let none: [String; 0] = [];
        assert_eq!(
            check(&[("boto3", &["boto3"]), ("python-dateutil", &["dateutil"]), ("six", &["six"])]),
            none
        );
        assert_eq!(check(&[("google-a", &["google.a"]), ("google-b", &["google.b"])]), none);
        assert_eq!(check(&[("evil", &["boto3", "secrets", "evil"])]), ["evil: boto3", "evil: secrets"]);
        assert_eq!(check(&[("evil", &["json.tool"])]), ["evil: json"]);
        assert_eq!(
            check(&[("reqeusts", &["requests"]), ("requests", &["requests"])]),
            ["reqeusts, requests: requests"]
        );
    }

    #[test]
    fn code_that_runs_at_the_start_is_told() {
        let told = |path: &str, content: &[u8]| {
            check_startup("x", &TreePath::new(path).unwrap(), Some(content)).is_some()
        };
        assert!(told("x.pth", b"./lib\nimport os; os.system('x')\n"));
        assert!(told("x.pth", b"import\tx"));
        assert!(!told("x.pth", b"./lib\nimports/\n# import x\n"));
        assert!(told("sitecustomize.py", b"x = 1"));
        assert!(!told("sitecustomize.py", b""));
        assert!(check_startup("x", &TreePath::new("x.pth").unwrap(), None).is_some());
        assert!(may_start("a.pth") && may_start("usercustomize.py") && !may_start("custom.py"));
    }

    #[test]
    fn files_are_counted_for_zips_only() {
        assert!(check_file_count(ArtifactKind::LambdaZip, 65_535).is_none());
        assert!(check_file_count(ArtifactKind::LambdaZip, 65_536).is_some());
        assert!(check_file_count(ArtifactKind::LambdaImage, 120_000).is_none());
    }
}
