//! `kiln audit`: known vulnerabilities of builds, from an export of advisories that lies here.

use super::audit_document::Document;
use super::audit_text::{details, markdown, text, vulnerabilities};
use crate::args::audit::{Audit as Arguments, VexForm};
use crate::args::{Format, VERSION};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::{Settings, now};
use kiln_advisory::{
    Audit, Export, Finding, Statement, Subjects, Wanted, audit, cyclonedx_vex, openvex, read_export,
    read_openvex, read_vex_file, subjects, vulnerability_statement,
};
use kiln_publish::NamedBuild;
use kiln_record::{Exit, Level, counted, exit};
use kiln_report::{Case, Judgement, Remark};
use kiln_store::write_atomically;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

/// The largest file of statements that is read, in bytes.
const LARGEST: u64 = 64 << 20;

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let osv = command.osv.as_deref().ok_or_else(|| without_export(&command.builds))?;
    let (builds, unread) = super::named_all(settings, &command.builds)?;
    // What else is in a folder of artifacts is looked at all the same.
    if let (true, Some(unread)) = (builds.is_empty(), unread.first()) {
        return Err(unread.failure());
    }
    builds.iter().for_each(|build| super::note_absent(build, printer));
    let count = builds.len() + unread.len();
    if (command.form.is_some() || command.statement.is_some()) && count != 1 {
        return Err(Failure::usage(format!(
            "--as and --statement are about one build, and there are {count}"
        ))
        .hint("name one artifact, such as dist/orders, and run it for each"));
    }
    let statements = statements(&command.vex)?;
    let started = settings.environment.now;
    let all: Vec<_> = builds.iter().map(subjects_of).collect();
    let wanted = Wanted::of(
        all.iter().flat_map(|all| all.checked.iter().chain(all.absent.iter().map(|(subject, _)| subject))),
    );
    let export = read_export(osv, &wanted)?;
    let audits: Vec<(&NamedBuild, Audit)> = builds
        .iter()
        .zip(all)
        .map(|(build, all)| (build, audit(all, &export, &statements, started)))
        .collect();
    let denied = denied(command, &export, &audits);
    if let (Some(path), Some((build, audit))) = (&command.statement, audits.first()) {
        let line = vulnerability_statement(&build.record, audit, &export, VERSION, (started, now()?))?;
        write_atomically(path, &line)?;
    }
    let used: BTreeSet<usize> = audits.iter().flat_map(|(_, audit)| audit.used.iter().copied()).collect();
    let idle: Vec<&str> = statements
        .iter()
        .enumerate()
        .filter(|(at, _)| !used.contains(at))
        .map(|(_, one)| one.place.as_str())
        .collect();
    let document = Document::of(&export, &audits, idle, denied.clone()).with_unread(&unread);
    match (command.form, audits.first()) {
        (Some(form), Some((build, audit))) => {
            let bytes = match form {
                VexForm::Openvex => openvex(&build.record, audit, VERSION, started),
                VexForm::Cyclonedx => cyclonedx_vex(&build.record, audit, VERSION, started),
            }?;
            printer.data(&String::from_utf8(bytes).map_err(|error| Failure::unexpected(error.to_string()))?);
        }
        _ => match settings.format {
            Format::Json => printer.data(&super::document(&document)?),
            Format::Human => printer.data(&text(&document, printer)),
            format => {
                let of_audits = audits.iter().map(|(build, audit)| Judgement {
                    declared_in: super::declared_in(settings, &build.record.artifact),
                    ..judgement(command, &build.label, &export, audit)
                });
                let of_unread = unread.iter().map(|one| Judgement {
                    name: one.name.to_string(),
                    cases: vec![one.failure().broken("record")],
                    ..Judgement::default()
                });
                let judgements: Vec<Judgement> = of_audits.chain(of_unread).collect();
                printer.data(&match format {
                    Format::Markdown => markdown(&document),
                    format => forms::judged(format, &judgements, Default::default)?,
                });
            }
        },
    }
    unread.iter().for_each(|one| one.failure().tell(printer));
    let ended = if unread.is_empty() { exit::SUCCESS } else { exit::INPUT_INVALID };
    if denied.is_empty() {
        return Ok(ended);
    }
    let least = command.fail_on.map_or("", |least| least.as_str());
    printer.problem(&format!("{}: --fail-on {least}", printer.on_stderr(Style::Bad, "denied")));
    for reason in &denied {
        printer.problem(&format!("  {reason}"));
    }
    Ok(if unread.is_empty() { exit::DIFFERENCE_DENIED } else { ended })
}

