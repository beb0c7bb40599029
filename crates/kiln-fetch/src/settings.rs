//! Which package index this host is configured for.
//!
//! Everything here is a function of its arguments: variables and file texts go in, a setting comes out. kiln has no
//! index of its own; where nothing is configured, the base's pip is asked (the probe).

use crate::index_setting::{IndexSetting, index_setting, is_true};
use crate::{FetchError, pip_config, uv_config};
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

/// What an index can be configured by.
#[derive(Clone, Copy)]
pub struct IndexSources<'a> {
    /// Environment variables.
    pub env: &'a BTreeMap<String, String>,
    /// Path and text of pip's configuration files, the strongest last (see [`crate::pip_config_paths`]).
    pub pip_config: &'a [(String, String)],
    /// Path and text of uv's configuration files, the strongest last (see [`crate::uv_config_paths`]); a path that
    /// ends in `pyproject.toml` is read as one.
    pub uv_config: &'a [(String, String)],
}

impl fmt::Debug for IndexSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables and files may hold anything, tokens included.
        f.write_str("IndexSources")
    }
}

/// Finds the configured index. The strongest comes first: `UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL`, uv's
/// files, pip's files. Within one uv file: `[[index]]` with `default = true`, `index-url`, `[pip] index-url`; within
/// pip's files: `[install]` before `[global]`. Empty values count as unset, as they do for pip and uv.
///
/// `None` means that nothing is configured.
///
/// # Errors
/// [`FetchError::Setting`] if the strongest setting is no usable URL or a file cannot be parsed;
/// [`FetchError::NoIndex`] if the strongest setting says that no index is to be used (`UV_NO_INDEX`, `PIP_NO_INDEX`,
/// `no-index`).
pub fn configured_index(sources: &IndexSources<'_>) -> Result<Option<IndexSetting>, FetchError> {
    let variable = |name: &str| sources.env.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let refuse = |name: &str| match variable(name) {
        Some(text) if is_true(text) => Err(FetchError::NoIndex { from: name.to_owned() }),
        _ => Ok(()),
    };

    refuse("UV_NO_INDEX")?;
    if let Some(text) = variable("UV_DEFAULT_INDEX") {
        return index_setting(without_name(text), "UV_DEFAULT_INDEX".to_owned()).map(Some);
    }
    if let Some(text) = variable("UV_INDEX_URL") {
        return index_setting(text, "UV_INDEX_URL".to_owned()).map(Some);
    }
    refuse("PIP_NO_INDEX")?;
    if let Some(text) = variable("PIP_INDEX_URL") {
        return index_setting(text, "PIP_INDEX_URL".to_owned()).map(Some);
    }
    if let Some(setting) = uv_config::index(sources.uv_config)? {
        return Ok(Some(setting));
    }
    pip_config::index(sources.pip_config)
}

/// Where further indexes are configured, beside the one that [`configured_index`] finds: variables, or files with their
/// keys. kiln asks none of them, because nothing says which distribution is to come from which.
#[must_use]
pub fn further_indexes(sources: &IndexSources<'_>) -> Vec<String> {
    let set = |name: &&str| sources.env.get(*name).is_some_and(|text| !text.trim().is_empty());
    let variables = ["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"];
    let mut found: Vec<String> =
        variables.iter().filter(|name| set(name)).map(|name| (*name).to_owned()).collect();
    found.extend(uv_config::further(sources.uv_config));
    found.extend(pip_config::further(sources.pip_config));
    found
}

/// The URL of an index that a workspace names, with its login from the environment: `KILN_INDEX_<NAME>_USERNAME` and
/// `KILN_INDEX_<NAME>_PASSWORD`, else uv's `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD`, each alone or both,
/// else what the URL itself holds. In the variables' names, the index's is in capitals with `_` for `-`.
///
/// # Errors
/// [`FetchError::Setting`] if the URL is not usable.
pub fn named_index(
    env: &BTreeMap<String, String>,
    name: &str,
    url: &str,
    from: &str,
) -> Result<IndexSetting, FetchError> {
    let mut setting = index_setting(without_name(url.trim()), from.to_owned())?;
    let name = name.to_ascii_uppercase().replace('-', "_");
    let variable = |part: &str| {
        ["KILN", "UV"]
            .iter()
            .find_map(|tool| env.get(&format!("{tool}_INDEX_{name}_{part}")).filter(|text| !text.is_empty()))
    };
    // Neither fails for a URL with a host, and `file:` URLs need no login.
    if let Some(user) = variable("USERNAME") {
        let _ = setting.url.set_username(user);
    }
    if let Some(password) = variable("PASSWORD") {
        let _ = setting.url.set_password(Some(password));
    }
    Ok(setting)
}

/// Whether two URLs are of the same index, whatever login and final slash they have.
#[must_use]
pub fn is_same_index(a: &Url, b: &Url) -> bool {
    let bare = |url: &Url| {
        let url = crate::without_credentials(url);
        let port = url.port_or_known_default();
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            port,
            url.path().trim_end_matches('/').to_owned(),
        )
    };
    bare(a) == bare(b)
}

