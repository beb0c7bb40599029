//! Advisories held against what a build has.

use crate::export::Export;
use crate::osv::{Advisory, Affected};
use crate::severity::{Rating, Severity};
use crate::subject::{NotChecked, Subject, Subjects};
use crate::versions::{Outcome, outcome};
use crate::vex::{Statement, Status};
use kiln_record::{Digest, Epoch};
use std::collections::{BTreeMap, BTreeSet};

/// What advisories say of one build.
#[derive(Clone, Debug)]
pub struct Audit {
    /// How many parts of it were looked up.
    pub checked: u64,
    /// What was not.
    pub not_checked: Vec<NotChecked>,
    /// Vulnerabilities, the most severe first; of one severity those that cannot be told last.
    pub findings: Vec<Finding>,
    /// Vulnerabilities of what the lock or a bill names and the build does not have.
    pub absent: Vec<Absent>,
    /// Which of the statements were about something of it.
    pub used: BTreeSet<usize>,
}

/// A vulnerability of something that a build has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name: a CVE id where it has one.
    pub id: String,
    /// All of its names.
    pub names: BTreeSet<String>,
    /// The advisories that say so, by their ids.
    pub advisories: Vec<String>,
    /// One line on what it is.
    pub summary: Option<String>,
    /// How severe it is, as the advisories say.
    pub ratings: Vec<Rating>,
    /// The highest of what the ratings come to; none where no advisory rates it.
    pub severity: Option<Severity>,
    /// The highest score in tenths, where a rating is a vector.
    pub score: Option<u32>,
    /// Versions that have the fix, oldest first.
    pub fixed: Vec<String>,
    /// What has it.
    pub subject: Subject,
    /// Why it cannot be told whether this version has it; none where it does.
    pub undecided: Option<String>,
    /// The statement that it need not be looked at for.
    pub silenced: Option<Statement>,
    /// Statements about it that silence nothing, with what became of them: ended, or that it is affected.
    pub told: Vec<String>,
}

impl Finding {
    /// Whether nobody has said that it need not be looked at.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.silenced.is_none()
    }

    /// Whether it is open and at least this severe. What nobody rated, and what cannot be told, is as severe as anything.
    #[must_use]
    pub fn reaches(&self, least: Severity) -> bool {
        self.is_open() && (self.undecided.is_some() || self.severity.is_none_or(|severity| severity >= least))
    }

    /// What the build's own evidence suggests to who looks at it, and does not establish.
    #[must_use]
    pub fn draft(&self) -> Option<&'static str> {
        self.subject.never_imported.then_some(
            "vulnerable_code_not_in_execute_path: neither the handler nor the artifact's own code imports it",
        )
    }
}

/// A vulnerability of something that a build does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub id: String,
    /// All of its names.
    pub names: BTreeSet<String>,
    /// What would have it.
    pub subject: Subject,
    /// Why it is not there.
    pub reason: String,
}

/// Holds advisories against a build, and statements against what is found.
#[must_use]
pub fn audit(subjects: Subjects, export: &Export, statements: &[Statement], now: Epoch) -> Audit {
    let Subjects { checked, unchecked, absent, artifact } = subjects;
    let by_name = by_name(export);
    let mut used = BTreeSet::new();
    let mut findings: Vec<Finding> = checked.iter().flat_map(|subject| found(subject, &by_name)).collect();
    for finding in &mut findings {
        judge(finding, statements, &artifact, now, &mut used);
    }
    findings.sort_by(|a, b| {
        let key = |one: &Finding| {
            (one.silenced.is_some(), std::cmp::Reverse(one.severity), one.undecided.is_some())
        };
        key(a).cmp(&key(b)).then_with(|| (&a.id, &a.subject).cmp(&(&b.id, &b.subject)))
    });
    let absent = absent.into_iter().flat_map(|(subject, reason)| {
        let found = found(&subject, &by_name).into_iter().filter(|finding| finding.undecided.is_none());
        let absent = |finding: Finding| Absent {
            id: finding.id,
            names: finding.names,
            subject: finding.subject,
            reason: reason.clone(),
        };
        found.map(absent).collect::<Vec<_>>()
    });
    Audit { checked: checked.len() as u64, not_checked: unchecked, findings, absent: absent.collect(), used }
}

type ByName<'a> = BTreeMap<(&'static str, String), Vec<(&'a Advisory, &'a Affected)>>;

fn by_name(export: &Export) -> ByName<'_> {
    let mut all: ByName<'_> = BTreeMap::new();
    for advisory in &export.advisories {
        for affected in &advisory.affected {
            let Some(ecosystem) = crate::subject::Registry::known(&affected.ecosystem) else { continue };
            let name = crate::subject::normalised(ecosystem, &affected.name);
            all.entry((ecosystem, name)).or_default().push((advisory, affected));
        }
    }
    all
}

