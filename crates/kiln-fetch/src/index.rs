//! Python package indexes: the simple repository API, as JSON (PEP 691) or HTML (PEP 503), from one request.

use crate::credentials::redacted_text;
use crate::index_html::{self, Anchor};
use crate::target::file_name;
use crate::{Client, FetchError, Response, redacted, without_credentials};
use kiln_record::{Digest, DistributionName};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// The most that one distribution's page may hold: the largest public ones are a few MiB.
const PAGE_LIMIT: u64 = 64 << 20;
/// JSON first; HTML for indexes that know nothing else.
const ACCEPT: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A package index.
#[derive(Clone, PartialEq, Eq)]
pub struct Index {
    /// The root of its simple API, such as `https://index.example.org/simple/`; it may hold credentials.
    pub url: Url,
    /// Where the setting came from, such as `PIP_INDEX_URL`, for messages.
    pub from: String,
}

/// A file that an index offers.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name, such as `six-1.17.0-py2.py3-none-any.whl`.
    pub file_name: String,
    /// Where it is, without fragment and credentials; the client that listed it knows the login.
    pub url: Url,
    /// The digest that the index states. Only a lock's digest decides what is used.
    pub digest: Option<Digest>,
    /// Its length in bytes, if stated (PEP 700).
    pub size: Option<u64>,
    /// The `Requires-Python` of its metadata, if stated.
    pub requires_python: Option<String>,
    /// Whether its publisher has withdrawn it (PEP 592).
    pub yanked: bool,
    /// Whether the index offers the file's metadata beside it, at its URL with `.metadata` (PEP 658).
    pub metadata: bool,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("url", &redacted(&self.url)).field("from", &self.from).finish()
    }
}

impl fmt::Debug for IndexFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexFile")
            .field("file_name", &self.file_name)
            .field("url", &redacted(&self.url))
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("requires_python", &self.requires_python)
            .field("yanked", &self.yanked)
            .field("metadata", &self.metadata)
            .finish()
    }
}

impl Index {
    /// Lists every file of a distribution, sorted by file name and URL.
    ///
    /// # Errors
    /// [`FetchError::NoSuchDistribution`] if the index does not know the name; [`FetchError::Listing`] around what
    /// else went wrong.
    pub async fn files(
        &self,
        client: &Client,
        name: &DistributionName,
    ) -> Result<Vec<IndexFile>, FetchError> {
        client.remember_credentials(&self.url);
        let listing = async {
            let page = page_url(&self.url, name)?;
            let response = client.get(&page, PAGE_LIMIT, Some(ACCEPT)).await?;
            index_files(&response)
        };
        match listing.await {
            Ok(files) => Ok(files),
            Err(FetchError::NotFound { .. }) => Err(FetchError::NoSuchDistribution {
                name: name.to_string(),
                index: redacted(&self.url),
                from: self.from.clone(),
            }),
            Err(error) => Err(FetchError::Listing {
                name: name.to_string(),
                from: self.from.clone(),
                source: Box::new(error),
            }),
        }
    }
}

/// The page of a distribution; the final slash is part of the protocol (PEP 503).
fn page_url(index: &Url, name: &DistributionName) -> Result<Url, FetchError> {
    let mut page = index.clone();
    match page.path_segments_mut() {
        Ok(mut segments) => {
            segments.pop_if_empty().push(name.as_str()).push("");
        }
        Err(()) => {
            return Err(FetchError::BadReply {
                url: redacted(index),
                why: "it cannot be the root of an index".to_owned(),
            });
        }
    }
    Ok(page)
}

/// The files that a page of an index lists, sorted by file name and URL.
///
/// # Errors
/// [`FetchError::BadReply`] if it is no page of the simple API, or names what may not be followed.
pub fn index_files(response: &Response) -> Result<Vec<IndexFile>, FetchError> {
    let content_type = response.content_type.as_deref().unwrap_or_default();
    let mut files = match content_type {
        "application/vnd.pypi.simple.v1+json" | "application/json" => from_json(response),
        "application/vnd.pypi.simple.v1+html" | "text/html" => from_html(response),
        other => Err(bad(
            response,
            format!("its type is `{}`, not JSON or HTML of the simple API", other.escape_debug()),
        )),
    }?;
    files.sort_by(|a, b| (&a.file_name, a.url.as_str()).cmp(&(&b.file_name, b.url.as_str())));
    Ok(files)
}

