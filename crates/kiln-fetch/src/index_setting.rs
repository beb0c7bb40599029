//! One index as somebody wrote it down, whatever it is written in.

use crate::credentials::redacted_text;
use crate::{FetchError, Index, redacted};
use std::fmt;
use url::Url;

/// An index that is configured somewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexSetting {
    /// Its URL; it may hold credentials.
    pub url: Url,
    /// Where it is written: a variable, or file, line and key.
    pub from: String,
}

impl fmt::Debug for IndexSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexSetting").field("url", &redacted(&self.url)).field("from", &self.from).finish()
    }
}

impl From<IndexSetting> for Index {
    fn from(setting: IndexSetting) -> Self {
        Self { url: setting.url, from: setting.from }
    }
}

/// Checks the text of an index setting.
pub(crate) fn index_setting(text: &str, from: String) -> Result<IndexSetting, FetchError> {
    let error = |why: String| FetchError::Setting { from: from.clone(), why };
    let url = if text.starts_with('/') {
        Url::from_directory_path(text).map_err(|()| error("it is not an absolute path".to_owned()))?
    } else {
        Url::parse(text)
            .map_err(|problem| error(format!("`{}` is no URL ({problem})", redacted_text(text))))?
    };
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return Err(error(format!("`{}` is neither https, http nor file", redacted(&url))));
    }
    Ok(IndexSetting { url, from })
}

/// The spellings of true that pip and uv share.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}
