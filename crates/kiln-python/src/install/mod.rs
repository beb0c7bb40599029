//! Installation: the files of wheels in one tree, and whether what is installed fits together.

mod merge;
mod other_python;
mod pip;
mod requires;

pub use merge::{Installed, install};
pub use other_python::wheels_requiring_other_python;
pub use pip::{
    INSTALLER_RULES, InstalledFiles, InstallerComparison, InstallerFile, RUN_PIP, Rule, compare_installed,
    needs_content,
};
pub use requires::{Requirements, requires};
