//! `docs/messages.md`, whose messages are those of the tests that make them.

use super::{Outcome, repository};
use fs_err as fs;

/// Writes messages instead of comparing them.
const REWRITE: &str = "KILN_TESTS_WRITE_MESSAGES";
const PAGE: &str = "docs/messages.md";

impl Outcome {
    /// Fails the test unless the page has, under the code in brackets, the message of this run that begins
    /// with `head`, to the letter.
    #[track_caller]
    pub(crate) fn documents(self, head: &str) -> Self {
        let message = self.message(head);
        let code = head.split(['[', ']']).nth(1).unwrap();
        let page = repository().join(PAGE);
        if std::env::vars_os().any(|(name, _)| name == REWRITE) {
            // Tests run side by side, some in processes of their own.
            let lock = fs::File::open(&page).unwrap().into_file();
            lock.lock().unwrap();
            let text = fs::read_to_string(&page).unwrap();
            let (before, _, after) = around(&text, code);
            fs::write(&page, format!("{before}{message}{after}")).unwrap();
            return self;
        }
        let text = fs::read_to_string(&page).unwrap();
        let (_, documented, _) = around(&text, code);
        assert_eq!(
            documented, message,
            "{PAGE} has another message for {code} than kiln. To write it anew:\n  {REWRITE}=1 cargo test \
             --release -p kiln-tests --test it"
        );
        self
    }

    /// The lines of a finding: its head, and what is indented below.
    #[track_caller]
    fn message(&self, head: &str) -> String {
        let said = [self.stderr.as_str(), self.stdout.as_str()].concat();
        let mut lines = said
            .lines()
            .map(|line| (line, line.trim_start()))
            .skip_while(|(_, line)| !line.starts_with(head));
        let (first, trimmed) = lines.next().unwrap_or_else(|| panic!("nothing begins with {head:?}\n{self}"));
        let deeper = format!("{}  ", &first[..first.len() - trimmed.len()]);
        let below = lines.map(|(line, _)| line).take_while(|line| line.starts_with(&deeper));
        std::iter::once(trimmed).chain(below).map(|line| format!("{line}\n")).collect()
    }
}

/// The page before, in and after the block of a code.
#[track_caller]
fn around<'p>(page: &'p str, code: &str) -> (&'p str, &'p str, &'p str) {
    let heading = format!("## `{code}`\n");
    let section = page.find(&heading).unwrap_or_else(|| panic!("{PAGE} has a section for {code}"));
    let (open, close) = ("```text\n", "```\n");
    let start = section + page[section..].find(open).expect("a block in the section") + open.len();
    let end = start + page[start..].find(close).expect("an end of the block");
    (&page[..start], &page[start..end], &page[end..])
}
