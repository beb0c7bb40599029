//! What must run runs in a container of a pinned base: bases made ready ([`Bases`]), and the one way to run a program in
//! one ([`Program`]).

mod base_image;
mod bases;
mod debian;
mod error;
mod input;
mod loaded;
mod loaded_bases;
mod log;
mod program;
mod question;
mod registry_base;
mod registry_layers;
mod runtime;
mod saved_image;
mod static_libraries;
mod twice;
mod varied;

pub use base_image::{BaseImage, BaseLayer, contents, finds, in_image, is_lambda_base};
pub use bases::{Bases, EngineSlot, base_place, engine_name, of_registry};
pub use debian::{
    LONG_HASHES, PackageHashes, archive, assemble, bring_packages, package_hashes, stored_image,
};
pub use error::{FailedStep, GuestError};
pub use input::{Given, InputTar, input_tree, tar_file};
pub use loaded::{AssembledImage, Loaded, numeric_user, writable};
pub use loaded_bases::{LOADED, remove_own_images, unneeded_bases};
pub use log::Log;
pub use program::{Ending, NOBODY, Program, Ran, guest};
pub use question::{AnswerKey, Question, ReadyQuestion, note_asked, was_asked};
pub use registry_base::bring_registry_image;
pub use registry_layers::stored_registry_image;
pub use runtime::{target_runtime, with_system_of};
pub use saved_image::{SavedImage, container_files};
pub use static_libraries::{StaticLibrary, static_libraries};
pub use twice::{Difference, again};
pub use varied::FAKETIME;
