//! `kiln diff`.

use crate::args::{Diff as Arguments, Format, VERSION};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use kiln_audit::{
    ArtifactChange, ArtifactState, ComponentChange, Diff, FailOn, Side, SizeHistory, Verdict, WorkspaceDiff,
    component_notes, component_title,
};
use kiln_publish::{
    Ahead, Beside, Histories, NamedBuild, NamedWorkspace, Operand, compared, name_declarations,
    read_histories,
};
use kiln_record::{ArtifactName, Exit, Level, counted, exit};
use kiln_report::{
    Case, Comparison, Judgement, Markdown, Remark, change_statement, diff_page, github_annotations,
    workspace_page,
};
use kiln_store::write_atomically;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    if !command.allow.is_empty() && command.fail_on.contains(&FailOn::Unexplained) {
        return Err(Failure::usage("--fail-on unexplained and --allow unexplained say opposite things")
            .hint("leave both out: what nothing explains is denied unless it is allowed"));
    }
    let (before, after) = both(command)?;
    let ahead = Ahead::of(&after);
    let before = super::operand(settings, before, Beside::default())?;
    let after = super::operand(settings, &after, Beside { before: Some(&before), ahead })?;
    for side in [&before, &after] {
        match side {
            Operand::Build(build) => super::note_absent(build, printer),
            Operand::Workspace(all) => {
                all.artifacts.values().for_each(|build| super::note_absent(build, printer));
            }
        }
    }
    let histories = histories(settings, &command.history)?;
    let mut undecided: BTreeSet<(FailOn, &str)> = BTreeSet::new();
    let mut unread = false;
    let exceeded = match (before, after) {
        (Operand::Build(before), Operand::Build(after)) => {
            let history = histories.of(&settings.environment, &before)?;
            let mut diff = compared(&before, &after, &history)?;
            name_declarations(&settings.environment, &before, &after, &mut diff);
            let exceeded = diff.exceeds(&reasons(command));
            undecided.extend(not_told(&diff, &exceeded));
            for reason in command.fail_on.iter().filter(|reason| reason.is_of_workspaces()) {
                printer.talk(&format!(
                    "{}: --fail-on {reason} is about the artifacts of workspaces, and these are two builds: nothing was held against it",
                    printer.on_stderr(Style::Note, "note")
                ));
            }
            if let Some(path) = &command.statement {
                let line = change_statement(&diff, &before.record, &after.record)
                    .map_err(|error| Failure::unexpected(error.to_string()))?;
                write_atomically(path, &line)?;
            }
            let judgements = [Judgement {
                declared_in: super::declared_in(settings, &diff.after.artifact),
                ..judgement(&diff, &reasons(command), &exceeded, false)
            }];
            let told = || -> Vec<Judgement> {
                judgements.iter().map(|judgement| with_changes(judgement, &diff)).collect()
            };
            match settings.format {
                Format::Human => printer.data(&diff.to_text()),
                Format::Markdown => printer.data(&diff.to_markdown()),
                Format::Json => printer.data(&super::document(&diff)?),
                Format::Html => {
                    let (before, after, history) = (&before.record, &after.record, &history.samples[..]);
                    printer.data(&diff_page(VERSION, Comparison { diff: &diff, before, after, history }));
                }
                format => printer.data(&forms::judged(format, &told(), Markdown::default)?),
            }
            annotate(settings, printer, &judgements);
            exceeded
        }
        (Operand::Workspace(_), Operand::Workspace(_)) if command.statement.is_some() => {
            return Err(Failure::usage("--statement is about two builds, and these are workspaces")
                .hint("compare two of their artifacts"));
        }
        (Operand::Workspace(before), Operand::Workspace(after)) => {
            let (diff, sizes) = workspaces(settings, &before, &after, &histories)?;
            let judgement = |artifact: &ArtifactChange| Judgement {
                declared_in: super::declared_in(settings, &artifact.artifact),
                ..of_artifact(artifact, &reasons(command))
            };
            let judgements: Vec<Judgement> = diff.artifacts.iter().map(judgement).collect();
            let told = || -> Vec<Judgement> {
                let all = judgements.iter().zip(&diff.artifacts);
                all.map(|(judgement, artifact)| match &artifact.diff {
                    Some(diff) => with_changes(judgement, diff),
                    None => judgement.clone(),
                })
                .collect()
            };
            match settings.format {
                Format::Human => printer.data(&diff.to_text(command.summary)),
                Format::Markdown => printer.data(&diff.to_markdown(command.summary)),
                Format::Json => printer.data(&super::document(&diff)?),
                Format::Html => {
                    let changed = if command.summary {
                        Vec::new()
                    } else {
                        compared_pairs(&diff, &before, &after, &sizes)
                    };
                    printer.data(&workspace_page(VERSION, &diff, &changed));
                }
                format => printer.data(&forms::judged(format, &told(), Markdown::default)?),
            }
            annotate(settings, printer, &judgements);
            for one in diff.artifacts.iter().filter(|one| one.state == ArtifactState::NotRead) {
                unread = true;
                printer.talk(&format!(
                    "{}: {}: {}, so that it counts as whatever --fail-on names",
                    printer.on_stderr(Style::Note, "note"),
                    one.artifact,
                    one.told()
                ));
            }
            for diff in diff.artifacts.iter().filter_map(|artifact| artifact.diff.as_ref()) {
                undecided.extend(not_told(diff, &diff.exceeds(&reasons(command))));
            }
            diff.exceeds(&reasons(command))
        }
        (Operand::Workspace(all), Operand::Build(one)) | (Operand::Build(one), Operand::Workspace(all)) => {
            let name = &one.record.artifact;
            return Err(Failure::input(format!(
                "{} is one build, and {} is a workspace of {}: nothing says which of them is meant",
                one.label,
                all.label,
                counted(all.artifacts.len(), "artifacts")
            ))
            .hint(format!(
                "name the folder of one artifact, such as {}/{name}",
                all.label.trim_end_matches("/index.json")
            )));
        }
    };
    // Whatever is allowed: nothing is known of what could not be read.
    if unread {
        printer.problem(&format!(
            "{}: what could not be read may be anything; bring it again, or compare the artifacts that are whole",
            printer.on_stderr(Style::Bad, "denied")
        ));
    }
    if exceeded.is_empty() {
        return Ok(if unread { exit::DIFFERENCE_DENIED } else { exit::SUCCESS });
    }
    let names: Vec<String> = exceeded.iter().map(ToString::to_string).collect();
    for (reason, why) in &undecided {
        printer.problem(&format!(
            "{}: whether `{reason}` holds cannot be told: {why}",
            printer.on_stderr(Style::Note, "note")
        ));
    }
    printer.problem(&format!("{}: --fail-on {}", printer.on_stderr(Style::Bad, "denied"), names.join(", ")));
    if !unread && exceeded.contains(&FailOn::Unexplained) && !command.fail_on.contains(&FailOn::Unexplained) {
        printer.problem(&format!(
            "  {}: what nothing explains is denied unless it is allowed: --allow unexplained",
            printer.on_stderr(Style::Note, "help")
        ));
    }
    Ok(exit::DIFFERENCE_DENIED)
}

