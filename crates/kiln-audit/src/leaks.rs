//! What should not leave the machine that built an artifact: credentials, and paths that say who built where.
//!
//! Only what can be acted upon is looked at: the artifact's own text files, and the few text files of distributions that
//! are made where they are installed. Native code and the documentation of others are full of paths that mean nothing.

use kiln_record::{Code, Finding, Place, TreePath};

/// Larger files are data.
pub const LEAK_SIZE_LIMIT: u64 = 1 << 20;

/// Whether a file of a distribution may hold paths of the machine that it was installed on. (Its own metadata about that
/// is not installed by kiln.)
#[must_use]
pub fn may_name_build_paths(path: &TreePath) -> bool {
    let name = path.file_name();
    name.ends_with(".pth") || name.ends_with(".egg-link") || matches!(path.parent(), "bin" | "python/bin")
}

/// Looks through a text file; the places of findings are in it, by its path in the tree. `own` says whether it is the artifact's own: credentials are looked for in those alone.
#[must_use]
pub fn check_leaks(path: &TreePath, own: bool, content: &[u8]) -> Vec<Finding> {
    if content.len() as u64 > LEAK_SIZE_LIMIT || content.iter().take(8192).any(|byte| *byte == 0) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(content);
    let mut findings = Vec::new();
    let documentation = [".md", ".rst"].iter().any(|ending| path.file_name().ends_with(ending));
    if !documentation && let Some((line, found)) = first(&text, build_path) {
        findings.push(
            Finding::new(
                Code::BuildPathLeak,
                path.as_str(),
                format!("line {line} names `{found}`, a folder of the machine that it was made on"),
            )
            .at(Place::line(path.as_str(), line))
            .remedy("make it without the path: in Lambda there is nothing at it, and it says who built where")
            .remedy("or accept it in the policy, if it is meant"),
        );
    }
    if own {
        let named = |line: &str| by_file_name(path, line);
        let found = first(&text, in_line).or_else(|| first(&text, named));
        if let Some((line, what)) = found {
            findings.push(
                Finding::new(Code::CredentialLeak, path.as_str(), format!("line {line} holds {what}"))
                    .at(Place::line(path.as_str(), line))
                    .remedy("take it out, and give it to the function at run time: an environment variable, a secret store, a role")
                    .remedy("revoke it if it was real: whoever can read the artifact has it")
                    .remedy("or accept it in the policy, if it is no secret"),
            );
        }
    }
    findings
}

/// The first line in which something is found, counted from 1.
fn first<T>(text: &str, find: impl Fn(&str) -> Option<T>) -> Option<(usize, T)> {
    text.lines().enumerate().find_map(|(index, line)| Some((index + 1, find(line)?)))
}

/// A folder of a machine that builds: somebody's home, a place where pip or a CI system works.
fn build_path(line: &str) -> Option<String> {
    const HOMES: [&str; 3] = ["/home/", "/Users/", "C:\\Users\\"];
    const PLACES: [&str; 5] = [
        "/tmp/pip-",
        "/private/var/folders/",
        "/github/workspace/",
        "/codebuild/output/",
        "/opt/atlassian/pipelines/",
    ];
    // Names that stand for anybody, and homes that exist where code runs.
    const ANYBODY: [&str; 20] = [
        "user", "username", "me", "you", "your", "yourname", "foo", "bar", "name", "example", "someone",
        "ubuntu", "ec2-user", "app", "docker", "node", "nobody", "jovyan", "vscode", "path",
    ];
    for home in HOMES {
        for (at, _) in line.match_indices(home) {
            let rest = &line[at + home.len()..];
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
                .collect();
            let goes_on = rest[name.len()..].starts_with(['/', '\\']);
            let anybody = ANYBODY.contains(&name.to_lowercase().as_str()) || name.starts_with("sbx_user");
            if starts_a_path(line, at) && !name.is_empty() && goes_on && !anybody && !name.starts_with('.') {
                return Some(format!("{home}{name}"));
            }
        }
    }
    PLACES
        .iter()
        .find(|place| line.match_indices(**place).any(|(at, _)| starts_a_path(line, at)))
        .map(|place| place.trim_end_matches('/').to_owned())
}

