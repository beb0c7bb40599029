//! `kiln doctor`: what kiln needs of this machine, line by line, with what to do.

use super::doctor_registries::registries;
use super::doctor_row::{PATIENCE, Row, State, first_line};
use crate::args::Format;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::{Call, Needs, Settings};
use crate::variables::{self as var, Variables};
use fs_err as fs;
use kiln_audit::format_size;
use kiln_engine::{Builder, Engine, EngineInfo};
use kiln_engine_remote::RemoteEngine;
use kiln_fetch::{Client, FetchError, redacted};
use kiln_invocation::{Environment, InvocationError, WORKSPACE_FILE, all_stated, read_workspace};
use kiln_record::{Exit, RunError as _, counted, exit};
use kiln_remote::{ExecutorSettings, Notices};
use kiln_store::free_space;
use serde::Serialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

/// Less than this is too little for the bases and wheels of an ordinary workspace, in bytes.
const LITTLE_ROOM: u64 = 2 << 30;
/// How much of an answer is read, in bytes: that there is one is all that matters.
const ANSWER: u64 = 32 << 20;
/// A distribution that every index has, or says that it has not.
const ASKED_FOR: &str = "pip/";

/// What `kiln doctor` found out. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    kiln: &'a str,
    rows: &'a [Row],
}

pub(crate) fn run(call: &Call<'_>, printer: Printer) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    let settings = match Settings::new(call.global, call.variables, Needs::ServersIfAny) {
        Ok(settings) => settings,
        Err(failure) => {
            rows.push(Row::problem("settings", failure.message(), "correct it where it is set"));
            Settings::new(call.global, call.variables, Needs::Nothing)?
        }
    };
    let environment = &settings.environment;
    rows.push(Row::ok("kiln", environment.kiln.clone()));
    rows.push(workspace(environment));
    rows.extend(store(&environment.store));
    rows.extend(asked(environment)?);
    rows.push(proxies(call.variables));
    rows.push(certificates(call.variables));
    match settings.format {
        Format::Json => {
            let document = Document { format: "1.0", kiln: &environment.kiln, rows: &rows };
            printer.data(&super::document(&document)?);
        }
        _ => rows.iter().for_each(|row| print(row, printer)),
    }
    let problem = rows.iter().find(|row| row.state == State::Problem);
    let problems = rows.iter().filter(|row| row.state == State::Problem).count();
    printer.talk(&match problems {
        0 => "no problem found".to_owned(),
        many => counted(many, "problems"),
    });
    Ok(problem.map_or(exit::SUCCESS, |row| code_of(row.subject)))
}

/// What a command that needs it would end with.
fn code_of(subject: &str) -> Exit {
    match subject {
        "engine" | "builder" => exit::ENGINE_UNAVAILABLE,
        "store" | "disk" => exit::STORE_FAILURE,
        "index" | "mirror" | "registry" | "certificates" | "git" => exit::FETCH_FAILED,
        _ => exit::INPUT_INVALID,
    }
}

fn print(row: &Row, printer: Printer) {
    let (style, word) = match row.state {
        State::Ok => (Style::Good, "ok"),
        State::Problem => (Style::Bad, "problem"),
        State::NotChecked => (Style::Faint, "not checked"),
    };
    let padding = " ".repeat(11 - word.len());
    printer.data(&format!("{}{padding}  {:<12} {}\n", printer.on_stdout(style, word), row.subject, row.fact));
    if let Some(remedy) = &row.remedy {
        printer.data(&format!("{:26}→ {remedy}\n", ""));
    }
}

fn workspace(environment: &Environment) -> Row {
    if !environment.root.join(WORKSPACE_FILE).is_file() {
        return Row::not_checked("workspace", format!("there is no {WORKSPACE_FILE} here or above"));
    }
    let read = read_workspace(&environment.root)
        .and_then(|workspace| all_stated(&environment.root, &workspace).map(|()| workspace));
    match read {
        Ok(workspace) => Row::ok(
            "workspace",
            format!(
                "{}: {}, {}",
                environment.root.display(),
                counted(workspace.manifests.len(), "artifacts"),
                counted(workspace.bases.len(), "bases")
            ),
        ),
        Err(error) => {
            let hint = error.hints().first().map_or_else(
                || "kiln build --all shows each problem".to_owned(),
                |hint| hint.as_str().to_owned(),
            );
            Row::problem("workspace", first_line(&error.to_string()), hint)
        }
    }
}

