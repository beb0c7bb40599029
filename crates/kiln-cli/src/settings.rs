//! Arguments, environment variables and configuration files become the environment of a run.

use crate::args::{Format, Global, VERSION};
use crate::config_files::texts;
use crate::failure::Failure;
use crate::indexes::{IndexSettings, index_settings};
use crate::remote::{executor_settings, remote_settings};
use crate::variables::{self as var, Variables};
use fs_err as fs;
use kiln_engine::{EngineSettings, Session};
use kiln_fetch::{CrateSetting, Mirror, NetworkSettings, apt_mirrors, cargo_config_paths, configured_crates};
use kiln_invocation::{
    Environment, RegistryMirror, Trial, WORKSPACE_FILE, find_workspace, read_usable_workspace,
};
use kiln_plan::RegistryMirrorSetting;
use kiln_record::Epoch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How many servers' answers are awaited at once.
const PARALLEL_REQUESTS: usize = 8;
/// How long a server may say nothing, unless `KILN_SILENCE` says otherwise.
const SILENCE: Duration = Duration::from_secs(20);
/// How long another kiln may hold the workspace before waiting for it ends.
const LOCK_WAIT: Duration = Duration::from_secs(600);

/// What a command needs of the place that it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it reads what it is given, and of a workspace whatever is there.
    Nothing,
    /// A workspace.
    Workspace,
    /// A workspace, and the indexes and mirrors that it names. A broken setting of these keeps nobody from reading the ledger.
    Servers,
    /// The same where there is a workspace; else what the machine is configured for.
    ServersIfAny,
}

/// What a command gets.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) environment: Environment,
    pub(crate) format: Format,
}

/// What a command is called with.
pub(crate) struct Call<'a> {
    pub(crate) global: &'a Global,
    pub(crate) variables: &'a Variables,
}

impl Settings {
    pub(crate) fn new(global: &Global, variables: &Variables, needs: Needs) -> Result<Self, Failure> {
        let fetches = matches!(needs, Needs::Servers | Needs::ServersIfAny);
        let anywhere = matches!(needs, Needs::Nothing | Needs::ServersIfAny);
        let root = workspace_root(global.workspace.as_deref(), needs)?;
        let home = variables.get(var::HOME).map(PathBuf::from);
        let source_date_epoch = match variables.get(var::SOURCE_DATE_EPOCH) {
            Some(text) => {
                let epoch = text.parse().ok().and_then(|seconds| Epoch::from_seconds(seconds).ok());
                let Some(epoch) = epoch else {
                    return Err(Failure::usage(format!(
                        "{} is `{text}`, which is not a number of seconds since 1970",
                        var::SOURCE_DATE_EPOCH
                    )));
                };
                Some(epoch)
            }
            None => None,
        };
        let lock_wait = match variables.get(var::KILN_LOCK_WAIT) {
            Some(text) => Duration::from_secs(text.parse().map_err(|_| {
                Failure::usage(format!(
                    "{} is `{text}`, which is not a number of seconds",
                    var::KILN_LOCK_WAIT
                ))
            })?),
            None => LOCK_WAIT,
        };
        let silence = silence(variables)?;
        // Where the workspace is broken, the command that reads it says so; its settings do not matter then.
        let workspace = read_usable_workspace(&root).ok();
        let settings = workspace.map(|workspace| workspace.settings).unwrap_or_default();
        let indexes = match fetches {
            true => index_settings(&settings, variables, home.as_deref())?,
            false => IndexSettings::default(),
        };
        let store = match store(variables, home.as_deref()) {
            // Whoever only reads uses no store, and needs no home for one.
            Err(_) if anywhere => root.join(".kiln/store"),
            store => store?,
        };
        let environment = Environment {
            kiln: VERSION.to_owned(),
            rules: kiln_build::rules(),
            dist: root.join("dist"),
            state: root.join(".kiln"),
            executor: if fetches { executor_settings(&settings, variables, &store)? } else { None },
            store,
            jobs: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            now: now()?,
            source_date_epoch,
            network: network(variables, home.as_deref(), global.offline, silence),
            trust: settings.trust.clone(),
            index: indexes.default,
            indexes: indexes.named,
            further_indexes: indexes.further,
            debian_mirrors: if fetches {
                debian_mirrors(settings.debian_mirror, variables)?
            } else {
                Vec::new()
            },
            registry_mirrors: match fetches {
                true => registry_mirrors(&settings.registries, variables)?,
                false => Vec::new(),
            },
            remote: match fetches && !global.offline {
                true => remote_settings(&settings.remote, variables)?,
                false => None,
            },
            crates: crates(variables, home.as_deref()),
            engine: engine(variables, home.as_deref(), silence),
            tool_variables: for_tools(variables),
            trial: Trial::default(),
            recalls: true,
            lock_wait,
            root,
        };
        Ok(Self { environment, format: global.format })
    }

