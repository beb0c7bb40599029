//! How much an archive from elsewhere may ask for.

use crate::{PackError, Result};

/// Bounds on an archive that is being read. Announced numbers are checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of members, and of the folders that only their paths name.
    pub max_members: u64,
    /// Unpacked size of one member in bytes.
    pub max_member_size: u64,
    /// Sum of all unpacked sizes in bytes.
    pub max_total_size: u64,
    /// Unpacked bytes for one compressed byte, per member.
    pub max_ratio: u64,
}

impl Default for Limits {
    /// For wheels and packages: 200,000 members and folders, 1 GiB each, 2 GiB together, and the most that deflate can expand
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

    /// Counts members or folders: each is something that is made when the archive is unpacked.
    pub(crate) fn count_more(&mut self, members: usize) -> Result<()> {
        self.members = self.members.saturating_add(members as u64);
        if self.members > self.limits.max_members {
            return Err(PackError::Limit {
                what: "number of members and folders".to_owned(),
                found: self.members,
                limit: self.limits.max_members,
            });
        }
        Ok(())
    }

    /// Counts a member; `compressed` is its length in the archive.
    pub(crate) fn count(&mut self, name: &str, size: u64, compressed: u64) -> Result<()> {
        let limit = |what: String, found: u64, limit: u64| {
            if found > limit { Err(PackError::Limit { what, found, limit }) } else { Ok(()) }
        };
        self.count_more(1)?;
        self.total = self.total.saturating_add(size);
        limit(format!("unpacked bytes of `{name}`"), size, self.limits.max_member_size)?;
        limit(format!("unpacked bytes up to `{name}`"), self.total, self.limits.max_total_size)?;
        let allowed = compressed.saturating_mul(self.limits.max_ratio);
        limit(format!("unpacked bytes of `{name}` for its {compressed} compressed bytes"), size, allowed)
    }
}
