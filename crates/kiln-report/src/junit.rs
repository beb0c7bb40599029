//! Judgements as JUnit XML, the form that CI systems show as tests.
//!
//! A suite is a subject. What was tried is a test case: passed, skipped with the reason, or broken off. What is denied is
//! a failed case of its own, which begins with its place; what is not denied is in the suite's output. There is no time in
//! it: a report of one build is one text. Elements and attributes are those of the schema that Jenkins has, and no others.

use crate::judgement::{CaseState, Judgement, Remark};
use crate::page::harmless;
use kiln_record::Level;
use maud::html;

/// The document.
#[must_use]
pub fn junit(judgements: &[Judgement]) -> String {
    let suites = html! {
        testsuites name="kiln" {
            @for judgement in judgements {
                (suite(judgement))
            }
        }
    };
    harmless(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", suites.into_string()))
}

fn suite(judgement: &Judgement) -> maud::Markup {
    let denied: Vec<&Remark> = judgement.remarks.iter().filter(|one| one.level == Level::Deny).collect();
    let told: Vec<String> = judgement
        .remarks
        .iter()
        .filter(|one| one.level != Level::Deny)
        .map(|one| format!("{}[{}] {}: {}", one.level, one.rule, one.subject, one.lines()))
        .collect();
    let count =
        |wanted: fn(&CaseState) -> bool| judgement.cases.iter().filter(|case| wanted(&case.state)).count();
    let (skipped, broken) = (
        count(|state| matches!(state, CaseState::NotRun(_))),
        count(|state| matches!(state, CaseState::Broken { .. })),
    );
    html! {
        testsuite name=(judgement.name) tests=(judgement.cases.len() + denied.len()) failures=(denied.len())
            errors=(broken) skipped=(skipped) {
            @for case in &judgement.cases {
                testcase classname=(judgement.name) name=(case.name) {
                    @match &case.state {
                        CaseState::Ran => {}
                        CaseState::NotRun(why) => skipped message=(one_line(why)) {}
                        CaseState::Broken { why, .. } => error message=(one_line(why)) { (why) }
                    }
                }
            }
            @for remark in &denied {
                testcase classname=(judgement.name) name={ (remark.rule) ": " (one_line(&remark.subject)) } {
                    failure type=(remark.rule) message=(one_line(&remark.text)) {
                        @if let Some(place) = &remark.place { (place) "\n" }
                        (remark.lines())
                    }
                }
            }
            @if !told.is_empty() {
                system-out { (told.join("\n")) }
            }
        }
    }
}

/// An attribute has one line: readers make spaces of the ends of others.
fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}
