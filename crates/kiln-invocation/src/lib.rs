//! What a run is given and shares: folders, time and settings ([`Environment`]), which code it is made of
//! ([`Rules`]), where it is and whether it goes on
//! ([`Run`]), servers ([`Network`]), what happens ([`Event`]), the workspace on disk, and what workspaces need of a
//! store ([`needed()`]).

mod environment;
mod error;
mod event;
mod index_setting;
mod message;
mod needed;
mod network;
mod registry_cache;
mod rules;
mod run;
mod shared;
mod shared_cache;
mod trial;
mod workspace;

pub use environment::Environment;
pub use error::InvocationError;
pub use event::{Ending, Event, Events, Stage};
pub use index_setting::NamedIndexSetting;
pub use kiln_image::RegistryMirror;
pub use kiln_remote::RemoteSettings;
pub use message::{end_of_log, indented, listed};
pub use needed::{NamedBy, Needed, needed};
pub use network::Network;
pub use rules::Rules;
pub use run::{Run, StopOnDrop, blocking, lock};
pub use shared::{Asked, Shared};
pub use shared_cache::{RegistryCacheSettings, SharedCache};
pub use trial::{Trial, Variation};
pub use workspace::{
    WORKSPACE_FILE, all_stated, artifacts_of, find_workspace, known_names, read_usable_workspace,
    read_workspace, read_workspace_for_locking, read_workspace_for_pins, text_file,
};
