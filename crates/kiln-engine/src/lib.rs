//! The container seam.
//!
//! [`Engine`] is Docker through its API, or another [`backend`]; all pass one contract (`contract`, behind the feature of
//! that name). Everything that must run inside a base image runs through [`Engine::run`]: hermetic, bounded,
//! and gone without a trace. Inputs and outputs travel as archives through the API, so the engine may be on another
//! machine.

mod archive;
pub mod backend;
mod build;
mod container;
#[cfg(feature = "contract")]
pub mod contract;
mod credentials;
mod docker;
mod endpoint;
mod engine;
mod error;
mod guest_path;
mod health;
mod held;
mod image;
mod info;
mod lines;
mod measured;
mod root_change;
mod run;
mod settings;

pub use build::{BuildSpec, Builder};
pub use container::ContainerInfo;
pub use credentials::Credentials;
pub use docker::registry_credentials;
pub use engine::Engine;
pub use error::EngineError;
pub use guest_path::{GuestPath, GuestPathError};
pub use health::{Health, HealthTest, Watched};
pub use image::{ImageInfo, NamedImage, PullProgress};
pub use info::{EngineInfo, Unkept};
pub use lines::{Line, Stream};
pub use root_change::RootChange;
pub use run::{InputContent, InputTree, Limits, OutputFolder, RunOutcome, RunSpec, Surroundings};
pub use settings::{EngineSettings, Session};
