//! Who asks a registry.

use std::fmt;

/// A login for a registry.
#[derive(Clone)]
pub struct RegistryLogin {
    /// The user; empty for an identity token.
    pub username: String,
    /// The password.
    pub password: String,
    /// A token that stands for both.
    pub identity_token: Option<String>,
}

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLogin").field("username", &self.username).finish_non_exhaustive()
    }
}
