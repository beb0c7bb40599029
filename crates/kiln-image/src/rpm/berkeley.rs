//! `Packages`: a hash of Berkeley DB (`dbinc/db_page.h`), whose values are headers. They are long, so each is a chain of
//! overflow pages.

use super::numbers::{Order, part};

const HASH_MAGIC: u32 = 0x0006_1561;
/// The part of a page before its items.
const PAGE_HEAD: usize = 26;

const P_HASH_UNSORTED: u8 = 2;
const P_OVERFLOW: u8 = 7;
const P_HASH_META: u8 = 8;
const P_HASH: u8 = 13;

const H_KEYDATA: u8 = 1;
const H_OFFPAGE: u8 = 3;

struct Pages<'a> {
    file: &'a [u8],
    order: Order,
    size: usize,
    /// Overflow pages that a chain went through: each belongs to one value, so all values together are no longer than the file.
    used: Vec<bool>,
}

/// The headers of a database, in the order of the numbers that rpm gave them.
///
/// # Errors
/// What is wrong with it.
pub(super) fn headers(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let order = [Order::Little, Order::Big]
        .into_iter()
        .find(|order| order.u32(file, 12) == Some(HASH_MAGIC))
        .ok_or("it is no hash of Berkeley DB")?;
    let size = order.size(file, 20).filter(|size| size.is_power_of_two() && (512..=65536).contains(size));
    let size = size.ok_or("its page size is none of Berkeley DB's")?;
    let (encryption, kind, flags) = (file.get(24), file.get(25), file.get(26));
    if kind != Some(&P_HASH_META) || encryption != Some(&0) || flags.is_none_or(|flags| flags & 1 != 0) {
        return Err("it is encrypted, or has checksums, which rpm's never have".to_owned());
    }
    let mut pages = Pages { file, order, size, used: vec![false; file.len() / size + 1] };
    let mut found = Vec::new();
    for page in file.chunks_exact(size).skip(1) {
        if matches!(page.get(25), Some(&(P_HASH | P_HASH_UNSORTED))) {
            pages.values(page, &mut found)?;
        }
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, header)| header).collect())
}

impl Pages<'_> {
    /// The headers of one page: keys and values stand in turn, from the end of the page to its beginning.
    fn values(&mut self, page: &[u8], found: &mut Vec<(u32, Vec<u8>)>) -> Result<(), String> {
        let damaged = || "a page is damaged".to_owned();
        let count = usize::from(self.order.u16(page, 20).ok_or_else(damaged)?);
        let order = self.order;
        let place = |index: usize| order.u16(page, PAGE_HEAD + 2 * index).map(usize::from);
        let item = |index: usize| {
            let start = place(index)?;
            let end = if index == 0 { page.len() } else { place(index - 1)? };
            page.get(start..end)
        };
        for index in (0..count & !1).step_by(2) {
            let (key, value) = (item(index).ok_or_else(damaged)?, item(index + 1).ok_or_else(damaged)?);
            let Some((&H_KEYDATA, key)) = key.split_first() else { continue };
            let number = self.order.u32(key, 0).ok_or_else(damaged)?;
            // The value of zero is the number of the next package.
            if number == 0 {
                continue;
            }
            let header = match value.split_first() {
                Some((&H_KEYDATA, inline)) => inline.to_vec(),
                Some((&H_OFFPAGE, _)) => {
                    self.chain(value).ok_or_else(|| format!("package {number} is damaged"))?
                }
                _ => return Err(format!("package {number} is of a kind that rpm does not write")),
            };
            found.push((number, header));
        }
        Ok(())
    }

    /// A value on pages of its own: `H_OFFPAGE`, three bytes, the first page, the length.
    fn chain(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let (mut number, length) = (self.order.size(value, 4)?, self.order.size(value, 8)?);
        let mut header = Vec::new();
        while header.len() < length {
            let used = self.used.get_mut(number)?;
            if std::mem::replace(used, true) {
                return None;
            }
            let page = part(self.file, number.checked_mul(self.size)?, self.size)?;
            if page[25] != P_OVERFLOW {
                return None;
            }
            let there = usize::from(self.order.u16(page, 22)?);
            header.extend_from_slice(part(page, PAGE_HEAD, there.min(length - header.len()))?);
            number = self.order.size(page, 16)?;
        }
        Some(header)
    }
}
