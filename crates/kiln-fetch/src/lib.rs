//! The network: package indexes and Debian archives become verified bytes.
//!
//! [`Client`] opens the connections to indexes and mirrors, and [`Registry`] those to registries of images. Beside them,
//! git is run for [`Repository`] (agents, credential helpers and proxies are set up for it on every machine that uses
//! git at all), `kiln lock` runs uv, and the engine pulls images itself. [`Client`] hashes while it streams, so a caller
//! that knows a digest beforehand gets either those bytes or an error that names both digests. Credentials are sent to
//! the origin they belong to and appear nowhere else: every URL in an error, a `Debug` text or a public value has
//! passed [`redacted`] or [`without_credentials`].
//!
//! Settings arrive as values; the functions in this crate that interpret environment variables and configuration
//! files take their text as arguments. Two things are read by the libraries underneath, because they are properties
//! of the host: the trust store (`SSL_CERT_FILE`, `SSL_CERT_DIR`, else the system's) and the proxy variables
//! (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`); requests to this host itself never use a proxy.

mod apt_sources;
mod attempt;
mod checkout;
mod client;
mod crates;
mod credentials;
mod debian;
mod error;
mod git;
mod git_command;
mod host_names;
mod index;
mod index_html;
mod index_setting;
mod local_file;
mod loopback;
mod network_settings;
mod pip_config;
mod registry;
mod response;
mod settings;
mod sink;
mod target;
mod transport;
mod uv_config;

pub use apt_sources::{Mirror, apt_mirrors};
pub use checkout::{Checkout, IgnoreRule, StoredFile, is_elsewhere};
pub use client::Client;
pub use crates::{CratePlace, CrateSetting, cargo_config_paths, configured_crates, crate_url, downloads_of};
pub use credentials::{redacted, without_credentials, without_queries};
pub use debian::{Archive, ArchiveFile, SuiteFile};
pub use error::FetchError;
pub use git::{GitCommit, GitObject, Reference, Repository};
pub use index::{Index, IndexFile, index_files};
pub use index_setting::IndexSetting;
pub use network_settings::NetworkSettings;
pub use pip_config::pip_config_paths;
pub use registry::{Registry, RegistryLogin};
pub use response::Response;
pub use settings::{IndexSources, configured_index, further_indexes, is_same_index, named_index};
pub use sink::{Reopened, Sink};
pub use url::Url;
pub use uv_config::uv_config_paths;
