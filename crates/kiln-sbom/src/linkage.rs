//! What the bytes of native files tell is linked into them, beside what publishers say.

use crate::component::embedded_reference;
use crate::model::{Component, Property};
use crate::text;
use kiln_record::{Component as Recorded, ComponentId, Embedded, Linked, Record};
use std::collections::BTreeMap;

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

    pub(crate) fn describe(&self) -> Component {
        let mut properties = vec![
            Property::new("kiln:evidence", self.part.evidence.as_str()),
            Property::new("kiln:state", if self.silent.is_empty() { "linked" } else { "contradicted" }),
        ];
        properties.extend(self.paths.iter().map(|path| Property::new("kiln:linked-into", text::line(path))));
        properties
            .extend(self.silent.iter().map(|bill| Property::new("kiln:not-stated-in", text::line(bill))));
        properties.sort();
        Component {
            kind: "library",
            bom_ref: Some(self.reference()),
            name: text::line(&self.part.name),
            version: self.part.version.as_deref().map(text::line),
            purl: Some(self.part.purl.clone()),
            properties,
            ..Component::default()
        }
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
