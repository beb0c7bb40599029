//! Python distributions of an artifact: which ones its target needs ([`choose`]), bringing them ([`bring`]) or building them
//! from source ([`sdist`]), what they are as parts ([`parts`]), and what `[package]` makes of them ([`package`]).

mod bring;
mod bundled;
mod choose;
mod error;
mod inputs;
mod package;
mod parts;
mod sdist;

pub use bring::distribution::{Found, ReadyWheel, known};
pub use bring::local::planned_places;
pub use bring::{Distributions, bring};
pub use bundled::bundled_crates;
pub use choose::{
    Bindings, Question, Selecting, claimed, claimed_twice, command, declare, declared, included_files,
    left_out, planned_file, relock, select_for, target_environment,
};
use error::Judged;
pub use error::WheelError;
pub use inputs::{CHOICES, DistributionInputs, inputs};
pub use package::package;
pub use parts::parts;
pub use sdist::{Builder, UnpackedSource, environment_of_base};
