//! Approvals: which build of an artifact somebody accepted as what later ones are held against, and why.
//!
//! Layout: `<ledger>/<artifact>/approvals/<number>.json`, numbers from 000001. Each names the digest of the one before it and of the
//! record that was approved, so that one that was changed, lost or reordered is noticed.

use crate::atomic::{create_shown, names_in};
use crate::ledger::read_part;
use crate::{Ledger, Result, StoreError, write_atomically};
use kiln_record::{ArtifactName, Digest, Epoch, FormatVersion, canonical_json};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of approvals. A minor step adds fields.
const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };
/// The largest approval that is read, in bytes.
const MAX_APPROVAL: u64 = 64 << 10;

/// That a build was accepted as what later ones are held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Approval {
    /// The version of this structure.
    pub format: FormatVersion,
    /// The artifact.
    pub artifact: ArtifactName,
    /// The build that was approved.
    pub number: u64,
    /// The digest of its record.
    pub record: Digest,
    /// Why.
    pub reason: String,
    /// When, by the clock of whoever approved.
    pub at: Epoch,
    /// The digest of the approval before; none for the first.
    pub previous: Option<Digest>,
}

impl Ledger {
    /// Approves a build. Either the approval is there afterwards or nothing is. The caller holds the workspace's lock.
    ///
    /// # Errors
    /// As [`Ledger::record`] and [`Ledger::approvals`]; [`StoreError::Io`].
    pub fn approve(&self, artifact: &ArtifactName, number: u64, reason: &str, at: Epoch) -> Result<Approval> {
        // What is approved must be what was built.
        let record = self.record(artifact, number)?;
        let serialize = |source| StoreError::Serialize { what: format!("an approval of {artifact}"), source };
        let before = self.approvals_with_digests(artifact)?;
        let approval = Approval {
            format: FORMAT,
            artifact: artifact.clone(),
            number,
            record: Digest::of(&record.to_json().map_err(serialize)?),
            reason: reason.to_owned(),
            at,
            previous: before.last().map(|(_, digest)| *digest),
        };
        let bytes = canonical_json(&approval).map_err(serialize)?;
        create_shown(&self.folder(artifact))?;
        create_shown(&self.approvals_folder(artifact))?;
        write_atomically(&self.approval_path(artifact, before.len() + 1), &bytes)?;
        Ok(approval)
    }

    /// All approvals of an artifact, oldest first, with the chain verified.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] naming the first that is missing, unreadable or not the one that its successor names.
    pub fn approvals(&self, artifact: &ArtifactName) -> Result<Vec<Approval>> {
        Ok(self.approvals_with_digests(artifact)?.into_iter().map(|(approval, _)| approval).collect())
    }

    fn approvals_with_digests(&self, artifact: &ArtifactName) -> Result<Vec<(Approval, Digest)>> {
        let mut numbers: Vec<usize> = names_in(&self.approvals_folder(artifact))?
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let mut all: Vec<(Approval, Digest)> = Vec::new();
        for number in numbers {
            let path = self.approval_path(artifact, number);
            let broken = |reason: String| StoreError::LedgerBroken { path: path.clone(), reason };
            if number != all.len() + 1 {
                return Err(broken(format!("approval {} before it is missing", all.len() + 1)));
            }
            let bytes = read_part(&path, MAX_APPROVAL)?;
            let approval: Approval =
                serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
            if approval.format.major != FORMAT.major {
                let (found, known) = (approval.format.to_string(), FORMAT.to_string());
                return Err(StoreError::Format { path, found, known });
            }
            let previous = all.last().map(|(_, digest)| *digest);
            if approval.previous != previous || approval.artifact != *artifact {
                return Err(broken(
                    "it does not continue the approval before it: one of the two was changed".to_owned(),
                ));
            }
            all.push((approval, Digest::of(&bytes)));
        }
        Ok(all)
    }

    fn approvals_folder(&self, artifact: &ArtifactName) -> PathBuf {
        self.folder(artifact).join("approvals")
    }

    fn approval_path(&self, artifact: &ArtifactName, number: usize) -> PathBuf {
        self.approvals_folder(artifact).join(format!("{number:06}.json"))
    }
}
