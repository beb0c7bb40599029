//! Builds, findings and differences in the forms that others read: HTML pages for people, SARIF and JUnit XML for CI
//! systems, annotations for GitHub, Markdown for comments.
//!
//! Values in, text out: nothing here reads a file, a clock or an environment, so that equal values give equal text. What
//! records say was written by strangers; each form has one place that makes it harmless.

mod annotations;
mod judgement;
mod junit;
mod markdown;
mod page;
mod rules;
mod sarif;
mod statement;
mod word;

pub use annotations::github_annotations;
pub use judgement::{Case, CaseState, Judgement, Remark};
pub use junit::junit;
pub use markdown::{Align, Markdown, markdown};
pub use page::{BuildReport, Comparison, SiteEntry, build_page, diff_page, site_index, workspace_page};
pub use rules::{Rule, is_rule, rule};
pub use sarif::sarif;
pub use statement::{CHANGE_PREDICATE, CHECKS_PREDICATE, change_statement, checks_statement};
