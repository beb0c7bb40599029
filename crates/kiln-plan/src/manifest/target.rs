//! The `[target]` section: what an artifact is for.

use super::image::ImageOutput;
use kiln_record::{Architecture, ArtifactKind, ArtifactName};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetTable {
    pub(super) runtime: Option<Spanned<String>>,
    architecture: Option<Architecture>,
    architectures: Option<Spanned<Vec<Architecture>>>,
}

/// The architectures of a `[target]`, sorted, and whether they are to be an index. Not empty where there is no problem.
pub(super) fn architectures(
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
pub(crate) fn platform_name(
    name: &ArtifactName,
    architecture: Architecture,
) -> Result<ArtifactName, kiln_record::NameError> {
    format!("{name}.{}", architecture.oci()).parse()
}
