//! The images that kiln gave to an engine: which of the bases nothing needs any more, and which are of one run alone.

use kiln_engine::{Engine, NamedImage, Session};
use kiln_record::Digest;
use std::collections::BTreeSet;

/// What the names of all images begin with that kiln gives to an engine.
pub const LOADED: &str = "localhost/kiln/";
/// How many digits of the digest of its manifest are in the name of a base.
const DIGITS: usize = 12;

/// The bases among the images of an engine whose manifest is none of those that something needs. What a run has loaded for
/// itself alone, which its name says, is that run's.
#[must_use]
pub fn unneeded_bases(images: Vec<NamedImage>, needed: &BTreeSet<Digest>) -> Vec<NamedImage> {
    let is_needed = |digits: &str| needed.iter().any(|digest| digest.hex().starts_with(digits));
    let is_unneeded = |image: &NamedImage| {
        let name = image.reference.strip_prefix(LOADED).and_then(|name| name.split_once(':'));
        name.is_some_and(|(_, digits)| {
            digits.len() == DIGITS && digits.bytes().all(|c| c.is_ascii_hexdigit()) && !is_needed(digits)
        })
    };
    images.into_iter().filter(is_unneeded).collect()
}

/// How the names of images end that a session has loaded for itself alone.
pub(crate) fn ending_of(session: &Session) -> String {
    format!("-{}", session.id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-"))
}

/// Takes away the images that the engine's session has loaded for itself alone: where a run is interrupted, whoever loaded one does
/// not come to it. What cannot be removed stays.
pub async fn remove_own_images(engine: &Engine) {
    let ending = ending_of(engine.session());
    for image in engine.images(LOADED).await.unwrap_or_default() {
        if image.reference.ends_with(&ending) {
            let _ = engine.remove_image(&image.reference).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_locks_and_builds_name_stays_and_what_a_run_has_for_itself() {
        let (needed, other) = (Digest::of(b"needed"), Digest::of(b"other"));
        let image = |reference: String| NamedImage { reference, size: 1 };
        let images = vec![
            image(format!("localhost/kiln/python:{}", &needed.hex()[..12])),
            image(format!("localhost/kiln/python:{}", &other.hex()[..12])),
            image(format!("localhost/kiln/app:{}-17-4", &other.hex()[..12])),
            image(format!("registry.example.org/kiln/python:{}", &other.hex()[..12])),
            image("localhost/kiln/python:latest".to_owned()),
        ];
        let found = unneeded_bases(images, &BTreeSet::from([needed]));
        let found: Vec<&str> = found.iter().map(|image| image.reference.as_str()).collect();
        assert_eq!(found, [format!("localhost/kiln/python:{}", &other.hex()[..12])]);
    }
}
