//! Mirrors of registries: what a reference names stays what it is, and its bytes come from another place.

use crate::{ImageError, Reference};

/// What stands in place of the beginning of references (the `prefix` and `location` of containers-registries.conf(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryMirror {
    prefix: String,
    place: String,
    plain_http: bool,
}

/// Where an image is brought from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlace {
    /// The reference to ask for.
    pub reference: Reference,
    /// Whether it is asked for without TLS.
    pub plain_http: bool,
}

impl RegistryMirror {
    /// `prefix` is a registry, with or without a path in it; `mirror` is what stands there instead, with `http://` in front
    /// for a mirror without TLS.
    ///
    /// # Errors
    /// [`ImageError::Reference`] if either is not the beginning of a reference.
    pub fn new(prefix: &str, mirror: &str) -> Result<Self, ImageError> {
        let (place, plain_http) = match mirror.strip_prefix("http://") {
            Some(place) => (place, true),
            None => (mirror.strip_prefix("https://").unwrap_or(mirror), false),
        };
        let (prefix, place) = (prefix.trim_end_matches('/'), place.trim_end_matches('/'));
        for beginning in [prefix, place] {
            format!("{beginning}/name:tag").parse::<Reference>().map_err(|error| match error {
                ImageError::Reference { reason, .. } => {
                    ImageError::Reference { text: beginning.escape_debug().to_string(), reason }
                }
                other => other,
            })?;
        }
        Ok(Self { prefix: prefix.to_owned(), place: place.to_owned(), plain_http })
    }

    /// Where it has an image; none for one that it does not stand for. A prefix ends where a part of the path ends.
    fn place(&self, reference: &Reference) -> Option<ImagePlace> {
        let text = reference.to_string();
        let rest = text.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let reference = format!("{}/{rest}", self.place).parse().ok()?;
        Some(ImagePlace { reference, plain_http: self.plain_http })
    }
}

impl ImagePlace {
    /// Where an image is brought from: the mirror with the longest prefix, else where its reference says.
    #[must_use]
    pub fn of(reference: &Reference, mirrors: &[RegistryMirror]) -> Self {
        let by_length = |mirror: &&RegistryMirror| mirror.prefix.len();
        let fitting = mirrors.iter().filter(|mirror| mirror.place(reference).is_some()).max_by_key(by_length);
        fitting
            .and_then(|mirror| mirror.place(reference))
            .unwrap_or_else(|| Self { reference: reference.clone(), plain_http: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let mirrors = [
            RegistryMirror::new("public.ecr.aws", "mirror.example.org/ecr").unwrap(),
            RegistryMirror::new("public.ecr.aws/lambda/", "http://127.0.0.1:5000/aws/").unwrap(),
        ];
        for (reference, place, plain_http) in [
            ("public.ecr.aws/lambda/python:3.12", "127.0.0.1:5000/aws/python:3.12", true),
            ("public.ecr.aws/lambda-other/a:1", "mirror.example.org/ecr/lambda-other/a:1", false),
            ("public.ecr.aws.example.org/a:1", "public.ecr.aws.example.org/a:1", false),
        ] {
            let found = ImagePlace::of(&reference.parse().unwrap(), &mirrors);
            assert_eq!((found.reference.to_string().as_str(), found.plain_http), (place, plain_http));
        }
    }

    #[test]
    fn what_is_no_beginning_of_a_reference_is_refused() {
        for (prefix, mirror) in [("public", "a.example"), ("a.example", "ftp://b.example"), ("", "b.example")]
        {
            assert!(RegistryMirror::new(prefix, mirror).is_err(), "{prefix} {mirror}");
        }
    }
}
