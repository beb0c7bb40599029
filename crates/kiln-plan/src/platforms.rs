//! One manifest for several platforms: each of them is an artifact of its own, called `NAME.amd64` or `NAME.arm64`, and all of
//! them together are an image index under the manifest's name.

use crate::ImageOutput;
use crate::manifest::{Manifest, TargetTable};
use kiln_record::{Architecture, ArtifactKind, ArtifactName};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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

/// The architectures of a `[target]`, sorted, and whether they are to be an index. Not empty where there is no problem.
pub(crate) fn architectures(
    kind: ArtifactKind,
    name: &ArtifactName,
    target: &TargetTable,
    output: ImageOutput,
    problem: &mut impl FnMut(Range<usize>, String, &str),
) -> (Vec<Architecture>, bool) {
    match (target.architecture, &target.architectures) {
        (Some(one), None) => (vec![one], false),
        (None, None) => {
            problem(
                0..0,
                "`target.architecture` is missing".to_owned(),
                "add architecture = \"x86_64\" or \"arm64\" under [target]",
            );
            (Vec::new(), false)
        }
        (Some(_), Some(several)) => {
            problem(
                several.span(),
                "both `architecture` and `architectures` are given".to_owned(),
                "keep `architecture` for a single manifest, or `architectures` for an index",
            );
            (Vec::new(), false)
        }
        (None, Some(several)) => {
            let all: BTreeSet<Architecture> = several.get_ref().iter().copied().collect();
            if kind != ArtifactKind::Image {
                let reason = match kind {
                    ArtifactKind::LambdaImage => "Lambda refuses an image index",
                    _ => "Lambda takes one archive for each architecture",
                };
                problem(
                    several.span(),
                    format!("`architectures` has no meaning for a {kind}: {reason}"),
                    "write `architecture`, and a manifest for each architecture",
                );
            } else if all.is_empty() {
                problem(
                    several.span(),
                    "`architectures` is empty: the image would be for no platform".to_owned(),
                    "name one or more: architectures = [\"x86_64\", \"arm64\"]",
                );
            } else if all.len() < several.get_ref().len() {
                problem(
                    several.span(),
                    "`architectures` names one twice: an index has one manifest for each platform".to_owned(),
                    "name each once",
                );
            }
            if output == ImageOutput::DockerArchive {
                problem(
                    several.span(),
                    "a docker-archive holds one platform and no index, but `architectures` asks for one"
                        .to_owned(),
                    "use output = \"oci-tar\" or \"oci-layout\" under [image], or `architecture`",
                );
            }
            if let Some(error) = all.iter().find_map(|one| platform_name(name, *one).err()) {
                problem(
                    several.span(),
                    format!("each platform is an artifact of its own: {error}"),
                    "give the manifest a shorter name",
                );
            }
            (all.into_iter().collect(), true)
        }
    }
}

/// What one platform of an image is called.
fn platform_name(
    name: &ArtifactName,
    architecture: Architecture,
) -> Result<ArtifactName, kiln_record::NameError> {
    format!("{name}.{}", architecture.oci()).parse()
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

    /// The artifact that is one platform. A lock that kiln makes is for one target, so each platform has its own, whose name
    /// says which; a lock of another tool is for all of them.
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

    /// The name of the manifest's file without its ending: the artifact's own, but for one platform of several.
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