/// Whether what begins here is an absolute path, not the rest of a longer one or of a web address.
fn starts_a_path(line: &str, at: usize) -> bool {
    let before = &line[..at];
    before.ends_with("file://")
        || !before.ends_with(|c: char| {
            c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '}' | ')' | '~' | '*')
        })
}

/// What looks like a credential wherever it stands; the secret itself is not repeated.
fn in_line(line: &str) -> Option<String> {
    if line.trim().starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----") {
        return Some("a private key".to_owned());
    }
    for start in ["AKIA", "ASIA"] {
        for (at, _) in line.match_indices(start) {
            let id: String =
                line[at..].chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit()).collect();
            let apart = !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            let placeholder = id.contains("EXAMPLE") || id.contains("XXXX") || id.contains("0000");
            let ends = !line[at + id.len()..].starts_with(|c: char| c.is_ascii_lowercase());
            if id.len() == 20 && apart && ends && !placeholder {
                return Some(format!("an AWS access key id ({start}…)"));
            }
        }
    }
    for (at, _) in line.match_indices("://") {
        let scheme: String = line[..at].chars().rev().take_while(char::is_ascii_alphanumeric).collect();
        let scheme: String = scheme.chars().rev().collect();
        let authority = line[at + 3..]
            .split(|c: char| c.is_whitespace() || "/?#\"'`<>,)".contains(c))
            .next()
            .unwrap_or_default();
        let Some((userinfo, host)) = authority.rsplit_once('@') else { continue };
        let Some((user, password)) = userinfo.split_once(':') else { continue };
        let host_is_real = host.contains('.')
            && !["example.", "localhost"].iter().any(|part| host.contains(part))
            && ![".test", ".invalid", ".example", ".local"]
                .iter()
                .any(|end| host.split(':').next().unwrap_or_default().ends_with(end));
        if !user.is_empty() && !is_placeholder(password) && host_is_real && !scheme.is_empty() {
            return Some(format!("an address with a password ({scheme}://{}:…@{host})", shortened(user)));
        }
    }
    None
}

fn shortened(user: &str) -> String {
    let start: String = user.chars().take(2).collect();
    format!("{start}…")
}

