//! Every environment variable that kiln reads, in one place.

use std::collections::BTreeMap;

/// The folder of the store.
pub(crate) const KILN_STORE: &str = "KILN_STORE";
/// The Debian mirror for bases that name none.
pub(crate) const KILN_DEBIAN_MIRROR: &str = "KILN_DEBIAN_MIRROR";
/// Mirrors of container registries, as `PREFIX=MIRROR` with a space between two.
pub(crate) const KILN_REGISTRY_MIRRORS: &str = "KILN_REGISTRY_MIRRORS";
/// The address of a cache that machines share, or `off`.
pub(crate) const KILN_REMOTE: &str = "KILN_REMOTE";
/// Whether what is made here is sent there: `true` or `false`.
pub(crate) const KILN_REMOTE_WRITE: &str = "KILN_REMOTE_WRITE";
/// The file with the token for the address in `KILN_REMOTE`.
pub(crate) const KILN_REMOTE_TOKEN_FILE: &str = "KILN_REMOTE_TOKEN_FILE";
/// The program that says how to log in to a shared cache.
pub(crate) const KILN_REMOTE_CREDENTIAL_HELPER: &str = "KILN_REMOTE_CREDENTIAL_HELPER";
/// The address of a server that programs run on, or `off`.
pub(crate) const KILN_EXECUTE: &str = "KILN_EXECUTE";
/// Where the archives of crates are, as the `dl` of a registry's `config.json`.
pub(crate) const KILN_CRATES: &str = "KILN_CRATES";
/// The folder of cargo's configuration and caches.
pub(crate) const CARGO_HOME: &str = "CARGO_HOME";
/// Seconds to wait for another kiln in the same workspace.
pub(crate) const KILN_LOCK_WAIT: &str = "KILN_LOCK_WAIT";
/// Seconds that a server may say nothing.
pub(crate) const KILN_SILENCE: &str = "KILN_SILENCE";
/// The time that stands for every build, in seconds since 1970.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Where caches go, by the XDG base directory specification.
pub(crate) const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The home folder.
pub(crate) const HOME: &str = "HOME";
/// Where programs are: for `keyring`, if an index is to have its password from there.
pub(crate) const PATH: &str = "PATH";
/// No colour, and no redrawn lines, where this is set.
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// The same where this is `0`.
pub(crate) const CLICOLOR: &str = "CLICOLOR";
/// What the terminal is: with none, and with `dumb`, it can write lines and nothing else.
pub(crate) const TERM: &str = "TERM";
/// No redrawn lines where this is set.
pub(crate) const CI: &str = "CI";
/// Another place for the `.netrc` file.
pub(crate) const NETRC: &str = "NETRC";
/// The engine's endpoint.
pub(crate) const DOCKER_HOST: &str = "DOCKER_HOST";
/// Whether the engine's certificate is checked.
pub(crate) const DOCKER_TLS_VERIFY: &str = "DOCKER_TLS_VERIFY";
/// The folder of the engine's client certificates.
pub(crate) const DOCKER_CERT_PATH: &str = "DOCKER_CERT_PATH";
/// The folder of Docker's client configuration.
pub(crate) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// The Docker context to use.
pub(crate) const DOCKER_CONTEXT: &str = "DOCKER_CONTEXT";
/// Which builder of the engine builds Dockerfiles.
pub(crate) const DOCKER_BUILDKIT: &str = "DOCKER_BUILDKIT";

/// `true` in a job of GitHub Actions: what is found is told there as annotations, too.
pub(crate) const GITHUB_ACTIONS: &str = "GITHUB_ACTIONS";
/// The file that GitHub Actions reads a step's outputs from.
pub(crate) const GITHUB_OUTPUT: &str = "GITHUB_OUTPUT";
/// The file that GitHub Actions reads a step's summary from.
pub(crate) const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";
/// The commit that a job of GitHub Actions is of.
pub(crate) const GITHUB_SHA: &str = "GITHUB_SHA";
/// The branch or tag of that commit, in full.
pub(crate) const GITHUB_REF: &str = "GITHUB_REF";
/// The number of the run of a workflow.
pub(crate) const GITHUB_RUN_ID: &str = "GITHUB_RUN_ID";
/// The name of that workflow.
pub(crate) const GITHUB_WORKFLOW: &str = "GITHUB_WORKFLOW";
/// The name of the job in it.
pub(crate) const GITHUB_JOB: &str = "GITHUB_JOB";

/// What a tool that kiln runs on this machine is given of the environment: how to reach servers, and nothing else.
pub(crate) const FOR_TOOLS: [&str; 10] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The environment of the process.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    all: BTreeMap<String, String>,
}

impl Variables {
    /// Reads it; values that are not UTF-8 are as if they were not set.
    pub(crate) fn of_process() -> Self {
        let all = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Self { all }
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a terminal is given lines and nothing else: no colours, and none that are redrawn.
    pub(crate) fn wants_plain_lines(&self) -> bool {
        let is_dumb = self.get(TERM).is_none_or(|terminal| terminal == "dumb");
        is_dumb || self.is_set(NO_COLOR) || self.get(CLICOLOR) == Some("0")
    }

    /// All of them, for the settings of pip and uv.
    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::Variables;

    #[test]
    fn a_terminal_that_can_do_no_more_and_whoever_wants_no_more_gets_plain_lines() {
        for (variables, plain) in [
            (vec![("TERM", "xterm-256color")], false),
            (vec![("TERM", "xterm"), ("NO_COLOR", ""), ("CLICOLOR", "1")], false),
            (vec![("TERM", "dumb")], true),
            (vec![], true),
            (vec![("TERM", "xterm"), ("NO_COLOR", "1")], true),
            (vec![("TERM", "xterm"), ("CLICOLOR", "0")], true),
        ] {
            let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            assert_eq!(Variables { all: all.collect() }.wants_plain_lines(), plain, "{variables:?}");
        }
    }
}
