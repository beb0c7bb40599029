//! How two contents that should be one differ, for people.

/// Longest line that is shown, in characters.
const SHOWN: usize = 120;

/// The first line in which two texts differ, or the first byte of what is no text.
#[must_use]
pub fn how_differ(a: &[u8], b: &[u8]) -> String {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) if !a.contains('\0') => {
            let pairs = a.lines().map(Some).chain([None]).zip(b.lines().map(Some).chain([None]));
            let differing = pairs.enumerate().find(|(_, (a, b))| a != b);
            match differing {
                Some((index, (a, b))) => {
                    let shown = |line: Option<&str>| match line {
                        Some(line) => {
                            format!(
                                "`{}`",
                                line.trim().chars().take(SHOWN).collect::<String>().escape_debug()
                            )
                        }
                        None => "the end".to_owned(),
                    };
                    format!("line {} is {} and then {}", index + 1, shown(a), shown(b))
                }
                None => "the line ends differ".to_owned(),
            }
        }
        _ if a.len() != b.len() => format!("it has {} bytes once and {} bytes once", a.len(), b.len()),
        _ => {
            let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or_default();
            let count = a.iter().zip(b).filter(|(a, b)| a != b).count();
            format!("{count} of its {} bytes differ, the first at {at}", a.len())
        }
    }
}
