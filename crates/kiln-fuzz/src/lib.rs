//! What must hold of every parser for any bytes: the bodies of the fuzz targets.
//!
//! Each target takes bytes that may be anything and panics where something does not hold. Beyond "no panic" that is what
//! the parsers promise: what is written is read back equal, orders are total, results are within their limits, and two
//! ways to one answer agree. libFuzzer runs them from the package in `fuzz/`, and the tests of this crate run them over
//! the corpora and regressions that lie there, on any toolchain.
//!
//! Inputs of more than one file are text, in sections (see `sections`), so that a person can read and write them.

mod advisories;
mod archives;
mod attestations;
mod containers;
mod debian;
mod descriptions;
mod images;
mod invariant;
mod locks;
mod plans;
mod projects;
mod python;
mod records;
mod sections;
mod servers;
mod state;
mod wheels;

pub use advisories::{osv, vex};
pub use archives::{elf, tar, zip};
pub use attestations::{checkpoint, envelope, log_proof};
pub use containers::{container_fields, file_difference, laid_out};
pub use debian::{deb, debian_index, debian_version, openpgp};
pub use descriptions::{dpkg_files, file_text, find_query, license, linkage, listed, rpm_database};
pub use images::{image_layers, names, oci_document};
pub use locks::{lock_files, pipfile_lock, poetry_lock, pylock, pyproject, requirements, uv_lock};
pub use plans::{dockerfile, dockerignore, workspace};
pub use projects::project;
pub use python::{constraint, guest_report, marker};
pub use records::{record, sbom};
pub use servers::{host_settings, index_page};
pub use state::{approvals, git_index, heads, ledger};
pub use wheels::wheel;

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// Every target by its name, in the order of the alphabet.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name)),*];
    };
}

targets! {
    approvals,
    checkpoint,
    constraint,
    container_fields,
    deb,
    debian_index,
    debian_version,
    dockerfile,
    dockerignore,
    dpkg_files,
    elf,
    file_difference,
    file_text,
    find_query,
    git_index,
    envelope,
    guest_report,
    heads,
    host_settings,
    image_layers,
    index_page,
    laid_out,
    ledger,
    license,
    linkage,
    listed,
    lock_files,
    log_proof,
    marker,
    names,
    oci_document,
    openpgp,
    osv,
    pipfile_lock,
    poetry_lock,
    project,
    pylock,
    pyproject,
    record,
    requirements,
    rpm_database,
    sbom,
    tar,
    uv_lock,
    vex,
    wheel,
    workspace,
    zip,
}