/// What an advisory is called, by itself and by others.
fn names(advisory: &Advisory) -> BTreeSet<String> {
    // One name of another database is the same thing; several are what a notice covers.
    let upstream = advisory.upstream.iter().filter(|_| advisory.upstream.len() == 1);
    std::iter::once(&advisory.id).chain(&advisory.aliases).chain(upstream).cloned().collect()
}

/// The vulnerabilities of one subject, each told once whatever its advisories are called.
fn found(subject: &Subject, by_name: &ByName<'_>) -> Vec<Finding> {
    let key = (subject.registry.ecosystem(), subject.name.clone());
    let mut all: Vec<Finding> = Vec::new();
    for (advisory, affected) in by_name.get(&key).into_iter().flatten() {
        if !subject.registry.is_of(&affected.ecosystem) {
            continue;
        }
        let (fixed, undecided) = match outcome(&subject.registry, &subject.version, affected) {
            Outcome::NotAffected => continue,
            Outcome::Affected { fixed } => (fixed, None),
            Outcome::Undecided(reason) => (Vec::new(), Some(reason)),
        };
        let mut one = Finding {
            id: String::new(),
            names: names(advisory),
            advisories: vec![advisory.id.clone()],
            summary: advisory.summary.clone(),
            ratings: affected.ratings.iter().chain(&advisory.ratings).cloned().collect(),
            severity: None,
            score: None,
            fixed,
            subject: subject.clone(),
            undecided,
            silenced: None,
            told: Vec::new(),
        };
        // What shares a name with several joins them.
        let (same, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|known| !known.names.is_disjoint(&one.names));
        all = others;
        for known in same {
            one = joined(known, one);
        }
        all.push(one);
    }
    for finding in &mut all {
        finish(finding);
    }
    all
}

/// Two advisories on one thing. One that can tell decides.
fn joined(a: Finding, b: Finding) -> Finding {
    let (mut first, second) = if a.undecided.is_none() || b.undecided.is_some() { (a, b) } else { (b, a) };
    first.names.extend(second.names);
    first.advisories.extend(second.advisories);
    first.ratings.extend(second.ratings);
    first.summary = first.summary.or(second.summary);
    if second.undecided.is_none() {
        let more = second.fixed.into_iter().filter(|version| !first.fixed.contains(version));
        first.fixed.extend(more.collect::<Vec<_>>());
    }
    first
}

fn finish(finding: &mut Finding) {
    let known = |prefix: &str| finding.names.iter().find(|name| name.starts_with(prefix));
    let id = known("CVE-").or_else(|| known("GHSA-")).or_else(|| finding.names.first());
    finding.id = id.cloned().unwrap_or_default();
    finding.advisories.sort();
    finding.advisories.dedup();
    finding.ratings.sort();
    finding.ratings.dedup();
    let judged: Vec<_> = finding.ratings.iter().filter_map(Rating::judged).collect();
    finding.severity = judged.iter().map(|(severity, _)| *severity).max();
    finding.score = judged.iter().filter_map(|(_, score)| *score).max();
}

/// Holds statements against a finding: the newest that counts decides, of equally old ones the last.
fn judge(
    finding: &mut Finding,
    statements: &[Statement],
    artifact: &BTreeSet<Digest>,
    now: Epoch,
    used: &mut BTreeSet<usize>,
) {
    let mut newest: Option<&Statement> = None;
    for (index, statement) in statements.iter().enumerate() {
        if !statement.is_about(&finding.names, &finding.subject, artifact) {
            continue;
        }
        used.insert(index);
        if let Some(until) = statement.until.filter(|_| statement.has_ended(now)) {
            finding.told.push(format!(
                "{}: `{}` ended on {}",
                statement.place,
                statement.status.as_str(),
                day(until)
            ));
            continue;
        }
        if newest.is_none_or(|known| known.at <= statement.at) {
            newest = Some(statement);
        }
    }
    let Some(newest) = newest else { return };
    if newest.status.silences() {
        finding.silenced = Some(newest.clone());
        return;
    }
    let what = match newest.status {
        Status::UnderInvestigation => "is looked into",
        _ => "affects it",
    };
    let reason = newest.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    finding.told.push(format!("{}: {} says that it {what}{reason}", newest.place, newest.author));
}

