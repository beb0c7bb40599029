//! Running the pinned uv: what it is asked, what it is told of the machine, and what is told of its answer.

use crate::LockError;
use crate::buildable::Buildable;
use crate::index_router::IndexRouter;
use crate::no_answer::NoAnswer;
use fs_err as fs;
use kiln_fetch::Index;
use kiln_guest::Bases;
use kiln_python::{
    Declaration, Interpreter, Pinned, TargetEnvironment, read_resolution, stand_in_for_trial,
    stand_in_interpreter,
};
use kiln_record::DistributionName;
use kiln_store::TemporaryFolder;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Where uv keeps what it learnt, below the store.
const CACHE: &str = "uv";

/// A uv that can be run.
pub(crate) struct Uv {
    folder: TemporaryFolder,
    program: PathBuf,
    version: String,
    variables: BTreeMap<String, String>,
    /// Texts that no message may hold.
    secrets: Vec<String>,
    /// What it warned of when it answered.
    warnings: Mutex<Vec<String>>,
}

/// The indexes, as variables of uv's environment: arguments could be read by every user of the machine. The default
/// index is asked where none of the further ones, in order, has a distribution.
pub(crate) fn index_variables(default: &Index, further: &[Index]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([("UV_DEFAULT_INDEX".to_owned(), default.url.to_string())]);
    if !further.is_empty() {
        let urls: Vec<&str> = further.iter().map(|index| index.url.as_str()).collect();
        variables.insert("UV_INDEX".to_owned(), urls.join(" "));
    }
    variables
}

/// What a resolution may move.
#[derive(Clone, Debug, Default)]
pub(crate) struct Freedom {
    /// The lock to stay close to.
    pub previous: Option<String>,
    /// Distributions that may move all the same.
    pub upgrade: Vec<DistributionName>,
}

/// What is to be resolved.
pub(crate) struct Question<'a> {
    pub declaration: &'a Declaration,
    pub interpreter: &'a Interpreter,
    pub target: &'a TargetEnvironment,
    pub glibc: (u32, u32),
    /// What may be a source distribution; nothing else is taken without a wheel.
    pub sdists: &'a Buildable,
    /// What stands for all indexes, where the workspace names any; else the default one is asked as it is.
    pub router: Option<&'a IndexRouter>,
}

