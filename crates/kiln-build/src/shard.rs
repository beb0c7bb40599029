//! One part of a workspace: what one of several machines builds.

use kiln_plan::Workspace;
use kiln_record::{ArtifactName, Digest};
use std::fmt;
use std::str::FromStr;

/// The most shards of a workspace.
const MOST: u32 = 10_000;

/// One of several parts of a workspace, as `3/8`. Which artifact is in which part follows from its name alone, so that every
/// machine knows it and no new artifact moves another. An image for several platforms is in one part with all of them; a layer
/// is built wherever something uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// Whether a name is in this part: the first eight bytes of its SHA-256, as a number with the first byte highest, divided
    /// by the number of parts leave the part's number less one.
    #[must_use]
    pub fn has(&self, name: &ArtifactName) -> bool {
        let first = Digest::of(name.as_str().as_bytes()).hex();
        u64::from_str_radix(&first[..16], 16)
            .is_ok_and(|number| number % u64::from(self.of) == u64::from(self.number - 1))
    }

    /// What of a workspace is in this part, by the names that manifests give.
    pub(crate) fn names(&self, workspace: &Workspace) -> Vec<ArtifactName> {
        workspace.in_all().into_iter().filter(|name| self.has(name)).cloned().collect()
    }
}

/// Why a text is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard is NUMBER/OF, such as 3/8: two numbers from 1 to 10000, the first not above the second")]
pub struct ShardError;

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(ShardError)
        };
        let (first, second) = text.split_once('/').ok_or(ShardError)?;
        let (number, of): (u32, u32) = (number(first)?, number(second)?);
        if (1..=of).contains(&number) && of <= MOST { Ok(Self { number, of }) } else { Err(ShardError) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_one_part() {
        let names: Vec<ArtifactName> = (0..200).map(|n| format!("artifact-{n}").parse().unwrap()).collect();
        for of in [1, 2, 8, 13] {
            let shards: Vec<Shard> = (1..=of).map(|n| format!("{n}/{of}").parse().unwrap()).collect();
            for name in &names {
                assert_eq!(shards.iter().filter(|shard| shard.has(name)).count(), 1, "{name} of {of}");
            }
            let fullest =
                shards.iter().map(|shard| names.iter().filter(|name| shard.has(name)).count()).max();
            assert!(fullest.unwrap() < 2 * 200 / of + 10, "{of}: {fullest:?}");
        }
        // What is built where must not change with a new kiln: the machines of one run may have different ones.
        let third: Shard = "3/8".parse().unwrap();
        let its: Vec<&str> = names[..40].iter().filter(|n| third.has(n)).map(ArtifactName::as_str).collect();
        assert_eq!(its, EXPECTED);
    }

    const EXPECTED: [&str; 3] = ["artifact-20", "artifact-31", "artifact-37"];

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "3", "0/8", "9/8", "3/0", "+1/2", "1/2/3", "a/b", "1/10001", "1/99999999999", " 1/2"]
        {
            assert_eq!(text.parse::<Shard>(), Err(ShardError), "{text}");
        }
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
    }
}
