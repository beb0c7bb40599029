//! The part of `kiln doctor` about registries: each that the workspace needs is asked once, side by side.

use super::doctor_row::{PATIENCE, Row, first_line};
use kiln_engine::{Credentials, EngineError, registry_credentials};
use kiln_fetch::{FetchError, Registry, RegistryLogin};
use kiln_guest::base_place;
use kiln_invocation::{Environment, SharedCache, WORKSPACE_FILE, read_usable_workspace};
use kiln_plan::BaseKind;
use std::collections::BTreeMap;

/// What rows about registries are called.
const SUBJECT: &str = "registry";

/// A registry, and what it is asked for: the first that something here needs of it.
struct Needed {
    plain_http: bool,
    repository: String,
    /// A tag or a digest. A cache has none, and is asked who may read it.
    reference: Option<String>,
    needed_by: Vec<String>,
}

/// A row for each registry that the bases and the cache of the workspace name.
pub(super) async fn registries(environment: &Environment) -> Vec<Row> {
    if !environment.has_workspace() {
        return vec![Row::not_checked(SUBJECT, "there is no workspace whose bases could name one")];
    }
    let (needed, mut rows) = match needed(environment) {
        Ok(found) => found,
        Err(reason) => return vec![Row::not_checked(SUBJECT, reason)],
    };
    if needed.is_empty() && rows.is_empty() {
        return vec![Row::not_checked(SUBJECT, "no base is of one; which others are used, kiln push says")];
    }
    let asking: Vec<_> = needed
        .into_iter()
        .map(|(host, needed)| {
            let environment = environment.clone();
            tokio::spawn(async move { row(&environment, &host, &needed).await })
        })
        .collect();
    for asked in asking {
        rows.push(asked.await.unwrap_or_else(|gone| Row::not_checked(SUBJECT, gone.to_string())));
    }
    rows
}

/// What is needed, by host, and what is wrong with the rest; or why that cannot be told.
fn needed(environment: &Environment) -> Result<(BTreeMap<String, Needed>, Vec<Row>), String> {
    let workspace = read_usable_workspace(&environment.root)
        .map_err(|error| format!("the workspace cannot be read: {}", first_line(&error.to_string())))?;
    let (mut needed, mut rows): (BTreeMap<String, Needed>, _) = (BTreeMap::new(), Vec::new());
    for (name, (definition, _)) in &workspace.bases {
        let BaseKind::Registry(registry) = &definition.kind else { continue };
        let place = match base_place(name, registry, &environment.registry_mirrors) {
            Ok(place) => place,
            Err(error) => {
                let why = format!("base {name}: {}", first_line(&error.to_string()));
                rows.push(Row::problem(SUBJECT, why, format!("correct it in images/{name}.toml")));
                continue;
            }
        };
        let reference = &place.reference;
        let digest = reference.digest().map(|digest| digest.to_string());
        needed
            .entry(reference.registry().to_owned())
            .or_insert_with(|| Needed {
                plain_http: place.plain_http,
                repository: reference.repository().to_owned(),
                reference: digest.or_else(|| reference.tag().map(str::to_owned)),
                needed_by: Vec::new(),
            })
            .needed_by
            .push(format!("base {name}"));
    }
    if let Some(SharedCache::Registry(cache)) = &environment.remote {
        let (host, repository) = cache.registry_and_repository();
        needed
            .entry(host.to_owned())
            .or_insert_with(|| Needed {
                plain_http: false,
                repository: repository.to_owned(),
                reference: None,
                needed_by: Vec::new(),
            })
            .needed_by
            .push("the shared cache".to_owned());
    }
    Ok((needed, rows))
}

/// How one answers. That it has not what was asked for is an answer.
async fn row(environment: &Environment, host: &str, needed: &Needed) -> Row {
    let shown = format!("{host} ({})", needed.needed_by.join(", "));
    let instead =
        format!("or name what stands in its place: [[registry]] with prefix and mirror in {WORKSPACE_FILE}");
    let address = format!("look at the proxy and the certificates below, and at the address; {instead}");
    let problem = |why: String, remedy: String| Row::problem(SUBJECT, format!("{shown}: {why}"), remedy);
    // All of it in the time that anything may take.
    let asking = tokio::time::timeout(PATIENCE, async {
        let login = registry_credentials(&environment.engine, host).await.map_err(Failed::Login)?;
        asked(environment, host, needed, login).await.map_err(Failed::Registry)
    });
    match asking.await {
        Ok(Ok(())) => Row::ok(SUBJECT, format!("{shown} answers")),
        Ok(Err(Failed::Login(error))) => problem(
            first_line(&error.to_string()),
            "look at Docker's config.json and at the credential helper that it names".to_owned(),
        ),
        Ok(Err(Failed::Registry(FetchError::Offline { .. }))) => {
            Row::not_checked(SUBJECT, format!("{shown}: the network is switched off"))
        }
        Ok(Err(Failed::Registry(FetchError::Registry { why, refused: true, .. }))) => problem(
            format!("it refuses access: {}", first_line(&why)),
            format!("log in as somebody who may read it: docker login {host}; {instead}"),
        ),
        Ok(Err(Failed::Registry(error))) => problem(first_line(&error.to_string()), address),
        Err(_) => problem(format!("no answer within {} s", PATIENCE.as_secs()), address),
    }
}

/// Why a registry does not give what is needed.
enum Failed {
    /// The login that Docker has for it cannot be had.
    Login(EngineError),
    Registry(FetchError),
}

/// Asks one for what is needed first.
async fn asked(
    environment: &Environment,
    host: &str,
    needed: &Needed,
    login: Option<Credentials>,
) -> Result<(), FetchError> {
    let login = login.map(|found| RegistryLogin {
        username: found.username,
        password: found.password,
        identity_token: found.identity_token,
    });
    let registry = Registry::new(host, &environment.network, login.as_ref(), needed.plain_http)?;
    registry.log_in(&needed.repository, false).await?;
    if let Some(reference) = &needed.reference {
        registry.manifest(&needed.repository, reference).await?;
    }
    Ok(())
}