/// Whether the store can be written, whose it is, and what room there is.
fn store(folder: &Path) -> Vec<Row> {
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return vec![Row::problem(
            "store",
            format!("{} has no folder above it", folder.display()),
            "set KILN_STORE",
        )];
    };
    let shown = folder.display();
    let writable = fs::metadata(there).and_then(|metadata| {
        let probe = there.join(format!(".kiln-doctor-{}", std::process::id()));
        fs::write(&probe, b"")?;
        let ours = fs::metadata(&probe)?.uid();
        fs::remove_file(&probe)?;
        Ok((metadata.uid(), ours))
    });
    let row = match writable {
        Ok((owner, user)) if owner == user || folder != there => {
            Row::ok("store", format!("{shown}, writable"))
        }
        Ok((owner, user)) => Row::problem(
            "store",
            format!("{shown} belongs to user {owner}, and this is user {user}"),
            "give each user a store of its own: KILN_STORE=FOLDER",
        ),
        Err(error) => {
            Row::problem("store", error.to_string(), "make it writable, or name another: KILN_STORE=FOLDER")
        }
    };
    let disk = match free_space(there) {
        Ok(Some(free)) if free < LITTLE_ROOM => Row::problem(
            "disk",
            format!("{} free for the store", format_size(free)),
            "make room there, or name a store on another disk: KILN_STORE=FOLDER",
        ),
        Ok(Some(free)) => Row::ok("disk", format!("{} free for the store", format_size(free))),
        Ok(None) => Row::not_checked("disk", "the file system does not tell how much is free"),
        Err(error) => Row::not_checked("disk", error.to_string()),
    };
    vec![row, disk]
}

/// What programs and servers answer, asked side by side.
fn asked(environment: &Environment) -> Result<Vec<Row>, Failure> {
    let environment = environment.clone();
    crate::signals::run(|_| {
        Box::pin(async move {
            let (engine, git, index, mirror, registries) = tokio::join!(
                engine(&environment),
                git(),
                index(&environment),
                mirror(&environment),
                registries(&environment)
            );
            let mut rows = engine;
            rows.extend(index);
            rows.push(mirror);
            rows.extend(registries);
            rows.extend([uv(&environment), git]);
            Ok::<_, InvocationError>(rows)
        })
    })
}

/// The server that programs run on, if they run on one.
async fn executor(environment: &Environment, settings: &ExecutorSettings) -> Vec<Row> {
    let remedy = "start it, name another with KILN_EXECUTE, or use a container engine: KILN_EXECUTE=off";
    let connecting = RemoteEngine::connect(settings, environment.engine.session.clone(), Notices::none());
    let row = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(_)) => Row::ok("engine", format!("{} says that it runs programs", settings.address)),
        Ok(Err(error)) => Row::problem("engine", first_line(&error.to_string()), remedy),
        Err(_) => {
            let why = format!("{}: no answer within {} s", settings.address, PATIENCE.as_secs());
            Row::problem("engine", why, remedy)
        }
    };
    vec![row, Row::ok("builder", "kiln builds Dockerfiles itself, each RUN on that server")]
}

