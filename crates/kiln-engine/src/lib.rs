//! The container seam.
//!
//! [`Engine`] is Docker through its API, or an engine in memory, and both pass one contract (`contract`, behind the
//! feature of that name). Everything that must run inside a base image runs through [`Engine::run`]: hermetic, bounded,
//! and gone without a trace. Inputs and outputs travel as archives through the API, so the engine may be on another
//! machine.

mod archive;
mod build;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod docker;
mod endpoint;
mod engine;
mod error;
mod fake;
mod guest_path;
mod health;
mod image;
mod lines;
mod run;
mod settings;

pub use build::{BuildSpec, Builder};
pub use docker::{Docker, registry_credentials};
pub use engine::{ContainerInfo, Credentials, Engine, EngineInfo};
pub use error::EngineError;
pub use fake::{Fake, Guest};
pub use guest_path::{GuestPath, GuestPathError};
pub use health::{Health, HealthTest, Watched};
pub use image::{ImageInfo, PullProgress};
pub use lines::{Line, Stream};
pub use run::{InputTree, Limits, RunOutcome, RunSpec};
pub use settings::{EngineSettings, Session};
