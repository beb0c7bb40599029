//! Wheels: their file names, which of several an environment takes, and from the members of the archive to
//! the files of an installed distribution.

mod archive;
mod best_wheel;
mod entry_points;
mod file_name;
mod installed;
mod metadata;
mod modules;
mod read;
mod record;
mod release_file;

pub use archive::WheelMember;
pub use best_wheel::{NoWheel, best_wheel, distance};
pub use file_name::WheelName;
pub use installed::{FileSource, InstalledFile, Wheel};
pub use metadata::license_in_metadata;
pub(crate) use metadata::parse_metadata;
pub use modules::top_level_modules;
pub use read::{read_wheel, read_wheel_without_record};
pub use record::render_record;
pub(crate) use record::{RecordHash, parse_record};
pub use release_file::is_file_of;
