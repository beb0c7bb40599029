//! Numbers of things in messages.

use std::fmt;

/// A number with what it is a number of, which is given in the plural: `1 file`, `2 files`, `1 locked distribution`. What
/// stands in the singular is the first word that ends in `s`; where two kinds are counted together (`paths and
/// distributions`) both stay as they are.
#[must_use]
pub fn counted(count: impl fmt::Display, things: &str) -> String {
    let count = count.to_string();
    if count != "1" || things.contains(" and ") {
        return format!("{count} {things}");
    }
    let mut is_done = false;
    let words = things.split(' ').map(|word| match word.strip_suffix('s') {
        Some(stem) if !is_done => {
            is_done = true;
            stem.strip_suffix("ie").map_or_else(|| stem.to_owned(), |stem| format!("{stem}y"))
        }
        _ => word.to_owned(),
    });
    format!("1 {}", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_of_them() {
        for (count, things, told) in [
            (0, "files", "0 files"),
            (1, "files", "1 file"),
            (2, "files", "2 files"),
            (1, "ELF files", "1 ELF file"),
            (1, "needed libraries", "1 needed library"),
            (1, "entries", "1 entry"),
            (1, "bases", "1 base"),
            (1, "source distributions built twice", "1 source distribution built twice"),
            (1, "paths against the base", "1 path against the base"),
            (1, "more members", "1 more member"),
            (1, "paths and distributions", "1 paths and distributions"),
        ] {
            assert_eq!(counted(count, things), told);
        }
    }
}
