//! Keys as a file states them: written out, by a name that stands for a text elsewhere, or made when it is deployed.

use crate::artifact::{Source, Told};
use crate::folder::{Folder, is_made, parent, resolve};
use crate::render::relative;
use kiln_record::Architecture;
use std::collections::BTreeMap;

/// How often one value may be looked up in another, so that values that name each other come to an end.
pub(crate) const LOOKED_UP: u32 = 100;
/// The longest text that values are put together to, in bytes.
pub(crate) const LONGEST: usize = 4096;

/// Where the values of keys are from that a file states by another name, by key.
pub(crate) type Origins = BTreeMap<&'static str, String>;

/// What a file says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    /// It has no such key.
    Nothing,
    /// This, and by which name if it is not written out there.
    Text(String, Option<String>),
    /// Something that no file tells.
    Later,
}

impl Stated {
    /// The text, if one is told.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text, _) => Some(text),
            Self::Nothing | Self::Later => None,
        }
    }

    /// As a key of a manifest. `name` is the key in the file at `path`.
    pub(crate) fn told(
        self,
        key: &'static str,
        name: &str,
        path: &str,
        origins: &mut Origins,
    ) -> Told<String> {
        let such_as = if key == "handler" { "app.handler" } else { "python3.13" }.to_owned();
        match self {
            Self::Text(text, by) => {
                origins.extend(by.map(|by| (key, by)));
                Told::Is(text)
            }
            Self::Later => {
                Told::Not { why: format!("{name} in {path} is made when it is deployed"), such_as }
            }
            Self::Nothing => Told::Not { why: format!("{path} has no {name}"), such_as },
        }
    }

    /// As a number; `whose` default where the file has none.
    pub(crate) fn number(
        self,
        key: &'static str,
        default: u32,
        whose: &str,
        origins: &mut Origins,
    ) -> Option<u32> {
        let (number, by) = match self {
            Self::Nothing => (Some(default), Some(format!("{whose}'s default"))),
            Self::Text(text, by) => (text.parse().ok(), by),
            Self::Later => (None, None),
        };
        origins.extend(by.map(|by| (key, by)));
        number
    }

    /// As the architecture of an artifact; nothing where the file has none, which is Lambda's default.
    pub(crate) fn architecture(
        self,
        name: &str,
        path: &str,
        origins: &mut Origins,
    ) -> Option<Told<Architecture>> {
        let not = |why: String| Some(Told::Not { why, such_as: "x86_64".to_owned() });
        match self {
            Self::Nothing => None,
            Self::Later => not(format!("{name} in {path} is made when it is deployed")),
            Self::Text(text, by) => {
                let known = match text.as_str() {
                    "x86_64" => Architecture::Amd64,
                    "arm64" => Architecture::Arm64,
                    _ => {
                        let text: String = text.chars().take(60).collect();
                        return not(format!("{name} in {path} is `{text}`, which is none of Lambda's"));
                    }
                };
                origins.extend(by.map(|by| ("architecture", by)));
                Some(Told::Is(known))
            }
        }
    }
}

/// The folder of code that a file names, or why there is none.
pub(crate) fn code(folder: &Folder, path: &str, text: &str) -> Told<Source> {
    let short: String = text.chars().take(200).collect();
    let not = |why: String, such_as: String| Told::Not { why, such_as };
    match resolve(parent(path), text) {
        Some(path) if folder.has_folder(&path) => {
            Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() })
        }
        Some(file) if folder.has_file(&file) => {
            not(format!("`{short}` in {path} is a file, and no folder"), relative(parent(&file)))
        }
        Some(made) if made.split('/').any(is_made) => {
            not(format!("`{short}` in {path} is a folder that tools make, if it is there"), relative(&made))
        }
        Some(missing) => not(format!("`{short}`, which {path} names, is not there"), relative(&missing)),
        None => not(format!("`{short}` in {path} is no folder of this project"), "../src".to_owned()),
    }
}

/// The one runtime that a layer is for, of those that the file at `path` names for it.
pub(crate) fn runtime_of_layer(names: &[Stated], path: &str, origins: &mut Origins) -> Told<String> {
    match names {
        [one] if one.text().is_some_and(|name| name.starts_with("python")) => {
            one.clone().told("runtime", "runtime", path, origins)
        }
        _ => Told::Not {
            why: format!("{path} does not name one runtime for it"),
            such_as: "python3.13".to_owned(),
        },
    }
}

/// What a layer's folder brings below `python/`, which is what a manifest names. Other tools put the folder in /opt as it is.
pub(crate) fn code_of_layer(folder: &Folder, path: &str, source: Told<Source>) -> Told<Source> {
    let Told::Is(mut source) = source else { return source };
    let python = if source.path.is_empty() { "python".to_owned() } else { format!("{}/python", source.path) };
    if source.include.is_empty() && folder.has_folder(&python) {
        source.path = python;
        return Told::Is(source);
    }
    Told::Not {
        why: format!("the folder of the layer in {path} has no folder python, of which Python knows"),
        such_as: relative(&source.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_is_told_or_not_but_never_invented() {
        let check = |stated: Stated, expected: Option<Option<Architecture>>| {
            let told = stated.clone().architecture("Architectures", "template.yaml", &mut Origins::new());
            assert_eq!(told.map(|told| told.value().copied()), expected, "{stated:?}");
        };
        check(Stated::Nothing, None);
        check(Stated::Later, Some(None));
        check(Stated::Text("arm64".to_owned(), None), Some(Some(Architecture::Arm64)));
        check(Stated::Text("sparc".to_owned(), None), Some(None));
    }
}
