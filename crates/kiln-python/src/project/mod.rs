//! Project files: what `pyproject.toml` asks for, and what a project in the workspace would install.

mod declared;
mod layout;
mod poetry_table;
mod pyproject;
mod source;

pub use declared::{Declared, RequiresPython};
pub(crate) use declared::{is_asked_for, specifier};
pub(crate) use poetry_table::{poetry_marker, version_of};
pub(crate) use pyproject::{Notation, Project, read_project};
pub(crate) use source::identity;
pub use source::{SourceProject, read_source_project};
