//! `Packages.db`: rpm's own container (`rpm/lib/backend/ndb/rpmpkg.c`). Slots at the beginning say where each header is.

use super::numbers::{Order, part};

const MAGIC: &[u8] = b"RpmP";
const PAGE: usize = 4096;
/// A slot, and the unit of offsets and lengths.
const BLOCK: usize = 16;
/// The slots that the file's own header takes.
const FIRST_SLOT: usize = 2;

/// The headers of a database, in the order of their numbers.
///
/// # Errors
/// What is wrong with it.
pub(super) fn headers(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    let little = Order::Little;
    if !file.starts_with(MAGIC) || little.u32(file, 4) != Some(0) {
        return Err("it is no ndb database of version 0".to_owned());
    }
    let pages = little.size(file, 12).ok_or("it ends in its header")?;
    let slots =
        pages.checked_mul(PAGE).and_then(|length| file.get(..length)).ok_or("its slots are cut off")?;
    let mut found = Vec::new();
    for slot in slots.chunks_exact(BLOCK).skip(FIRST_SLOT) {
        if !slot.starts_with(b"Slot") {
            return Err("a slot is damaged".to_owned());
        }
        let (number, offset) = (little.u32(slot, 4), little.size(slot, 8));
        let (Some(number), Some(offset)) = (number, offset) else { continue };
        // A free slot.
        if offset == 0 {
            continue;
        }
        let blob = blob(file, number, offset).ok_or_else(|| format!("package {number} is damaged"))?;
        found.push((number, blob));
    }
    // Packages do not overlap: else a small file could name a large header very often.
    if found.iter().map(|(_, blob)| blob.len()).sum::<usize>() > file.len() {
        return Err("its packages overlap".to_owned());
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, blob)| blob).collect())
}

/// `BlbS`, number, generation and length stand before the header.
fn blob(file: &[u8], number: u32, offset: usize) -> Option<&[u8]> {
    let little = Order::Little;
    let at = offset.checked_mul(BLOCK)?;
    if part(file, at, 4)? != b"BlbS" || little.u32(file, at + 4)? != number {
        return None;
    }
    part(file, at + 16, little.size(file, at + 12)?)
}
