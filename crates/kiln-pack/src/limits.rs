//! How much an archive from elsewhere may ask for.

use crate::{PackError, Result};

/// Bounds on an archive that is being read. Announced numbers are checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of members, folders included.
    pub max_members: u64,
    /// Unpacked size of one member in bytes.
    pub max_member_size: u64,
    /// Sum of all unpacked sizes in bytes.
    pub max_total_size: u64,
    /// Unpacked bytes for one compressed byte, per member.
    pub max_ratio: u64,
}

impl Default for Limits {
    /// For wheels and packages: 200,000 members, 1 GiB each, 2 GiB together, and the most that deflate can expand
    /// (1032:1), so that no honest member is refused for its ratio.
    fn default() -> Self {
        Self {
            max_members: 200_000,
            max_member_size: 1 << 30,
            max_total_size: 2 << 30,
            max_ratio: crate::deflate::MAX_EXPANSION,
        }
    }
}

/// What has been counted against [`Limits`] so far.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    members: u64,
    total: u64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, members: 0, total: 0 }
    }

    /// Counts a member; `compressed` is its length in the archive.
    pub(crate) fn count(&mut self, name: &str, size: u64, compressed: u64) -> Result<()> {
        let limit = |what: String, found: u64, limit: u64| {
            if found > limit { Err(PackError::Limit { what, found, limit }) } else { Ok(()) }
        };
        self.members += 1;
        self.total = self.total.saturating_add(size);
        limit("number of members".to_owned(), self.members, self.limits.max_members)?;
        limit(format!("unpacked bytes of `{name}`"), size, self.limits.max_member_size)?;
        limit(format!("unpacked bytes up to `{name}`"), self.total, self.limits.max_total_size)?;
        let allowed = compressed.saturating_mul(self.limits.max_ratio);
        limit(format!("unpacked bytes of `{name}` for its {compressed} compressed bytes"), size, allowed)
    }
}