/// What is named, as two words or as git names two revisions: `app@1..app@2`, or `app@1..@2` where the artifact is the same.
fn both(command: &Arguments) -> Result<(&str, String), Failure> {
    if let Some(after) = &command.after {
        return Ok((&command.before, after.clone()));
    }
    let in_one = command.before.split_once("..").filter(|(before, after)| {
        let is_path = before.is_empty() || before.ends_with('/') || after.starts_with('/');
        !is_path && !after.is_empty()
    });
    let Some((before, after)) = in_one else {
        let before = &command.before;
        return Err(Failure::usage(format!(
            "`{before}` is one of two things to compare: the other is not named"
        ))
        .hint(format!("name both: kiln diff {before} AFTER, or in one word: ARTIFACT@previous..@latest")));
    };
    let artifact = before.split_once('@').map_or("", |(artifact, _)| artifact);
    let after = if after.starts_with('@') { format!("{artifact}{after}") } else { after.to_owned() };
    Ok((before, after))
}

/// Tells a CI system of what was denied, where its annotations are not the output already.
fn annotate(settings: &Settings, printer: Printer, judgements: &[Judgement]) {
    if settings.format != Format::Github {
        printer.annotations(&github_annotations(judgements));
    }
}

/// Of the reasons that a comparison is denied for, those of which nobody can say whether they hold, and why.
fn not_told<'a>(diff: &'a Diff, exceeded: &'a [FailOn]) -> impl Iterator<Item = (FailOn, &'static str)> + 'a {
    exceeded.iter().filter_map(|reason| Some((*reason, diff.undecided(*reason)?)))
}

