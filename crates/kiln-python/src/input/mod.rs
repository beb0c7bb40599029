//! Files that users write: what is wrong with them and where, how they are taken apart, and how they name
//! others.

mod path;
mod problem;
mod text;
mod toml_table;
mod url;

pub(crate) use path::{Unfollowed, included_path};
pub(crate) use problem::NAME_INDEX;
pub use problem::{InputProblem, InvalidInput, ProblemKind, Remark};
pub(crate) use text::{Lines, too_large};
pub(crate) use toml_table::{get_str, get_strings, get_table, parse_toml};
pub(crate) use url::{file_name_of, fragment_hash, without_credentials};
