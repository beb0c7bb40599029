//! Credentials: where they come from, whom they are for, and how they are kept out of every text.

use crate::FetchError;
use crate::loopback::is_loopback;
use std::collections::BTreeMap;
use url::Url;

/// A text with each URL in it [`redacted`]: upload addresses and download links hold a state that works as a key.
#[must_use]
pub fn without_queries(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let end = word.trim_end_matches([',', ';', ':', ')']);
        match end.parse() {
            Ok(url) if end.contains("://") => format!("{}{}", redacted(&url), &word[end.len()..]),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A URL for people: user information is shown as `***`, a query as `?…`, and a fragment not at all.
///
/// Queries are hidden whole because signed download links carry their signature there.
#[must_use]
pub fn redacted(url: &Url) -> String {
    if url.cannot_be_a_base() {
        // `user:secret@host/path` parses as the scheme `user` with an opaque rest.
        return redacted_text(url.as_str());
    }
    let mut shown = without_credentials(url);
    let has_query = shown.query().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    let mut text = shown.to_string();
    if has_user_information(url)
        && let Some(at) = text.find("://")
    {
        text.insert_str(at + 3, "***@");
    }
    if has_query {
        text.push_str("?…");
    }
    text
}

/// The same URL without user name and password.
#[must_use]
pub fn without_credentials(url: &Url) -> Url {
    let mut bare = url.clone();
    if has_user_information(url) {
        // Both fail only for URLs that cannot hold user information, which have none to remove.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
    }
    bare
}

/// A text that should have been a URL, shown without whatever could be a secret in it.
pub(crate) fn redacted_text(text: &str) -> String {
    let visible = text.split(['?', '#']).next().unwrap_or_default();
    let visible = match visible.rsplit_once('@') {
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{after}"),
            None => format!("***@{after}"),
        },
        None => visible.to_owned(),
    };
    visible.chars().take(200).flat_map(char::escape_debug).collect()
}

/// Undoes percent-encoding; a `%` that is not followed by two hexadecimal digits stands for itself.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|pair| {
            let digit = |c: u8| char::from(c).to_digit(16);
            Some(digit(pair[0])? * 16 + digit(pair[1])?)
        });
        match (byte, pair.and_then(|value| u8::try_from(value).ok())) {
            (b'%', Some(value)) => {
                decoded.push(value);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A user name and perhaps a password. It has no `Debug`, so that no derived one can show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

/// Which login belongs to which server.
#[derive(Default)]
pub(crate) struct Credentials {
    /// Logins of an origin, each with the path of the URL that brought it.
    by_origin: BTreeMap<(String, String, u16), Vec<(String, Login)>>,
    by_host: BTreeMap<String, Login>,
    default: Option<Login>,
}

impl Credentials {
    /// Reads a netrc file (the format of `ftp(1)`, as curl and Python's `netrc` read it). Macros are skipped.
    pub(crate) fn from_netrc(text: &str) -> Result<Self, FetchError> {
        let mut credentials = Self::default();
        let mut entry: Option<(Option<String>, String, Option<String>)> = None;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let error = |why: &str| FetchError::Setting {
                from: format!("netrc, line {}", number + 1),
                why: why.to_owned(),
            };
            let mut words = words_of(line).into_iter();
            while let Some(word) = words.next() {
                let mut value = || words.next().ok_or_else(|| error("a keyword has no value on its line"));
                match word.as_str() {
                    // Only where a keyword could be: a password may begin like a comment.
                    comment if comment.starts_with('#') => break,
                    "machine" => {
                        credentials.keep(entry.take());
                        entry = Some((Some(value()?.to_ascii_lowercase()), String::new(), None));
                    }
                    "default" => {
                        credentials.keep(entry.take());
                        entry = Some((None, String::new(), None));
                    }
                    "login" | "user" | "password" | "account" => {
                        let value = value()?;
                        let Some((_, user, password)) = entry.as_mut() else {
                            return Err(error("a login or password comes before any `machine`"));
                        };
                        match word.as_str() {
                            "password" => *password = Some(value),
                            "account" => {}
                            _ => *user = value,
                        }
                    }
                    "macdef" => {
                        // A macro goes on until an empty line.
                        for (_, body) in lines.by_ref() {
                            if body.trim().is_empty() {
                                break;
                            }
                        }
                        break;
                    }
                    _ => return Err(error("unknown keyword; known are machine, default, login, password")),
                }
            }
        }
        credentials.keep(entry);
        Ok(credentials)
    }

    fn keep(&mut self, entry: Option<(Option<String>, String, Option<String>)>) {
        match entry {
            // An entry for an `account` or macros alone names nobody to log in as.
            Some((_, user, None)) if user.is_empty() => {}
            // The first entry for a host counts, as for every reader of this format.
            Some((Some(host), user, password)) => {
                self.by_host.entry(host).or_insert(Login { user, password });
            }
            Some((None, user, password)) if self.default.is_none() => {
                self.default = Some(Login { user, password });
            }
            _ => {}
        }
    }

    /// Remembers the user information of a URL for its whole origin (scheme, host and port).
    pub(crate) fn remember(&mut self, url: &Url) {
        if let (Some(origin), Some(login)) = (origin(url), login_of(url)) {
            let logins = self.by_origin.entry(origin).or_default();
            logins.retain(|(path, _)| path != url.path());
            logins.push((url.path().to_owned(), login));
        }
    }

    /// The login remembered for a URL's origin. Where one server has several indexes with a login each, it is that of
    /// the index whose path has the most leading parts in common with the URL's, and the latest of those.
    fn remembered(&self, url: &Url) -> Option<Login> {
        let logins = self.by_origin.get(&origin(url)?)?;
        let common =
            |path: &str| path.split('/').zip(url.path().split('/')).take_while(|(a, b)| a == b).count();
        logins.iter().max_by_key(|(path, _)| common(path)).map(|(_, login)| login.clone())
    }

    /// The login to send with a request: the URL's own, else the one remembered for its origin, else netrc's. A netrc names
    /// hosts and neither schemes nor ports, and a lock may name any URL: so its logins go out under TLS alone, but for this
    /// very machine.
    pub(crate) fn login_for(&self, url: &Url) -> Option<Login> {
        let of_netrc = || {
            let host = url.host_str()?.to_ascii_lowercase();
            let protected = url.scheme() == "https" || is_loopback(url);
            let found = self.by_host.get(&host).or(self.default.as_ref());
            protected.then(|| found.cloned()).flatten()
        };
        login_of(url).or_else(|| self.remembered(url)).or_else(of_netrc)
    }
}

fn has_user_information(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn login_of(url: &Url) -> Option<Login> {
    has_user_information(url).then(|| Login {
        user: percent_decoded(url.username()),
        password: url.password().map(percent_decoded),
    })
}

fn origin(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_ascii_lowercase(), url.port_or_known_default()?))
}