impl Uv {
    /// Takes a program in a folder of its own. `indexes` are those whose logins must not be told.
    pub(crate) fn new(
        folder: TemporaryFolder,
        program: PathBuf,
        version: String,
        bases: &Bases,
        mut variables: BTreeMap<String, String>,
        indexes: &[&Index],
    ) -> Result<Self, LockError> {
        let set = [
            ("UV_NO_CONFIG", "1"),
            ("UV_NO_PROGRESS", "1"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_HTTP_TIMEOUT", "120"),
            // The host's trust store, as for kiln's own downloads; the second is what older versions call it.
            ("UV_SYSTEM_CERTS", "true"),
            ("UV_NATIVE_TLS", "true"),
        ];
        variables.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let cache = bases.store().root().join(CACHE);
        variables.insert("UV_CACHE_DIR".to_owned(), cache.display().to_string());
        variables.insert("HOME".to_owned(), folder.path().display().to_string());
        if let Some(netrc) = &bases.network().settings().netrc {
            let path = folder.path().join("netrc");
            fs::write(&path, netrc)?;
            fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            variables.insert("NETRC".to_owned(), path.display().to_string());
        }
        if let Some(bundle) = &bases.network().settings().ca_bundle {
            variables.insert("SSL_CERT_FILE".to_owned(), bundle.display().to_string());
        }
        if bases.network().settings().offline {
            variables.insert("UV_OFFLINE".to_owned(), "1".to_owned());
        }
        let mut secrets = Vec::new();
        for index in indexes {
            let (user, password) = (index.url.username(), index.url.password());
            secrets.extend(password.map(|password| format!("{user}:{password}@")));
            secrets.extend(password.map(str::to_owned));
            if !user.is_empty() && password.is_none() {
                secrets.push(format!("{user}@"));
            }
        }
        secrets.retain(|secret| !secret.is_empty());
        Ok(Self { folder, program, version, variables, secrets, warnings: Mutex::default() })
    }

    /// `uv` and its version.
    pub(crate) fn name(&self) -> String {
        format!("uv {}", self.version)
    }

    /// Whether this uv asks an interpreter what the stand-in answers.
    pub(crate) async fn understands_stand_ins(&self) -> Result<(), LockError> {
        let refused = |reason: String| LockError::Tool { tool: self.name(), reason };
        let work = self.work_folder()?;
        let script = stand_in_for_trial(&work.path().display().to_string())?;
        write_program(&work.path().join("python3"), &script)?;
        fs::write(work.path().join("0.in"), "")?;
        let arguments = ["--offline".to_owned(), "0.in".to_owned()];
        let output = self.run(work.path(), &arguments, &BTreeMap::new()).await?;
        if output.success {
            return Ok(());
        }
        // What follows is the stand-in's own answer.
        let said = output.lines.iter().map(|line| line.trim()).take_while(|line| *line != "[stdout]");
        let said: Vec<&str> = said.filter(|line| !line.is_empty() && !line.starts_with("warning:")).collect();
        Err(refused(format!(
            "kiln cannot use this version: it asks an interpreter for something else than kiln's stand-in answers\n    {}",
            said.join("\n    ")
        )))
    }

    /// Resolves a declaration.
    pub(crate) async fn resolve(
        &self,
        question: &Question<'_>,
        freedom: &Freedom,
    ) -> Result<Vec<Pinned>, NoAnswer> {
        let declaration = question.declaration;
        if declaration.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let work = self.work_folder()?;
        let folder = work.path();
        let script = stand_in_interpreter(
            question.interpreter,
            question.target,
            question.glibc,
            &folder.display().to_string(),
        )?;
        write_program(&folder.join("python3"), &script)?;

        // One file for each origin: uv names the file as the reason for a distribution.
        let mut origins: Vec<String> = Vec::new();
        let mut files: Vec<String> = Vec::new();
        for wanted in &declaration.wanted {
            let at = origins.iter().position(|origin| *origin == wanted.origin).unwrap_or_else(|| {
                origins.push(wanted.origin.clone());
                files.push(String::new());
                origins.len() - 1
            });
            files[at].push_str(&format!("{}\n", wanted.specifier));
        }
        let mut arguments: Vec<String> = Vec::new();
        for (number, text) in files.iter().enumerate() {
            let name = format!("{number}.in");
            fs::write(folder.join(&name), text)?;
            arguments.push(name);
        }
        for (option, name, lines) in [
            ("--constraints", "constraints.txt", &declaration.constraints),
            ("--overrides", "overrides.txt", &declaration.overrides),
        ] {
            if !lines.is_empty() {
                fs::write(folder.join(name), lines.join("\n") + "\n")?;
                arguments.extend([option.to_owned(), name.to_owned()]);
            }
        }
        if declaration.prereleases {
            arguments.extend(["--prerelease".to_owned(), "allow".to_owned()]);
        }
        arguments.extend(wheels_only(&question.sdists.listed));
        if let Some(text) = question.sdists.configuration() {
            fs::write(folder.join("uv.toml"), text)?;
            arguments.extend(["--config-file".to_owned(), "uv.toml".to_owned()]);
        }
        if let Some(previous) = &freedom.previous {
            fs::write(folder.join("lock.txt"), previous)?;
            let packages = freedom.upgrade.iter();
            arguments.extend(packages.flat_map(|name| ["--upgrade-package".to_owned(), name.to_string()]));
        }
        let variables = question.router.map(|router| self.routed(router)).unwrap_or_default();
        let output = self.run(folder, &arguments, &variables).await?;
        if let Some(problem) = question.router.and_then(IndexRouter::problem) {
            return Err(NoAnswer::Broken(problem));
        }
        if !output.success {
            return Err(NoAnswer::Refused { lines: output.lines, unsatisfiable: output.code == Some(1) });
        }
        let warned = output.lines.iter().filter_map(|line| line.strip_prefix("warning: "));
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warned.map(str::to_owned));
        let text = fs::read_to_string(folder.join("lock.txt"))?;
        let mut pinned = read_resolution(&text, &origins)?;
        for one in &mut pinned {
            one.index = question.router.and_then(|router| router.bound(&one.name));
        }
        Ok(pinned)
    }

