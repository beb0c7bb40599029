//! What should not leave the machine that built an artifact: credentials, and paths that say who built where.
//!
//! Only what can be acted upon is looked at: the artifact's own text files, and the few text files of distributions that
//! are made where they are installed. Native code and the documentation of others are full of paths that mean nothing.

use kiln_record::{Code, Finding, Level, Place, TreePath};

/// Larger files are data.
pub const LEAK_SIZE_LIMIT: u64 = 1 << 20;

/// What a file of an environment that holds no secrets ends in: it says which there are.
const EXAMPLES: [&str; 4] = [".example", ".sample", ".template", ".dist"];

/// Whose a file is, which decides what is looked for in it and how much that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The project has it: a private key in it is denied.
    Project,
    /// A Dockerfile made it, or what that installed: some packages bring keys of their tests.
    Made,
    /// A distribution brings it: no credentials are looked for.
    Distribution,
}

/// Whether a file holds the environment of a program by its name: `.env`, and `.env.` with anything behind but what says that
/// it is an example.
#[must_use]
pub fn is_environment_file(name: &str) -> bool {
    name == ".env" || name.starts_with(".env.") && !EXAMPLES.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file of a distribution may hold paths of the machine that it was installed on. (Its own metadata about that
/// is not installed by kiln.)
#[must_use]
pub fn may_name_build_paths(path: &TreePath) -> bool {
    let name = path.file_name();
    name.ends_with(".pth") || name.ends_with(".egg-link") || matches!(path.parent(), "bin" | "python/bin")
}

/// Looks through a text file; the places of findings are in it, by its path in the tree.
#[must_use]
pub fn check_leaks(path: &TreePath, whose: Whose, content: &[u8]) -> Vec<Finding> {
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
    if whose != Whose::Distribution {
        let named = |line: &str| by_file_name(path, line);
        let key = private_key(&text).map(|line| (line, "a private key".to_owned()));
        let level = match (&key, whose) {
            (Some(_), Whose::Project) => Level::Deny,
            _ => Code::CredentialLeak.default_level(),
        };
        let found = key.or_else(|| first(&text, in_line)).or_else(|| first(&text, named));
        if let Some((line, what)) = found {
            let cause = format!("line {line} holds {what}");
            findings.push(
                Finding { level, ..Finding::new(Code::CredentialLeak, path.as_str(), cause) }
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

/// The line that a private key begins in (RFC 7468, OpenSSH, OpenPGP, PuTTY), with its beginning: what only names the form holds none.
fn private_key(text: &str) -> Option<usize> {
    const BEGIN: &str = "-----BEGIN ";
    const ENDS: [&str; 2] = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"];
    let is_encoded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let is_key = |text: &str| text.chars().take_while(|c| is_encoded(*c)).count() >= 16;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |index: usize, line: &str| {
        let Some((_, rest)) = line.split_once(BEGIN) else {
            return line.starts_with("PuTTY-User-Key-File-");
        };
        let Some(rest) = ENDS.iter().find_map(|end| Some(rest.split_once(end)?.1)) else { return false };
        if let Some(rest) = rest.strip_prefix("\\n") {
            // As texts in JSON and in code have it.
            return is_key(rest);
        }
        let next = lines[index + 1..].iter().find(|line| !line.is_empty());
        // Some forms have headers first.
        rest.is_empty()
            && next.is_some_and(|next| next.chars().all(is_encoded) && is_key(next) || next.contains(": "))
    };
    Some(lines.iter().enumerate().find(|(index, line)| begins(*index, line))?.0 + 1)
}

/// What looks like a credential wherever it stands; the secret itself is not repeated.
fn in_line(line: &str) -> Option<String> {
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
    if let Some(found) = token(line) {
        return Some(found);
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

/// Tokens that begin as those who issue them document, so that they can be found: the beginning, how many letters, digits, `_` and `-` follow
/// at least, and what it is.
const TOKENS: [(&str, usize, &str); 16] = [
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghu_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("ghr_", 36, "a GitHub token"),
    ("github_pat_", 60, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 24, "a Slack token"),
    ("xoxp-", 24, "a Slack token"),
    ("xapp-", 24, "a Slack token"),
    ("sk_live_", 24, "a Stripe key"),
    ("rk_live_", 24, "a Stripe key"),
    ("AIza", 35, "a Google API key"),
    ("npm_", 36, "a token of npm"),
    ("pypi-AgE", 50, "a token of a package index"),
    ("dckr_pat_", 27, "a token of a container registry"),
];

/// How much of a token is looked at.
const TOKEN_LENGTH: usize = 256;

/// A token, or the secret half of an AWS access key where it is called so.
fn token(line: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // What is made up for a page has no digits, or the same letter again and again.
    let is_real = |secret: &str| {
        let letters: std::collections::BTreeSet<char> = secret.chars().collect();
        letters.len() > 8
            && secret.contains(|c: char| c.is_ascii_digit())
            && !secret.to_uppercase().contains("EXAMPLE")
    };
    for (start, length, what) in TOKENS {
        for (at, _) in line.match_indices(start) {
            if line[..at].ends_with(is_part) {
                continue;
            }
            let rest = line[at + start.len()..].chars();
            let secret: String = rest.take(TOKEN_LENGTH).take_while(|c| is_part(*c)).collect();
            if secret.len() >= length && is_real(&secret) {
                return Some(format!("{what} ({start}…)"));
            }
        }
    }
    let lower = line.to_ascii_lowercase();
    let at = lower.find("aws_secret_access_key")? + "aws_secret_access_key".len();
    let value = line[at..].trim_start_matches(|c: char| " \t\"'=:,]>".contains(c));
    let secret: String =
        value.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '+')).collect();
    (secret.len() == 40 && is_real(&secret)).then(|| "an AWS secret access key".to_owned())
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
        name if is_environment_file(name) => {
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
        let found = check_leaks(&TreePath::new(path).unwrap(), Whose::Project, text.as_bytes());
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
        let tail = "Zk3Rw9Lq1Xv7Bn5Tc2Yd8Hs4Jf6Gp0MaUeIoPlQ";
        for (start, what) in [
            ("ghp_", "a GitHub token"),
            ("glpat-", "a GitLab token"),
            ("xoxb-", "a Slack token"),
            ("sk_live_", "a Stripe key"),
            ("AIza", "a Google API key"),
        ] {
            let found = format!("credential-leak: line 1 holds {what} ({start}…)");
            check("a.py", &format!("TOKEN = \"{start}{tail}\""), &[&found]);
        }
        check(
            "a.py",
            &format!("os.environ['AWS_SECRET_ACCESS_KEY'] = '{}/'", tail),
            &["credential-leak: line 1 holds an AWS secret access key"],
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
    fn a_private_key_of_the_project_is_denied() {
        let body = "MIIEpAIBAAKCAQEAx3Jk5Vt0Zq8Wm2Ls7Yd4";
        for text in [
            format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n"),
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\r\n{body}\r\n"),
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA".to_owned(),
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBFxQ1yEBCADCq\n".to_owned(),
            "PuTTY-User-Key-File-3: ssh-ed25519\n".to_owned(),
            format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{body}\\n\"}}"),
            format!("KEY = \"\"\"-----BEGIN PRIVATE KEY-----\n{body}\n"),
        ] {
            let levels = |whose: Whose| -> Vec<Level> {
                let found = check_leaks(&TreePath::new("k").unwrap(), whose, text.as_bytes());
                assert!(found.iter().all(|finding| finding.cause == "line 1 holds a private key"));
                found.iter().map(|finding| finding.level).collect()
            };
            assert_eq!(levels(Whose::Project), [Level::Deny], "{text}");
            assert_eq!(levels(Whose::Made), [Level::Warn], "{text}");
            assert_eq!(levels(Whose::Distribution), [], "{text}");
        }
        // A certificate before it, and what is worth less.
        let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----BEGIN PRIVATE KEY-----\n{body}\n");
        check("all.pem", &text, &["credential-leak: line 3 holds a private key"]);
        for harmless in [
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n<your key>\n",
            "-----BEGIN PRIVATE KEY-----",
            "HEAD = '-----BEGIN PRIVATE KEY-----\\n'",
            "-----BEGIN PUBLIC KEY-----\nMIIEpAIBAAKCAQEAx3Jk5Vt0Zq8Wm2Ls7Yd4\n",
        ] {
            check("a.py", harmless, &[]);
        }
    }

    #[test]
    fn examples_of_environments_are_told_from_environments() {
        for name in [".env", ".env.prod", ".env.local", ".env.example.local"] {
            assert!(is_environment_file(name), "{name}");
        }
        for name in [".env.example", ".env.prod.sample", ".env.template", ".env.dist", ".envrc", "x.env"] {
            assert!(!is_environment_file(name), "{name}");
        }
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
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "the prefix sk_live_ is Stripe's",
            "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
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
        assert_eq!(check_leaks(&path, Whose::Distribution, key.as_bytes()), []);
        assert_eq!(check_leaks(&path, Whose::Project, format!("\0{key}").as_bytes()), []);
    }
}
