//! Known vulnerabilities of what a build holds, and statements on whether they matter.
//!
//! Advisories come from an export in the form of OSV (<https://ossf.github.io/osv-schema/>), a folder or zip that lies here:
//! nothing is asked of a server. What cannot be looked up, and what cannot be decided, is part of every answer.

mod audit;
mod cyclonedx;
mod error;
mod export;
mod openvex;
mod osv;
mod severity;
mod statement;
mod subject;
mod time;
mod versions;
mod vex;
mod vex_file;

pub use audit::{Absent, Audit, Finding, audit};
pub use cyclonedx::cyclonedx_vex;
pub use error::AdvisoryError;
pub use export::{Export, Unread, Wanted, read_export};
pub use openvex::{openvex, read_openvex};
pub use osv::{Advisory, Affected, Event, Range, RangeKind, read_advisory};
pub use severity::{Rating, Severity};
pub use statement::{PREDICATE_TYPE, vulnerability_statement};
pub use subject::{NotChecked, Registry, Subject, Subjects, subjects};
pub use vex::{Justification, Product, Statement, Status};
pub use vex_file::read_vex_file;
