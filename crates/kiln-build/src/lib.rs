//! Runs plans: everything that joins the other crates.
//!
//! [`build`] takes artifacts through their stages, [`lock_base`], [`lock_artifacts`] and [`lock_tools`] pin what builds
//! use, and [`resolve`], [`history`] and
//! [`verify_file`] answer questions about builds that were made. What happens is told as [`Event`]s.

mod base;
mod base_image;
mod build;
mod collect;
mod cross_check;
mod declared;
mod deployment;
mod difference;
mod distribution;
mod dockerfile;
mod document;
mod environment;
mod error;
mod event;
mod explain;
mod export;
mod hygiene;
mod image;
mod import_check;
mod included;
mod index;
mod index_router;
mod local;
mod lock_artifact;
mod lock_base;
mod native;
mod package;
mod pins;
mod platforms;
mod policy;
mod published_image;
mod pull;
mod pull_image;
mod push;
mod recording;
mod reference;
mod saved_image;
mod sdist;
mod selecting;
mod smoke;
mod source;
mod stage;
mod step;
mod tool;
mod upstream;
mod uv;
mod workspace;

pub use build::{ArtifactResult, BuildReport, BuildRequest, build};
pub use cross_check::{CrossCheck, cross_check};
pub use environment::{EngineSlot, Environment};
pub use error::{BuildError, FailedStep};
pub use event::{Ending, Event, Events, Stage};
pub use explain::{
    ExplainedDistribution, ExplainedMarker, ExplainedPath, ExplainedWheel, Explanation, explain, explain_path,
};
pub use export::{Exported, ExportedPlatform, exported};
pub use index::NamedIndexSetting;
pub use lock_artifact::{ArtifactLock, ArtifactLockRequest, Kept, lock_artifacts};
pub use lock_base::{BaseMove, LockReport, lock_base};
pub use pins::{Pin, PinnedThing, pins};
pub use platforms::IndexResult;
pub use pull::{
    InRegistry, PullRequest, Pulled, RegistryIndex, is_registry_reference, look_up, pull, pull_record,
};
pub use push::{PushRequest, Pushed, PushedManifest, push};
pub use reference::{FileVerdict, NamedBuild, artifacts_with_history, history, resolve, verify_file};
pub use tool::{ToolReport, lock_tools};
pub use upstream::{UpstreamLock, UpstreamLockRequest, lock_upstreams};
pub use workspace::{WORKSPACE_FILE, find_workspace, read_workspace};
