//! Where two ELF files differ first. What is loaded comes before what compilers say of themselves, that before what only
//! debuggers read, and all of it before the build id, which differs whenever anything does.

use crate::difference::{FirstDifference, bytes, common, few, short};
use crate::elf::{ElfFacts, inspect_elf};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionIndex};
use std::collections::{BTreeMap, BTreeSet};

// Bounds, so that a file of hostile tables costs a bounded amount of work; linkers write some dozen sections.
const MOST_SECTIONS: usize = 1024;
const LONGEST_NAME: usize = 255;
/// Bytes of all sections together, which may overlap.
const MOST_BYTES: u64 = 64 << 20;
const MOST_SYMBOLS: usize = 1_000_000;
/// Bytes of all names of symbols that are exported.
const MOST_NAMES: usize = 16 << 20;

/// What reads a section, in the order in which differences matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Loader,
    Nobody,
    Debugger,
    BuildId,
}

impl Reader {
    fn of(section: &str) -> Self {
        let is_debug = section.starts_with(".debug_")
            || section.starts_with(".zdebug_")
            || section.starts_with(".gnu_debug")
            || [".symtab", ".strtab", ".shstrtab", ".stab", ".stabstr"].contains(&section);
        match section {
            ".note.gnu.build-id" => Self::BuildId,
            ".comment" => Self::Nobody,
            _ if is_debug => Self::Debugger,
            _ => Self::Loader,
        }
    }
}

struct Section<'a> {
    index: SectionIndex,
    address: u64,
    data: &'a [u8],
}

/// Sections by name; of those that are called alike, by their place among them.
type Sections<'a> = BTreeMap<(&'a str, usize), Section<'a>>;

/// The first difference of two ELF files; none if one of the two is none.
pub(crate) fn elf_difference(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    if !before.starts_with(b"\x7fELF") || !after.starts_with(b"\x7fELF") {
        return None;
    }
    let mut found = in_sections(before, after).or_else(|| {
        let place = if common(before, after) < 64 { "header of the file, " } else { "outside of sections, " };
        bytes(place, before, after)
    })?;
    if let (Ok(Some(old)), Ok(Some(new))) = (inspect_elf(before), inspect_elf(after)) {
        found.notes.extend(needs(&old, &new));
    }
    Some(found)
}

fn in_sections(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let (a, b) = (object::File::parse(before).ok()?, object::File::parse(after).ok()?);
    let (old, new) = (sections(&a)?, sections(&b)?);
    let keys: BTreeSet<&(&str, usize)> = old.keys().chain(new.keys()).collect();
    let mut differing: Vec<(Reader, usize, &str, usize)> = keys
        .into_iter()
        .filter(|key| old.get(key).map(|section| section.data) != new.get(key).map(|section| section.data))
        .map(|key| {
            let section = old.get(key).or_else(|| new.get(key));
            (Reader::of(key.0), section.map_or(0, |section| section.index.0), key.0, key.1)
        })
        .collect();
    differing.sort_unstable();
    let (reader, _, name, nth) = *differing.first()?;
    let mut found = match (old.get(&(name, nth)), new.get(&(name, nth))) {
        (Some(x), Some(y)) => in_section((reader, name), (&a, x), (&b, y))?,
        (x, _) => {
            let (has, has_not) = (short(name), "no such section".to_owned());
            let (was, is) = if x.is_some() { (has, has_not) } else { (has_not, has) };
            FirstDifference::at(format!("section {}", short(name)), was, is)
        }
    };
    let others: Vec<String> = differing.iter().skip(1).map(|(_, _, name, _)| short(name)).collect();
    match reader {
        Reader::BuildId => found.notes.push("only the build id differs".to_owned()),
        Reader::Debugger => found.notes.push("only what debuggers read differs".to_owned()),
        Reader::Nobody => found.notes.push("only what compilers say of themselves differs".to_owned()),
        Reader::Loader => found.notes.extend(exports(&a, &b)),
    }
    if !others.is_empty() {
        found.notes.push(format!("sections that differ besides: {}", few(&others)));
    }
    Some(found)
}

