//! Dockerfiles: which images they start from, and what has to stand for these.

use crate::artifact::{Artifact, Kind, Told};
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
    let (mut stages, mut images): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // A here-document is what is written or run, and no instruction.
        for end in here_documents(line) {
            lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
        }
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let words: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
        if let [image, rest @ ..] = words.as_slice() {
            // Builders compare the names of stages without case.
            let is_stage = stages.iter().any(|stage| stage.eq_ignore_ascii_case(image));
            let is_new = !is_stage && *image != "scratch" && !images.iter().any(|one| one == image);
            if is_new {
                images.push((*image).to_owned());
            }
            if let [word, stage] = rest
                && word.eq_ignore_ascii_case("as")
            {
                stages.push((*stage).to_owned());
            }
        }
    }
    images
}

/// What Lambda calls in the image of a Dockerfile: its last `CMD`, where that is a list of one.
pub(crate) fn handler(file: &str, text: &str) -> Told<String> {
    let of_line = |line: &str| {
        let (word, rest) = line.trim_start().split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case("cmd").then(|| serde_json::from_str::<[String; 1]>(rest.trim()).ok())
    };
    match text.lines().filter_map(of_line).next_back().flatten() {
        Some([handler]) => Told::Is(handler),
        None => Told::Not {
            why: format!("the CMD of {file} is no list of one handler"),
            such_as: "app.handler".to_owned(),
        },
    }
}

/// The words that end the here-documents of an instruction (`COPY <<EOF`, `RUN <<-"EOF"`), in order.
fn here_documents(line: &str) -> Vec<String> {
    let is_able = line.split_whitespace().next().is_some_and(|word| {
        ["copy", "add", "run"].iter().any(|instruction| word.eq_ignore_ascii_case(instruction))
    });
    let starts = line.split("<<").skip(1).filter(|_| is_able);
    let words = starts.map(|rest| {
        let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(['"', '\'']);
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// What has to be done for an image that a Dockerfile names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Nothing: its digest is there, or it is a base of this workspace.
    There,
    /// A base stands for it.
    Base {
        /// The base's name.
        name: String,
        /// The image with its registry, which the file need not name.
        reference: String,
    },
    /// It cannot be told which image it is, for this reason.
    Unknown(&'static str),
}

/// How an image is pinned.
pub(crate) fn pin(image: &str) -> Pin {
    if image.contains("@sha256:") || image.starts_with("localhost/kiln/") {
        return Pin::There;
    }
    if image.contains('$') {
        return Pin::Unknown("has a variable");
    }
    let reference = with_registry(image);
    let path = reference.split_once('/').map_or("", |(_, path)| path);
    let Some((repository, tag)) = path.rsplit_once(':') else { return Pin::Unknown("names no tag") };
    let name = format!("{}-{tag}", name_of(repository)).to_lowercase().replace('_', "-");
    match name.parse::<kiln_record::BaseName>() {
        Ok(_) => Pin::Base { name, reference },
        Err(_) => Pin::Unknown("has a name that no base can have"),
    }
}

/// An image with its registry: builders take one of Docker's where a name begins with none.
fn with_registry(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first == "localhost" || first.contains(['.', ':']) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_the_last_command_of_one_word() {
        let told = |text: &str| handler("Dockerfile", text).value().cloned();
        assert_eq!(told("CMD [\"a.b\"]\nFROM x\n cmd [ \"app.handler\" ]\n").as_deref(), Some("app.handler"));
        for text in ["FROM x\n", "CMD app.handler\n", "CMD [\"a\", \"b\"]\n", "CMD [\"a.b\"]\nCMD [\n"] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn images_are_those_that_are_no_stages() {
        let text = "FROM --platform=linux/amd64 registry.example.org/python:3.13 AS build\nRUN x\nfrom build\nFROM scratch\nFROM build AS two\n";
        assert_eq!(images(text), ["registry.example.org/python:3.13"]);
        let base = |name: &str, reference: &str| Pin::Base {
            name: name.to_owned(),
            reference: reference.to_owned(),
        };
        for (image, name, reference) in [
            (
                "registry.example.org/lambda/python:3.13",
                "python-3.13",
                "registry.example.org/lambda/python:3.13",
            ),
            ("localhost:5000/python:3.13", "python-3.13", "localhost:5000/python:3.13"),
            ("python:3.13-slim", "python-3.13-slim", "docker.io/library/python:3.13-slim"),
            ("acme/Tool:1_2", "tool-1-2", "docker.io/acme/Tool:1_2"),
        ] {
            assert_eq!(pin(image), base(name, reference), "{image}");
        }
        for (image, why) in [
            ("python", "names no tag"),
            ("localhost:5000/python", "names no tag"),
            ("registry.example.org/python:${V}", "has a variable"),
        ] {
            assert_eq!(pin(image), Pin::Unknown(why), "{image}");
        }
        assert_eq!(pin("registry.example.org/python:3@sha256:00"), Pin::There);
    }
}
