//! What is published: the documents that follow from a record, `dist/`, registries, and references to builds.

mod anchors;
mod archive_manifest;
mod at_hand;
mod base_packages;
mod committed;
mod compared;
mod container;
mod content;
mod continued;
mod cosign;
mod declaration;
mod deployment;
mod document;
mod error;
mod export;
mod gather;
mod held;
mod indexed_folders;
mod inside;
mod left_behind;
mod named_build;
mod notices;
mod operand;
mod platforms;
mod published;
mod published_image;
mod published_index;
mod pull;
mod pull_all;
mod pull_image;
mod push;
mod read_image;
mod reference;
mod release;
mod repair;
mod repository;
mod row;
mod run_statement;
mod scan;
mod settle;
mod size_history;
mod source_files;
mod space;
mod tagged;
mod whole;

pub use anchors::Anchors;
pub use compared::compared;
pub use declaration::name_declarations;
#[cfg(feature = "schema")]
pub use deployment::deployment_index_schema;
pub use deployment::{enter_in_index, index_of_nothing, write_index};
pub use document::{described, documents, index_documents};
pub use error::PublishError;
pub use export::{Exported, ExportedPlatform, exported};
pub use gather::{Gathered, gather};
pub use held::Held;
pub use left_behind::{LeftBehind, left_behind};
pub use named_build::{NamedBuild, NamedWorkspace, Operand};
pub use notices::{Notice, notices};
pub use operand::{Ahead, Beside, claimed, has_name_of_archive, operand, operand_beside, resolve};
pub use platforms::{IndexResult, publish_index};
pub use published_image::stored_image;
pub use pull::{
    Contested, InRegistry, PullRequest, Pulled, RegistryIndex, is_registry_reference, look_up, pull,
    pull_record,
};
pub use pull_all::{PullAllRequest, PulledAll, pull_all};
pub use push::{PushRequest, Pushed, PushedManifest, push};
pub use read_image::{HeldImages, ReadImage, read_image};
pub use reference::{
    FileVerdict, LedgerVerdict, approve, artifacts_with_history, baseline, entry_before, entry_where,
    history, newest_build, verify_file,
};
pub use release::{
    Aspect, CHECKPOINT, CheckRequest, CheckedRelease, LogState, RELEASE, RebuildersRequest, SignRequest,
    SignedRelease, Threshold, check_release, checkpoint_of, consistency_proof, hold_log, is_signature,
    log_state, origin_of, rebuilt_by, require_signable, sign_release,
};
pub use repair::repair;
pub use row::{Row, State};
pub use run_statement::run_statement;
pub use settle::{settle_for_reading, settle_published};
pub use size_history::{HistoricRecord, Histories, read_histories};
pub use tagged::{Tagged, TaggedBuild, is_registry_repository, tagged_records};
pub use whole::verify_workspace;