/// What is a credential because of the file that it is in.
fn by_file_name(path: &TreePath, line: &str) -> Option<String> {
    let value_of = |separators: &[char]| {
        let (key, value) = line.split_once(separators)?;
        let key = key.trim().trim_start_matches("export ").to_owned();
        Some((key, value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    match path.file_name() {
        ".netrc" | "_netrc" => {
            let mut words = line.split_whitespace();
            words.find(|word| *word == "password")?;
            (!is_placeholder(words.next()?)).then(|| "the password of a server".to_owned())
        }
        ".pypirc" | "pip.conf" => {
            let (key, value) = value_of(&['=', ':'])?;
            (key == "password" && !is_placeholder(&value))
                .then(|| "the password of a package index".to_owned())
        }
        "credentials" if path.parent().ends_with(".aws") => {
            let (key, value) = value_of(&['='])?;
            (key == "aws_secret_access_key" && !is_placeholder(&value))
                .then(|| "an AWS secret access key".to_owned())
        }
        name if name == ".env" || name.starts_with(".env.") && !name.ends_with("example") => {
            let (key, value) = value_of(&['='])?;
            let secret = ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "PRIVATE_KEY", "API_KEY"]
                .iter()
                .any(|part| key.to_uppercase().contains(part));
            (secret && value.len() >= 8 && !key.starts_with('#') && !is_placeholder(&value))
                .then(|| format!("a value for `{key}`"))
        }
        _ => None,
    }
}

fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 14] = [
        "", "password", "passwd", "pass", "pw", "pwd", "secret", "token", "changeme", "user", "example",
        "test", "foo", "none",
    ];
    let lower = value.to_lowercase();
    WORDS.contains(&lower.as_str())
        || value.contains(['{', '}', '$', '<', '>', '*', '…'])
        || value.contains("%s")
        || value.contains("%(")
        || lower.contains("xxx")
        || lower.starts_with("your")
        || lower.contains("placeholder")
        || lower.contains("changeme")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expect: &[&str]) {
        let found = check_leaks(&TreePath::new(path).unwrap(), true, text.as_bytes());
        let causes: Vec<String> = found.iter().map(|f| format!("{}: {}", f.code, f.cause)).collect();
        assert_eq!(causes, expect);
    }

    #[test]
    fn paths_of_the_machine_that_built() {
        let home = "build-path-leak: line 2 names `/home/alice`, a folder of the machine that it was made on";
        check("a.py", "x = 1\nROOT = '/home/alice/src/app'\n", &[home]);
        check(
            "run",
            "#!/Users/bob/venv/bin/python3\n",
            &["build-path-leak: line 1 names `/Users/bob`, a folder of the machine that it was made on"],
        );
        check("x.json", "{\"url\": \"file:///home/alice/x\"}", &[&home.replace("line 2", "line 1")]);
        check(
            "x.cfg",
            "dir=/tmp/pip-build-env-x/y",
            &["build-path-leak: line 1 names `/tmp/pip-`, a folder of the machine that it was made on"],
        );
        for harmless in [
            "see /home/user/project",
            "https://example.org/home/alice/page",
            "os.path.join(base, 'x/home/alice/y')",
            "/home/$USER/x",
            "open('/home/sbx_user1051/x')",
            "f'{root}/home/alice/x'",
            "redirect('/home/')",
        ] {
            check("a.py", harmless, &[]);
        }
        check("README.md", "cd /home/alice/src", &[]);
    }

    #[test]
    fn credentials_are_told_and_not_repeated() {
        let key = format!("AKIA{}", "QWERTZUIOPASDFGH");
        check(
            "a.py",
            &format!("KEY = '{key}'"),
            &["credential-leak: line 1 holds an AWS access key id (AKIA…)"],
        );
        let url = format!("https://{}:{}@packages.corp.net/simple", "deploy", "s3cr3t-value");
        check(
            "pip.conf",
            &format!("[global]\nindex-url = {url}\n"),
            &["credential-leak: line 2 holds an address with a password (https://de…:…@packages.corp.net)"],
        );
        check(
            "k.pem",
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n",
            &["credential-leak: line 1 holds a private key"],
        );
        check(
            ".netrc",
            "machine a.corp.net login me password hunter22",
            &["credential-leak: line 1 holds the password of a server"],
        );
        check(
            ".pypirc",
            "[pypi]\nusername = __token__\npassword = pypi-AgEIcHlwaS5vcmc",
            &["credential-leak: line 3 holds the password of a package index"],
        );
        check(
            ".aws/credentials",
            "[default]\naws_secret_access_key = abcdefghijkl",
            &["credential-leak: line 2 holds an AWS secret access key"],
        );
        check(
            ".env",
            "DEBUG=1\nexport DB_PASSWORD=\"correct-horse\"",
            &["credential-leak: line 2 holds a value for `DB_PASSWORD`"],
        );
    }

    #[test]
    fn what_is_no_credential() {
        for harmless in [
            "AKIAIOSFODNN7EXAMPLE",
            "the prefix AKIA is AWS's",
            "url = 'postgres://user:password@db.corp.net/x'",
            "f'https://{user}:{password}@db.corp.net'",
            "'amqp://guest:guest1@localhost:5672'",
            "https://example.org/a:b@c",
            "PEM = '-----BEGIN PRIVATE KEY-----'",
            "git+ssh://git@host.corp.net/x",
        ] {
            check("a.py", harmless, &[]);
        }
        check(
            ".env",
            "API_TOKEN=\nSECRET_NAME=short\n# TOKEN=abcdefghij\nPASSWORD=${PASSWORD_FROM_VAULT}",
            &[],
        );
        check(".env.example", "API_TOKEN=abcdefghijkl", &[]);
    }

    #[test]
    fn distributions_are_not_searched_for_credentials_and_data_is_not_read() {
        let path = TreePath::new("x.pth").unwrap();
        assert!(may_name_build_paths(&path) && !may_name_build_paths(&TreePath::new("x.py").unwrap()));
        let key = format!("AKIA{}", "QWERTZUIOPASDFGH");
        assert_eq!(check_leaks(&path, false, key.as_bytes()), []);
        assert_eq!(check_leaks(&path, true, format!("\0{key}").as_bytes()), []);
    }
}
