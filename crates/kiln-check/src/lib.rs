//! Checks of what was collected, whoever made it: native code, hygiene, what an image stands on, imports, events, health, and
//! pip's own opinion. [`Function`] is what runs a function in its base. None of them knows the makers of parts.

mod against_base;
mod compiled;
mod environment;
mod error;
mod function;
mod health;
mod hygiene;
mod import_check;
mod import_report;
mod lanes;
mod leaks;
mod names;
mod native;
mod pip;
mod programs;
mod reach;
mod replaced_library;
mod skipped;
mod smoke;
mod source_place;
mod stated;
mod supervised;
mod text;
mod underway;
mod variables;

pub use against_base::against_base;
pub use error::CheckError;
pub use function::{Function, FunctionEvent, Served, bootstrap_path};
pub use health::health;
pub use hygiene::hygiene;
pub use import_check::{Imported, import};
pub use import_report::asks_base;
pub use leaks::leaks;
pub use names::names;
pub use native::native;
pub use pip::{PipWheel, below, pip_check, pip_install};
pub use programs::programs;
pub use reach::reach;
pub use smoke::{Smoke, smoke, smoke_file_missing, smoke_files};
pub use stated::stated;
pub use underway::Underway;
pub use variables::variables;