async fn engine(environment: &Environment) -> Vec<Row> {
    if let Some(settings) = &environment.executor {
        return executor(environment, settings).await;
    }
    let connected = tokio::time::timeout(PATIENCE, async {
        let engine = Engine::connect(&environment.engine).await?;
        let info = engine.info().await?;
        Ok::<_, kiln_engine::EngineError>((engine.builder(), info))
    });
    match connected.await {
        Ok(Ok((builder, info))) => [
            Some(Row::ok(
                "engine",
                format!(
                    "{} at {}, API {}, {}, storage {}, {}",
                    info.version,
                    info.endpoint,
                    info.api_version,
                    info.platform,
                    info.storage_driver,
                    counted(info.cpus, "processors")
                ),
            )),
            of_limits(&info),
            Some(of_builder(builder, &info)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Ok(Err(error)) => vec![
            Row::problem("engine", cannot(&error.to_string()), engine_remedy(&error.to_string())),
            Row::not_checked("builder", "there is no engine to ask"),
        ],
        Err(_) => vec![
            Row::problem(
                "engine",
                format!("no answer within {} s", PATIENCE.as_secs()),
                "look at the daemon, or point DOCKER_HOST at another",
            ),
            Row::not_checked("builder", "there is no engine to ask"),
        ],
    }
}

/// What failed, as a whole sentence, without the way out that is told beside it.
fn cannot(error: &str) -> String {
    let line = first_line(error);
    format!("cannot {}", line.split_once("; start it, or").map_or(&*line, |(what, _)| what))
}

/// Which of three usual causes it is, as far as the system's words tell.
fn engine_remedy(error: &str) -> &'static str {
    let plain = error.to_lowercase();
    if plain.contains("permission denied") {
        "the daemon runs, and you may not use it: join its group (sudo usermod -aG docker $USER), and log in again"
    } else if plain.contains("api") {
        "upgrade the engine"
    } else {
        "start it, or point DOCKER_HOST or a context at one that runs"
    }
}

/// What programs are not held to there, if there is anything.
fn of_limits(info: &EngineInfo) -> Option<Row> {
    let missing: Vec<&str> = info.unkept.iter().map(|unkept| unkept.as_str()).collect();
    (!missing.is_empty()).then(|| {
        let fact = format!(
            "programs there have none of: {}; what is built says so under `confinement`",
            missing.join("; ")
        );
        Row::not_checked("limits", fact)
    })
}

fn of_builder(builder: Builder, info: &EngineInfo) -> Row {
    match builder {
        Builder::BuildKit if !info.buildkit_reads_context => Row::problem(
            "builder",
            "BuildKit of this engine does not read the context that it is sent",
            "build Dockerfiles with the classic builder: DOCKER_BUILDKIT=0",
        ),
        Builder::Classic if !info.classic_keeps_removals => Row::problem(
            "builder",
            format!(
                "the classic builder is not to be trusted with the storage driver {}",
                info.storage_driver
            ),
            "build Dockerfiles with BuildKit: unset DOCKER_BUILDKIT",
        ),
        Builder::Buildah => Row::not_checked(
            "builder",
            "Podman's Buildah, which kiln does not use: Dockerfiles are built by a Docker, all else here",
        ),
        Builder::Classic | Builder::BuildKit => Row::ok("builder", format!("{builder}, for Dockerfiles")),
    }
}

async fn git() -> Row {
    let remedy = "install git; it is needed for [[upstream]] sources and to know a build's commit";
    let version =
        tokio::process::Command::new("git").arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, version).await {
        Ok(Ok(output)) if output.status.success() => {
            Row::ok("git", first_line(&String::from_utf8_lossy(&output.stdout)))
        }
        Ok(Ok(output)) => Row::problem("git", format!("git --version ended with {}", output.status), remedy),
        Ok(Err(error)) => Row::problem("git", format!("git cannot be run: {error}"), remedy),
        Err(_) => Row::problem("git", format!("no answer within {} s", PATIENCE.as_secs()), remedy),
    }
}

/// How a server answers. That it has not what was asked for is an answer.
async fn server(environment: &Environment, url: &str) -> Result<&'static str, (String, String)> {
    let check_proxy = "look at the proxy and the certificates below, and at the address";
    let parsed = url.parse().map_err(|error| (format!("not a URL: {error}"), "correct it".to_owned()))?;
    let client = Client::new(&environment.network)
        .map_err(|error| (first_line(&error.to_string()), check_proxy.to_owned()))?;
    match tokio::time::timeout(PATIENCE, client.get(&parsed, ANSWER, None)).await {
        Ok(Ok(_)) => Ok("answers"),
        Ok(Err(FetchError::NotFound { .. })) => Ok("answers"),
        Ok(Err(FetchError::Forbidden { why, .. })) => Err((
            format!("it refuses access: {why}"),
            "give it a login: docs/manifests.md#where-downloads-come-from".to_owned(),
        )),
        Ok(Err(error)) => Err((first_line(&error.to_string()), check_proxy.to_owned())),
        Err(_) => Err((format!("no answer within {} s", PATIENCE.as_secs()), check_proxy.to_owned())),
    }
}