    /// What uv is told where a router stands for all indexes. It knows no other, and keeps nothing of what it learns:
    /// the next run's router has another address.
    fn routed(&self, router: &IndexRouter) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([
            ("UV_DEFAULT_INDEX".to_owned(), router.url().to_owned()),
            ("UV_INDEX".to_owned(), String::new()),
            ("UV_CACHE_DIR".to_owned(), self.folder.path().join("cache").display().to_string()),
        ]);
        for name in ["NO_PROXY", "no_proxy"] {
            let there = self.variables.get(name).filter(|text| !text.is_empty());
            let hosts = there.map_or_else(|| "127.0.0.1".to_owned(), |there| format!("{there},127.0.0.1"));
            variables.insert(name.to_owned(), hosts);
        }
        variables
    }

    /// What it warned of since this was last asked, such as an extra that does not exist or a release that was withdrawn.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner));
        warnings.sort();
        warnings.dedup();
        warnings
    }

    fn work_folder(&self) -> Result<TempDir, LockError> {
        Ok(tempfile::Builder::new().prefix("resolve-").tempdir_in(self.folder.path())?)
    }

    async fn run(
        &self,
        folder: &Path,
        arguments: &[String],
        variables: &BTreeMap<String, String>,
    ) -> Result<Output, LockError> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(["pip", "compile", "--no-config", "--color", "never", "--python"])
            .arg(folder.join("python3"))
            .args(["--generate-hashes", "--no-strip-extras", "--no-header", "--annotation-style", "split"])
            .args(["--output-file", "lock.txt"])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(&self.variables)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = command.output().await.map_err(|error| LockError::Tool {
            tool: self.name(),
            reason: format!("it cannot be started: {error}"),
        })?;
        let mut text = String::from_utf8_lossy(&output.stderr).replace(&format!("{}/", folder.display()), "");
        if let Some(router) = variables.get("UV_DEFAULT_INDEX") {
            text = text.replace(router.as_str(), "<index>/");
        }
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        Ok(Output {
            success: output.status.success(),
            code: output.status.code(),
            lines: text
                .lines()
                .map(str::trim_end)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

struct Output {
    success: bool,
    code: Option<i32>,
    lines: Vec<String>,
}

/// Only those that are listed may be source distributions. uv takes the second option as an exception to the first, and
/// locks the hashes of their wheels all the same.
fn wheels_only(listed: &[DistributionName]) -> Vec<String> {
    let mut arguments = vec!["--only-binary".to_owned(), ":all:".to_owned()];
    arguments.extend(listed.iter().flat_map(|name| ["--no-binary".to_owned(), name.to_string()]));
    arguments
}

/// The source distributions that uv tried to build, to know what they require. It cannot: the interpreter that it has is
/// a stand-in, which runs nothing.
pub(crate) fn wanted_builds(lines: &[String]) -> Vec<(DistributionName, String)> {
    let quoted = lines
        .iter()
        .filter(|line| line.contains("Failed to ") && line.contains("build `"))
        .filter_map(|line| line.split_once("build `")?.1.split_once('`'));
    let mut wanted: Vec<(DistributionName, String)> = quoted
        .filter_map(|(text, _)| {
            let (name, version) = text.split_once("==")?;
            Some((name.parse().ok()?, version.to_owned()))
        })
        .collect();
    wanted.sort();
    wanted.dedup();
    wanted
}

fn write_program(path: &Path, text: &str) -> Result<(), LockError> {
    fs::write(path, text)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The distributions of which uv says that there is no wheel.
pub(crate) fn only_source(lines: &[String]) -> Vec<String> {
    let mut names: Vec<String> = lines
        .iter()
        .filter_map(|line| line.split_once("Wheels are required for `")?.1.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_told_through_the_environment() {
        let index = |url: &str| Index { url: url.parse().unwrap(), from: "test".to_owned() };
        let default = index("https://me:secret@index.example/simple/");
        let alone = index_variables(&default, &[]);
        assert_eq!(alone.len(), 1);
        assert_eq!(alone["UV_DEFAULT_INDEX"], "https://me:secret@index.example/simple/");
        let both = index_variables(&default, &[index("https://a.example/"), index("https://b.example/")]);
        assert_eq!(both["UV_INDEX"], "https://a.example/ https://b.example/");
    }

    #[test]
    fn builds_that_were_tried_are_found_in_the_answer() {
        let lines = [
            "error: Failed to build `docopt==0.6.2`".to_owned(),
            "  cause: Failed to download and build `Old.Name==1.0.post1`".to_owned(),
            "hint: Build failures usually indicate a problem".to_owned(),
        ];
        let wanted = wanted_builds(&lines);
        let wanted: Vec<String> = wanted.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(wanted, ["docopt 0.6.2", "old-name 1.0.post1"]);
        let listed = ["docopt".parse().unwrap()];
        assert_eq!(wheels_only(&listed), ["--only-binary", ":all:", "--no-binary", "docopt"]);
    }

    #[test]
    fn distributions_without_wheels_are_found_in_the_answer() {
        let lines = [
            "error: No solution found when resolving dependencies".to_owned(),
            "hint: Wheels are required for `docopt` because building from source is disabled".to_owned(),
            "hint: Wheels are required for `docopt` because building from source is disabled".to_owned(),
        ];
        assert_eq!(only_source(&lines), ["docopt"]);
    }
}
