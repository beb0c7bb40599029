//! What a registry's challenge asks for, and to whom a login goes because of it.
//!
//! A registry answers 401 with `WWW-Authenticate` (RFC 9110, 11.6.1) and names a realm that gives out tokens (distribution
//! project, "Token Authentication"). Registries keep that realm on other hosts, so kiln follows it there as Docker and
//! containerd do; but never to a place that is less protected than the registry itself.

use crate::redacted;
use http_auth::ChallengeParser;
use kiln_record::excerpt;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

/// The longest token that is sent back, in bytes: servers refuse headers that are longer than a few of these.
const LONGEST_TOKEN: usize = 64 << 10;

/// How a registry wants to know who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By user and password, with every request.
    Basic,
    /// By a token of its realm.
    Bearer {
        /// Who gives out tokens.
        realm: Url,
        /// What the realm calls the registry.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads the challenges of an answer: a token is preferred. `None` if there is none that kiln can meet.
    ///
    /// # Errors
    /// Why a realm is not followed, in words.
    pub(super) fn of(headers: &HeaderMap, registry: &Url) -> Result<Option<Self>, String> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            for challenge in ChallengeParser::new(text).map_while(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    continue;
                }
                let parameter = |name: &str| {
                    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                let Some(realm) = parameter("realm") else { continue };
                let realm = usable_realm(&realm, registry)?;
                return Ok(Some(Self::Bearer { realm, service: parameter("service") }));
            }
        }
        Ok(basic)
    }
}

/// The realm as a URL, unless it is less protected than the registry: a login that was given for a registry with TLS goes
/// nowhere without, and one for a registry without TLS goes to no other host that has none either.
fn usable_realm(text: &str, registry: &Url) -> Result<Url, String> {
    let realm: Url = text
        .parse()
        .map_err(|_| format!("it sends logins to `{}`, which is no URL", excerpt(&redacted_realm(text))))?;
    let same_host = realm.host_str() == registry.host_str();
    let is_safe = match realm.scheme() {
        "https" => true,
        "http" => registry.scheme() == "http" && same_host,
        _ => false,
    };
    let has_user = !realm.username().is_empty() || realm.password().is_some();
    if !is_safe || has_user || realm.host_str().is_none() {
        let shown = redacted(&realm);
        return Err(format!(
            "it sends logins to {}, and kiln does not: {}",
            excerpt(&shown),
            if has_user {
                "the address holds a login itself"
            } else {
                "there is less protection than at the registry"
            }
        ));
    }
    Ok(realm)
}

fn redacted_realm(text: &str) -> String {
    crate::credentials::redacted_text(text)
}

/// The token in what a realm answered.
///
/// # Errors
/// What is wrong with it, in words that do not hold it.
pub(super) fn token_in(answer: &[u8]) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| format!("the answer of its realm is no token: {:?} in it", error.classify()))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
    let refused = |why: &str| Err(format!("its realm gave a token that {why}"));
    match token.len() {
        0 => refused("is empty"),
        length if length > LONGEST_TOKEN => refused("is too long for a header"),
        // RFC 6750, 2.1: what a token may be made of is visible ASCII.
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            refused("holds characters that no header can carry")
        }
        _ => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn challenge(text: &str, registry: &str) -> Result<Option<Challenge>, String> {
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())]);
        Challenge::of(&headers, &registry.parse().unwrap())
    }

    #[test]
    fn a_realm_is_followed_where_it_is_as_safe_as_the_registry() {
        let realm = |text: &str, registry: &str| {
            challenge(&format!("Bearer realm=\"{text}\",service=\"s\""), registry).is_ok()
        };
        for (text, registry, expect) in [
            ("https://auth.example.org/token", "https://registry.example.org/", true),
            ("http://registry.example.org/token", "https://registry.example.org/", false),
            ("http://127.0.0.1:5001/token", "https://registry.example.org/", false),
            ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000/", true),
            ("http://auth.example.org/token", "http://127.0.0.1:5000/", false),
            ("https://auth.example.org/token", "http://127.0.0.1:5000/", true),
            ("file:///etc/passwd", "http://127.0.0.1:5000/", false),
            ("ftp://registry.example.org/", "https://registry.example.org/", false),
            ("https://user:pass@auth.example.org/token", "https://registry.example.org/", false),
            ("//auth.example.org", "https://registry.example.org/", false),
        ] {
            assert_eq!(realm(text, registry), expect, "{text} of {registry}");
        }
    }

    #[test]
    fn challenges() {
        let registry = "https://r.example/";
        assert_eq!(challenge("Basic realm=\"x\"", registry), Ok(Some(Challenge::Basic)));
        assert_eq!(challenge("Negotiate", registry), Ok(None));
        assert_eq!(challenge("Bearer service=\"x\"", registry), Ok(None));
        assert_eq!(challenge("=,,\"", registry), Ok(None));
        let both = challenge("Basic realm=\"x\", Bearer realm=\"https://a.example/t\"", registry);
        assert!(matches!(both, Ok(Some(Challenge::Bearer { service: None, .. }))), "{both:?}");
    }

    #[test]
    fn tokens_are_what_a_header_can_carry() {
        assert_eq!(token_in(br#"{"token":"abc"}"#).as_deref(), Ok("abc"));
        assert_eq!(token_in(br#"{"access_token":"a.b-c"}"#).as_deref(), Ok("a.b-c"));
        let long = format!("{{\"token\":\"{}\"}}", "a".repeat(LONGEST_TOKEN + 1));
        for bad in [
            &br#"{"token":"a\u0000secret"}"#[..],
            br#"{"token":"a\r\nX: y secret"}"#,
            "{\"token\":\"\u{e9}secret\"}".as_bytes(),
            br#"{"token":""}"#,
            br#"{}"#,
            br#"["secret"]"#,
            b"\xff",
            long.as_bytes(),
        ] {
            let why = token_in(bad).unwrap_err();
            assert!(!why.contains("secret") && why.len() < 200, "{why}");
        }
    }
}
