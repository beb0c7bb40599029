//! Bases: what `images/<base>.toml` states, the lock beside it, and the two together.

mod definition;
mod known;
mod lock;
mod pinned;

pub use definition::{BaseDefinition, BaseKind, DebianDefinition, ImageSettings, RegistryDefinition};
pub use known::{DEBIAN_KEYRING, KnownBase, base_for, known_base, usual_base_name};
pub use lock::{BASE_LOCK_FORMAT, BaseLock, DebianRelease, LockedPackage, PlatformLock};
pub use pinned::{PinnedBase, base_not_pinned};
