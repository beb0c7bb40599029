//! The `base` key: what an artifact is built and checked in.

use crate::problem::Problems;
use kiln_record::BaseName;
use toml::Spanned;

/// Reads the key. It is there unless a Dockerfile says what it starts from.
pub(super) fn parse(
    stated: Option<&Spanned<String>>,
    by_dockerfile: bool,
    problems: &mut Problems<'_>,
) -> Option<BaseName> {
    match stated {
        Some(stated) if by_dockerfile => {
            problems.at(
                stated.span(),
                "`base` is given, but the Dockerfile says what it starts from",
                "remove it; under [dockerfile], `bases` says which base stands for an image",
            );
            None
        }
        None if by_dockerfile => None,
        None => {
            problems.at_top(
                "`base` is missing",
                "name a file of images/ without its ending: base = \"python-3.13\"",
            );
            None
        }
        Some(stated) => stated
            .get_ref()
            .parse()
            .map_err(|error: kiln_record::NameError| {
                problems.at(stated.span(), error.to_string(), "name a file of images/ without its ending");
            })
            .ok(),
    }
}
