//! What packing left out or changed, in a line.

use kiln_audit::format_size;
use kiln_record::{ComponentId, Transformation};
use std::collections::BTreeSet;

/// How many components a rule's effect is told for.
const SHOWN: usize = 5;

/// A rule's effect, such as `drop-tests left out 1,234 files, 5.6 MiB`; none for a rule that found nothing to do.
pub(crate) fn line(rule: &Transformation) -> Option<String> {
    if !rule.not_taken.is_empty() {
        return Some(format!("{} left out {}", rule.rule, named(&rule.not_taken)));
    }
    (rule.files > 0).then(|| {
        format!("{} {}", rule.rule, effect(rule.files, rule.bytes_before, rule.bytes_after, verb(rule)))
    })
}

/// Names, the first of them if there are many.
fn named(names: &BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let rest = names.len() - first.len();
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}

/// What is said of a rule that found nothing to do.
pub(crate) fn idle(rule: &Transformation) -> String {
    format!("{} found nothing to do", rule.rule)
}

/// The components that a rule had the most effect on, with the effect.
pub(crate) fn largest(rule: &Transformation) -> Vec<(&ComponentId, String)> {
    let mut components: Vec<_> = rule.components.iter().collect();
    components.sort_by_key(|(id, c)| (std::cmp::Reverse(c.bytes_before.abs_diff(c.bytes_after)), *id));
    let verb = verb(rule);
    let shown = components.iter().take(SHOWN);
    shown.map(|(id, c)| (*id, effect(c.files, c.bytes_before, c.bytes_after, verb))).collect()
}

/// What a rule does to files. One that makes files may find a few of them there already.
fn verb(rule: &Transformation) -> &'static str {
    match rule.bytes_before == 0 && rule.changed.values().any(Option::is_none) {
        true => "made",
        false if rule.changed.is_empty() => "left out",
        false => "changed",
    }
}

fn effect(files: u64, before: u64, after: u64, verb: &str) -> String {
    let noun = if files == 1 { "file" } else { "files" };
    let count = grouped(files);
    if verb == "changed" && before == after {
        return format!("{verb} {count} {noun}");
    }
    let difference = format_size(before.abs_diff(after));
    let sense = match verb {
        "changed" if after > before => " more",
        "changed" => " less",
        _ => "",
    };
    format!("{verb} {count} {noun}, {difference}{sense}")
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Ecosystem;

    #[test]
    fn lines_say_what_was_saved() {
        let mut rule = Transformation::new("drop-tests", 1);
        assert_eq!(line(&rule), None);
        for (name, size) in [("small", 10), ("large", 4096)] {
            rule.count(&ComponentId::new(Ecosystem::Python, name), size, 0);
        }
        rule.files = 1234;
        assert_eq!(line(&rule).unwrap(), "drop-tests left out 1,234 files, 4.0 KiB");
        assert_eq!(largest(&rule)[0].0.as_str(), "python/large");
        assert_eq!(effect(1, 100, 60, "changed"), "changed 1 file, 40 B less");
        assert_eq!(effect(1, 60, 60, "changed"), "changed 1 file");
        assert_eq!(effect(2, 0, 60, "made"), "made 2 files, 60 B");
    }
}
