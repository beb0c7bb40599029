//! A base that is not stated yet: the definition that kiln knows for a runtime, which is written once it is pinned.

use crate::LockError;
use fs_err as fs;
use kiln_plan::{BaseDefinition, InvalidFiles, KnownBase, Problem, Settings, known_base};
use kiln_record::{BaseName, Platform, Runtime, runtimes};
use kiln_store::write_atomically;
use std::path::Path;
use std::sync::Arc;

/// For what a base is wanted, if there is none of its name.
#[derive(Clone, Debug)]
pub struct WantedBase {
    /// The runtime: one of Lambda's, or of `kiln.toml`.
    pub runtime: String,
    /// The platforms to pin it for; `linux/amd64` if none is named.
    pub platforms: Vec<Platform>,
}

/// A definition that is to be written.
pub(crate) struct NewBase {
    pub(crate) definition: BaseDefinition,
    known: KnownBase,
}

impl NewBase {
    /// The definition that kiln knows for a runtime.
    pub(crate) fn of(name: &BaseName, wanted: &WantedBase, settings: &Settings) -> Result<Self, LockError> {
        let refused = |message: String, help: String| -> LockError {
            InvalidFiles(vec![Problem::in_file(&file(name), message).help(help)]).into()
        };
        let own = settings.runtimes.iter().find(|runtime| runtime.name == wanted.runtime);
        let Some(runtime) = own.or_else(|| Runtime::named(&wanted.runtime)) else {
            let names: Vec<&str> =
                runtimes().iter().chain(&settings.runtimes).map(|runtime| runtime.name.as_str()).collect();
            return Err(refused(
                format!("`{}` is not a runtime that kiln knows", wanted.runtime),
                format!("use one of: {}", names.join(", ")),
            ));
        };
        let platforms = match wanted.platforms.as_slice() {
            [] => &["linux/amd64".parse::<Platform>().unwrap_or_else(|_| unreachable!("it is one"))],
            named => named,
        };
        let Some(known) = known_base(runtime, platforms) else {
            return Err(refused(
                format!("kiln knows no base for `{}`, which has no Python", runtime.name),
                "write the definition: docs/manifests.md says what is in it".to_owned(),
            ));
        };
        let text: Arc<str> = known.text.as_str().into();
        let definition = BaseDefinition::parse(name.clone(), &file(name), &text)?;
        Ok(Self { definition, known })
    }

    /// The keys that it brings.
    pub(crate) fn keys(&self) -> Option<&'static [u8]> {
        self.known.keyring.map(|(_, keys)| keys)
    }

    /// Writes it, and the keys unless there are some. What was written, relative to the workspace.
    pub(crate) fn write(&self, root: &Path) -> Result<Vec<String>, LockError> {
        let mut written = Vec::new();
        let keyring = self.known.keyring.filter(|(path, _)| !root.join(path).exists());
        let definition = (self.definition.file.as_str(), self.known.text.as_bytes());
        for (path, content) in keyring.into_iter().chain([definition]) {
            let place = root.join(path);
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder)?;
            }
            write_atomically(&place, content)?;
            written.push(path.to_owned());
        }
        Ok(written)
    }
}

fn file(name: &BaseName) -> String {
    format!("images/{name}.toml")
}
