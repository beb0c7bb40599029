//! `kiln verify`.

use super::verify_text::{details, folder_text, not_looked_into, said, summary, text};
use super::{cross_check, verify_release, verify_workspace};
use crate::args::{Format, Verify};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use fs_err as fs;
use kiln_publish::{
    Anchors, FileVerdict, LedgerVerdict, PublishError, documents, has_name_of_archive, index_documents,
    is_signature, verify_file,
};
use kiln_record::{Exit, IndexRecord, Level, Place, Record, RunError as _, exit};
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
    let (mut verdicts, mut folders) = (Vec::new(), Vec::new());
    let Meant { files, missing, mut notes } = meant(&command.files)?;
    let mut unread: Vec<Unread> = Vec::new();
    for Named { file, folder } in files {
        match verify_file(&settings.environment, &file, command.record.as_deref()) {
            Ok(verdict) => {
                verdicts.push((file.display().to_string(), verdict));
                folders.push(folder.filter(|_| !command.verbose));
            }
            // What else is in a folder of artifacts is looked at all the same.
            Err(error @ PublishError::UnreadRecord { .. }) if folder.is_some() => {
                Unread::note(&mut unread, error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if verdicts.is_empty() && !unread.is_empty() {
        return Err(unread.swap_remove(0).error.into());
    }
    notes.extend(not_looked_into(&verdicts));
    if settings.format == Format::Json {
        let rows = verdicts.iter().map(|(file, verdict)| Row::new(file, verdict));
        let rows = rows.chain(missing.iter().map(Missing::row)).chain(unread.iter().map(Unread::row));
        printer.data(&super::document(&rows.collect::<Vec<_>>())?);
    } else if settings.format == Format::Human {
        let all: Vec<_> = folders.iter().map(Option::as_deref).zip(&verdicts).collect();
        for there in all.chunk_by(|(before, _), (after, _)| before.is_some() && before == after) {
            let (folder, verdicts) = (there[0].0, there.iter().map(|(_, verdict)| *verdict));
            match folder {
                Some(folder) => {
                    let missing = missing.iter().filter(|one| one.folder == folder).count();
                    printer.data(&folder_text(folder, &verdicts.collect::<Vec<_>>(), missing, printer));
                }
                None => verdicts.for_each(|(file, verdict)| printer.data(&text(file, verdict, printer))),
            }
        }
        for one in &missing {
            let word = printer.on_stdout(Style::Bad, "differs");
            printer.data(&format!("{word} {}: {}\n", one.file, one.line()));
        }
        for one in &unread {
            printer.data(&format!("{} {}\n", printer.on_stdout(Style::Bad, "unread"), one.line()));
        }
        for note in &notes {
            printer.talk(&format!("{}: {note}", printer.on_stderr(Style::Note, "note")));
        }
        printer.talk(&summary(&verdicts, missing.len(), unread.len()));
    } else {
        let root = &settings.environment.root;
        let judgements = verdicts.iter().map(|(file, verdict)| judgement(root, file, verdict));
        let judgements: Vec<Judgement> =
            judgements.chain(missing.iter().map(|one| one.judgement(root))).collect();
        let judgements: Vec<Judgement> =
            judgements.into_iter().chain(unread.iter().map(|one| one.judgement(root))).collect();
        let table = || markdown_table(&verdicts, &missing, &unread);
        printer.data(&forms::judged(settings.format, &judgements, table)?);
    }
    if !unread.is_empty() {
        return Ok(exit::INPUT_INVALID);
    }
    let all = missing.is_empty() && verdicts.iter().all(|(_, verdict)| verdict.is_same());
    Ok(if all { exit::SUCCESS } else { exit::NOT_REPRODUCIBLE })
}

/// A file that is meant.
struct Named {
    file: PathBuf,
    /// The folder it is in, where that is what was named.
    folder: Option<PathBuf>,
}

/// A file that a folder should have, by its record.
struct Missing {
    file: String,
    folder: PathBuf,
    record: String,
}

impl Missing {
    fn line(&self) -> String {
        format!("missing, and {} has it", self.record)
    }

    fn row(&self) -> Row<'_> {
        Row { record: Some(&self.record), missing: true, ..Row::unlooked(&self.file) }
    }

    fn judgement(&self, root: &Path) -> Judgement {
        Judgement {
            name: self.file.clone(),
            declared_in: Some(place(root, &self.file)),
            cases: vec![Case::ran("record")],
            remarks: vec![Remark::new("verify-differs", Level::Deny, &self.file, self.line())],
        }
    }
}

/// A record in a folder of artifacts that cannot be read: nothing beside it was held against anything.
struct Unread {
    file: String,
    reason: String,
    place: Option<Place>,
    error: PublishError,
}

impl Unread {
    /// Adds a record once, however many files are beside it.
    fn note(all: &mut Vec<Self>, error: PublishError) {
        if let PublishError::UnreadRecord { path, reason } = &error
            && all.iter().all(|one| one.file != *path)
        {
            all.push(Self { file: path.clone(), reason: reason.to_string(), place: error.place(), error });
        }
    }

    fn line(&self) -> String {
        format!("{}: {}; nothing beside it was looked at", self.file, self.reason)
    }

    fn row(&self) -> Row<'_> {
        let line = self.place.as_ref().and_then(|place| place.line);
        Row { unread: Some(&self.reason), line, ..Row::unlooked(&self.file) }
    }

    fn judgement(&self, root: &Path) -> Judgement {
        let file = place(root, &self.file);
        let at = Place { file: file.clone(), line: self.place.as_ref().and_then(|place| place.line) };
        Judgement {
            name: self.file.clone(),
            declared_in: Some(file),
            cases: vec![Case::ran("record")],
            remarks: vec![Remark {
                place: Some(at),
                ..Remark::new(exit::INPUT_INVALID.kind(), Level::Deny, &self.file, self.line())
            }],
        }
    }
}

/// What a folder should have, and has not: files that its record describes, and the documents that follow from it, unless it has none
/// of them: then it is no whole publication, which is noted. What cannot be read as a record is told when it is held against itself.
fn missing_in(folder: &Path, notes: &mut Vec<String>) -> Vec<Missing> {
    let read = |name: &str| read_regular(folder.join(name)).ok();
    let of_record = |bytes: Vec<u8>| {
        let record = Record::from_json(&bytes).ok()?;
        Some((record.outputs.clone(), documents(&record).ok()?.into_keys().collect::<Vec<_>>()))
    };
    let of_index = |bytes: Vec<u8>| {
        let record = IndexRecord::from_json(&bytes).ok()?;
        Some((record.outputs.clone(), index_documents(&record).ok()?.into_keys().collect()))
    };
    let (record, names) = match (read("record.json"), read(IndexRecord::FILE)) {
        (Some(bytes), _) => ("record.json", of_record(bytes)),
        (None, Some(bytes)) => (IndexRecord::FILE, of_index(bytes)),
        (None, None) => return Vec::new(),
    };
    let Some((outputs, mut documents)) = names else { return Vec::new() };
    // Sums are not pushed, and say nothing that the record does not.
    documents.retain(|name| name != record && name != "SHA256SUMS");
    let is_absent = |name: &String| !folder.join(name).is_file();
    if documents.iter().all(is_absent) {
        documents.clear();
        notes.push(format!(
            "{}: there is no bill and no provenance, so that none was looked at",
            folder.display()
        ));
    }
    let names = outputs.into_iter().map(|output| output.file_name).chain(documents);
    let told = |name: String| Missing {
        file: folder.join(name).display().to_string(),
        folder: folder.to_owned(),
        record: folder.join(record).display().to_string(),
    };
    names.filter(is_absent).map(told).collect()
}

/// What is meant by the words of a command.
struct Meant {
    files: Vec<Named>,
    missing: Vec<Missing>,
    /// What was not looked at.
    notes: Vec<String>,
}

/// The folder of an image that is published as a layout, beside its record.
const LAYOUT: &str = "oci";

/// The files that are meant: of a folder everything that it publishes, and what looks like an artifact in it and has no record.
fn meant(named: &[PathBuf]) -> Result<Meant, Failure> {
    let (mut files, mut missing, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for path in named {
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Failure::input(format!(
                    "{} is not a file, and not a folder either",
                    path.display()
                )));
            }
            files.push(Named { file: path.clone(), folder: None });
            continue;
        }
        let before = files.len();
        let mut undescribed = Vec::new();
        for folder in [path.clone()].into_iter().chain(entries(path)?) {
            let there = if folder.is_dir() { entries(&folder)? } else { Vec::new() };
            if !has_record(&folder) {
                if folder != *path && there.iter().any(|one| has_record(one)) {
                    let folder = folder.display();
                    notes.push(format!(
                        "{folder}: it holds artifacts of its own, and was not looked at: kiln verify {folder}"
                    ));
                } else {
                    undescribed.extend(there.into_iter().filter(|file| is_of_artifact(file)));
                }
                continue;
            }
            // An image may be published as a layout, whose files the record names as well.
            let mut there = there;
            if folder.join(LAYOUT).is_dir() {
                below(&folder.join(LAYOUT), &mut there)?;
            }
            all_regular(&there)?;
            missing.extend(missing_in(&folder, &mut notes));
            let there = there.into_iter().filter(|file| file.is_file() && !is_signed(file));
            files.extend(there.map(|file| Named { file, folder: Some(folder.clone()) }));
        }
        // Of a folder of artifacts, the index over them.
        let index = path.join("index.json");
        if files.len() > before && index.is_file() && !path.join("oci-layout").is_file() {
            files.push(Named { file: index, folder: Some(path.clone()) });
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
        all_regular(&undescribed)?;
        files.extend(undescribed.into_iter().map(|file| Named { file, folder: None }));
    }
    Ok(Meant { files, missing, notes })
}

