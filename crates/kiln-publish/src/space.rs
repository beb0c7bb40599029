//! Room on the disk, asked for before a registry's blobs are written: their sizes are stated beforehand.

use crate::PublishError;
use kiln_image::Descriptor;
use kiln_store::free_space;
use std::path::Path;

/// The most layers that a manifest may lead to: engines stack no more than 125 to 128.
const MOST_LAYERS: usize = 128;

/// Refuses blobs that are too many, or more than the disk has room for. `copies` says how often each is written.
///
/// # Errors
/// [`PublishError::NotUsable`] for too many layers, [`PublishError::NoSpace`] where there is no room.
pub(crate) fn ask_for_space(
    layers: &[Descriptor],
    copies: u64,
    into: &Path,
    what: &str,
) -> Result<(), PublishError> {
    if layers.len() > MOST_LAYERS {
        let reason = format!("it has {} layers: {MOST_LAYERS} are allowed", layers.len());
        return Err(PublishError::NotUsable { what: what.to_owned(), reason });
    }
    room_for(layers.iter().map(|layer| layer.size), copies, into, what)
}

/// Refuses what the disk has no room for.
///
/// # Errors
/// [`PublishError::NoSpace`].
pub(crate) fn room_for(
    sizes: impl Iterator<Item = u64>,
    copies: u64,
    into: &Path,
    what: &str,
) -> Result<(), PublishError> {
    let needed = sizes.fold(0_u64, u64::saturating_add).saturating_mul(copies);
    match free_space(into)? {
        Some(free) if needed > free => {
            let (what, folder) = (what.to_owned(), into.display().to_string());
            Err(PublishError::NoSpace { what, folder, needed, free })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_refused_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let layer = |size: u64| Descriptor { size, ..Descriptor::of("x", b"") };
        let ask = |layers: &[Descriptor]| ask_for_space(layers, 2, folder.path(), "r.example/a:1");
        assert!(ask(&[layer(1_000), layer(0)]).is_ok());
        let refused = ask(&[layer(1 << 62), layer(u64::MAX)]).unwrap_err().to_string();
        assert!(refused.contains("r.example/a:1") && refused.contains("free"), "{refused}");
        let refused = ask(&vec![layer(1); MOST_LAYERS + 1]).unwrap_err().to_string();
        assert!(refused.contains("129 layers"), "{refused}");
    }
}
