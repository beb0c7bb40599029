//! The `[target]` section: what an artifact is for.

use super::image::ImageOutput;
use super::kind::a;
use crate::nearest::asked;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{Architecture, ArtifactKind, ArtifactName, Runtime, runtimes};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an artifact is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSection {
    /// The Lambda runtime, or one that the workspace adds. None for an image, which has its base's system
    /// inside.
    pub runtime: Option<Arc<Runtime>>,
    /// The architecture that it runs on.
    pub architecture: Architecture,
}

/// The section as written.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct TargetTable {
    runtime: Option<Spanned<String>>,
    architecture: Option<Architecture>,
    architectures: Option<Spanned<Vec<Architecture>>>,
}

/// The Lambda runtime that is stated; `own` are those that the workspace adds. None for an image, which has
/// its base's system inside, and where there is a problem.
pub(super) fn runtime(
    target: &TargetTable,
    kind: ArtifactKind,
    own: &[Arc<Runtime>],
    problems: &mut Problems<'_>,
) -> Option<Arc<Runtime>> {
    let Some(stated) = &target.runtime else {
        if !kind.is_image() {
            problems.at_top(
                format!("`target.runtime` is missing: {} is for a Lambda runtime", a(kind)),
                "add, for example, runtime = \"python3.13\" under [target]",
            );
        }
        return None;
    };
    if kind.is_image() {
        problems.at(
            stated.span(),
            format!("`target.runtime` has no meaning for {}: it has its base's system inside", a(kind)),
            "remove it; `architecture` is all that the target of an image says",
        );
        return None;
    }
    let name = stated.get_ref();
    let found = own.iter().find(|runtime| runtime.name == *name).or_else(|| Runtime::named(name));
    if found.is_none() {
        let known: Vec<&str> = runtimes().iter().chain(own).map(|runtime| runtime.name.as_str()).collect();
        problems.at(
            stated.span(),
            format!("`{name}` is not a Lambda runtime that kiln knows"),
            format!(
                "{}use one of: {}; or describe it in kiln.toml with [[runtime]]",
                asked(name, known.iter().copied()),
                known.join(", ")
            ),
        );
    }
    found.cloned()
}

/// The architectures of a `[target]`, sorted, and whether they are to be an index. Not empty where there is
/// no problem.
pub(super) fn architectures(
    target: &TargetTable,
    kind: ArtifactKind,
    name: &ArtifactName,
    output: ImageOutput,
    problems: &mut Problems<'_>,
) -> (Vec<Architecture>, bool) {
    match (target.architecture, &target.architectures) {
        (Some(one), None) => (vec![one], false),
        (None, None) => {
            problems.at_top(
                "`target.architecture` is missing",
                "add architecture = \"x86_64\" or \"arm64\" under [target]",
            );
            (Vec::new(), false)
        }
        (Some(_), Some(several)) => {
            problems.at(
                several.span(),
                "both `architecture` and `architectures` are given",
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
                problems.at(
                    several.span(),
                    format!("`architectures` has no meaning for a {kind}: {reason}"),
                    "write `architecture`, and a manifest for each architecture",
                );
            } else if all.is_empty() {
                problems.at(
                    several.span(),
                    "`architectures` is empty: the image would be for no platform",
                    "name one or more: architectures = [\"x86_64\", \"arm64\"]",
                );
            } else if all.len() < several.get_ref().len() {
                problems.at(
                    several.span(),
                    "`architectures` names one twice: an index has one manifest for each platform",
                    "name each once",
                );
            }
            if output == ImageOutput::DockerArchive {
                problems.at(
                    several.span(),
                    "a docker-archive holds one platform and no index, but `architectures` asks for one",
                    "use output = \"oci-tar\" or \"oci-layout\" under [image], or `architecture`",
                );
            }
            if let Some(error) = all.iter().find_map(|one| platform_name(name, *one).err()) {
                problems.at(
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
pub(crate) fn platform_name(
    name: &ArtifactName,
    architecture: Architecture,
) -> Result<ArtifactName, kiln_record::NameError> {
    format!("{name}.{}", architecture.oci()).parse()
}
