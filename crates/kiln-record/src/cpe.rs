//! Names of products as NVD's dictionary has them (CPE 2.3, NISTIR 7695).

/// Attributes of a name: part, vendor, product, version, update, edition, language, and four more.
const ATTRIBUTES: usize = 11;

/// A name in the form of a string (`cpe:2.3:a:haxx:curl:7.83.1:*:*:*:*:*:*:*`), if a text is one. Attributes that are left out at
/// its end, as in some systems' os-release(5), are of any value.
#[must_use]
pub fn cpe_name(text: &str) -> Option<String> {
    let rest = text.strip_prefix("cpe:2.3:")?;
    let mut attributes = vec![String::new()];
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        let attribute = attributes.last_mut()?;
        match character {
            ':' => attributes.push(String::new()),
            '\\' => {
                let quoted = characters.next().filter(char::is_ascii_punctuation)?;
                attribute.extend(['\\', quoted]);
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '*' | '?' | '~' => {
                attribute.push(character);
            }
            _ => return None,
        }
    }
    let is_whole = (3..=ATTRIBUTES).contains(&attributes.len())
        && attributes.iter().all(|attribute| !attribute.is_empty())
        && ["a", "o", "h"].contains(&attributes[0].as_str());
    attributes.resize(ATTRIBUTES, "*".to_owned());
    is_whole.then(|| format!("cpe:2.3:{}", attributes.join(":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_or_end_early() {
        let curl = r"cpe:2.3:a:haxx:curl:7.83.1:*:*:*:*:*:*:*";
        assert_eq!(cpe_name(curl).as_deref(), Some(curl));
        // As Amazon Linux 2023 has it.
        let amazon = "cpe:2.3:o:amazon:amazon_linux:2023:*:*:*:*:*:*:*";
        assert_eq!(cpe_name("cpe:2.3:o:amazon:amazon_linux:2023").as_deref(), Some(amazon));
        let quoted = r"cpe:2.3:a:x\:y:lib\+\+:1:*:*:*:*:*:*:*";
        assert_eq!(cpe_name(quoted).as_deref(), Some(quoted));
        for other in [
            "cpe:/o:redhat:enterprise_linux:9",
            "cpe:2.3:a:haxx",
            "cpe:2.3:x:haxx:curl:1",
            "cpe:2.3:a::curl:1",
            "cpe:2.3:a:haxx:curl 7:1",
            "cpe:2.3:a:haxx:curl:1:2:3:4:5:6:7:8:9",
            r"cpe:2.3:a:haxx:curl\",
            "",
        ] {
            assert_eq!(cpe_name(other), None, "{other}");
        }
    }
}
