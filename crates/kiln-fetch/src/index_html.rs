//! The little HTML that a PEP 503 page needs: anchors with their attributes, a base, and the API's version.
//!
//! This is no HTML parser. It reads tags and their attributes, skips comments, scripts and styles, and never fails:
//! what is no tag is text. It reads the page once from left to right.

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// `<base href>`, the first one.
    pub(crate) base: Option<String>,
    /// `<meta name="pypi:repository-version">` (PEP 629).
    pub(crate) version: Option<String>,
    /// Every `<a href>` in order.
    pub(crate) anchors: Vec<Anchor>,
}

/// One `<a href>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// Where it leads, entities decoded.
    pub(crate) href: String,
    /// `data-requires-python`.
    pub(crate) requires_python: Option<String>,
    /// Whether `data-yanked` is there (PEP 592), with or without a reason.
    pub(crate) yanked: bool,
    /// Whether the page says that the file's metadata is offered beside it (PEP 658).
    pub(crate) metadata: bool,
}

/// Reads a page.
pub(crate) fn read(html: &str) -> Page {
    let mut page = Page::default();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = after(comment, "-->");
            continue;
        }
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = rest[..length].to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        let (attributes, tail) = attributes(&rest[length..]);
        rest = tail;
        let value = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        match name.as_str() {
            "a" => {
                if let Some(href) = value("href") {
                    page.anchors.push(Anchor {
                        href,
                        requires_python: value("data-requires-python"),
                        yanked: value("data-yanked").is_some(),
                        metadata: ["data-core-metadata", "data-dist-info-metadata"]
                            .iter()
                            .any(|key| value(key).is_some_and(|value| value != "false")),
                    });
                }
            }
            "base" if page.base.is_none() => page.base = value("href"),
            "meta" if value("name").as_deref() == Some("pypi:repository-version") => {
                page.version = value("content");
            }
            // Their content is not markup. HTML ends them at the closing tag only.
            "script" => rest = after(rest, "</script"),
            "style" => rest = after(rest, "</style"),
            _ => {}
        }
    }
    page
}

/// Reads attributes up to the end of the tag; the first of two with one name counts (HTML).
fn attributes(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/' || c == '=');
        if let Some(tail) = rest.strip_prefix('>') {
            return (found, tail);
        }
        if rest.is_empty() {
            return (found, rest);
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "/=>".contains(c)).unwrap_or(rest.len());
        let key = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_whitespace());
        let mut value = "";
        if let Some(tail) = rest.strip_prefix('=') {
            let tail = tail.trim_start_matches(|c: char| c.is_ascii_whitespace());
            (value, rest) = match tail.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = &tail[1..];
                    let end = inner.find(quote).unwrap_or(inner.len());
                    (&inner[..end], inner.get(end + 1..).unwrap_or_default())
                }
                _ => {
                    let end = tail.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(tail.len());
                    (&tail[..end], &tail[end..])
                }
            };
        }
        // A page has no reason for more, and a hostile one must not make the search in this list slow.
        if found.len() < 32 {
            found.push((key, unescaped(value)));
        }
    }
}

/// Decodes numeric entities and the five named ones that an attribute needs; others stay as they are.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let entity = rest.bytes().take(12).position(|c| c == b';').and_then(|end| {
            let character = match &rest[1..end] {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                other => {
                    let number = other.strip_prefix('#')?;
                    let code = match number.strip_prefix(['x', 'X']) {
                        Some(hex) => u32::from_str_radix(hex, 16),
                        None => number.parse(),
                    };
                    char::from_u32(code.ok()?)?
                }
            };
            Some((character, end + 1))
        });
        let length = match entity {
            Some((character, length)) => {
                plain.push(character);
                length
            }
            None => {
                plain.push('&');
                1
            }
        };
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

/// What follows the first occurrence of an ASCII text, upper or lower case; nothing if there is none.
fn after<'a>(text: &'a str, end: &str) -> &'a str {
    let found = text.as_bytes().windows(end.len()).position(|part| part.eq_ignore_ascii_case(end.as_bytes()));
    found.map_or("", |at| &text[at + end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let page = read(concat!(
            "<!DOCTYPE html><html><head><meta name=\"pypi:repository-version\" content=\"1.0\">",
            "<base href='../../files/'></head><body><!-- <a href=\"no\">no</a> --><script>'<a href=no>'</SCRIPT>",
            "<A HREF = \"a-1.0.whl#sha256=00&amp;x=1\" data-requires-python=\"&gt;=3.8,&#60;4\">a</a>",
            "<a data-yanked='why > not' href=b.whl>b</a><a name=x>none</a> 1 < 2 <"
        ));
        assert_eq!(page.version.as_deref(), Some("1.0"));
        assert_eq!(page.base.as_deref(), Some("../../files/"));
        let anchor = |href: &str, requires: Option<&str>, yanked| Anchor {
            href: href.to_owned(),
            requires_python: requires.map(str::to_owned),
            yanked,
            metadata: false,
        };
        assert_eq!(
            page.anchors,
            [anchor("a-1.0.whl#sha256=00&x=1", Some(">=3.8,<4"), false), anchor("b.whl", None, true)]
        );
    }

    #[test]
    fn broken_pages_end() {
        for text in [
            "<a href=\"x",
            "<a href",
            "<a href=",
            "<a ==//",
            "<!-- <a",
            "<script>",
            "<a é=\"ü&é;\">",
            "&#x110000;",
        ] {
            assert!(read(text).anchors.len() <= 1, "{text}");
        }
        assert_eq!(unescaped("&#x110000;&bogus;&&amp;&éüéüéü;"), "&#x110000;&bogus;&&&éüéüéü;");
    }
}