    /// The environment of a command that may be given another folder with `--dist` than the workspace's.
    pub(crate) fn published_in(&self, dist: Option<&Path>) -> Result<Environment, Failure> {
        let mut environment = self.environment.clone();
        if let Some(dist) = dist {
            environment.dist = std::path::absolute(dist)
                .map_err(|error| Failure::usage(format!("--dist {}: {error}", dist.display())))?;
        }
        Ok(environment)
    }
}

/// The folder of the workspace; for a command that needs none, the current folder where there is none.
fn workspace_root(given: Option<&Path>, needs: Needs) -> Result<PathBuf, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the command line is where the current folder comes in")]
    let current = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the current folder cannot be read: {error}")))?;
    match given {
        Some(folder) => {
            let folder = current.join(folder);
            if folder.join(WORKSPACE_FILE).is_file() {
                return fs::canonicalize(&folder).map_err(|error| Failure::usage(error.to_string()));
            }
            Err(no_workspace(format!("{} holds no {WORKSPACE_FILE}", folder.display())))
        }
        None if matches!(needs, Needs::Nothing | Needs::ServersIfAny) => {
            Ok(find_workspace(&current).unwrap_or(current))
        }
        None => find_workspace(&current).ok_or_else(|| {
            no_workspace(format!("there is no {WORKSPACE_FILE} in {} or above it", current.display()))
        }),
    }
}

/// What is told where a workspace is needed and there is none: an input is missing, and the command line was understood.
fn no_workspace(message: String) -> Failure {
    Failure::input(message)
        .hint("change to a workspace, or name one with --workspace FOLDER")
        .hint("kiln init makes one of a project")
}

pub(crate) fn now() -> Result<Epoch, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the command line is where the clock comes in")]
    let now = SystemTime::now();
    let seconds =
        now.duration_since(SystemTime::UNIX_EPOCH).map(|elapsed| elapsed.as_secs()).unwrap_or_default();
    Epoch::from_seconds(seconds).map_err(|error| Failure::usage(format!("the clock is wrong: {error}")))
}

pub(crate) fn store(variables: &Variables, home: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = variables.get(var::KILN_STORE) {
        return std::path::absolute(folder)
            .map_err(|error| Failure::usage(format!("{}: {error}", var::KILN_STORE)));
    }
    let cache = variables.get(var::XDG_CACHE_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    match cache.or_else(|| home.map(|home| home.join(".cache"))) {
        Some(cache) => Ok(cache.join("kiln")),
        None => Err(Failure::usage(format!(
            "neither {} nor {} says where the store is",
            var::KILN_STORE,
            var::HOME
        ))),
    }
}

/// What decides on proxies and certificates.
fn for_tools(variables: &Variables) -> BTreeMap<String, String> {
    let set =
        var::FOR_TOOLS.iter().filter_map(|name| Some(((*name).to_owned(), variables.get(name)?.to_owned())));
    set.collect()
}

/// How long a server may say nothing.
fn silence(variables: &Variables) -> Result<Duration, Failure> {
    let Some(text) = variables.get(var::KILN_SILENCE) else { return Ok(SILENCE) };
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::usage(format!(
            "{} is `{text}`, which is not a number of seconds from 1 to 3600",
            var::KILN_SILENCE
        ))),
    }
}

fn network(variables: &Variables, home: Option<&Path>, offline: bool, silence: Duration) -> NetworkSettings {
    let netrc = variables
        .get(var::NETRC)
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".netrc")))
        .and_then(|path| fs::read_to_string(path).ok());
    NetworkSettings {
        user_agent: format!("kiln/{}", env!("CARGO_PKG_VERSION")),
        parallel: PARALLEL_REQUESTS,
        netrc,
        offline,
        read_timeout: silence,
        variables: for_tools(variables),
        ..NetworkSettings::default()
    }
}