async fn index(environment: &Environment) -> Vec<Row> {
    let first = match &environment.index {
        Some(setting) => {
            let shown = format!("{} ({})", redacted(&setting.url), setting.from);
            let url = format!("{}/{ASKED_FOR}", setting.url.as_str().trim_end_matches('/'));
            match server(environment, &url).await {
                Ok(how) => Row::ok("index", format!("{shown} {how}")),
                Err((why, remedy)) => Row::problem("index", format!("{shown}: {why}"), remedy),
            }
        }
        // One of kiln.toml is the default, and needs a login as a rule.
        None if environment.indexes.values().any(|named| named.default) => {
            Row::not_checked("index", "the default one is of kiln.toml")
        }
        None => Row::not_checked("index", "none is configured here: the pip of each base says which it asks"),
    };
    let named = environment.indexes.iter().map(|(name, named)| match &named.setting {
        Ok(_) => Row::not_checked(
            "index",
            format!("{name} of kiln.toml: asked when something is locked or fetched"),
        ),
        Err(why) => Row::problem("index", format!("{name} of kiln.toml: {why}"), "set what it names"),
    });
    std::iter::once(first).chain(named).collect()
}

async fn mirror(environment: &Environment) -> Row {
    let Some(mirror) = environment.debian_mirrors.first() else {
        return Row::not_checked(
            "mirror",
            "no Debian mirror is configured: debian.mirror in kiln.toml, or KILN_DEBIAN_MIRROR",
        );
    };
    let shown = format!("{} ({})", redacted(&mirror.url), mirror.from);
    let url = format!("{}/dists/stable/InRelease", mirror.url.as_str().trim_end_matches('/'));
    match server(environment, &url).await {
        Ok(how) => Row::ok("mirror", format!("{shown} {how}")),
        Err((why, remedy)) => Row::problem("mirror", format!("{shown}: {why}"), remedy),
    }
}

/// uv is no program of the host: it is pinned, and comes from the index.
fn uv(environment: &Environment) -> Row {
    match environment.root.join(kiln_plan::TOOLS_LOCK).is_file() {
        true => Row::ok(
            "uv",
            format!("pinned in {}; it comes from the index when something is locked", kiln_plan::TOOLS_LOCK),
        ),
        false => Row::not_checked("uv", "not pinned yet: kiln lock does it where it resolves"),
    }
}

fn proxies(variables: &Variables) -> Row {
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let set: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let value = variables.get(name)?;
            // A login may stand in it.
            let shown = value.rsplit_once('@').map_or(value, |(_, host)| host);
            Some(format!("{name}={}", first_line(shown)))
        })
        .collect();
    match set.is_empty() {
        true => Row::ok("proxy", "none is set"),
        false => Row::ok("proxy", format!("{}; all servers above were asked through it", set.join(", "))),
    }
}

fn certificates(variables: &Variables) -> Row {
    for name in var::FOR_TOOLS.iter().filter(|name| name.starts_with("SSL_CERT")) {
        let Some(value) = variables.get(name) else { continue };
        let path = Path::new(value);
        let is_there = if *name == "SSL_CERT_FILE" { path.is_file() } else { path.is_dir() };
        if !is_there {
            return Row::problem(
                "certificates",
                format!("{name}={value} is not there"),
                "correct it or unset it",
            );
        }
        let count = fs::read_to_string(path).map_or(0, |text| text.matches("BEGIN CERTIFICATE").count());
        if *name == "SSL_CERT_FILE" && count == 0 {
            return Row::problem(
                "certificates",
                format!("{name}={value} holds no certificate"),
                "name a file in PEM, or unset it",
            );
        }
        return Row::ok("certificates", format!("{name}={value}"));
    }
    Row::ok("certificates", "those of the host")
}