/// Whether a folder is that of an artifact, or of an image for several platforms.
fn has_record(folder: &Path) -> bool {
    ["record.json", IndexRecord::FILE].iter().any(|name| folder.join(name).is_file())
}

/// Whether a file is one with signatures, which no record describes: they are judged by `--key`.
fn is_signed(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(is_signature)
}

/// Whether a file is by its name an archive or a document of one, which a record should describe.
fn is_of_artifact(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let is_document = [".cdx.json", ".spdx.json", ".intoto.jsonl"].iter().any(|end| name.ends_with(end));
    (is_document || has_name_of_archive(file)) && !file.is_dir() && !is_signed(file)
}

/// Refuses what is neither a file nor a folder, such as a pipe, which would be waited for.
fn all_regular(there: &[PathBuf]) -> Result<(), Failure> {
    match there.iter().find(|file| !file.is_file() && !file.is_dir()) {
        Some(other) => Err(Failure::input(format!("{} is no regular file", other.display()))),
        None => Ok(()),
    }
}

/// Adds what is in a folder and in those below it, folders aside.
fn below(folder: &Path, all: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for path in entries(folder)? {
        if path.is_dir() && !path.is_symlink() { below(&path, all)? } else { all.push(path) }
    }
    Ok(())
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
fn judgement(root: &Path, file: &str, verdict: &FileVerdict) -> Judgement {
    let remark = (!verdict.is_same()).then(|| {
        let (_, _, sentence) = said(file, verdict);
        Remark {
            detail: details(file, verdict),
            ..Remark::new("verify-differs", Level::Deny, file, sentence)
        }
    });
    let mut cases = vec![match &verdict.record {
        Some(_) => Case::ran("record"),
        None => Case::not_run("record", "no record describes the file"),
    }];
    cases.push(match verdict.ledger {
        LedgerVerdict::NotChecked => Case::not_run("ledger", "no ledger here has such a build"),
        _ => Case::ran("ledger"),
    });
    let declared_in = Some(place(root, file));
    Judgement { name: file.to_owned(), declared_in, cases, remarks: remark.into_iter().collect() }
}

/// A file as its place is told: from the workspace, where it is in it.
fn place(root: &Path, file: &str) -> String {
    let path = std::path::absolute(file).ok();
    let inside = path.as_deref().and_then(|path| path.strip_prefix(root).ok());
    inside.map_or_else(|| file.to_owned(), |inside| inside.display().to_string())
}

fn markdown_table(verdicts: &[(String, FileVerdict)], missing: &[Missing], unread: &[Unread]) -> Markdown {
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
    let absent = missing.iter().map(|one| {
        ["missing".to_owned(), one.file.clone(), one.record.clone(), String::new(), String::new()]
    });
    let unread = unread
        .iter()
        .map(|one| ["unread".to_owned(), one.line(), String::new(), String::new(), String::new()]);
    out.table(head, rows.chain(absent).chain(unread));
    out
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
    /// Whether it should be there, and is not.
    missing: bool,
    /// Why this record cannot be read, so that nothing beside it was looked at; none where it can.
    unread: Option<&'a str>,
    /// The line of it that cannot be read, if it is one.
    line: Option<u32>,
}

impl<'a> Row<'a> {
    /// Of a file whose content was not looked at.
    fn unlooked(file: &'a str) -> Self {
        Self {
            file,
            digest: String::new(),
            size: 0,
            record: None,
            artifact: None,
            bytes_equal: false,
            tree_equal: None,
            ledger: "not-checked",
            build: None,
            differences: &[],
            also: &[],
            missing: false,
            unread: None,
            line: None,
        }
    }

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
            missing: false,
            unread: None,
            line: None,
        }
    }
}
