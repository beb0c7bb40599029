//! What is published: the documents that follow from a record, `dist/`, registries, and references to builds.

mod deployment;
mod document;
mod error;
mod export;
mod platforms;
mod published;
mod published_image;
mod published_index;
mod pull;
mod pull_image;
mod push;
mod reference;
mod repository;
mod space;

#[cfg(feature = "schema")]
pub use deployment::deployment_index_schema;
pub use deployment::write_index;
pub use document::{described, documents};
pub use error::PublishError;
pub use export::{Exported, ExportedPlatform, exported};
pub use platforms::{IndexResult, publish_index};
pub use pull::{
    Contested, InRegistry, PullRequest, Pulled, RegistryIndex, is_registry_reference, look_up, pull,
    pull_record,
};
pub use push::{PushRequest, Pushed, PushedManifest, push};
pub use reference::{FileVerdict, NamedBuild, artifacts_with_history, history, resolve, verify_file};
