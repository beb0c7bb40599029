//! What a server makes whoever uses it wait for, told as it happens: a silence that has a reason is no silence.

use std::fmt;
use std::sync::Arc;

/// One reason to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server does not answer, and is asked again.
    AskedAgain {
        /// Its address.
        address: String,
        /// Why it did not answer.
        why: String,
        /// How often it was asked again, with this.
        again: u32,
        /// How often that is done at most.
        of: u32,
    },
    /// What a program is said to have come to may be what a lost machine came to: it begins again.
    BegunAgain {
        /// Which program, for people.
        name: String,
        /// What it is said to have come to, as a clause after its name.
        why: String,
        /// How often it began again, with this.
        again: u32,
        /// How often that is done at most.
        of: u32,
    },
}

/// Takes notices; cheap to clone.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(Notice) + Send + Sync>);

impl Notices {
    /// Sends every notice to a function.
    pub fn new(receive: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Drops every notice.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Tells a notice.
    pub fn send(&self, notice: Notice) {
        (self.0)(notice);
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
