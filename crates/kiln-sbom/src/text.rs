//! Texts from package metadata that a schema holds to a format.
//!
//! Metadata is written by strangers. A text that does not fit its format would make the whole document invalid, so it is
//! checked here and otherwise carried where any text is allowed.

/// A text without control characters, which no reader of a document expects; line feeds and tabs become spaces.
pub(crate) fn line(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a text is a URL with a host, of characters that RFC 3986 allows (a part of `iri-reference`).
pub(crate) fn is_web_url(text: &str) -> bool {
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric())) && is_uri_text(text)
}

/// Whether a text is a relative reference to a file of that name.
pub(crate) fn is_file_reference(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains([':', '/', '?', '#'])
        && is_uri_text(text)
}

fn is_uri_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 2048
        && text.matches('#').count() <= 1
        && bytes.iter().enumerate().all(|(i, b)| match b {
            b'%' => bytes.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            // Brackets are allowed only around an IPv6 host, which no project page uses.
            b'[' | b']' => false,
            b => b.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(b),
        })
}

/// Whether a text is a plain mail address (the part of RFC 5321 that needs no quotes).
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 254
        && local.len() <= 64
        && local.split('.').all(atom)
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for good in ["https://example.org/a?b=c#d", "http://example.org:80/%20"] {
            assert!(is_web_url(good), "{good}");
        }
        for bad in
            ["example.org", "https://", "https://a b", "javascript:x", "https://e.org/%2", "https://e/#a#b"]
        {
            assert!(!is_web_url(bad), "{bad}");
        }
        assert!(is_file_reference("six-1.17.0+local-py2.py3-none-any.whl"));
        assert!(!is_file_reference("../x") && !is_file_reference("a b"));
        assert!(is_email("first.last+tag@mail.example.org"));
        for bad in ["a", "a@", "@b.c", "a b@c.d", "a@b", "a..b@c.d", "a@-b.c", "<a@b.c>"] {
            assert!(!is_email(bad), "{bad}");
        }
        assert_eq!(line("a\r\n\tb\u{7f}"), "a b");
    }
}