/// The mirrors for bases that name none: the workspace's, the variable's, then those of the host's apt.
fn debian_mirrors(named: Option<String>, variables: &Variables) -> Result<Vec<Mirror>, Failure> {
    let given = [
        (named.as_deref(), WORKSPACE_FILE),
        (variables.get(var::KILN_DEBIAN_MIRROR), var::KILN_DEBIAN_MIRROR),
    ];
    for (text, from) in given {
        if let Some(text) = text {
            let url = text
                .parse()
                .map_err(|error| Failure::input(format!("{from}: the mirror is not a URL: {error}")))?;
            return Ok(vec![Mirror { url, from: from.to_owned() }]);
        }
    }
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        paths.extend(
            more.into_iter().filter(|path| path.extension().is_some_and(|e| e == "list" || e == "sources")),
        );
    }
    Ok(apt_mirrors(&texts(&paths)))
}

/// The mirrors of registries that the workspace and the variable name. The longest prefix decides, of two that are equally long
/// the variable's: it is of this machine.
fn registry_mirrors(
    named: &[RegistryMirrorSetting],
    variables: &Variables,
) -> Result<Vec<RegistryMirror>, Failure> {
    let of_workspace = named.iter().map(|one| Ok((one.prefix.as_str(), one.mirror.as_str(), WORKSPACE_FILE)));
    let given = variables.get(var::KILN_REGISTRY_MIRRORS).unwrap_or_default();
    let of_variable = given.split_whitespace().map(|pair| match pair.split_once('=') {
        Some((prefix, mirror)) => Ok((prefix, mirror, var::KILN_REGISTRY_MIRRORS)),
        None => Err(Failure::input(format!(
            "{}: `{pair}` is not PREFIX=MIRROR, such as public.ecr.aws=mirror.example.org/ecr-public",
            var::KILN_REGISTRY_MIRRORS
        ))),
    });
    let mirror = |pair: Result<(&str, &str, &str), Failure>| {
        let (prefix, mirror, from) = pair?;
        RegistryMirror::new(prefix, mirror)
            .map_err(|error| Failure::input(format!("{from}: the mirror of a registry: {error}")))
    };
    of_workspace.chain(of_variable).map(mirror).collect()
}

/// The crates registry of the host's cargo: what it is configured for, else the index that it keeps a copy of.
fn crates(variables: &Variables, home: Option<&Path>) -> Result<Option<CrateSetting>, String> {
    let given = variables.get(var::KILN_CRATES).map(|template| (var::KILN_CRATES, template));
    let cargo_home =
        variables.get(var::CARGO_HOME).map(PathBuf::from).or_else(|| home.map(|home| home.join(".cargo")));
    let Some(cargo_home) = cargo_home else { return configured_crates(given, &[], &[]) };
    let mut kept: Vec<PathBuf> = fs::read_dir(cargo_home.join("registry/index"))
        .map(|entries| entries.flatten().map(|entry| entry.path().join("config.json")).collect())
        .unwrap_or_default();
    kept.sort();
    configured_crates(given, &texts(&cargo_config_paths(&cargo_home)), &texts(&kept))
}

fn engine(variables: &Variables, home: Option<&Path>, silence: Duration) -> EngineSettings {
    let owned = |name: &str| variables.get(name).map(str::to_owned);
    let pid = std::process::id();
    EngineSettings {
        docker_host: owned(var::DOCKER_HOST),
        tls_verify: variables.is_set(var::DOCKER_TLS_VERIFY),
        cert_path: variables.get(var::DOCKER_CERT_PATH).map(PathBuf::from),
        config_dir: variables
            .get(var::DOCKER_CONFIG)
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".docker"))),
        context: owned(var::DOCKER_CONTEXT),
        buildkit: variables
            .get(var::DOCKER_BUILDKIT)
            .map(|value| !matches!(value, "0" | "f" | "F" | "false" | "False" | "FALSE")),
        silence,
        session: Session {
            id: format!("{pid}-{}", Session::start_of(pid).unwrap_or_default()),
            host: fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned(),
            pid,
            started: Session::start_of(pid),
        },
    }
}
