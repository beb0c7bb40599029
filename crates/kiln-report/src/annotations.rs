//! Remarks as annotations of GitHub Actions: workflow commands, a line each, that its runner shows beside the code.

use crate::judgement::{Judgement, Remark};
use kiln_record::{Level, Place};

/// The commands for all remarks, and for what broke off.
#[must_use]
pub fn github_annotations(judgements: &[Judgement]) -> String {
    let mut text = String::new();
    for judgement in judgements {
        for remark in judgement.shown() {
            text.push_str(&of_remark(judgement, remark));
        }
    }
    text
}

fn of_remark(judgement: &Judgement, remark: &Remark) -> String {
    let title = format!("{} {}", remark.rule, judgement.title(remark));
    github_annotation(remark.level, judgement.place(remark).as_ref(), &title, &remark.lines())
}

/// One such command, with its line's end.
fn github_annotation(level: Level, place: Option<&Place>, title: &str, message: &str) -> String {
    let command = match level {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(place) = place {
        properties.push(format!("file={}", property(&place.file)));
        properties.extend(place.line.map(|line| format!("line={line}")));
    }
    properties.push(format!("title={}", property(title)));
    format!("::{command} {}::{}\n", properties.join(","), data(message))
}

/// A text in which nothing ends the command: it could begin another one.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The same for one of its properties, which more characters end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_package_says_begins_another_command() {
        let place = Place { file: "a,line=7::b".to_owned(), line: Some(3) };
        let text =
            github_annotation(Level::Warn, Some(&place), "x: y\n::error::z", "100 %\r\n::set-env name=A::b");
        assert_eq!(
            text,
            "::warning file=a%2Cline=7%3A%3Ab,line=3,title=x%3A y%0A%3A%3Aerror%3A%3Az::100 %25%0D%0A::set-env name=A::b\n"
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_has_no_place_is_shown_at_the_manifest() {
        let judgement = Judgement {
            name: "app".to_owned(),
            declared_in: Some("manifests/app.toml".to_owned()),
            remarks: vec![Remark::new("wrong-machine", Level::Deny, "a.so", "it is for aarch64")],
            ..Judgement::default()
        };
        let text = github_annotations(&[judgement]);
        assert_eq!(
            text,
            "::error file=manifests/app.toml,title=wrong-machine app%3A a.so::it is for aarch64\n"
        );
    }

    #[test]
    fn a_subject_that_is_judged_alone_is_called_once() {
        let judgement = Judgement {
            name: "a.zip".to_owned(),
            declared_in: Some("dist/a.zip".to_owned()),
            remarks: vec![Remark::new("verify-differs", Level::Deny, "a.zip", "missing")],
            ..Judgement::default()
        };
        let text = github_annotations(&[judgement]);
        assert_eq!(text, "::error file=dist/a.zip,title=verify-differs a.zip::missing\n");
    }
}
