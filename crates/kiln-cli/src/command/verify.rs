//! `kiln verify`.

use super::{cross_check, verify_release, verify_workspace};
use crate::args::{Colour, Format, Verify};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use fs_err as fs;
use kiln_publish::{Anchors, FileVerdict, LedgerVerdict, is_signature, settle_for_reading, verify_file};
use kiln_record::{Exit, IndexRecord, Level, Record, counted, exit};
use kiln_report::{Align, Case, Judgement, Markdown, Remark};
use kiln_store::read_regular;
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(crate) fn run(settings: &Settings, command: &Verify, printer: Printer) -> Result<Exit, Failure> {
    if let Some(build) = &command.cross_check {
        return cross_check::run(settings, build, printer);
    }
    if command.signed.is_asked() {
        return verify_release::run(settings, command, printer);
    }
    if command.files.is_empty() {
        let anchors = Anchors {
            heads: command.heads.clone(),
            registry: command.registry.clone(),
            plain_http: command.plain_http,
        };
        return verify_workspace::run(settings, command.repair, anchors, printer);
    }
    settle_for_reading(&settings.environment)?;
    let mut verdicts = Vec::new();
    for file in &files(&command.files)? {
        let verdict = verify_file(&settings.environment, file, command.record.as_deref())?;
        verdicts.push((file.display().to_string(), verdict));
    }
    if settings.format == Format::Json {
        printer.data(&super::document(
            &verdicts.iter().map(|(file, verdict)| Row::new(file, verdict)).collect::<Vec<_>>(),
        )?);
    } else if settings.format == Format::Human {
        for (file, verdict) in &verdicts {
            printer.data(&text(file, verdict, printer));
        }
        printer.talk(&summary(&verdicts));
    } else {
        let judgements: Vec<Judgement> =
            verdicts.iter().map(|(file, verdict)| judgement(file, verdict)).collect();
        printer.data(&forms::judged(settings.format, &judgements, || markdown_table(&verdicts))?);
    }
    let all = verdicts.iter().all(|(_, verdict)| verdict.is_same());
    Ok(if all { exit::SUCCESS } else { exit::NOT_REPRODUCIBLE })
}

/// What was held against what, in a line.
fn summary(verdicts: &[(String, FileVerdict)]) -> String {
    let count = |is: &dyn Fn(&FileVerdict) -> bool| verdicts.iter().filter(|(_, one)| is(one)).count();
    let (all, wrong) = (verdicts.len(), count(&|one| !one.is_same()));
    let unheld = count(&|one| matches!(one.ledger, LedgerVerdict::NotChecked));
    let wrong = match wrong {
        0 => "all are what their records say".to_owned(),
        wrong => format!("{wrong} are not what a record says"),
    };
    let files = counted(all, "files");
    let held = match unheld {
        0 => "each was held against the ledger".to_owned(),
        unheld if unheld == all => "none was held against a ledger: who made records and files was not looked at, a key tells (--key)".to_owned(),
        unheld => format!("{unheld} were not held against a ledger"),
    };
    format!("{files} looked at: {wrong}; {held}")
}

/// The files that are meant: of a folder everything that it publishes.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Failure::input(format!(
                    "{} is not a file, and not a folder either",
                    path.display()
                )));
            }
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let folders = [path.clone()].into_iter().chain(entries(path)?);
        for folder in folders.filter(|folder| has_record(folder)) {
            let there = entries(&folder)?;
            if let Some(other) = there.iter().find(|file| !file.is_file() && !file.is_dir()) {
                return Err(Failure::input(format!("{} is no regular file", other.display())));
            }
            archive_is_there(&folder)?;
            files.extend(there.into_iter().filter(|file| file.is_file() && !is_signed(file)));
        }
        // Of a folder of artifacts, the index over them.
        let index = path.join("index.json");
        if files.len() > before && index.is_file() && !path.join("oci-layout").is_file() {
            files.push(index);
        }
        if files.len() == before {
            return Err(Failure::input(format!(
                "{} holds no record.json, and no folder in it does",
                path.display()
            ))
            .hint(
                "name the file, and the record to hold it against: kiln verify --record RECORD.JSON FILE",
            ));
        }
    }
    Ok(files)
}

/// Whether a folder is that of an artifact, or of an image for several platforms.
fn has_record(folder: &Path) -> bool {
    ["record.json", IndexRecord::FILE].iter().any(|name| folder.join(name).is_file())
}

/// A folder is not what its record says without the archive that this is about.
fn archive_is_there(folder: &Path) -> Result<(), Failure> {
    let record =
        read_regular(folder.join("record.json")).ok().and_then(|bytes| Record::from_json(&bytes).ok());
    let archive = record.as_ref().and_then(Record::archive).map(|output| output.file_name.as_str());
    match archive {
        Some(name) if !folder.join(name).exists() => Err(Failure::input(format!(
            "{} describes {name}, which is not there",
            folder.join("record.json").display()
        ))
        .hint("bring it there, or name the files that are to be looked at instead of their folder")),
        _ => Ok(()),
    }
}

