//! Logins at registries.

use std::fmt;

/// What a registry wants to see. Its debug form does not show secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The registry they are for.
    pub registry: String,
    /// The user; empty with an identity token.
    pub username: String,
    /// The password; empty with an identity token.
    pub password: String,
    /// A token that stands for user and password.
    pub identity_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("registry", &self.registry)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
