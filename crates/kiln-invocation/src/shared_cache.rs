//! Which cache machines share.

use crate::registry_cache::RegistryCacheSettings;
use kiln_remote::RemoteSettings;

/// A cache that machines share.
#[derive(Clone, Debug)]
pub enum SharedCache {
    /// A server of the Remote Execution API.
    Remote(RemoteSettings),
    /// A repository of a container registry, which holds downloads and no results.
    Registry(RegistryCacheSettings),
}
