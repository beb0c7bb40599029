//! The `base` and `dockerfile` keys: what an artifact is built and checked in.

use super::dockerfile::{DockerfileKey, DockerfileSection};
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, BaseName, NameError};
use std::ops::Range;

/// What a manifest says of the base.
#[derive(Clone, Debug)]
pub enum BaseChoice {
    /// It is a base of the workspace.
    Named {
        /// Its name.
        name: BaseName,
        /// Where it is named, for messages.
        span: Range<usize>,
    },
    /// It is what the wanted stage of a Dockerfile stands on, which builds the artifact.
    OfDockerfile(DockerfileSection),
}

impl BaseChoice {
    /// Reads the keys, one of which must be there. `has_python` tells whether there is a `[python]` section.
    pub(super) fn parse(
        base: Option<Spanned<String>>,
        dockerfile: Option<Spanned<DockerfileKey>>,
        kind: ArtifactKind,
        has_python: bool,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let Some(key) = dockerfile else { return named(base, problems) };
        let section = DockerfileSection::parse(key, kind, has_python, problems);
        if let Some(stated) = base {
            problems.at(
                stated.span(),
                "`base` is given, but the Dockerfile says what it starts from",
                "remove it; under [dockerfile], `bases` says which base stands for an image",
            );
        }
        section.map(Self::OfDockerfile)
    }
}

fn named(stated: Option<Spanned<String>>, problems: &mut Problems<'_>) -> Option<BaseChoice> {
    let Some(stated) = stated else {
        problems
            .at_top("`base` is missing", "name a file of images/ without its ending: base = \"python-3.13\"");
        return None;
    };
    let span = stated.span();
    match stated.get_ref().parse() {
        Ok(name) => Some(BaseChoice::Named { name, span }),
        Err(error) => {
            let error: NameError = error;
            problems.at(span, error.to_string(), "name a file of images/ without its ending");
            None
        }
    }
}
