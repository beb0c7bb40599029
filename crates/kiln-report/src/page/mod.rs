//! Pages for a browser: one file each, that loads nothing and runs nothing but its own few lines.
//!
//! Text becomes markup in one place, the splices of `html!`, which escape; what is markup already are constants of this
//! folder. The policy in the head of each page names the digests of its style and its script, so that a browser would not
//! run what found a way in all the same.

mod build;
mod chart;
mod comparison;
mod dependencies;
mod parts;
mod site;
mod treemap;
mod workspaces;

pub use build::{BuildReport, build_page};
pub use comparison::{Comparison, diff_page};
pub use site::{SiteEntry, site_index};
pub use workspaces::workspace_page;

use kiln_record::Digest;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A whole page. `kiln` is the version that made it.
fn page(kiln: &str, kicker: &str, title: &str, main: &Markup) -> String {
    let hash = |text: &str| format!("'sha256-{}'", Digest::of(text.as_bytes()).base64());
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "kiln " (kiln) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "To the content" }
                header.page {
                    p.kicker { (kicker) }
                    h1 { (title) }
                }
                main #main { (main) }
                footer {
                    p { "Made by kiln " (kiln) " from records alone. The page loads nothing: it can be kept, sent and read offline." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    harmless(&page.into_string())
}

/// A document without characters that XML does not allow, that are not seen, or that turn the order of others around, and without
/// commands. What is markup to a reader was escaped when it was put in.
pub(crate) fn harmless(document: &str) -> String {
    let replaced = |c: char| match c {
        '\n' | '\t' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    without_commands(&document.chars().map(replaced).collect::<String>())
}

/// A document that says the same, and in which the runner of GitHub Actions finds no command where it is printed in a job: it looks for
/// `::` at the start of a line, and for `##[` anywhere. Neither is in what is no text: the style and the script of a page.
fn without_commands(document: &str) -> String {
    let document = document.replace("##[", "&#35;#[");
    let mut out = String::with_capacity(document.len());
    for line in document.split_inclusive('\n') {
        let rest = line.trim_start();
        match rest.strip_prefix("::") {
            Some(after) => {
                out.push_str(&line[..line.len() - rest.len()]);
                out.push_str("&#58;:");
                out.push_str(after);
            }
            None => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{SCRIPT, STYLE, harmless, without_commands};

    #[test]
    fn no_line_is_a_command_of_github_actions() {
        assert_eq!(
            harmless("<p>why:\n::add-mask::a\n\n  ::warning::x\na::b ##[error]c</p>\n"),
            "<p>why:\n&#58;:add-mask::a\n\n  &#58;:warning::x\na::b &#35;#[error]c</p>\n"
        );
        // The policy of a page has their digests.
        assert_eq!(
            (without_commands(STYLE), without_commands(SCRIPT)),
            (STYLE.to_owned(), SCRIPT.to_owned())
        );
    }
}
