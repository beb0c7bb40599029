//! A build that is made to be compared: what it does not remember, and what is other than usual around it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// What is done otherwise where a build is made to be compared with another.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Where results are remembered, so that nothing that an earlier run made is taken; in the store if absent.
    pub results: Option<PathBuf>,
    /// What is other than usual around the programs that the build runs.
    pub variations: BTreeSet<Variation>,
}

/// Something around a program that no result should depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variation {
    /// Whom it runs as.
    User,
    /// The mask of the modes of what it makes.
    Umask,
    /// The home folder.
    Home,
    /// Where programs are looked for.
    Path,
    /// The time zone.
    Zone,
    /// The language, and how text is sorted.
    Locale,
    /// The times of what it is given.
    InputTimes,
    /// The order in which folders list what it is given.
    FileOrder,
    /// How many processors it may run on.
    Cores,
    /// The name of its machine.
    HostName,
    /// The date; only where the base has the library that tells programs another.
    WallClock,
    /// The engine that runs it, and with it the storage driver; only where there is a second one.
    Engine,
}

impl Variation {
    /// Every variation that one engine will do for.
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Umask,
        Self::Home,
        Self::Path,
        Self::Zone,
        Self::Locale,
        Self::InputTimes,
        Self::FileOrder,
        Self::Cores,
        Self::HostName,
        Self::WallClock,
    ];

    /// Its name in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Umask => "umask",
            Self::Home => "home",
            Self::Path => "path",
            Self::Zone => "zone",
            Self::Locale => "locale",
            Self::InputTimes => "input-times",
            Self::FileOrder => "file-order",
            Self::Cores => "cores",
            Self::HostName => "host-name",
            Self::WallClock => "wall-clock",
            Self::Engine => "engine",
        }
    }

    /// Whether it needs a program of ours in front of the one that is run, and so a Python in its base.
    #[must_use]
    pub fn needs_python(self) -> bool {
        matches!(self, Self::Umask | Self::FileOrder)
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
