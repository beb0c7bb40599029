//! Text for a review comment, in the Markdown of GitHub and GitLab. Everything that goes in is text and stays text.

use crate::judgement::{CaseState, Judgement, Remark};
use kiln_audit::markdown_cell;
use kiln_record::Level;

/// How a column of a table is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// As text.
    Left,
    /// As numbers.
    Right,
}

/// A document as it is written.
#[derive(Clone, Debug, Default)]
pub struct Markdown {
    text: String,
}

impl Markdown {
    /// A heading.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        self.block(&format!("### {}", cell(text)))
    }

    /// A heading below another one.
    pub fn subheading(&mut self, text: &str) -> &mut Self {
        self.block(&format!("#### {}", cell(text)))
    }

    /// A paragraph. Its text begins a line, where the runner of GitHub Actions looks for commands.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        let text = cell(text.trim_start());
        match text.strip_prefix("::") {
            Some(rest) => self.block(&format!("&#58;:{rest}")),
            None => self.block(&text),
        }
    }

    /// A list.
    pub fn list<T: AsRef<str>>(&mut self, items: impl IntoIterator<Item = T>) -> &mut Self {
        let items: Vec<String> = items.into_iter().map(|item| format!("- {}", cell(item.as_ref()))).collect();
        if items.is_empty() { self } else { self.block(&items.join("\n")) }
    }

    /// A table; nothing if it has no row.
    pub fn table<const N: usize>(
        &mut self,
        head: [(&str, Align); N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> &mut Self {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let rows: Vec<String> = rows.into_iter().map(|row| line(&row.map(|text| cell(&text)))).collect();
        if rows.is_empty() {
            return self;
        }
        let rule = head.map(|(_, align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        });
        let head = line(&head.map(|(text, _)| cell(text)));
        self.block(&format!("{head}\n{}\n{}", line(&rule).replace(' ', ""), rows.join("\n")))
    }

    /// A table of keys and what they are; the key of a row that goes on with the one above is empty.
    pub fn facts(&mut self, rows: &[(String, String)]) -> &mut Self {
        self.table(
            [("", Align::Left), ("", Align::Left)],
            rows.iter().map(|(key, value)| [key.clone(), value.clone()]),
        )
    }

    /// Another document, which was written with this, after what there is.
    pub fn append(&mut self, other: &str) -> &mut Self {
        if other.is_empty() { self } else { self.block(other.trim_end()) }
    }

    /// The document.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn block(&mut self, block: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(block);
        self.text.push('\n');
        self
    }
}

/// A text that stays on its line and is only text there.
fn cell(text: &str) -> String {
    markdown_cell(&text.lines().collect::<Vec<_>>().join(" "))
}

/// Judgements for a comment: what is denied in full, then what is to be looked at, then what was not run.
#[must_use]
pub fn markdown(judgements: &[Judgement]) -> String {
    let mut out = Markdown::default();
    for judgement in judgements {
        let row = |remark: &Remark| {
            let place = remark.place.as_ref().map(ToString::to_string).unwrap_or_default();
            [
                remark.level.to_string(),
                remark.rule.clone(),
                remark.subject.clone(),
                place,
                remark.lines().replace('\n', "; "),
            ]
        };
        let told: Vec<_> =
            judgement.remarks.iter().filter(|remark| remark.level != Level::Note).map(row).collect();
        let notes = judgement.remarks.len() - told.len();
        let open: Vec<String> = judgement
            .cases
            .iter()
            .filter_map(|case| match &case.state {
                CaseState::Ran => None,
                CaseState::NotRun(why) => Some(format!("{} was not run: {why}", case.name)),
                CaseState::Broken { why, .. } => Some(format!("{} broke off: {why}", case.name)),
            })
            .collect();
        if told.is_empty() && open.is_empty() && notes == 0 {
            continue;
        }
        out.subheading(&judgement.name);
        out.table(
            [
                ("level", Align::Left),
                ("finding", Align::Left),
                ("subject", Align::Left),
                ("place", Align::Left),
                ("what and what to do", Align::Left),
            ],
            told,
        );
        out.list(open);
        if notes > 0 {
            out.paragraph(&format!("and {notes} {}", if notes == 1 { "note" } else { "notes" }));
        }
    }
    out.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_stays_text() {
        let mut out = Markdown::default();
        out.heading("a <b> @team")
            .table([("k", Align::Left), ("n", Align::Right)], [["x | y\n# z".to_owned(), "1".to_owned()]]);
        assert_eq!(out.text(), "### a &lt;b&gt; &#64;team\n\n| k | n |\n|---|---:|\n| x \\| y \\# z | 1 |\n");
    }

    #[test]
    fn no_line_is_a_command_of_github_actions() {
        let mut out = Markdown::default();
        out.heading("::a").paragraph(" ::add-mask::b\n::c ##[error]d").list(["::e"]);
        assert_eq!(out.text(), "### ::a\n\n&#58;:add-mask::b ::c \\#\\#\\[error\\]d\n\n- ::e\n");
    }
}