/// Whether a file is one with signatures, which no record describes: they are judged by `--key`.
fn is_signed(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(is_signature)
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::store(error.to_string());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// What was held against a record, and what does not agree with it.
fn judgement(file: &str, verdict: &FileVerdict) -> Judgement {
    let plain = text(file, verdict, printer_without_colour());
    let (said, detail) = plain.split_once('\n').unwrap_or((&plain, ""));
    let remark = (!verdict.is_same()).then(|| {
        let mut remark = Remark::new("verify-differs", Level::Deny, file, said);
        remark.detail = detail.lines().map(|line| line.trim().to_owned()).collect();
        remark
    });
    let mut cases = vec![match &verdict.record {
        Some(_) => Case::ran("record"),
        None => Case::not_run("record", "no record describes the file"),
    }];
    cases.push(match verdict.ledger {
        LedgerVerdict::NotChecked => Case::not_run("ledger", "no ledger here has such a build"),
        _ => Case::ran("ledger"),
    });
    Judgement { name: file.to_owned(), declared_in: None, cases, remarks: remark.into_iter().collect() }
}

fn printer_without_colour() -> Printer {
    Printer::new(true, Colour::Never, true, true)
}

fn markdown_table(verdicts: &[(String, FileVerdict)]) -> Markdown {
    let mut out = Markdown::default();
    let rows = verdicts.iter().map(|(file, verdict)| {
        let row = Row::new(file, verdict);
        let word = match (verdict.is_same(), row.record) {
            (true, _) => "same",
            (false, Some(_)) => "differs",
            (false, None) => "unknown",
        };
        let build = row.build.map(|number| format!("{} {number}", row.ledger));
        let ledger = build.unwrap_or_else(|| row.ledger.to_owned());
        [word.to_owned(), file.clone(), row.record.unwrap_or("none").to_owned(), ledger, row.digest.clone()]
    });
    let head = ["", "file", "record", "ledger", "digest"].map(|name| (name, Align::Left));
    out.table(head, rows);
    out
}

fn text(file: &str, verdict: &FileVerdict, printer: Printer) -> String {
    let mut text = match (&verdict.record, verdict.bytes_equal) {
        (Some(record), true) if !verdict.is_same() => {
            format!(
                "{} {file}: the file that {record} describes, but that is not the record of the newest build\n",
                printer.on_stdout(Style::Bad, "differs")
            )
        }
        (Some(record), true) => {
            format!("{} {file}: the file that {record} describes\n", printer.on_stdout(Style::Good, "same"))
        }
        (Some(record), false) => {
            let tree = match verdict.tree_equal {
                Some(true) => "; it unpacks to the same tree, so only the container or compression differs",
                Some(false) => "; it unpacks to another tree",
                None => "",
            };
            format!(
                "{} {file}: not the file that {record} describes{tree}\n",
                printer.on_stdout(Style::Bad, "differs")
            )
        }
        (None, _) => format!(
            "{} {file}: no record beside it and no build in the ledger describe it\n  to hold it against a record: kiln \
             verify --record RECORD.JSON {file}\n",
            printer.on_stdout(Style::Bad, "unknown")
        ),
    };
    text.push_str(&format!("  {}  {} bytes\n", verdict.digest, verdict.size));
    text.push_str(&match verdict.ledger {
        LedgerVerdict::Build(number) => format!("  build {number} of the ledger\n"),
        LedgerVerdict::Other { number, expected, found } => format!(
            "  build {number} of the ledger has record {expected}, and {found} is published: file and record were changed together, or come from elsewhere\n"
        ),
        LedgerVerdict::Superseded { number, newest } => {
            format!("  over build {number} of a platform, which has build {newest} by now\n")
        }
        LedgerVerdict::Newest(artifacts) => {
            format!("  the newest builds of {}, by the ledger\n", counted(artifacts, "artifacts"))
        }
        LedgerVerdict::NotChecked if verdict.record.is_some() => {
            "  not held against a ledger: none here has such a build\n".to_owned()
        }
        LedgerVerdict::NotChecked => String::new(),
    });
    if !verdict.also.is_empty() {
        let others = verdict.also.join(" and ");
        text.push_str(&format!("  {others} has these bytes, too, under another record\n"));
    }
    for difference in &verdict.differences {
        text.push_str(&format!("  {difference}\n"));
    }
    text
}

/// What is known of a file. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Row<'a> {
    file: &'a str,
    digest: String,
    size: u64,
    record: Option<&'a str>,
    artifact: Option<&'a str>,
    bytes_equal: bool,
    tree_equal: Option<bool>,
    /// `build`, `other`, `superseded` or `not-checked`.
    ledger: &'static str,
    /// The build of the ledger that has the record, or the newest one if that is another.
    build: Option<u64>,
    differences: &'a [String],
    /// Other builds of the ledger that have these bytes, under other records.
    also: &'a [String],
}

impl<'a> Row<'a> {
    fn new(file: &'a str, verdict: &'a FileVerdict) -> Self {
        let (ledger, build) = match verdict.ledger {
            LedgerVerdict::Build(number) => ("build", Some(number)),
            LedgerVerdict::Other { number, .. } => ("other", Some(number)),
            LedgerVerdict::Superseded { number, .. } => ("superseded", Some(number)),
            LedgerVerdict::Newest(_) => ("build", None),
            LedgerVerdict::NotChecked => ("not-checked", None),
        };
        Self {
            ledger,
            build,
            file,
            digest: verdict.digest.to_string(),
            size: verdict.size,
            record: verdict.record.as_deref(),
            artifact: verdict.artifact.as_ref().map(kiln_record::ArtifactName::as_str),
            bytes_equal: verdict.bytes_equal,
            tree_equal: verdict.tree_equal,
            differences: &verdict.differences,
            also: &verdict.also,
        }
    }
}
