//! What all pages have in common.

/// A document without characters that XML does not allow, that are not seen, or that turn the order of others around. What
/// is markup to a reader was escaped when it was put in.
pub(crate) fn harmless(document: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    document.chars().map(replaced).collect()
}