/// uv lets an index have a name: `internal=https://…`.
fn without_name(text: &str) -> &str {
    match text.split_once('=') {
        Some((name, url))
            if !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) =>
        {
            url
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(env: &[(&str, &str)], uv: &[(&str, &str)], pip: &[(&str, &str)], expect: &str) {
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let (env, uv, pip) = (own(env).into_iter().collect(), own(uv), own(pip));
        let found = configured_index(&IndexSources { env: &env, pip_config: &pip, uv_config: &uv });
        let text = match found {
            Ok(Some(setting)) => format!("{} from {}", setting.url, setting.from),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(text, expect);
    }

    const UV: (&str, &str) = ("/u/uv.toml", "index-url = \"https://uv.example/\"\n");
    const PIP: (&str, &str) = ("/p/pip.conf", "[global]\nindex-url = https://pip.example/\n");

    #[test]
    fn the_strongest_setting_counts() {
        let all = [
            ("UV_DEFAULT_INDEX", "corp=https://a.example/"),
            ("UV_INDEX_URL", "https://b.example/"),
            ("PIP_INDEX_URL", "https://c.example/"),
        ];
        check(&all, &[UV], &[PIP], "https://a.example/ from UV_DEFAULT_INDEX");
        check(&all[1..], &[UV], &[PIP], "https://b.example/ from UV_INDEX_URL");
        check(&all[2..], &[UV], &[PIP], "https://c.example/ from PIP_INDEX_URL");
        check(
            &[("PIP_INDEX_URL", " ")],
            &[UV],
            &[PIP],
            "https://uv.example/ from /u/uv.toml, line 1, index-url",
        );
        check(&[], &[], &[PIP], "https://pip.example/ from /p/pip.conf, line 2, [global] index-url");
        check(&[], &[], &[], "nothing");
        check(
            &[("PIP_INDEX_URL", "https://c.example/simple?x=1")],
            &[],
            &[],
            "https://c.example/simple?x=1 from PIP_INDEX_URL",
        );
    }

    #[test]
    fn no_index_counts_where_it_stands() {
        check(
            &[("PIP_NO_INDEX", "1")],
            &[UV],
            &[],
            "error: PIP_NO_INDEX says that no package index is to be used",
        );
        check(
            &[("PIP_NO_INDEX", "1"), ("UV_INDEX_URL", "https://b.example/")],
            &[],
            &[],
            "https://b.example/ from UV_INDEX_URL",
        );
        check(&[("PIP_NO_INDEX", "0")], &[UV], &[], "https://uv.example/ from /u/uv.toml, line 1, index-url");
    }

    #[test]
    fn wrong_settings_are_named_without_their_secrets() {
        check(
            &[("PIP_INDEX_URL", "user:hunter2@host/simple")],
            &[],
            &[],
            "error: the setting PIP_INDEX_URL is not usable: `***@host/simple` is neither https, http nor file",
        );
        check(
            &[("PIP_INDEX_URL", "https://user:hunter2@[host/simple")],
            &[],
            &[],
            "error: the setting PIP_INDEX_URL is not usable: `https://***@[host/simple` is no URL (invalid IPv6 address)",
        );
        check(
            &[("UV_INDEX_URL", "ftp://host.example/")],
            &[],
            &[],
            "error: the setting UV_INDEX_URL is not usable: `ftp://host.example/` is neither https, http nor file",
        );
    }

    #[test]
    fn a_named_index_has_its_login_from_the_environment() {
        let check = |pairs: &[(&str, &str)], url: &str, expect: &str| {
            let env = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(named_index(&env, "acme-lib", url, "kiln.toml").unwrap().url.as_str(), expect);
        };
        let bare = "https://a.example/simple/";
        check(&[], bare, bare);
        check(
            &[("KILN_INDEX_ACME_LIB_USERNAME", "me@x"), ("KILN_INDEX_ACME_LIB_PASSWORD", "p w%")],
            bare,
            "https://me%40x:p%20w%@a.example/simple/",
        );
        check(
            &[("UV_INDEX_ACME_LIB_PASSWORD", "p"), ("KILN_INDEX_OTHER_PASSWORD", "x")],
            "acme=https://token@a.example/simple/",
            "https://token:p@a.example/simple/",
        );
    }

    #[test]
    fn further_indexes_are_named_and_not_quoted() {
        let env =
            BTreeMap::from([("PIP_EXTRA_INDEX_URL".to_owned(), "https://u:hunter2@a.example/".to_owned())]);
        let uv = [(
            "uv.toml".to_owned(),
            "extra-index-url = ['https://u:hunter2@b.example/']\n[[index]]\nurl = 'https://c.example/'\n"
                .to_owned(),
        )];
        let pip = [(
            "pip.conf".to_owned(),
            "[global]\nindex-url = https://d.example/\nextra-index-url = https://u:hunter2@e.example/\n"
                .to_owned(),
        )];
        let found = further_indexes(&IndexSources { env: &env, pip_config: &pip, uv_config: &uv });
        assert_eq!(
            found,
            [
                "PIP_EXTRA_INDEX_URL",
                "uv.toml, [[index]]",
                "uv.toml, extra-index-url",
                "pip.conf, line 3, [global] extra-index-url"
            ]
        );
    }

    #[test]
    fn indexes_are_compared_without_logins() {
        let same = |a: &str, b: &str| is_same_index(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://u:p@A.example/simple/", "https://a.example:443/simple"));
        assert!(!same("https://a.example/simple", "https://a.example/other"));
        assert!(!same("https://a.example/simple", "http://a.example/simple"));
    }

    #[test]
    fn a_folder_is_an_index() {
        check(&[("UV_DEFAULT_INDEX", "/srv/simple")], &[], &[], "file:///srv/simple/ from UV_DEFAULT_INDEX");
    }
}
