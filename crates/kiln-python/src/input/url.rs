//! URLs and paths as locks write them: without credentials, and the file name at their end.

/// A URL without the user name and password that it may carry.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The last part of a path or URL, without query and fragment, with `%2B` and the like decoded.
pub(crate) fn file_name_of(place: &str) -> Option<String> {
    let path = if place.contains("://") { place.split(['?', '#']).next().unwrap_or(place) } else { place };
    let last = path.rsplit(['/', '\\']).next().filter(|last| !last.is_empty())?;
    let mut decoded = Vec::with_capacity(last.len());
    let mut rest = last.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [a, b, ..]) => hex::decode([*a, *b]).ok().and_then(|byte| byte.first().copied()),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(decoded).ok().filter(|name| !name.contains(['/', '\0']))
}

/// The SHA-256 in the fragment of a reference: `…whl#sha256=…`.
pub(crate) fn fragment_hash(reference: &str) -> Option<&str> {
    let (_, fragment) = reference.split_once('#')?;
    fragment.split('&').find_map(|part| part.strip_prefix("sha256="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out_of_urls() {
        assert_eq!(without_credentials("https://me:p@ss@example.org/a@b"), "https://example.org/a@b");
        assert_eq!(without_credentials("git+ssh://git@example.org"), "git+ssh://example.org");
        assert_eq!(without_credentials("../a@b"), "../a@b");
    }

    #[test]
    fn file_names_are_taken_from_places() {
        for (place, expect) in [
            ("a/b.whl", Some("b.whl")),
            ("c\\b.whl", Some("b.whl")),
            ("https://example.org/b%2bc.whl#sha256=0", Some("b+c.whl")),
            ("a%", Some("a%")),
            ("a%zz", Some("a%zz")),
            ("x/%2F", None),
            ("x/%ff", None),
            ("x/", None),
        ] {
            assert_eq!(file_name_of(place).as_deref(), expect, "{place}");
        }
    }
}