/// Splits a line at white space; `"…"` keeps it together and `\` takes the next character as it is.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(&c) = characters.peek() {
        if c.is_whitespace() {
            characters.next();
            continue;
        }
        let quoted = c == '"';
        if quoted {
            characters.next();
        }
        let mut word = String::new();
        while let Some(c) = characters.next() {
            match c {
                '\\' => word.extend(characters.next()),
                '"' if quoted => break,
                c => word.push(c),
            }
            if !quoted && characters.peek().is_some_and(|c| c.is_whitespace()) {
                break;
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn secrets_are_not_shown() {
        for (given, shown) in [
            ("https://user:pa%20ss@index.example.org/simple/", "https://***@index.example.org/simple/"),
            ("https://token@index.example.org:8443/a?sig=abc#f", "https://***@index.example.org:8443/a?…"),
            ("https://index.example.org/a#sha256=00", "https://index.example.org/a"),
            ("file:///srv/simple/", "file:///srv/simple/"),
        ] {
            assert_eq!(redacted(&url(given)), shown);
        }
        assert_eq!(redacted_text("https://u:p@ss@host example/x?t=1"), "https://***@host example/x");
        assert_eq!(redacted_text("user:secret@host/simple"), "***@host/simple");
    }

    #[test]
    fn netrc_is_read() {
        let text = "# comment\nmachine a.example login ann password \"p w\" # hers\nmacdef init\n  machine evil\n\nmachine B.example\n  login bob\n  password #b\\\"c\nmachine c.example account x\ndefault login anonymous password x\n";
        let credentials = Credentials::from_netrc(text).unwrap_or_default();
        let login = |text: &str| {
            credentials
                .login_for(&url(text))
                .map(|l| format!("{}:{}", l.user, l.password.unwrap_or_default()))
        };
        assert_eq!(login("https://a.example/x").as_deref(), Some("ann:p w"));
        assert_eq!(login("https://b.example/x").as_deref(), Some("bob:#b\"c"));
        assert_eq!(login("https://c.example/").as_deref(), Some("anonymous:x"));
        assert_eq!(login("https://evil/").as_deref(), Some("anonymous:x"));
        assert_eq!(login("https://a.example:8443/x").as_deref(), Some("ann:p w"));
        assert_eq!(login("http://127.0.0.1:8080/x").as_deref(), Some("anonymous:x"));
        for bare in ["http://a.example/x", "http://a.example:443/x", "http://evil/"] {
            assert_eq!(login(bare), None, "{bare}");
        }
        assert_eq!(login("https://u%40v:w@a.example/x").as_deref(), Some("u@v:w"));
    }

    #[test]
    fn a_broken_netrc_is_named_by_line_and_not_quoted() {
        for text in ["machine a login b\npassword", "login x", "machine a\nhunter2 y"] {
            let error = Credentials::from_netrc(text).err().unwrap().to_string();
            assert!(error.contains("netrc, line"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn logins_stay_with_their_origin() {
        let mut credentials = Credentials::default();
        credentials.remember(&url("https://u:p@a.example/simple/"));
        assert!(credentials.login_for(&url("https://a.example/files/x")).is_some());
        for other in ["http://a.example/x", "https://a.example:444/x", "https://b.example/x"] {
            assert!(credentials.login_for(&url(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn indexes_of_one_server_have_logins_of_their_own() {
        let mut credentials = Credentials::default();
        credentials.remember(&url("https://a:1@host.example/private/simple/"));
        credentials.remember(&url("https://b:2@host.example/mirror/simple/"));
        let user = |text: &str| credentials.login_for(&url(text)).map(|login| login.user);
        assert_eq!(user("https://host.example/private/files/x.whl").as_deref(), Some("a"));
        assert_eq!(user("https://host.example/mirror/simple/six/").as_deref(), Some("b"));
    }

    #[test]
    fn percent_signs() {
        assert_eq!(percent_decoded("a%2Bb%zz%4"), "a+b%zz%4");
    }
}
