//! What the bytes of native files tell is linked into them, beside what publishers say.

use crate::component::{embedded_reference, identify_by_archive};
use crate::model::{Component, Property};
use crate::spec_version::SpecVersion;
use crate::{license, text};
use kiln_record::{Component as Recorded, ComponentId, Embedded, LinkEvidence, Linked, Record};
use std::collections::BTreeMap;

/// The licences of libraries that are known by the words in which they tell their version, as their projects declare them.
const LIBRARIES: [(&str, &str); 11] = [
    ("bzip2", "bzip2-1.0.6"),
    ("curl", "curl"),
    ("expat", "MIT"),
    ("glibc", "LGPL-2.1-or-later"),
    ("libffi", "MIT"),
    ("libjpeg-turbo", "IJG AND BSD-3-Clause AND Zlib"),
    ("libpng", "libpng-2.0"),
    ("musl", "MIT"),
    ("openblas", "BSD-3-Clause"),
    ("rust-std", "MIT OR Apache-2.0"),
    ("zlib", "Zlib"),
];

/// The licences of the crates that Rust's standard library is made of, as their projects declare them.
const CRATES_OF_RUST: [(&str, &str); 12] = [
    ("addr2line", "Apache-2.0 OR MIT"),
    ("adler", "0BSD OR MIT OR Apache-2.0"),
    ("adler2", "0BSD OR MIT OR Apache-2.0"),
    ("cfg-if", "MIT OR Apache-2.0"),
    ("gimli", "MIT OR Apache-2.0"),
    ("hashbrown", "MIT OR Apache-2.0"),
    ("libc", "MIT OR Apache-2.0"),
    ("memchr", "Unlicense OR MIT"),
    ("miniz_oxide", "MIT OR Zlib OR Apache-2.0"),
    ("object", "Apache-2.0 OR MIT"),
    ("rustc-demangle", "MIT OR Apache-2.0"),
    ("unwinding", "MIT OR Apache-2.0"),
];

/// What the project of a linked part declares as its licence, where the part is one that kiln knows.
fn license_of_project(part: &Linked) -> Option<&'static str> {
    let is = |known: &&(&str, &str)| known.0 == part.name;
    if part.evidence == LinkEvidence::RustSource && part.purl.starts_with("pkg:cargo/") {
        return CRATES_OF_RUST.iter().find(is).map(|(_, license)| *license);
    }
    if !part.purl.starts_with("pkg:generic/") || part.evidence == LinkEvidence::Auditable {
        return None;
    }
    let major = || part.version.as_deref()?.split('.').next()?.parse::<u32>().ok();
    match part.name.as_str() {
        // It changed its licence with that version.
        "openssl" => major().map(|major| if major >= 3 { "Apache-2.0" } else { "OpenSSL" }),
        _ => LIBRARIES.iter().find(is).map(|(_, license)| *license),
    }
}

/// A part that is linked into native files of one component.
pub(crate) struct LinkedPart<'a> {
    /// Who has the files.
    pub(crate) owner: &'a ComponentId,
    /// What is linked.
    pub(crate) part: &'a Linked,
    /// The paths of the files.
    paths: Vec<&'a str>,
    /// Where a bill of materials of the component says so, too.
    pub(crate) stated: Option<(&'a ComponentId, &'a Embedded)>,
    /// The bills that should name it and do not.
    silent: Vec<&'a str>,
}

impl LinkedPart<'_> {
    pub(crate) fn reference(&self) -> String {
        match self.stated {
            Some((holder, embedded)) => embedded_reference(holder, embedded),
            None => text::line(&format!("{}/linked/{}", self.owner, self.part.purl)),
        }
    }

    /// Whether it is this part of this component's bills.
    pub(crate) fn is_named_by(&self, holder: &ComponentId, part: &Embedded) -> bool {
        self.stated.is_some_and(|(by, stated)| by == holder && std::ptr::eq(stated, part))
    }

    pub(crate) fn describe(&self, version: SpecVersion) -> Component {
        let mut properties = vec![
            Property::new("kiln:evidence", self.part.evidence.as_str()),
            Property::new("kiln:state", if self.silent.is_empty() { "linked" } else { "contradicted" }),
        ];
        properties.extend(self.paths.iter().map(|path| Property::new("kiln:linked-into", text::line(path))));
        properties
            .extend(self.silent.iter().map(|bill| Property::new("kiln:not-stated-in", text::line(bill))));
        let license = license_of_project(self.part);
        // No file of the artifact says so.
        properties.extend(license.map(|_| Property::new("kiln:license-from", "its project")));
        properties.sort();
        let mut component = Component {
            kind: "library",
            licenses: license.map(|words| license::of_words(words, version)).unwrap_or_default(),
            bom_ref: Some(self.reference()),
            name: text::line(&self.part.name),
            version: self.part.version.as_deref().map(text::line),
            purl: Some(self.part.purl.clone()),
            properties,
            ..Component::default()
        };
        if let Some(archive) = &self.part.archive {
            identify_by_archive(&mut component, archive, version);
        }
        component
    }
}

/// The linked parts of a record, by owner and part.
pub(crate) fn linked_parts<'a>(
    record: &'a Record,
    by_id: &BTreeMap<&'a ComponentId, &'a Recorded>,
) -> Vec<LinkedPart<'a>> {
    let mut parts: BTreeMap<(&ComponentId, &str), LinkedPart<'a>> = BTreeMap::new();
    for file in &record.files {
        let Some(binary) = record.binaries.get(&file.path) else { continue };
        let Some((owner, component)) = by_id.get_key_value(&file.component) else { continue };
        let holder = component.within.as_ref().and_then(|holder| by_id.get(holder)).unwrap_or(component);
        for linked in &binary.linked {
            let part = parts.entry((*owner, linked.purl.as_str())).or_insert_with(|| {
                let stated = linked.stated_by(holder).map(|part| (&holder.id, part));
                let silent = linked.contradicts(holder).into_iter().collect();
                LinkedPart { owner, part: linked, paths: Vec::new(), stated, silent }
            });
            part.paths.push(file.path.as_str());
        }
    }
    parts.into_values().collect()
}