/// The day of a time.
pub(crate) fn day(at: Epoch) -> String {
    at.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osv::read_advisory;
    use crate::subject::tests::python;
    use crate::vex::{Justification, Product};
    use serde_json::{Value, json};

    fn export(documents: &[Value]) -> Export {
        let read = |one: &Value| read_advisory(one.to_string().as_bytes()).unwrap();
        Export {
            documents: documents.len() as u64,
            withdrawn: 0,
            passed_over: 0,
            digest: Digest::of(b""),
            newest: None,
            unread_count: 0,
            unread: Vec::new(),
            advisories: documents.iter().map(read).collect(),
        }
    }

    fn document(id: &str, aliases: &[&str], fixed: Option<&str>, severity: &str) -> Value {
        let mut events = vec![json!({"introduced": "0"})];
        events.extend(fixed.map(|fixed| json!({"fixed": fixed})));
        json!({
            "id": id, "aliases": aliases, "summary": format!("summary of {id}"), "database_specific": {"severity": severity},
            "affected": [{"package": {"ecosystem": "PyPI", "name": "words"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
        })
    }

    #[test]
    fn aliases_are_one_finding_and_the_one_that_can_tell_decides() {
        let commits = json!({"id": "OSV-1", "aliases": ["CVE-1"], "affected": [{"package": {"ecosystem": "PyPI", "name": "words"},
            "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]});
        let export = export(&[
            document("GHSA-1", &["CVE-1"], Some("2.0"), "HIGH"),
            document("PYSEC-1", &["GHSA-1"], Some("2.0"), ""),
            commits.clone(),
            document("PYSEC-2", &[], Some("1.0"), "LOW"),
        ]);
        let found = found(&python("words", "1.5"), &by_name(&export));
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((one.id.as_str(), one.severity), ("CVE-1", Some(Severity::High)));
        assert_eq!(one.advisories, ["GHSA-1", "OSV-1", "PYSEC-1"]);
        assert_eq!((&one.fixed[..], &one.undecided), (&["2.0".to_owned()][..], &None));
        let alone = self::export(&[commits]);
        let alone = super::found(&python("words", "1.5"), &by_name(&alone));
        assert!(alone[0].undecided.as_deref().is_some_and(|reason| reason.contains("commits")), "{alone:?}");
        assert!(alone[0].reaches(Severity::Critical), "what cannot be told is as severe as anything");
    }

    #[test]
    fn a_notice_that_covers_several_is_none_of_them() {
        let mut notice = document("DSA-1", &[], None, "");
        notice["upstream"] = json!(["CVE-1", "CVE-2"]);
        let mut one = document("DEBIAN-CVE-1", &[], None, "");
        one["upstream"] = json!(["CVE-1"]);
        let export = export(&[notice, one]);
        let found = found(&python("words", "1"), &by_name(&export));
        let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["DSA-1", "CVE-1"]);
    }

    #[test]
    fn the_newest_statement_that_counts_decides() {
        let export = export(&[document("CVE-1", &[], None, "HIGH")]);
        let finding = || found(&python("words", "1"), &by_name(&export)).remove(0);
        let at = |text: &str| text.parse::<Epoch>().unwrap();
        let statement = |status, said: &str, until: Option<&str>| Statement {
            names: BTreeSet::from(["CVE-1".to_owned()]),
            products: vec![Product { purl: Some("pkg:pypi/words".to_owned()), ..Product::default() }],
            status,
            justification: Some(Justification::VulnerableCodeNotPresent),
            reason: Some("looked at".to_owned()),
            author: "Sam".to_owned(),
            at: Some(at(said)),
            until: until.map(at),
            place: "vex.json".to_owned(),
        };
        let judged = |statements: &[Statement]| {
            let (mut finding, mut used) = (finding(), BTreeSet::new());
            judge(&mut finding, statements, &BTreeSet::new(), at("2026-06-01T00:00:00Z"), &mut used);
            assert_eq!(used.len(), statements.len());
            finding
        };
        let (not, affected) = (Status::NotAffected, Status::Affected);
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
        assert!(!judged(&[statement(not, old, None)]).is_open());
        let newer = judged(&[statement(affected, new, None), statement(not, old, None)]);
        assert!(newer.is_open());
        assert_eq!(newer.told, ["vex.json: Sam says that it affects it: looked at"]);
        let ended = judged(&[statement(not, old, Some("2026-05-31T23:59:59Z"))]);
        assert_eq!(
            (ended.is_open(), &ended.told[..]),
            (true, &["vex.json: `not_affected` ended on 2026-05-31".to_owned()][..])
        );
        // One that ended does not hide an older one that goes on.
        assert!(!judged(&[statement(not, old, None), statement(affected, new, Some(new))]).is_open());
        assert!(judged(&[statement(Status::UnderInvestigation, old, None)]).is_open());
    }
}
