//! What a program printed, as text that no terminal obeys.

use anstyle_parse::{Parser, Perform};

/// What a program printed, without what it tells a terminal by escape sequences: colours, moves of the cursor, titles. Of other
/// control characters line feeds and tabs are left, and what stands for the rest is U+FFFD.
#[must_use]
pub fn printed(text: &str) -> String {
    let mut shown = Shown(String::with_capacity(text.len()));
    let mut parser: Parser = Parser::default();
    text.bytes().for_each(|byte| parser.advance(&mut shown, byte));
    shown.0
}

/// Takes the characters alone: what the parser tells of sequences is passed over.
struct Shown(String);

impl Perform for Shown {
    fn print(&mut self, c: char) {
        let stays = !c.is_control() || c == '\n' || c == '\t';
        self.0.push(if stays { c } else { char::REPLACEMENT_CHARACTER });
    }

    fn execute(&mut self, byte: u8) {
        self.print(char::from(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::printed;

    #[test]
    fn sequences_are_gone_with_all_that_belongs_to_them() {
        for (text, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m and \u{1b}[38;5;200mpink\u{1b}[m", "red and pink"),
            ("\u{1b}[2J\u{1b}[1;1Htop\u{1b}[K", "top"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;https://example.test\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{1b}Pq#0\u{1b}\\picture\u{1b}c", "picture"),
            ("50 %\u{1b}[", "50 %"),
            ("é \u{1b}[32m一\u{1b}[0m ü", "é 一 ü"),
        ] {
            assert_eq!(printed(text), shown, "{text:?}");
        }
    }

    #[test]
    fn other_control_characters_are_seen_and_nothing_acts() {
        assert_eq!(
            printed("a\tb\nc\rd\u{8}\u{7}\0\u{7f}"),
            "a\tb\nc\u{fffd}d\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(printed("\u{9b}31m\u{9d}0;x\u{9c}"), "\u{fffd}31m\u{fffd}0;x\u{fffd}");
        let every: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in
            [every.clone(), format!("\u{1b}{every}"), format!("\u{1b}[{every}"), format!("\u{1b}]{every}")]
        {
            assert!(!printed(&text).contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