#[derive(Deserialize)]
struct Page {
    meta: Meta,
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Meta {
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    requires_python: Option<String>,
    /// `true`, `false` or the reason as text.
    yanked: Option<serde_json::Value>,
    /// `true`, `false` or the hashes (PEP 714).
    core_metadata: Option<serde_json::Value>,
    /// What it was called first (PEP 691).
    dist_info_metadata: Option<serde_json::Value>,
}

fn from_json(response: &Response) -> Result<Vec<IndexFile>, FetchError> {
    let page: Page = serde_json::from_slice(&response.bytes)
        .map_err(|error| bad(response, format!("it is not the simple API's JSON: {error}")))?;
    check_version(response, &page.meta.api_version)?;
    page.files
        .into_iter()
        .map(|file| {
            Ok(IndexFile {
                url: file_url(response, &response.final_url, &file.url)?.0,
                digest: digest(response, &file.filename, file.hashes.get("sha256").map(String::as_str))?,
                file_name: checked_name(response, file.filename)?,
                size: file.size,
                requires_python: file.requires_python.filter(|text| !text.trim().is_empty()),
                yanked: is_stated(file.yanked.as_ref()),
                metadata: is_stated(file.core_metadata.as_ref().or(file.dist_info_metadata.as_ref())),
            })
        })
        .collect()
}

/// Whether a value that may be `false`, `true` or more is there and not `false`.
fn is_stated(value: Option<&serde_json::Value>) -> bool {
    value.is_some_and(|value| !matches!(value, serde_json::Value::Bool(false) | serde_json::Value::Null))
}

fn from_html(response: &Response) -> Result<Vec<IndexFile>, FetchError> {
    let text = String::from_utf8_lossy(&response.bytes);
    let page = index_html::read(&text);
    if let Some(version) = &page.version {
        check_version(response, version)?;
    }
    let base = match &page.base {
        Some(base) => response
            .final_url
            .join(base)
            .map_err(|_| bad(response, format!("its base `{}` is no URL", redacted_text(base))))?,
        None => response.final_url.clone(),
    };
    page.anchors
        .into_iter()
        .map(|Anchor { href, requires_python, yanked, metadata }| {
            let (url, fragment) = file_url(response, &base, &href)?;
            let name = checked_name(response, file_name(&url))?;
            let stated =
                fragment.as_deref().and_then(|f| f.split('&').find_map(|part| part.strip_prefix("sha256=")));
            let digest = digest(response, &name, stated)?;
            let requires_python = requires_python.filter(|text| !text.trim().is_empty());
            Ok(IndexFile { file_name: name, url, digest, size: None, requires_python, yanked, metadata })
        })
        .collect()
}

/// PEP 629: a client that knows version 1 must stop at a higher major version.
fn check_version(response: &Response, version: &str) -> Result<(), FetchError> {
    if version.split('.').next() == Some("1") {
        return Ok(());
    }
    let version: String = version.chars().take(20).flat_map(char::escape_debug).collect();
    Err(bad(response, format!("it is version {version} of the simple API; kiln knows version 1")))
}

/// Resolves a link, and takes its fragment off.
fn file_url(response: &Response, base: &Url, link: &str) -> Result<(Url, Option<String>), FetchError> {
    let url = base
        .join(link.trim())
        .map_err(|_| bad(response, format!("its link `{}` is no URL", redacted_text(link))))?;
    let allowed = match url.scheme() {
        "http" | "https" => true,
        // Only an index on this host may point into this host's files.
        "file" => response.final_url.scheme() == "file",
        _ => false,
    };
    if !allowed {
        return Err(bad(response, format!("its link {} may not be followed", redacted(&url))));
    }
    let fragment = url.fragment().map(str::to_owned);
    let mut bare = without_credentials(&url);
    bare.set_fragment(None);
    Ok((bare, fragment))
}

fn checked_name(response: &Response, name: String) -> Result<String, FetchError> {
    let valid = !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
    if valid {
        return Ok(name);
    }
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    Err(bad(response, format!("`{shown}` cannot be a file name")))
}

fn digest(response: &Response, file: &str, stated: Option<&str>) -> Result<Option<Digest>, FetchError> {
    stated
        .map(Digest::from_hex)
        .transpose()
        .map_err(|_| bad(response, format!("the sha256 of `{}` is malformed", redacted_text(file))))
}

fn bad(response: &Response, why: String) -> FetchError {
    FetchError::BadReply { url: redacted(&response.final_url), why }
}