fn sections<'a>(file: &object::File<'a>) -> Option<Sections<'a>> {
    let mut all = Sections::new();
    let mut total = 0_u64;
    for (count, section) in file.sections().enumerate() {
        let name = section.name().ok().filter(|name| name.len() <= LONGEST_NAME)?;
        let data = section.data().unwrap_or_default();
        total += data.len() as u64;
        if count == MOST_SECTIONS || total > MOST_BYTES {
            return None;
        }
        let nth = (0..).find(|nth| !all.contains_key(&(name, *nth)))?;
        all.insert((name, nth), Section { index: section.index(), address: section.address(), data });
    }
    Some(all)
}

fn in_section(
    (reader, name): (Reader, &str),
    (a, x): (&object::File<'_>, &Section<'_>),
    (b, y): (&object::File<'_>, &Section<'_>),
) -> Option<FirstDifference> {
    let place = format!("section {}", short(name));
    let texts = |data: &[u8]| {
        let texts: Vec<String> = data
            .split(|byte| *byte == 0)
            .filter(|text| !text.is_empty())
            .map(|text| short(&String::from_utf8_lossy(text)))
            .collect();
        few(&texts)
    };
    match reader {
        Reader::BuildId => {
            let id = |data: &[u8]| {
                data.iter().skip(16).take(32).map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            if id(x.data) != id(y.data) {
                return Some(FirstDifference::at("build id", id(x.data), id(y.data)));
            }
        }
        Reader::Nobody if texts(x.data) != texts(y.data) => {
            return Some(FirstDifference::at(place, texts(x.data), texts(y.data)));
        }
        Reader::Nobody | Reader::Debugger | Reader::Loader => {}
    }
    let mut found = bytes(&format!("{place}, "), x.data, y.data)?;
    let at = common(x.data, y.data) as u64;
    if let Some(symbol) = symbol_at(a, x, at).or_else(|| symbol_at(b, y, at)) {
        found.place.push_str(&format!(", in `{symbol}`"));
    }
    Some(found)
}

/// The function or variable that a byte of a section belongs to.
fn symbol_at(file: &object::File<'_>, section: &Section<'_>, at: u64) -> Option<String> {
    let address = section.address.checked_add(at)?;
    let symbols = file.symbols().take(MOST_SYMBOLS).chain(file.dynamic_symbols().take(MOST_SYMBOLS));
    let nearest = symbols
        .filter(|symbol| symbol.section_index() == Some(section.index))
        .filter(|symbol| address.checked_sub(symbol.address()).is_some_and(|into| into < symbol.size()))
        .max_by_key(object::ObjectSymbol::address)?;
    nearest.name().ok().filter(|name| !name.is_empty()).map(short)
}

/// What the two offer to others, as far as that differs.
fn exports(before: &object::File<'_>, after: &object::File<'_>) -> Vec<String> {
    let (Some(old), Some(new)) = (exported(before), exported(after)) else { return Vec::new() };
    let names = |these: &BTreeSet<&str>, those: &BTreeSet<&str>| -> Vec<String> {
        these.difference(those).map(|name| short(name)).collect()
    };
    let (gained, lost) = (names(&new, &old), names(&old, &new));
    let line = |words: &str, names: &[String]| (!names.is_empty()).then(|| format!("{words} {}", few(names)));
    line("exports now", &gained).into_iter().chain(line("does not export any more", &lost)).collect()
}

fn exported<'a>(file: &object::File<'a>) -> Option<BTreeSet<&'a str>> {
    let (mut names, mut length) = (BTreeSet::new(), 0);
    for (count, symbol) in file.dynamic_symbols().enumerate() {
        if count == MOST_SYMBOLS || length > MOST_NAMES {
            return None;
        }
        if symbol.is_global() && symbol.is_definition() {
            let name = symbol.name().ok()?;
            length += name.len();
            names.insert(name);
        }
    }
    Some(names)
}

/// What the two need of libraries, as far as that differs.
fn needs(old: &ElfFacts, new: &ElfFacts) -> Vec<String> {
    let gained = new.needed.iter().filter(|name| !old.needed.contains(name));
    let lost = old.needed.iter().filter(|name| !new.needed.contains(name));
    let mut notes: Vec<String> = gained.map(|name| format!("needs {} now", short(name))).collect();
    notes.extend(lost.map(|name| format!("does not need {} any more", short(name))));
    for (interface, version) in &new.versions {
        let was = old.versions.get(interface);
        if was.is_none_or(|was| was.number < version.number) {
            let was = was.map_or("nothing of it".to_owned(), |was| short(&was.text));
            notes.push(format!("needs {} now, and {was} before", short(&version.text)));
        }
    }
    notes
}
