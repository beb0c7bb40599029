//! Which package indexes this machine has for a workspace: those that `kiln.toml` names, and the default one.

use crate::config_files::texts;
use crate::failure::Failure;
use crate::variables::{self as var, Variables};
use kiln_fetch::{
    IndexSetting, IndexSources, configured_index, further_indexes, named_index, pip_config_paths,
    uv_config_paths,
};
use kiln_invocation::{NamedIndexSetting, WORKSPACE_FILE};
use kiln_plan::{IndexPlace, NamedIndex, Settings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The indexes of a workspace on this machine.
#[derive(Debug, Default)]
pub(crate) struct IndexSettings {
    /// The index for names that are bound to no other, unless a named one is the default.
    pub(crate) default: Option<IndexSetting>,
    /// Those that `kiln.toml` names.
    pub(crate) named: BTreeMap<String, NamedIndexSetting>,
    /// Where pip and uv are told of more, which are not asked.
    pub(crate) further: Vec<String>,
}

/// Finds the indexes: the default one is the workspace's, else the one that pip or uv is configured for.
pub(crate) fn index_settings(
    settings: &Settings,
    variables: &Variables,
    home: Option<&Path>,
) -> Result<IndexSettings, Failure> {
    let named =
        settings.indexes.iter().map(|index| (index.name.clone(), named_setting(index, variables))).collect();
    let pip_config = texts(&pip_config_paths(variables.all(), home));
    let uv_config = texts(&uv_config_paths(variables.all(), home));
    let sources = IndexSources { env: variables.all(), pip_config: &pip_config, uv_config: &uv_config };
    let default = match &settings.python_index {
        Some(text) => {
            let url = text.parse().map_err(|error| {
                Failure::input(format!("{WORKSPACE_FILE}: python.index is not a URL: {error}"))
            })?;
            Some(IndexSetting { url, from: WORKSPACE_FILE.to_owned() })
        }
        None if settings.indexes.iter().any(|index| index.default) => None,
        None => configured_index(&sources)?,
    };
    let asked: Vec<&String> = settings
        .indexes
        .iter()
        .filter_map(|index| match &index.place {
            IndexPlace::Variable(variable) => Some(variable),
            IndexPlace::Url(_) => None,
        })
        .collect();
    let further = further_indexes(&sources).into_iter().filter(|from| !asked.contains(&from)).collect();
    Ok(IndexSettings { default, named, further })
}

fn named_setting(index: &NamedIndex, variables: &Variables) -> NamedIndexSetting {
    let (url, from) = match &index.place {
        IndexPlace::Url(url) => (Ok(url.as_str()), WORKSPACE_FILE),
        IndexPlace::Variable(name) => {
            let missing = || format!("{WORKSPACE_FILE} says that {name} holds its URL, which is not set");
            (variables.get(name).ok_or_else(missing), name.as_str())
        }
    };
    let setting = url.and_then(|url| {
        named_index(variables.all(), &index.name, url, from).map_err(|error| error.to_string())
    });
    let keyring = index.keyring.then(|| program("keyring", variables));
    NamedIndexSetting { setting, default: index.default, keyring }
}

/// The first program of a name on the search path; the bare name where there is none, which says so when it is started.
fn program(name: &str, variables: &Variables) -> PathBuf {
    let folders = variables.get(var::PATH).unwrap_or_default().split(':').filter(|folder| !folder.is_empty());
    let mut candidates = folders.map(|folder| Path::new(folder).join(name));
    candidates.find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name))
}
