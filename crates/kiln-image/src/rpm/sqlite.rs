//! `rpmdb.sqlite`: the table `Packages` with a number and a header for each package, in SQLite's file format
//! (<https://www.sqlite.org/fileformat2.html>), with the write-ahead log beside it.

use super::numbers::{Order, part};
use std::collections::BTreeMap;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// The part of the first page before its b-tree.
const FILE_HEAD: usize = 100;
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Levels of a tree: SQLite itself has no deeper one.
const DEPTH_LIMIT: usize = 20;

const WAL_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

const BIG: Order = Order::Big;

/// A database, with what its log has of newer pages.
struct Database<'a> {
    file: &'a [u8],
    /// Where the log has a page, by its number.
    log: BTreeMap<usize, &'a [u8]>,
    page_size: usize,
    /// The bytes of a page that hold something.
    usable: usize,
    /// Pages that were visited. Each has one place in one tree or chain, so no more is read than the file has.
    visited: Vec<bool>,
    /// The bytes that rows may still have: cells of a damaged page overlap.
    left: usize,
}

/// A value of a row.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The headers of a database, in the order of the table's keys.
///
/// # Errors
/// What is wrong with it.
pub(super) fn headers(file: &[u8], log: Option<&[u8]>) -> Result<Vec<Vec<u8>>, String> {
    let mut database = Database::open(file, log.unwrap_or_default())?;
    let mut root = None;
    database.rows(1, &mut |row| {
        if let [Value::Bytes(b"table"), Value::Bytes(name), _, Value::Number(page), ..] =
            values(row)?.as_slice()
            && *name == b"Packages"
        {
            root = usize::try_from(*page).ok();
        }
        Some(())
    })?;
    let root = root.ok_or("it has no table `Packages`")?;
    let mut headers = Vec::new();
    database.rows(root, &mut |row| {
        // The key is the row's own number, which stands for the first column.
        if let [_, Value::Bytes(header), ..] = values(row)?.as_slice() {
            headers.push(header.to_vec());
        }
        Some(())
    })?;
    Ok(headers)
}

impl<'a> Database<'a> {
    fn open(file: &'a [u8], log: &'a [u8]) -> Result<Self, String> {
        if !file.starts_with(MAGIC) || file.len() < FILE_HEAD {
            return Err("it is no SQLite database".to_owned());
        }
        // 65536 does not fit into two bytes.
        let page_size = match BIG.u16(file, 16) {
            Some(1) => 65536,
            Some(size) => usize::from(size),
            None => 0,
        };
        if !page_size.is_power_of_two() || page_size < 512 {
            return Err("its page size is none of SQLite's".to_owned());
        }
        if BIG.u32(file, 56).is_some_and(|encoding| encoding > 1) {
            return Err("its texts are not in UTF-8, in which rpm writes".to_owned());
        }
        let usable = page_size - usize::from(file[20]);
        if usable < 480 {
            return Err("its pages have no room".to_owned());
        }
        let log_length = log.len();
        let log = newer_pages(log, page_size)?;
        let last = log.keys().next_back().copied().unwrap_or_default().max(file.len() / page_size);
        // The log cannot make the file large: a page's number is as good as the file and the log are long.
        if last > file.len() / page_size + log_length {
            return Err("its log has pages far beyond its end".to_owned());
        }
        Ok(Self {
            file,
            log,
            page_size,
            usable,
            visited: vec![false; last + 1],
            left: file.len() + log_length,
        })
    }

