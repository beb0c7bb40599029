//! The CycloneDX document as GitLab takes it: with properties by which it knows where components come from.
//!
//! Source: GitLab's documentation, "GitLab CycloneDX property taxonomy". Without them it lists components and can say neither
//! which file they are from nor which advisories hold for an image's packages.

use crate::cyclonedx::document;
use crate::model::Property;
use crate::spec_version::SpecVersion;
use crate::{SbomError, text};
use kiln_record::{Ecosystem, InputRole, Record};

/// The version of the taxonomy.
const SCHEMA_VERSION: &str = "1";

/// Writes the document. GitLab takes the versions of CycloneDX that kiln writes; this is the default one.
///
/// # Errors
/// As [`crate::cyclonedx`].
pub fn gitlab(record: &Record) -> Result<Vec<u8>, SbomError> {
    let mut properties = vec![Property::new("gitlab:meta:schema_version", SCHEMA_VERSION)];
    let system =
        record.components.iter().find_map(|component| component.package.as_ref()?.distribution.as_ref());
    match (&record.image, system) {
        (Some(image), system) => {
            properties.push(Property::new("gitlab:container_scanning:image:name", &record.artifact));
            properties.push(Property::new("gitlab:container_scanning:image:tag", image.manifest));
            if let Some(system) = system {
                let property = |name: &str, value: &str| {
                    let name = format!("gitlab:container_scanning:operating_system:{name}");
                    Property::new(&name, text::line(value))
                };
                properties.push(property("name", &system.id));
                properties.extend(system.version.as_deref().map(|version| property("version", version)));
            }
        }
        (None, _) => {
            let property =
                |name: &str, value: &str| Property::new(&format!("gitlab:dependency_scanning:{name}"), value);
            // What the components follow from: the lock, or the manifest where there is none.
            let named = |role: InputRole| record.inputs.iter().find(|input| input.role == role);
            if let Some(input) = named(InputRole::Lock).or_else(|| named(InputRole::Manifest)) {
                properties.push(property("input_file:path", &text::line(&input.name)));
            }
            if record.components.iter().any(|component| component.ecosystem == Ecosystem::Python) {
                properties.push(property("language:name", "Python"));
                properties.push(property("package_manager:name", "pip"));
            }
        }
    }
    document(record, SpecVersion::default(), properties)
}