/// What can be looked up of a build, and what not.
fn subjects_of(build: &NamedBuild) -> Subjects {
    let aside = &build.aside;
    let all = subjects(&build.record).with_absent(&aside.absent).with_elsewhere(&aside.elsewhere);
    all.with_own(&aside.own)
}

/// What to do where no export is named.
fn without_export(builds: &[String]) -> Failure {
    Failure::usage("--osv EXPORT is missing: the advisories that builds are held against, as a file or folder on this machine")
        .hint("an export is a folder or zip of advisories in the form of OSV, as OSV hands them out for each ecosystem: an all.zip of PyPI, one of crates.io, one of Debian")
        .hint("where they are: https://google.github.io/osv.dev/data/#data-dumps; put them into one folder, as osv/PyPI.zip and osv/Debian.zip")
        .hint(format!("then: kiln audit {} --osv osv", builds.join(" ")))
}

fn statements(files: &[std::path::PathBuf]) -> Result<Vec<Statement>, Failure> {
    let mut all = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let bytes = read_bounded(path)?;
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text =
                String::from_utf8(bytes).map_err(|_| Failure::input(format!("{name}: it is no UTF-8")))?;
            all.extend(read_vex_file(&name, &text)?);
        } else {
            all.extend(read_openvex(&name, &bytes)?);
        }
    }
    Ok(all)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = fs_err::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| Failure::input(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::input(format!("{}: it has more than {LARGEST} bytes", path.display())));
    }
    Ok(bytes)
}

/// What `--fail-on` denies.
fn denied(command: &Arguments, export: &Export, audits: &[(&NamedBuild, Audit)]) -> Vec<String> {
    let Some(least) = command.fail_on else { return Vec::new() };
    let mut denied = Vec::new();
    for (build, audit) in audits {
        let (undecided, found): (Vec<&Finding>, Vec<&Finding>) = audit
            .findings
            .iter()
            .filter(|one| one.reaches(least.severity()))
            .partition(|one| one.undecided.is_some());
        if !found.is_empty() {
            let unrated = found.iter().filter(|one| one.severity.is_none()).count();
            let unrated =
                if unrated == 0 { String::new() } else { format!(", {unrated} of which nobody rated") };
            denied.push(format!("{}: {}{unrated}", build.label, vulnerabilities(found.len())));
        }
        if !undecided.is_empty() {
            denied.push(format!("{}: {} that cannot be told", build.label, undecided.len()));
        }
    }
    if export.unread_count > 0 {
        denied.push(format!("{} documents of the export could not be read", export.unread_count));
    }
    denied
}

/// What an audit says in the form of findings: a rule for each vulnerability.
fn judgement(command: &Arguments, label: &str, export: &Export, audit: &Audit) -> Judgement {
    let remark = |finding: &Finding| {
        let denied = command.fail_on.is_some_and(|least| finding.reaches(least.severity()));
        let level = if denied { Level::Deny } else { Level::Warn };
        let summary = finding.summary.as_deref().unwrap_or("a known vulnerability");
        let mut remark = Remark::new(&finding.id, level, finding.subject.label(), summary);
        remark.detail.extend(details(&finding.into()));
        remark
            .remedy
            .extend((!finding.fixed.is_empty()).then(|| format!("fixed in {}", finding.fixed.join(", "))));
        remark
    };
    let mut cases = vec![Case::ran(format!("advisories of {}", counted(audit.checked, "parts")))];
    cases.extend(
        audit.not_checked.iter().map(|one| Case::not_run(format!("advisories of {}", one.name), &one.reason)),
    );
    cases.extend(export.unread.iter().map(|one| {
        let kind = exit::INPUT_INVALID.kind();
        let shown = Remark::new(kind, Level::Deny, format!("document {}", one.path), &one.reason);
        Case::broken(&shown.subject, &one.reason, vec![shown.clone()])
    }));
    Judgement {
        name: label.to_owned(),
        declared_in: None,
        cases,
        remarks: audit.findings.iter().filter(|finding| finding.is_open()).map(remark).collect(),
    }
}