/// What makes this comparison fail: what is named, and what nothing explains.
fn reasons(command: &Arguments) -> Vec<FailOn> {
    let mut reasons = command.fail_on.clone();
    if command.allow.is_empty() {
        reasons.push(FailOn::Unexplained);
    }
    reasons
}

fn histories(settings: &Settings, named: &[String]) -> Result<Histories, Failure> {
    if named.is_empty() {
        return Ok(Histories::default());
    }
    let (environment, named) = (settings.environment.clone(), named.to_vec());
    signals::run(|_| Box::pin(async move { read_histories(&environment, &named).await }))
}

/// The artifacts that differ, each with all that is known of both sides.
fn compared_pairs<'a>(
    diff: &'a WorkspaceDiff,
    before: &'a NamedWorkspace,
    after: &'a NamedWorkspace,
    sizes: &'a BTreeMap<ArtifactName, SizeHistory>,
) -> Vec<Comparison<'a>> {
    let differing = diff.changed();
    let pairs = differing.filter_map(|diff| {
        let name = &diff.after.artifact;
        Some(Comparison {
            diff,
            before: &before.artifacts.get(name)?.record,
            after: &after.artifacts.get(name)?.record,
            history: sizes.get(name).map_or(&[], |history| &history.samples[..]),
        })
    });
    pairs.collect()
}

/// Every artifact of two workspaces, and what the sizes of those on both sides were held against.
fn workspaces(
    settings: &Settings,
    before: &NamedWorkspace,
    after: &NamedWorkspace,
    histories: &Histories,
) -> Result<(WorkspaceDiff, BTreeMap<ArtifactName, SizeHistory>), Failure> {
    let names = |one: &NamedWorkspace| -> BTreeSet<ArtifactName> {
        one.artifacts.keys().chain(one.unread.keys()).cloned().collect()
    };
    let (mut artifacts, mut sizes) = (Vec::new(), BTreeMap::new());
    for name in names(before).union(&names(after)) {
        let unread = before.unread.get(name).or_else(|| after.unread.get(name));
        // Of what cannot be read on one side, no size is compared either.
        let (old, new) = match unread {
            None => (before.artifacts.get(name), after.artifacts.get(name)),
            Some(_) => (None, None),
        };
        let packed = |build: Option<&NamedBuild>| build.map_or(0, |build| build.record.packed_size());
        // An image is packed with its base, so that it is counted with it here, too.
        let unpacked = |build: Option<&NamedBuild>| {
            build.map_or(0, |build| match &build.record.image {
                Some(image) => image.unpacked_size,
                None => build.record.unpacked_size,
            })
        };
        let (state, diff) = match (unread, old, new) {
            (None, Some(old), Some(new)) => {
                let history = histories.of(&settings.environment, old)?;
                let mut diff = compared(old, new, &history)?;
                sizes.insert(name.clone(), history);
                name_declarations(&settings.environment, old, new, &mut diff);
                let state = match diff.verdict {
                    Verdict::Identical => ArtifactState::Unchanged,
                    Verdict::SameContent | Verdict::SameComponents => ArtifactState::SameContent,
                    Verdict::Different => ArtifactState::Changed,
                };
                (state, Some(diff))
            }
            (None, Some(_), None) => (ArtifactState::Gone, None),
            (None, None, Some(_)) => (ArtifactState::New, None),
            _ => (ArtifactState::NotRead, None),
        };
        artifacts.push(ArtifactChange {
            artifact: name.clone(),
            state,
            packed: (packed(old), packed(new)),
            unpacked: (unpacked(old), unpacked(new)),
            reason: unread.cloned(),
            diff,
        });
    }
    Ok((WorkspaceDiff::new(before.label.clone(), after.label.clone(), artifacts), sizes))
}

