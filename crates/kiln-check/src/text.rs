//! Texts of programs, in a form that is the same in every run.

/// A text without the addresses of objects, which differ from run to run: `<app.X object at 0x7f3a2c>`.
pub(crate) fn without_addresses(text: &str) -> String {
    let mut pieces = text.split("0x");
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        clean.push_str("0x");
        clean.push_str(if digits >= 6 { "…" } else { &piece[..digits] });
        clean.push_str(&piece[digits..]);
    }
    clean
}
