//! The crates that wheels have inside: linked into their native files.

use crate::WheelError;
use crate::bring::distribution::{Chosen, read};
use kiln_invocation::Network;
use kiln_plan::NamedCrate;
use kiln_record::Digest;
use std::collections::BTreeSet;

/// The crates of cargo's default registry that a wheel of the store has inside: those that its own bills of materials name, and those
/// that its bytes show.
///
/// # Errors
/// If the wheel cannot be read.
pub async fn bundled_crates(
    network: &Network,
    file_name: &str,
    digest: Digest,
) -> Result<BTreeSet<NamedCrate>, WheelError> {
    let ready = read(network, Chosen { file_name: file_name.to_owned(), digest }).await?;
    let named =
        ready.embedded.iter().filter_map(|part| NamedCrate::of_url(part.purl.as_deref()?, part.sha256));
    let linked = ready.elf.values().flat_map(|facts| &facts.linked);
    Ok(named.chain(linked.filter_map(|part| NamedCrate::of_url(&part.purl, None))).collect())
}
