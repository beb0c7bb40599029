//! Which distributions an artifact needs, and which index each is asked of.

mod binding;
mod declared;
mod included;
mod lock_text;
mod planned;
mod selecting;

pub use binding::{Bindings, Question, claimed, claimed_twice};
pub use declared::{command, declare, left_out, relock};
pub use included::included_files;
pub(crate) use lock_text::parse_lock;
pub use planned::planned_file;
pub use selecting::{Selecting, declared, select_for, target_environment};
