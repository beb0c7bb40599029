//! `kiln.toml`: what holds for the whole workspace.

mod component;
mod index;
mod organization;
mod policy;
mod registry;
mod remote;
mod runtime;
mod trust;

pub use index::{IndexPlace, NamePattern, NamedIndex};
pub(crate) use policy::check_policy;
pub use policy::{PolicyException, PolicySection};
pub use registry::RegistryMirrorSetting;
pub use remote::{EngineKind, EngineSetting, RemoteSetting};
pub use trust::Trust;

use crate::period::Period;
use crate::spanned::Spanned;
use crate::{InvalidFiles, Problem};
use index::{IndexTable, named_indexes, no_password};
use kiln_record::{ComponentStatement, Organization, Runtime, excerpt};
use runtime::{RuntimeTable, own_runtimes};
use serde::Deserialize;
use std::sync::Arc;
use trust::TrustTable;

/// The settings of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Python package index to use, if the workspace names one.
    pub python_index: Option<String>,
    /// The package indexes that it names, in the order of the file.
    pub indexes: Vec<NamedIndex>,
    /// The Debian mirror to use, if the workspace names one.
    pub debian_mirror: Option<String>,
    /// Mirrors of container registries.
    pub registries: Vec<RegistryMirrorSetting>,
    /// The cache that its machines share, if it names one.
    pub remote: RemoteSetting,
    /// Where programs run.
    pub engine: EngineSetting,
    /// Who makes the artifacts, if the workspace says so.
    pub organization: Option<Organization>,
    /// What the workspace states of components that others make, sorted.
    pub components: Vec<ComponentStatement>,
    /// Levels and exceptions for findings.
    pub policy: PolicySection,
    /// How often pins are looked at again, if the workspace says so.
    pub review: Option<Period>,
    /// From where anything may come, and how old pins may be.
    pub trust: Trust,
    /// Targets that the workspace adds to Lambda's runtimes.
    pub runtimes: Vec<Arc<Runtime>>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    /// The format of this file.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "1")))]
    format: String,
    /// Where distributions come from.
    #[serde(default)]
    python: PythonTable,
    /// Where packages come from.
    #[serde(default)]
    debian: DebianTable,
    /// Who makes the artifacts: what bills of materials name.
    organization: Option<Spanned<Organization>>,
    /// What is known of components that others make, and nothing that is read says.
    #[serde(default)]
    component: Vec<Spanned<ComponentStatement>>,
    /// Levels and exceptions for findings.
    #[serde(default)]
    policy: PolicySection,
    /// Targets besides the runtimes of Lambda.
    #[serde(default)]
    runtime: Vec<Spanned<RuntimeTable>>,
    /// Mirrors of container registries.
    #[serde(default)]
    registry: Vec<RegistryMirrorSetting>,
    /// A cache that machines share, and machines that run programs.
    #[serde(default)]
    remote: RemoteSetting,
    /// How often pins are looked at again: `kiln pins` tells which are overdue.
    review: Option<Period>,
    /// From where anything may come, and how old pins may be.
    #[serde(default)]
    trust: TrustTable,
    /// Where programs run.
    #[serde(default)]
    engine: EngineSetting,
    /// Further package indexes.
    #[serde(default)]
    index: Vec<Spanned<IndexTable>>,
}

#[derive(Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct PythonTable {
    /// The package index, if it is not the one that the machine is configured for.
    index: Option<String>,
}

#[derive(Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct DebianTable {
    /// The mirror, if it is not the one that the machine is configured for.
    mirror: Option<String>,
}

impl Settings {
    /// What `kiln.toml` may say.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema(generator: schemars::SchemaGenerator) -> schemars::Schema {
        generator.into_root_schema_for::<File>()
    }

    /// Reads `kiln.toml`.
    ///
    /// # Errors
    /// What is wrong, each with its place: every key and value that the form does not allow, or else the first that makes no sense.
    pub fn parse(file: &str, text: &Arc<str>) -> Result<Self, InvalidFiles> {
        let parsed = Problem::toml_all(file, text).map_err(InvalidFiles)?;
        Ok(Self::checked(parsed, file, text)?)
    }

    fn checked(parsed: File, file: &str, text: &Arc<str>) -> Result<Self, Problem> {
        if parsed.format != "1" {
            return Err(Problem::in_file(file, format!("format `{}` is not known", parsed.format))
                .help("this kiln reads format = \"1\"; use a newer kiln for a later one"));
        }
        check_policy(file, &parsed.policy)?;
        let addresses =
            [("`python.index`", &parsed.python.index), ("`debian.mirror`", &parsed.debian.mirror)];
        for (what, url) in addresses {
            let url = url.as_deref().unwrap_or_default();
            no_password(file, what, url, "a netrc file can hold it, or the variable that names the address")?;
        }
        let login = "KILN_REMOTE_TOKEN_FILE and KILN_REMOTE_CREDENTIAL_HELPER say where it is had from";
        no_password(file, "`remote.cache`", parsed.remote.cache.as_deref().unwrap_or_default(), login)?;
        no_password(file, "`remote.execute`", parsed.remote.execute.as_deref().unwrap_or_default(), login)?;
        if !parsed.remote.has_usable_queue() {
            let queue = excerpt(parsed.remote.queue.as_deref().unwrap_or_default());
            let message = format!("`remote.queue`: `{queue}` is not a time that a program may wait");
            return Err(Problem::in_file(file, message)
                .help("write seconds or minutes, up to 360 min: queue = \"10 min\""));
        }
        Ok(Self {
            indexes: named_indexes(file, text, parsed.index, parsed.python.index.is_some())?,
            python_index: parsed.python.index,
            debian_mirror: parsed.debian.mirror,
            registries: parsed.registry,
            remote: parsed.remote,
            engine: parsed.engine,
            organization: organization::checked(file, text, parsed.organization)?,
            components: component::checked(file, text, parsed.component)?,
            runtimes: own_runtimes(file, text, parsed.runtime)?,
            review: parsed.review,
            trust: parsed.trust.read(file, text),
            policy: parsed.policy,
        })
    }
}