/// What is to be said of an artifact of two workspaces. One that is there on one side only is a result like any other.
fn of_artifact(artifact: &ArtifactChange, reasons: &[FailOn]) -> Judgement {
    let exceeded = artifact.exceeds(reasons);
    if let Some(diff) = &artifact.diff {
        return judgement(diff, reasons, &exceeded, true);
    }
    let subject = artifact.artifact.to_string();
    let denied = exceeded.iter().map(|reason| {
        let text = format!("--fail-on {reason}: {}", artifact.told());
        Remark::new("diff-denied", Level::Deny, reason.to_string(), text)
    });
    let told = Remark::new("diff-changed", Level::Note, subject.clone(), artifact.told());
    let cases = reasons.iter().filter(|reason| !exceeded.contains(reason));
    Judgement {
        name: subject,
        declared_in: None,
        cases: cases.map(|reason| Case::ran(format!("fail-on {reason}"))).collect(),
        remarks: denied.chain([told]).collect(),
    }
}

/// What a comparison says that somebody has to deal with: what it was to be denied for, what is unusual, and findings
/// that were not there before.
fn judgement(diff: &Diff, reasons: &[FailOn], exceeded: &[FailOn], in_workspaces: bool) -> Judgement {
    let name = |side: &Side| side.build.clone().unwrap_or_else(|| side.artifact.to_string());
    let denied = exceeded.iter().map(|reason| {
        let text = match diff.undecided(*reason) {
            None => format!("--fail-on {reason} holds"),
            Some(why) => format!("whether --fail-on {reason} holds cannot be told: {why}"),
        };
        let subject = reason.to_string();
        let detail = diff.denied_components(*reason).map(described).collect();
        Remark { detail, ..Remark::new("diff-denied", Level::Deny, subject, text) }
    });
    let unusual = diff.anomalies.iter().map(Remark::from);
    Judgement {
        name: format!("{} -> {}", name(&diff.before), name(&diff.after)),
        declared_in: None,
        cases: reasons
            .iter()
            .filter(|reason| !exceeded.contains(reason))
            .map(|reason| {
                let name = format!("fail-on {reason}");
                match reason.is_of_workspaces() && !in_workspaces {
                    true => Case::not_run(name, "it is about the artifacts of workspaces"),
                    false => Case::ran(name),
                }
            })
            .collect(),
        remarks: denied.chain(unusual).chain(diff.findings_new.iter().map(Remark::from)).collect(),
    }
}

/// A judgement with everything that differs, for forms that have nothing else.
fn with_changes(judgement: &Judgement, diff: &Diff) -> Judgement {
    let mut told = judgement.clone();
    told.remarks.extend(diff.component_rows().into_iter().filter_map(|row| {
        let (first, others) = row.split_first()?;
        let detail = others.iter().map(|change| described(change)).collect();
        Some(Remark {
            detail,
            ..Remark::new("diff-changed", Level::Note, first.id.to_string(), described(first))
        })
    }));
    let lines = diff.security_lines().into_iter();
    told.remarks.extend(
        lines.map(|line| Remark::new("diff-allows", Level::Note, diff.after.artifact.to_string(), line)),
    );
    told
}

/// A component that differs, in a line.
fn described(change: &ComponentChange) -> String {
    let line = format!("{} {}: {}", component_title(change), change.kind.word(), change.cause.text);
    [vec![line], component_notes(change)].concat().join("; ")
}
