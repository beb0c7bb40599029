//! One manifest for several platforms: each of them is an artifact of its own, called `NAME.amd64` or
//! `NAME.arm64`, and all of them together are an image index under the manifest's name.

use crate::manifest::{ImageOutput, Manifest, platform_name};
use kiln_record::{Architecture, ArtifactName};
use std::collections::BTreeMap;

/// An image for several platforms, as its manifest states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformSet {
    /// The name of the manifest, and of the index.
    pub name: ArtifactName,
    /// The artifacts that it is made of, one for each platform, sorted.
    pub artifacts: Vec<ArtifactName>,
    /// The form in which it is published, which is that of its platforms as well.
    pub output: ImageOutput,
    /// Annotations, which the manifests of its platforms have, too.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// The artifacts that the manifest states, and what they are together if it states an index.
    pub(crate) fn per_platform(self) -> (Vec<Self>, Option<PlatformSet>) {
        let Some(section) = self.image.as_ref().filter(|_| self.is_index) else { return (vec![self], None) };
        let (output, annotations) = (section.output, section.annotations.clone());
        // The names were found good when the manifest was read.
        let named =
            self.architectures.iter().filter_map(|one| Some((platform_name(&self.name, *one).ok()?, *one)));
        let artifacts: Vec<Self> = named.map(|(name, one)| self.clone().on(name, one)).collect();
        let names = artifacts.iter().map(|artifact| artifact.name.clone()).collect();
        (artifacts, Some(PlatformSet { name: self.name, artifacts: names, output, annotations }))
    }

    /// The artifact that is one platform. A lock that kiln makes is for one target, so each platform has its
    /// own, whose name says which; a lock of another tool is for all of them.
    fn on(mut self, name: ArtifactName, architecture: Architecture) -> Self {
        if let Some(python) = &mut self.python {
            if python.requirements.is_some() {
                python.lock = lock_on(&python.lock, architecture);
            }
            if let Some(build) = python.build.as_mut().filter(|build| build.requirements.is_some()) {
                build.lock = build.lock.as_deref().map(|lock| lock_on(lock, architecture));
            }
        }
        self.target.architecture = architecture;
        self.stated_as = Some(std::mem::replace(&mut self.name, name));
        self
    }

    /// The name of the manifest's file without its ending: the artifact's own, but for one platform of
    /// several.
    #[must_use]
    pub fn stated_name(&self) -> &ArtifactName {
        self.stated_as.as_ref().unwrap_or(&self.name)
    }
}

/// The path of a lock for one platform: `app/requirements.txt` becomes `app/requirements.arm64.txt`.
fn lock_on(path: &str, architecture: Architecture) -> String {
    let (folder, file) = path.rsplit_once('/').map_or(("", path), |(folder, file)| (folder, file));
    let file = match file.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}.{}.{ending}", architecture.oci()),
        None => format!("{file}.{}", architecture.oci()),
    };
    if folder.is_empty() { file } else { format!("{folder}/{file}") }
}