    /// A page, which must not have been visited.
    fn page(&mut self, number: usize) -> Result<&'a [u8], String> {
        let damaged = || format!("page {number} is not there, or is in two places");
        let visited = self.visited.get_mut(number).filter(|_| number > 0).ok_or_else(damaged)?;
        if std::mem::replace(visited, true) {
            return Err(damaged());
        }
        match self.log.get(&number) {
            Some(page) => Ok(page),
            None => part(self.file, (number - 1) * self.page_size, self.page_size).ok_or_else(damaged),
        }
    }

    /// Hands the rows of a table to `take`, in order; it gives none for a row that is damaged.
    fn rows(&mut self, root: usize, take: &mut dyn FnMut(&[u8]) -> Option<()>) -> Result<(), String> {
        // Pages that are still to be visited, with their depth; the next one is the last.
        let mut pending = vec![(root, 0)];
        while let Some((number, depth)) = pending.pop() {
            let page = self.page(number)?;
            let damaged = || format!("page {number} is damaged");
            let head = if number == 1 { FILE_HEAD } else { 0 };
            let kind = page[head];
            let count = usize::from(BIG.u16(page, head + 3).ok_or_else(damaged)?);
            let cells = head + if kind == INTERIOR { 12 } else { 8 };
            let cell = |index: usize| BIG.u16(page, cells + 2 * index).map(usize::from);
            match kind {
                INTERIOR if depth < DEPTH_LIMIT => {
                    pending.push((BIG.size(page, head + 8).ok_or_else(damaged)?, depth + 1));
                    for index in (0..count).rev() {
                        let child = cell(index).and_then(|at| BIG.size(page, at)).ok_or_else(damaged)?;
                        pending.push((child, depth + 1));
                    }
                }
                LEAF => {
                    for index in 0..count {
                        let at = cell(index).ok_or_else(damaged)?;
                        let row = self.payload(page, at)?.ok_or_else(damaged)?;
                        take(&row).ok_or_else(damaged)?;
                    }
                }
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }

    /// The payload of a cell of a leaf: what does not fit into the page is in a chain of others.
    fn payload(&mut self, page: &[u8], at: usize) -> Result<Option<Vec<u8>>, String> {
        let usable = self.usable;
        let Some((length, at)) = varint(page, at) else { return Ok(None) };
        let Some((_row, at)) = varint(page, at) else { return Ok(None) };
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let Some(left) = self.left.checked_sub(length) else { return Ok(None) };
        self.left = left;
        let local = match length <= usable - 35 {
            true => length,
            false => {
                let least = (usable - 12) * 32 / 255 - 23;
                let some = least + (length - least) % (usable - 4);
                if some <= usable - 35 { some } else { least }
            }
        };
        let Some(first) = part(page, at, local) else { return Ok(None) };
        let mut payload = first.to_vec();
        let mut next = BIG.size(page, at + local).filter(|_| local < length);
        while payload.len() < length {
            let Some(number) = next else { return Ok(None) };
            let page = self.page(number)?;
            next = BIG.size(page, 0);
            payload.extend_from_slice(&page[4..4 + (usable - 4).min(length - payload.len())]);
        }
        Ok(Some(payload))
    }
}

/// The values of a row: a header with the kind of each, then the values.
fn values(row: &[u8]) -> Option<Vec<Value<'_>>> {
    let (head, mut at) = varint(row, 0)?;
    let head = usize::try_from(head).ok()?;
    let mut place = head;
    let mut values = Vec::new();
    while at < head {
        let (kind, next) = varint(row.get(..head)?, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = part(row, place, length)?;
        place += length;
        values.push(match kind {
            1..=6 => Value::Number(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
            8 | 9 => Value::Number(kind - 8),
            12.. => Value::Bytes(bytes),
            _ => Value::Other,
        });
    }
    Some(values)
}

/// A number of one to nine bytes, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for index in 0..9 {
        let byte = *bytes.get(at.checked_add(index)?)?;
        if index == 8 {
            return Some((number << 8 | u64::from(byte), at + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// The pages that a write-ahead log has instead of the file's: those before its last commit. A log of another database, or
/// one that was reset, has frames whose salt or checksum does not fit: they count for nothing, as with SQLite.
fn newer_pages(log: &[u8], page_size: usize) -> Result<BTreeMap<usize, &[u8]>, String> {
    let mut pages = BTreeMap::new();
    if log.len() < WAL_HEAD {
        return Ok(pages);
    }
    let order = match BIG.u32(log, 0) {
        Some(0x377f_0682) => Order::Little,
        Some(0x377f_0683) => Order::Big,
        _ => return Err("its log is no write-ahead log of SQLite".to_owned()),
    };
    if BIG.size(log, 8) != Some(page_size) {
        return Err("its log has pages of another size".to_owned());
    }
    let mut sum = checksum(order, (0, 0), &log[..24]);
    if (BIG.u32(log, 24), BIG.u32(log, 28)) != (Some(sum.0), Some(sum.1)) {
        return Ok(pages);
    }
    let mut since_commit = Vec::new();
    for frame in log[WAL_HEAD..].chunks_exact(FRAME_HEAD + page_size) {
        let (head, page) = frame.split_at(FRAME_HEAD);
        sum = checksum(order, checksum(order, sum, &head[..8]), page);
        if head[8..16] != log[16..24] || (BIG.u32(head, 16), BIG.u32(head, 20)) != (Some(sum.0), Some(sum.1))
        {
            break;
        }
        since_commit.push((BIG.size(head, 0).unwrap_or_default(), page));
        if BIG.u32(head, 4) != Some(0) {
            pages.extend(since_commit.drain(..));
        }
    }
    Ok(pages)
}

fn checksum(order: Order, (mut one, mut two): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        one = one.wrapping_add(order.u32(pair, 0).unwrap_or_default()).wrapping_add(two);
        two = two.wrapping_add(order.u32(pair, 4).unwrap_or_default()).wrapping_add(one);
    }
    (one, two)
}
