//! Texts of others in messages: short, and without anything that a terminal would act on.

/// The most that a message repeats of a text that somebody else wrote, in characters.
const LONGEST: usize = 200;

/// What a message shows of a text from elsewhere: its first 200 characters, control characters and the like escaped; quotes
/// are as they are, as whoever reads it looks for the same text in a file. What was longer ends in `…` and the length of
/// the whole, so that a message is about its input and not a copy of it.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            '"' | '\'' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str(&format!("… ({} bytes)", text.len()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_control_characters_escaped() {
        assert_eq!(excerpt("a b"), "a b");
        assert_eq!(excerpt("pydantic = \"<2.12\" # 'x'"), "pydantic = \"<2.12\" # 'x'");
        assert_eq!(excerpt("\\u{1b}"), "\\\\u{1b}", "what is escaped is told from what says so");
        assert_eq!(excerpt("a\u{1b}[0m\n\u{202e}"), "a\\u{1b}[0m\\n\\u{202e}");
        assert_eq!(excerpt(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(excerpt(&"é".repeat(201)), format!("{}… (402 bytes)", "é".repeat(200)));
        let worst = excerpt(&"\0".repeat(8 << 20));
        assert!(worst.len() < 1_200, "{}", worst.len());
    }
}
