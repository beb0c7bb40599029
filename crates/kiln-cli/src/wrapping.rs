//! Lines that are longer than a terminal is wide: continued below the column that they were cut in, so that a table stays one.

use unicode_width::UnicodeWidthChar as _;

/// The least room that a continued line must have; with less it begins near the left.
const LEAST_ROOM: usize = 24;

/// A text of which no line is longer than a width, but for words that are: paths and digests stay whole, to be copied.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        wrap(line, width, &mut out);
    }
    out
}

fn wrap(line: &str, width: usize, out: &mut String) {
    let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
    if columns(content) <= width {
        out.push_str(line);
        return;
    }
    // Spaces that stand at the end would be a line of their own.
    let content = content.trim_end_matches(' ');
    let leading = content.len() - content.trim_start_matches(' ').len();
    let (mut at, mut begin) = (0, leading);
    for (place, word) in words(content).enumerate() {
        let spaces = word.len() - word.trim_start_matches(' ').len();
        let letters = columns(word) - spaces;
        // Two spaces or more stand between columns.
        let begins = spaces > 1 && place > 0 && at + spaces <= width;
        if begins {
            begin = at + spaces;
        }
        let has_room = begin > leading && begin + LEAST_ROOM <= width;
        let indent = if has_room { begin } else { (leading + 4).min(width / 2) };
        // A digest that is wider than what is left is no better off below the name of what it is of.
        let is_hopeless = begins && indent + letters > width;
        if place > 0 && at + spaces + letters > width && !is_hopeless {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(word.trim_start_matches(' '));
            at = indent + letters;
        } else {
            out.push_str(word);
            at += spaces + letters;
        }
    }
    out.push_str(end);
}

/// The words of a line, each with the spaces before it.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let letters = rest[spaces..].find(' ').unwrap_or(rest.len() - spaces);
        let (word, others) = rest.split_at(spaces + letters);
        rest = others;
        (!word.is_empty()).then_some(word)
    })
}

/// How many columns of a terminal a text takes: what sets colours takes none.
fn columns(text: &str) -> usize {
    let mut count = 0;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(|end| *end == 'm');
        } else {
            count += letter.width().unwrap_or_default();
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_below_its_last_column() {
        let line = "  upgraded    alpha 1.0 -> 2.0  +1.2 KiB  lock changed: manifests/app/requirements.txt and more\n";
        assert_eq!(
            wrapped(line, 80),
            format!(
                "  upgraded    alpha 1.0 -> 2.0  +1.2 KiB  lock changed:\n{0}manifests/app/requirements.txt \
                 and\n{0}more\n",
                " ".repeat(42)
            )
        );
    }

    #[test]
    fn a_line_without_columns_goes_on_further_in() {
        assert_eq!(
            wrapped("same dist/app/app.zip: the file that its record describes\n", 40),
            "same dist/app/app.zip: the file that its\n    record describes\n"
        );
    }

    #[test]
    fn without_room_below_the_column_it_goes_on_near_the_left() {
        let line = "  upgraded    alpha 1.0 -> 2.0  +1.2 KiB  lock changed: manifests/app\n";
        assert_eq!(
            wrapped(line, 50),
            "  upgraded    alpha 1.0 -> 2.0  +1.2 KiB  lock\n      changed: manifests/app\n"
        );
    }

    #[test]
    fn short_lines_and_long_words_stay_as_they_are() {
        let text = "a b\n\n  sha256:0123456789012345678901234567890123456789\n";
        assert_eq!(wrapped(text, 20), text);
        assert_eq!(wrapped("no end", 80), "no end");
        let digest = "  tree    sha256:01234567890123456789  src\n";
        assert_eq!(wrapped(digest, 30), "  tree    sha256:01234567890123456789\n      src\n");
        assert_eq!(wrapped("  12 B  app            \n", 12), "  12 B  app\n");
    }

    #[test]
    fn colours_and_wide_letters_count_as_they_are_seen() {
        let painted = "\u{1b}[1;31mdenied\u{1b}[0m because of \u{1b}[2mit\u{1b}[0m\n";
        assert_eq!(wrapped(painted, 20), painted);
        assert_eq!(wrapped("一二三 四五六\n", 10), "一二三\n    四五六\n");
    }

    #[test]
    fn every_line_of_words_fits_whatever_the_width() {
        let text =
            "one two   three four five six  seven eight nine ten eleven twelve thirteen fourteen fifteen\n"
                .repeat(3);
        for width in 20..120 {
            let wrapped = wrapped(&text, width);
            assert!(wrapped.lines().all(|line| columns(line) <= width), "{width}: {wrapped}");
            let flat = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(flat(&wrapped), flat(&text), "{width}");
        }
    }
}
