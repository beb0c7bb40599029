//! Dockerfiles: which images they start from, and what has to stand for these.

use crate::artifact::{Artifact, Kind};
use crate::folder::{Folder, is_dockerfile, name_of, parent};
use crate::handler::artifact_name;
use crate::reading::Reading;

/// Reads the Dockerfiles that no other file of the project names.
pub(crate) fn read(folder: &Folder, reading: &mut Reading) {
    let claimed: Vec<String> =
        reading.artifacts.iter().filter_map(|one| Some(one.dockerfile.as_ref()?.0.clone())).collect();
    for (path, text) in folder.texts().filter(|(path, _)| is_dockerfile(name_of(path))) {
        if claimed.iter().any(|one| one == path) {
            continue;
        }
        let place = match parent(path) {
            "" => reading.folder_name.clone(),
            folder => name_of(folder).to_owned(),
        };
        let name = match name_of(path).strip_prefix("Dockerfile.") {
            Some(ending) => format!("{place}-{ending}"),
            None => place,
        };
        let name = match reading.is_taken(&name) {
            true => format!("{name}-image"),
            false => name,
        };
        let Some(name) = reading.named(path, artifact_name(&name)) else { continue };
        let is_function = images(text).iter().any(|image| image.contains("/lambda/"));
        let kind = if is_function { Kind::LambdaImage } else { Kind::Image };
        let mut artifact = Artifact::new(name, kind, path.to_owned());
        artifact.dockerfile = Some((path.to_owned(), parent(path).to_owned()));
        reading.add(artifact);
    }
}

/// The images that are named in `FROM`, but for earlier stages and `scratch`.
pub(crate) fn images(text: &str) -> Vec<String> {
    let (mut stages, mut images) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
        if let [image, rest @ ..] = words.as_slice() {
            let is_new =
                !stages.contains(image) && *image != "scratch" && !images.iter().any(|one| one == image);
            if is_new {
                images.push((*image).to_owned());
            }
            if let [word, stage] = rest
                && word.eq_ignore_ascii_case("as")
            {
                stages.push(*stage);
            }
        }
    }
    images
}

/// What has to be done for an image that a Dockerfile names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Nothing: its digest is there, or it is a base of this workspace.
    There,
    /// A base of this name stands for it.
    Base(String),
    /// It cannot be told which image it is.
    Unknown,
}

/// How an image is pinned.
pub(crate) fn pin(image: &str) -> Pin {
    if image.contains("@sha256:") || image.starts_with("localhost/kiln/") {
        return Pin::There;
    }
    let Some((registry, path)) = image.split_once('/') else { return Pin::Unknown };
    let Some((repository, tag)) = path.rsplit_once(':') else { return Pin::Unknown };
    if image.contains('$') || !registry.contains(['.', ':']) {
        return Pin::Unknown;
    }
    let name = format!("{}-{tag}", name_of(repository)).to_lowercase().replace('_', "-");
    if name.parse::<kiln_record::BaseName>().is_ok() { Pin::Base(name) } else { Pin::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_those_that_are_no_stages() {
        let text = "FROM --platform=linux/amd64 registry.example.org/python:3.13 AS build\nRUN x\nfrom build\nFROM scratch\nFROM build AS two\n";
        assert_eq!(images(text), ["registry.example.org/python:3.13"]);
        assert_eq!(pin("registry.example.org/lambda/python:3.13"), Pin::Base("python-3.13".to_owned()));
        assert_eq!(pin("python:3.13"), Pin::Unknown);
        assert_eq!(pin("registry.example.org/python:${V}"), Pin::Unknown);
        assert_eq!(pin("registry.example.org/python:3@sha256:00"), Pin::There);
    }
}
