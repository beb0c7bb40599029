//! Removes from ELF files what only debuggers read, without touching what the loader maps.
//!
//! Sections that no program header covers are left out, and what follows them moves up. Every byte that a program header
//! covers stays what it was, but for the headers that say where things are in the file; the result is read again and
//! compared before it is given out. Section headers keep their number, so that nothing that counts them has to be
//! rewritten: those of removed sections become null headers, which the specification provides for (System V ABI, chapter
//! 4, `SHT_NULL`).

use std::ops::Range;

/// The version of the rules here. A step means that equal files may come out differently.
pub const STRIP_RULES: u32 = 1;

/// What to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StripLevel {
    /// Sections with debug information.
    Debug,
    /// Those, and the symbol table that is not loaded.
    Symbols,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stripped {
    /// The file without those sections.
    Smaller(Vec<u8>),
    /// There is nothing to remove, or the bytes are no ELF file.
    Unchanged,
    /// There would be something to remove, but the file is laid out in a way that is better left alone.
    LeftAlone(&'static str),
}

const EHDR: usize = 64;
const PHDR: usize = 56;
const SHDR: usize = 64;
const SHT_NOBITS: u32 = 8;
const SHT_SYMTAB: u32 = 2;
const SHF_ALLOC: u64 = 2;
const PT_LOAD: u32 = 1;
const MAX_HEADERS: usize = 4096;
/// Bytes in segments for one byte of the file. A linker has each in three at most: a segment that is loaded, a part of it
/// that is read-only later, and one with a meaning of its own.
const MAX_OVERLAP: u64 = 8;

/// Strips a 64-bit little-endian shared object or executable.
#[must_use]
pub fn strip_elf(bytes: &[u8], level: StripLevel) -> Stripped {
    if !bytes.starts_with(b"\x7fELF") {
        return Stripped::Unchanged;
    }
    let Some(elf) = Elf::parse(bytes) else {
        // What is malformed or of another kind is judged elsewhere.
        return Stripped::LeftAlone("it is not a 64-bit little-endian library or program with sound headers");
    };
    let removed = match elf.removable(level) {
        Ok(removed) if removed.is_empty() => return Stripped::Unchanged,
        Ok(removed) => removed,
        Err(reason) => return Stripped::LeftAlone(reason),
    };
    let stripped = match elf.without(&removed) {
        Ok(stripped) => stripped,
        Err(reason) => return Stripped::LeftAlone(reason),
    };
    if stripped.len() >= bytes.len() {
        return Stripped::Unchanged;
    }
    match Elf::parse(&stripped) {
        Some(after) if elf.loads_like(&after) => Stripped::Smaller(stripped),
        _ => Stripped::LeftAlone("its segments would not be what they were"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
    memory: u64,
    align: u64,
}

#[derive(Clone, Copy, Debug)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
    align: u64,
}

struct Elf<'a> {
    bytes: &'a [u8],
    segment_table: usize,
    segments: Vec<Segment>,
    section_table: usize,
    sections: Vec<Section>,
    names: usize,
}

/// A stretch of the file that stays together: its place, and the alignment by which it may move.
#[derive(Clone, Debug)]
struct Piece {
    place: Range<u64>,
    align: u64,
}

impl<'a> Elf<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        // 64-bit, little-endian, version 1; a shared object or an executable.
        if bytes.len() < EHDR || bytes[4..7] != [2, 1, 1] || !matches!(u16_at(bytes, 16)?, 2 | 3) {
            return None;
        }
        let segment_table = usize::try_from(u64_at(bytes, 32)?).ok()?;
        let section_table = usize::try_from(u64_at(bytes, 40)?).ok()?;
        let segment_count = usize::from(u16_at(bytes, 56)?);
        let section_count = usize::from(u16_at(bytes, 60)?);
        let names = usize::from(u16_at(bytes, 62)?);
        if usize::from(u16_at(bytes, 54)?) != PHDR
            || usize::from(u16_at(bytes, 58)?) != SHDR && section_count > 0
            || segment_count == 0
            || segment_count > MAX_HEADERS
            || section_count > MAX_HEADERS
        {
            return None;
        }
        in_file(bytes, segment_table as u64, (segment_count * PHDR) as u64)?;
        in_file(bytes, section_table as u64, (section_count * SHDR) as u64)?;
        let mut segments = Vec::with_capacity(segment_count);
        for index in 0..segment_count {
            let at = segment_table.checked_add(index * PHDR)?;
            let segment = Segment {
                kind: u32_at(bytes, at)?,
                flags: u32_at(bytes, at + 4)?,
                offset: u64_at(bytes, at + 8)?,
                address: u64_at(bytes, at + 16)?,
                size: u64_at(bytes, at + 32)?,
                memory: u64_at(bytes, at + 40)?,
                align: u64_at(bytes, at + 48)?,
            };
            in_file(bytes, segment.offset, segment.size)?;
            segments.push(segment);
        }
        // All of them are compared in the end, so thousands that are the whole file each would take as many times as long.
        let total = segments.iter().fold(0, |total: u64, segment| total.saturating_add(segment.size));
        if total > (bytes.len() as u64).saturating_mul(MAX_OVERLAP) {
            return None;
        }
        let mut sections = Vec::with_capacity(section_count);
        for index in 0..section_count {
            let at = section_table.checked_add(index * SHDR)?;
            let section = Section {
                name: u32_at(bytes, at)?,
                kind: u32_at(bytes, at + 4)?,
                flags: u64_at(bytes, at + 8)?,
                offset: u64_at(bytes, at + 24)?,
                size: u64_at(bytes, at + 32)?,
                link: u32_at(bytes, at + 40)?,
                align: u64_at(bytes, at + 48)?,
            };
            // What has no content in the file has an end all the same.
            section.offset.checked_add(section.size)?;
            if section.has_content() {
                in_file(bytes, section.offset, section.size)?;
            }
            sections.push(section);
        }
        (sections.is_empty() || names < sections.len()).then_some(Self {
            bytes,
            segment_table,
            segments,
            section_table,
            sections,
            names,
        })
    }

    fn name(&self, section: &Section) -> &'a [u8] {
        let table = &self.sections[self.names];
        let start =
            usize::try_from(table.offset.saturating_add(u64::from(section.name))).unwrap_or(usize::MAX);
        let end = usize::try_from(table.offset + table.size).unwrap_or(0).min(self.bytes.len());
        let text = self.bytes.get(start..end).unwrap_or_default();
        text.split(|c| *c == 0).next().unwrap_or_default()
    }

    /// The sections to remove, by index: none of them is loaded, and no kept section is tied to them.
    fn removable(&self, level: StripLevel) -> Result<Vec<usize>, &'static str> {
        if self.sections.is_empty() {
            return Ok(Vec::new());
        }
        let mut removed = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            if section.flags & SHF_ALLOC != 0 || !section.has_content() || index == self.names {
                continue;
            }
            let name = self.name(section);
            let debug = [&b".debug_"[..], b".zdebug_", b".gnu.debuglto_", b".stab"]
                .iter()
                .any(|start| name.starts_with(start))
                || matches!(name, b".gdb_index" | b".line");
            if debug || level == StripLevel::Symbols && section.kind == SHT_SYMTAB {
                removed.push(index);
            }
        }
        if level == StripLevel::Symbols {
            // The names of removed symbols, unless something else has its names there.
            let tables: Vec<usize> = removed
                .iter()
                .filter(|index| self.sections[**index].kind == SHT_SYMTAB)
                .map(|index| self.sections[*index].link as usize)
                .collect();
            for table in tables {
                let shared = self.sections.iter().enumerate().any(|(index, section)| {
                    section.link as usize == table && section.kind != 0 && !removed.contains(&index)
                });
                let stays = self
                    .sections
                    .get(table)
                    .is_none_or(|table| table.flags & SHF_ALLOC != 0 || !table.has_content());
                if !shared && !stays && table != self.names && !removed.contains(&table) {
                    removed.push(table);
                }
            }
        }
        removed.sort_unstable();
        let covered = |section: &Section| {
            self.segments.iter().any(|s| {
                s.size > 0 && section.offset < s.offset + s.size && s.offset < section.offset + section.size
            })
        };
        if removed.iter().any(|index| covered(&self.sections[*index])) {
            return Err("debug information lies within what is loaded");
        }
        let tied = |section: &Section| {
            section.flags & SHF_ALLOC == 0 && matches!(section.kind, 4 | 9 | 17) && section.has_content()
        };
        if self.sections.iter().enumerate().any(|(index, section)| tied(section) && !removed.contains(&index))
        {
            return Err("it has relocations or groups that are not loaded");
        }
        Ok(removed)
    }

    fn section_table_place(&self) -> Range<u64> {
        let start = self.section_table as u64;
        start..start + (self.sections.len() * SHDR) as u64
    }

    /// Everything that stays, in the order of the file. What is loaded and touches is one piece.
    fn pieces(&self, removed: &[usize]) -> Result<Vec<Piece>, &'static str> {
        let table = |start: usize, count: usize, size: usize| start as u64..(start + count * size) as u64;
        let mut loaded = vec![
            Piece { place: 0..EHDR as u64, align: 1 },
            Piece { place: table(self.segment_table, self.segments.len(), PHDR), align: 8 },
        ];
        for segment in self.segments.iter().filter(|segment| segment.size > 0) {
            let align = segment.align.max(1);
            if !align.is_power_of_two() {
                return Err("a segment has an alignment that is no power of two");
            }
            loaded.push(Piece { place: segment.offset..segment.offset + segment.size, align });
        }
        loaded.sort_by_key(|piece| (piece.place.start, piece.place.end));
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in loaded {
            match pieces.last_mut() {
                Some(last) if piece.place.start < last.place.end => {
                    last.place.end = last.place.end.max(piece.place.end);
                    last.align = last.align.max(piece.align);
                }
                _ => pieces.push(piece),
            }
        }
        let within = |pieces: &[Piece], place: &Range<u64>| {
            pieces.iter().any(|piece| piece.place.start <= place.start && place.end <= piece.place.end)
        };
        let of_segments = pieces.clone();
        for (index, section) in self.sections.iter().enumerate() {
            if !section.has_content() || removed.contains(&index) {
                continue;
            }
            let place = section.offset..section.offset + section.size;
            if within(&of_segments, &place) {
                continue;
            }
            if section.flags & SHF_ALLOC != 0 {
                return Err("a section that should be loaded is in no segment");
            }
            pieces.push(Piece { place, align: section.align.max(1) });
        }
        let sections = self.section_table_place();
        // Where patchelf has put the table into a segment, that stays as it is, and a new one is written behind.
        if !of_segments.iter().any(|p| p.place.start < sections.end && sections.start < p.place.end) {
            pieces.push(Piece { place: sections, align: 8 });
        }
        pieces.sort_by_key(|piece| (piece.place.start, piece.place.end));
        // What no header describes may be read by the program itself, such as an archive that was appended.
        let mut covered: Vec<Range<u64>> = pieces.iter().map(|piece| piece.place.clone()).collect();
        covered.extend(removed.iter().map(|index| {
            let section = &self.sections[*index];
            section.offset..section.offset + section.size
        }));
        covered.sort_by_key(|place| place.start);
        let mut end = 0;
        for place in covered.iter().chain(std::iter::once(&(self.bytes.len() as u64..u64::MAX))) {
            let gap = end..place.start.max(end);
            let (from, to) = (gap.start as usize, (gap.end as usize).min(self.bytes.len()));
            if self.bytes[from.min(to)..to].iter().any(|byte| *byte != 0)
                && !self.is_old_section_table(from..to)
            {
                return Err("it holds data that none of its headers describes");
            }
            end = end.max(place.end);
        }
        for pair in pieces.windows(2) {
            if pair[1].place.start < pair[0].place.end {
                return Err("its sections overlap");
            }
        }
        Ok(pieces)
    }

    /// Whether a stretch that no header describes is a table of section headers that a tool left behind when it wrote the
    /// table anew elsewhere, as patchelf does: a null header, then headers that each make sense for this file.
    fn is_old_section_table(&self, place: Range<usize>) -> bool {
        let Some(first) = self.bytes[place.clone()].iter().position(|byte| *byte != 0) else { return true };
        // Fields are aligned to their size, and the null header comes before the first one with content.
        let start = (place.start + first) & !7;
        if start < place.start + SHDR || place.end == self.bytes.len() {
            return false;
        }
        let mut headers = self.bytes[start..place.end].chunks_exact(SHDR);
        let makes_sense = |header: &[u8]| {
            let (Some(kind), Some(offset), Some(size), Some(align)) =
                (u32_at(header, 4), u64_at(header, 24), u64_at(header, 32), u64_at(header, 48))
            else {
                return false;
            };
            let known = matches!(kind, 0..=19 | 0x6fff_fff5..=0x6fff_ffff | 0x7000_0000..=0x7000_0003);
            let inside = kind == SHT_NOBITS || in_file(self.bytes, offset, size).is_some();
            known && inside && (align == 0 || align.is_power_of_two())
        };
        headers.len() >= 3 && headers.all(makes_sense) && headers.remainder().iter().all(|byte| *byte == 0)
    }

    fn without(&self, removed: &[usize]) -> Result<Vec<u8>, &'static str> {
        let pieces = self.pieces(removed)?;
        let mut out: Vec<u8> = Vec::with_capacity(self.bytes.len());
        let mut moved: Vec<(Range<u64>, u64)> = Vec::new();
        for piece in &pieces {
            let cursor = out.len() as u64;
            let start = piece.place.start;
            let align = piece.align;
            if !align.is_power_of_two() {
                return Err("a section has an alignment that is no power of two");
            }
            // The loader maps whole pages, so a piece keeps its place within its page. Because pieces are in order and
            // only ever move up, the target is never behind the place it had.
            let mut target = cursor - cursor % align + start % align;
            if target < cursor {
                target += align;
            }
            out.resize(usize::try_from(target).map_err(|_| "it is too large")?, 0);
            out.extend(&self.bytes[start as usize..piece.place.end as usize]);
            moved.push((piece.place.clone(), target));
        }
        let new = |offset: u64| -> Option<u64> {
            let (place, target) = moved.iter().rev().find(|(place, _)| place.start <= offset)?;
            Some(target + (offset - place.start))
        };
        let lost = "a header points to what is not kept";
        let segment_table = new(self.segment_table as u64).ok_or(lost)?;
        let sections = self.section_table_place();
        let section_table = if pieces.iter().any(|piece| piece.place == sections) {
            new(sections.start).ok_or(lost)?
        } else {
            out.resize(out.len().next_multiple_of(8), 0);
            let start = out.len() as u64;
            out.extend(&self.bytes[sections.start as usize..sections.end as usize]);
            start
        };
        put_u64(&mut out, 32, segment_table);
        put_u64(&mut out, 40, section_table);
        for (index, segment) in self.segments.iter().enumerate() {
            // A segment without content (`PT_GNU_STACK`, `PT_TLS` of zeros) has a place all the same.
            let offset = if segment.offset == 0 { 0 } else { new(segment.offset).ok_or(lost)? };
            put_u64(&mut out, segment_table as usize + index * PHDR + 8, offset);
        }
        for (index, section) in self.sections.iter().enumerate() {
            let at = section_table as usize + index * SHDR;
            if removed.contains(&index) {
                out[at..at + SHDR].fill(0);
            } else if section.offset != 0 {
                put_u64(&mut out, at + 24, new(section.offset).ok_or(lost)?);
            }
        }
        Ok(out)
    }

    /// Whether the other file gives the loader the same: every segment at the same address with the same content. In the
    /// tables that say where things are in the file, only those places may differ.
    fn loads_like(&self, other: &Self) -> bool {
        if self.segments.len() != other.segments.len() || self.bytes[..32] != other.bytes[..32] {
            return false;
        }
        let tables = |elf: &Self| [0..EHDR, elf.segment_table..elf.segment_table + elf.segments.len() * PHDR];
        self.segments.iter().zip(&other.segments).all(|(a, b)| {
            let same = (a.kind, a.flags, a.address, a.size, a.memory, a.align)
                == (b.kind, b.flags, b.address, b.size, b.memory, b.align);
            let congruent = a.kind != PT_LOAD || a.align <= 1 || a.offset % a.align == b.offset % b.align;
            if !same || !congruent {
                return false;
            }
            let content = |elf: &Self, segment: &Segment| {
                let start = segment.offset as usize;
                let mut content = elf.bytes[start..start + segment.size as usize].to_vec();
                for table in tables(elf) {
                    let from = table.start.max(start);
                    let to = table.end.min(start + content.len());
                    if from < to {
                        content[from - start..to - start].fill(0);
                    }
                }
                content
            };
            content(self, a) == content(other, b)
        })
    }
}

impl Section {
    fn has_content(&self) -> bool {
        self.kind != 0 && self.kind != SHT_NOBITS && self.size > 0
    }
}

fn in_file(bytes: &[u8], offset: u64, size: u64) -> Option<()> {
    (offset.checked_add(size)? <= bytes.len() as u64).then_some(())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
