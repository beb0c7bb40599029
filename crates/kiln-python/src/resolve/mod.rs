//! What `kiln lock` knows: what is asked for, the stand-in by which uv is told the target, what uv answered,
//! the lock that is written, and whether a lock is still the one of its input.

mod changes;
mod declaration;
mod declare_project;
mod declare_requirements;
mod held_back;
mod resolution;
mod staleness;
mod stand_in;

pub use changes::{ChangeKind, LockChange, lock_changes};
pub use declaration::{Declaration, Wanted};
pub use declare_project::declare_project;
pub use declare_requirements::declare_requirements;
pub use held_back::{HeldBack, Offer, held_back};
pub use resolution::{Pinned, read_resolution, render_lock};
pub use staleness::{declared_not_locked, is_of_input};
pub use stand_in::{stand_in_for_trial, stand_in_interpreter};
