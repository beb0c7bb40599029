//! Documents about an artifact: a bill of materials as CycloneDX or SPDX, and an in-toto statement with SLSA provenance.
//!
//! Both are projections of the record: equal records give equal bytes, and no build reads them back. What is read here are
//! bills of materials inside wheels (`embedded`), and those that somebody names (`listed`). The CycloneDX
//! types are our own (`model`): the published crate of the standard's makers stops at version 1.5 and loses what later
//! versions add. It reads our 1.5 documents in the tests, beside the official schemas of all three versions.

mod component;
mod cyclonedx;
mod embedded;
mod error;
mod github;
mod gitlab;
mod graph;
mod license;
mod linkage;
mod listed;
mod model;
mod organization;
mod provenance;
mod recipe;
mod spdx;
mod spdx3;
mod spdx_packages;
mod spec_version;
mod stated;
mod text;
mod unknown;

pub use cyclonedx::{MEDIA_TYPE, concerned, contradicted, cyclonedx};
pub use embedded::{EMBEDDED_LIMIT, EmbeddedError, merge_embedded, read_embedded};
pub use error::SbomError;
pub use github::{GithubRun, github};
pub use gitlab::gitlab;
pub use listed::{Aside, LISTED_LIMIT, Listed, ListedError, read_listed};
pub use provenance::{BUILD_TYPE, BUILDER_ID, PREDICATE_TYPE, STATEMENT_TYPE, provenance};
pub use spdx::{SPDX_MEDIA_TYPE, spdx};
pub use spdx3::spdx3;
pub use spec_version::{SpecVersion, UnknownSpecVersion};
