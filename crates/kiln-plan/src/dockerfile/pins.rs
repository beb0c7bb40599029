//! What pins the images that a Dockerfile names: a base of the workspace, or a digest in the file.

use super::own_base::{SCRATCH, pinned_here, scratch, slug};
use crate::base::{BaseDefinition, BaseKind, BaseLock};
use crate::manifest::DockerfileSection;
use crate::problem::Problems;
use kiln_record::{BaseName, Digest, Platform, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How engines have the bases that kiln assembles, and so how a Dockerfile names one.
pub const ENGINE_BASES: &str = "localhost/kiln/";

/// The bases that may be named, and those that were.
pub(super) struct Pins<'a> {
    pub(super) file: &'a str,
    pub(super) section: &'a DockerfileSection,
    pub(super) platform: Platform,
    pub(super) known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    /// Those that were named.
    pub(super) found: BTreeSet<BaseName>,
}

impl Pins<'_> {
    /// An image that is taken from elsewhere, as the base that pins it.
    pub(super) fn image(
        &mut self,
        image: &str,
        span: Range<usize>,
        problems: &mut Problems<'_>,
    ) -> Option<BaseName> {
        let base = match self.pin(image) {
            Ok(base) => base,
            Err((message, help)) => {
                problems.at(span, message, &help);
                return None;
            }
        };
        if !self.is_scratch(&base) {
            self.found.insert(base.clone());
        }
        Some(base)
    }

    /// Whether a base is nothing.
    pub(super) fn is_scratch(&self, base: &BaseName) -> bool {
        self.known.get(base).is_none_or(|(definition, _)| definition.kind == BaseKind::Scratch)
    }

    fn pin(&mut self, image: &str) -> Result<BaseName, (String, String)> {
        if let Some(base) = self.section.bases.get(image) {
            return match self.known.contains_key(base) {
                true => Ok(base.clone()),
                false => Err((
                    format!("there is no base `{base}`, which the manifest names for `{image}`"),
                    self.no_base(base.as_str()),
                )),
            };
        }
        if image == SCRATCH {
            let other = self.known.iter().find(|(name, (definition, _))| {
                name.as_str() == SCRATCH && definition.kind != BaseKind::Scratch
            });
            return match other {
                None => Ok(self.add(scratch(self.file, self.platform))),
                Some((_, (definition, _))) => Err((
                    format!("`scratch` is nothing in a Dockerfile, and {} calls a base so", definition.file),
                    "give that base another name".to_owned(),
                )),
            };
        }
        if let Some(name) = image.strip_prefix(ENGINE_BASES) {
            let name = name.split([':', '@']).next().unwrap_or(name);
            let known = name.parse::<BaseName>().ok().filter(|name| self.known.contains_key(name));
            return known.ok_or_else(|| {
                (format!("there is no base `{name}`, which `{image}` means"), self.no_base(name))
            });
        }
        let of_workspace = self.known.values().find(|(definition, _)| {
            matches!(&definition.kind, BaseKind::Registry(registry) if registry.reference == image)
        });
        if let Some((definition, _)) = of_workspace {
            return Ok(definition.name.clone());
        }
        if let Some((name, digest)) = image.split_once('@') {
            let digest: Digest = digest
                .parse()
                .map_err(|error| (format!("`{image}`: {error}"), "write the digest in full".to_owned()))?;
            let has_registry = name
                .split_once('/')
                .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
            if !has_registry {
                return Err((
                    format!("`{image}` does not say which registry"),
                    "write the registry in front of the name: short names mean different images on different machines"
                        .to_owned(),
                ));
            }
            return Ok(self.add(pinned_here(self.file, image, name, digest, self.platform)));
        }
        let suggested = slug(image);
        Err((
            format!("`{image}` is not pinned: a tag can move"),
            format!(
                "write its registry and digest, as in `registry.example.org/{image}@sha256:…`; or leave the file as it is, describe the image in images/{suggested}.toml, run kiln lock --base {suggested}, and say in the manifest: bases = {{ \"{image}\" = \"{suggested}\" }} under [dockerfile]"
            ),
        ))
    }

    /// What helps where a base is not there: another of the workspace, or how one is made. What Dockerfiles pin is none.
    fn no_base(&self, wanted: &str) -> String {
        let of_workspace =
            self.known.values().filter(|(definition, _)| definition.file.starts_with("images/"));
        let names: Vec<&str> = of_workspace.map(|(definition, _)| definition.name.as_str()).collect();
        if !names.is_empty() {
            return format!("add images/{wanted}.toml, or use one of: {}", names.join(", "));
        }
        let wanted = if wanted.parse::<BaseName>().is_ok() { wanted } else { "NAME" };
        let runtime = Runtime::named(&wanted.replacen('-', "", 1))
            .map_or("python3.13", |runtime| runtime.name.as_str());
        format!(
            "there is no base that can be used yet; make one of a runtime of Lambda: kiln lock --base {wanted} --runtime {runtime}; or describe any image in images/{wanted}.toml, and pin it: kiln lock --base {wanted}"
        )
    }

    /// Adds a base that a Dockerfile pins; another may have pinned it for another platform.
    fn add(&mut self, (definition, lock): (BaseDefinition, BaseLock)) -> BaseName {
        let name = definition.name.clone();
        match self.known.get_mut(&name) {
            Some((there, Some(locked))) if there.digest == definition.digest => {
                locked.platform.extend(lock.platform);
                there.platforms.extend(definition.platforms);
                there.platforms.sort();
                there.platforms.dedup();
            }
            _ => {
                self.known.insert(name.clone(), (definition, Some(lock)));
            }
        }
        name
    }
}
