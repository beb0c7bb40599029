//! What `kiln verify` says of files to a person.

use crate::printer::{Printer, Style};
use kiln_publish::{FileVerdict, LedgerVerdict};
use kiln_record::counted;
use std::path::Path;

/// What was held against what, in a line.
pub(super) fn summary(verdicts: &[(String, FileVerdict)], missing: usize, unread: usize) -> String {
    let count = |is: &dyn Fn(&FileVerdict) -> bool| verdicts.iter().filter(|(_, one)| is(one)).count();
    let (all, wrong) = (verdicts.len(), count(&|one| !one.is_same()));
    let unheld = count(&|one| matches!(one.ledger, LedgerVerdict::NotChecked));
    let wrong = match wrong {
        0 => "all are what their records say".to_owned(),
        1 => "1 is not what a record says".to_owned(),
        wrong => format!("{wrong} are not what a record says"),
    };
    let wrong = match missing {
        0 => wrong,
        1 => format!("{wrong}, and 1 is missing"),
        missing => format!("{wrong}, and {missing} are missing"),
    };
    let wrong = match unread {
        0 => wrong,
        unread => format!("{wrong}; {} could not be read", counted(unread, "records")),
    };
    let files = counted(all, "files");
    let held = match unheld {
        0 => "each was held against the ledger".to_owned(),
        unheld if unheld == all => "none was held against a ledger: who made records and files was not looked at, a key tells (--key)".to_owned(),
        1 => "1 was not held against a ledger".to_owned(),
        unheld => format!("{unheld} were not held against a ledger"),
    };
    format!("{files} looked at: {wrong}; {held}")
}

/// What was not looked at of archives that are the same by records of which no ledger says that they are what was built.
pub(super) fn not_looked_into(verdicts: &[(String, FileVerdict)]) -> Option<String> {
    let is_believed = |(file, one): &(String, FileVerdict)| {
        let is_held = one.record.as_ref().is_some_and(|record| record != file) && one.artifact.is_some();
        is_held && one.is_same() && matches!(one.ledger, LedgerVerdict::NotChecked)
    };
    verdicts.iter().any(is_believed).then(|| {
        "what no ledger here has was held against its record alone, an archive by digest and size: whether it holds the components that the record lists was not looked at".to_owned()
    })
}

/// The files of a folder: one line for those of which there is no more to tell than that, and everything of the others. `missing` is how
/// many more there should be.
pub(super) fn folder_text(
    folder: &Path,
    verdicts: &[&(String, FileVerdict)],
    missing: usize,
    printer: Printer,
) -> String {
    let is_plain = |one: &FileVerdict| one.is_same() && one.also.is_empty() && one.differences.is_empty();
    let ledger = verdicts.iter().map(|(_, one)| one).find(|one| is_plain(one)).map(|one| &one.ledger);
    let (alike, others): (Vec<_>, Vec<_>) =
        verdicts.iter().copied().partition(|(_, one)| is_plain(one) && Some(&one.ledger) == ledger);
    let mut text = String::new();
    if let Some((file, first)) = alike.first() {
        let (subject, what) = match (alike.len(), &first.record) {
            (1, Some(_)) => (file.clone(), said(file, first).2),
            (count, _) => {
                let all = verdicts.len() + missing;
                let of = if count == all { String::new() } else { format!("{count} of ") };
                let all = counted(all, "files");
                (folder.display().to_string(), format!("{of}{all}, each as its record says"))
            }
        };
        let held = ledger_line(first).map_or_else(String::new, |line| format!("; {line}"));
        text.push_str(&format!("{} {subject}: {what}{held}\n", printer.on_stdout(Style::Good, "same")));
    }
    for (file, verdict) in others {
        text.push_str(&self::text(file, verdict, printer));
    }
    text
}

/// What the ledger says of a file.
fn ledger_line(verdict: &FileVerdict) -> Option<String> {
    Some(match verdict.ledger {
        LedgerVerdict::Build(number) => format!("build {number} of the ledger"),
        LedgerVerdict::Other { number, expected, found } => format!(
            "build {number} of the ledger has record {expected}, and {found} is published: file and record were changed together, or come from elsewhere"
        ),
        LedgerVerdict::Superseded { number, newest } => {
            format!("over build {number} of a platform, which has build {newest} by now")
        }
        LedgerVerdict::Newest(artifacts) => {
            format!("the newest builds of {}, by the ledger", counted(artifacts, "artifacts"))
        }
        LedgerVerdict::NotChecked if verdict.record.is_some() => {
            "not held against a ledger: none here has such a build".to_owned()
        }
        LedgerVerdict::NotChecked => return None,
    })
}

/// All of one file: how it is, and what else there is to tell.
pub(super) fn text(file: &str, verdict: &FileVerdict, printer: Printer) -> String {
    let (style, word, sentence) = said(file, verdict);
    let mut text = format!("{} {file}: {sentence}\n", printer.on_stdout(style, word));
    for line in details(file, verdict) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// How a file is, in a word and in a sentence.
pub(super) fn said(file: &str, verdict: &FileVerdict) -> (Style, &'static str, String) {
    match (&verdict.record, verdict.bytes_equal) {
        (Some(record), true) if !verdict.is_same() => (
            Style::Bad,
            "differs",
            format!("the file that {record} describes, but that is not the record of the newest build"),
        ),
        (Some(record), true) if record == file => {
            (Style::Good, "same", "a record that agrees with itself".to_owned())
        }
        (Some(record), true) => (Style::Good, "same", format!("the file that {record} describes")),
        (Some(record), false) => {
            let tree = match verdict.tree_equal {
                Some(true) => "; it unpacks to the same tree, so only the container or compression differs",
                Some(false) => "; it unpacks to another tree",
                None => "",
            };
            (Style::Bad, "differs", format!("not the file that {record} describes{tree}"))
        }
        (None, _) => {
            (Style::Bad, "unknown", "no record beside it and no build in the ledger describe it".to_owned())
        }
    }
}

/// What else there is to tell of it, a line each.
pub(super) fn details(file: &str, verdict: &FileVerdict) -> Vec<String> {
    let mut lines = Vec::new();
    if verdict.record.is_none() {
        lines.push(format!("to hold it against a record: kiln verify --record RECORD.JSON {file}"));
    }
    lines.push(format!("{}  {} bytes", verdict.digest, verdict.size));
    lines.extend(ledger_line(verdict));
    if !verdict.also.is_empty() {
        let others = verdict.also.join(" and ");
        lines.push(format!("{others} has these bytes, too, under another record"));
    }
    lines.extend(verdict.differences.iter().cloned());
    lines
}
