//! Tools that kiln runs on this machine: pinned in `kiln.lock`, fetched by digest.

use crate::LockError;
use crate::uv::{Uv, index_variables};
use fs_err as fs;
use kiln_fetch::{Index, IndexFile};
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{
    Environment, Event, Events, InvocationError, blocking, lock, read_workspace_for_pins, text_file,
};
use kiln_pack::{Limits, ZipReader};
use kiln_plan::{
    InvalidFiles, PinnedBase, Problem, TOOLS_LOCK, TOOLS_LOCK_FORMAT, ToolFile, ToolLock, ToolsLock,
};
use kiln_python::WheelName;
use kiln_record::{Defect, Digest, DistributionName};
use kiln_store::write_atomically;
use kiln_wheel::WheelError;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The resolver.
pub(crate) const UV: &str = "uv";

/// What pinning a tool told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolReport {
    /// The tool.
    pub tool: String,
    /// The file with the pin, relative to the workspace.
    pub file: String,
    /// Whether the file was written: it is left alone where nothing moved.
    pub written: bool,
    /// The version before, if there was a pin.
    pub before: Option<String>,
    /// The version now.
    pub after: String,
    /// The platforms that a file is pinned for.
    pub platforms: Vec<String>,
}

/// Moves the pin of the resolver, to a version or to the newest.
///
/// # Errors
/// Where the index cannot be reached or does not have it, or where the version cannot be used. The pin is then as it was.
pub async fn lock_tools(
    environment: &Environment,
    wanted: Option<&str>,
    events: &Events,
    engine: EngineSlot,
) -> Result<ToolReport, LockError> {
    let lock = lock(environment, events).await?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let index = any_index(&bases).await?;
    pin(&bases, &index, wanted).await
}

/// The index where no artifact says for which base: the configured one, else that of the first base with a pin.
pub(crate) async fn any_index(bases: &Bases) -> Result<Index, LockError> {
    if let Some(index) = bases.network().configured_index().await? {
        return Ok(index);
    }
    let workspace = read_workspace_for_pins(bases.run().root())?;
    let pinned = workspace.bases.values().find_map(|(definition, lock)| {
        definition
            .platforms
            .iter()
            .find_map(|platform| PinnedBase::new(definition, lock.as_ref(), *platform).ok())
    });
    match pinned {
        Some(base) => Ok(bases.index(&base).await?),
        None => Err(InvocationError::NoIndex.into()),
    }
}

/// The pins of the workspace's tools, if there are any.
pub(crate) fn read_tools(root: &Path) -> Result<Option<ToolsLock>, LockError> {
    if !root.join(TOOLS_LOCK).is_file() {
        return Ok(None);
    }
    let file = text_file(root, TOOLS_LOCK)?;
    ToolsLock::parse(&file.path, &file.text).map(Some).map_err(|problem| InvalidFiles(vec![problem]).into())
}

/// The pinned resolver, made ready to run; pinned first where there is no pin yet, which the report tells.
pub(crate) async fn resolver(
    bases: &Bases,
    index: &Index,
    may_pin: bool,
) -> Result<(Uv, Option<ToolReport>), LockError> {
    let root = bases.run().root();
    let mut report = None;
    let pinned = |lock: Option<ToolsLock>| lock.and_then(|mut lock| lock.tool.remove(UV));
    let tool = match pinned(read_tools(root)?) {
        Some(tool) => tool,
        None if may_pin => {
            report = Some(pin(bases, index, None).await?);
            pinned(read_tools(root)?)
                .ok_or_else(|| Defect::new(format!("{UV} was pinned, and {TOOLS_LOCK} does not have it")))?
        }
        None => {
            return Err(InvalidFiles(vec![
                Problem::in_file(TOOLS_LOCK, format!("no {UV} is pinned there"))
                    .help("pin one: kiln lock --tools"),
            ])
            .into());
        }
    };
    Ok((ready(bases, index, &tool).await?, report))
}

/// The newest version that this machine can run.
pub(crate) async fn newest(bases: &Bases, index: &Index) -> Result<String, LockError> {
    let listed = index.files(bases.network().client().await?, &uv_name()?).await?;
    Ok(choose(&listed, None)?.0)
}

async fn pin(bases: &Bases, index: &Index, wanted: Option<&str>) -> Result<ToolReport, LockError> {
    bases.run().tell(Event::Locking { subject: UV.to_owned(), activity: "pin" });
    let root = bases.run().root();
    // A file that is broken is what this command is there to replace.
    let before = read_tools(root).ok().flatten();
    let name = uv_name()?;
    let listed = index.files(bases.network().client().await?, &name).await?;
    let (version, files) = choose(&listed, wanted)?;
    let mut file = BTreeMap::new();
    for (platform, listed) in files {
        let digest = match listed.digest {
            Some(digest) => digest,
            None => {
                return Err(tool_error(
                    &version,
                    format!("the index states no SHA-256 of {}", listed.file_name),
                ));
            }
        };
        file.insert(platform.to_owned(), ToolFile { name: listed.file_name.clone(), digest });
    }
    let old = before.as_ref().and_then(|lock| lock.tool.get(UV));
    let moved = old.is_none_or(|old| old.version != version || old.file != file);
    let after = ToolLock {
        version: version.clone(),
        pinned: bases.run().source_date_epoch().unwrap_or(bases.run().now()),
        command: match wanted {
            Some(_) => format!("kiln lock --tools --tool {UV}=={version}"),
            None => "kiln lock --tools".to_owned(),
        },
        file,
    };
    let platforms = after.file.keys().cloned().collect();
    if moved {
        // A version whose question is another one could not be used: it is tried before it is pinned.
        ready(bases, index, &after).await?.understands_stand_ins().await?;
        let mut lock = before.clone().unwrap_or(ToolsLock {
            format: TOOLS_LOCK_FORMAT,
            tool: BTreeMap::new(),
            crates: Vec::new(),
        });
        lock.tool.insert(UV.to_owned(), after);
        let text = lock.to_toml().map_err(|error| Defect::new(error.to_string()))?;
        bases.run().go_on()?;
        write_atomically(&root.join(TOOLS_LOCK), text.as_bytes())?;
    }
    Ok(ToolReport {
        tool: UV.to_owned(),
        file: TOOLS_LOCK.to_owned(),
        written: moved,
        before: old.map(|old| old.version.clone()),
        after: version,
        platforms,
    })
}

fn uv_name() -> Result<DistributionName, LockError> {
    UV.parse().map_err(|error| tool_error("", format!("{error}")))
}

fn tool_error(version: &str, reason: String) -> LockError {
    LockError::Tool { tool: format!("{UV} {version}").trim().to_owned(), reason }
}

/// The files of one version by platform: the newest that this machine can run, or the one that is asked for.
fn choose<'a>(
    listed: &'a [IndexFile],
    wanted: Option<&str>,
) -> Result<(String, BTreeMap<&'static str, &'a IndexFile>), LockError> {
    let mut versions: BTreeMap<Vec<u64>, (String, BTreeMap<&'static str, &IndexFile>)> = BTreeMap::new();
    for file in listed.iter().filter(|file| !file.yanked || wanted.is_some()) {
        let Ok(wheel) = WheelName::parse(&file.file_name) else { continue };
        // Versions of uv are numbers with dots; what has letters is a pre-release.
        let Ok(release) = wheel.version.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>() else {
            continue;
        };
        let (_, files) = versions.entry(release).or_insert_with(|| (wheel.version.clone(), BTreeMap::new()));
        for platform in PLATFORMS.iter().filter(|platform| platform.takes(&wheel)) {
            files.entry(platform.name).or_insert(file);
        }
    }
    let host = host_platform();
    let mut usable =
        versions.into_values().rev().filter(|(_, files)| host.is_some_and(|host| files.contains_key(host)));
    match wanted {
        None => usable.next().ok_or_else(|| {
            tool_error("", format!("the index has no wheel of it for {}", host.unwrap_or("this machine")))
        }),
        Some(wanted) => usable.find(|(version, _)| version == wanted).ok_or_else(|| {
            let host = host.unwrap_or("this machine");
            tool_error(wanted, format!("the index has no wheel of this version for {host}"))
        }),
    }
}

/// A platform that tools are pinned for.
struct ToolPlatform {
    name: &'static str,
    machine: &'static str,
    family: &'static str,
}

const PLATFORMS: [ToolPlatform; 6] = [
    ToolPlatform { name: "linux-aarch64-gnu", machine: "aarch64", family: "manylinux" },
    ToolPlatform { name: "linux-aarch64-musl", machine: "aarch64", family: "musllinux" },
    ToolPlatform { name: "linux-x86_64-gnu", machine: "x86_64", family: "manylinux" },
    ToolPlatform { name: "linux-x86_64-musl", machine: "x86_64", family: "musllinux" },
    ToolPlatform { name: "macos-aarch64", machine: "arm64", family: "macosx" },
    ToolPlatform { name: "macos-x86_64", machine: "x86_64", family: "macosx" },
];

impl ToolPlatform {
    fn takes(&self, wheel: &WheelName) -> bool {
        wheel.tags.iter().any(|tag| {
            let platform = tag.rsplit('-').next().unwrap_or_default();
            platform.starts_with(self.family) && platform.ends_with(self.machine)
        })
    }
}

/// The platform of this machine. A kiln that is linked against musl runs on any Linux, so it takes a tool that does, too.
fn host_platform() -> Option<&'static str> {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let name = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", machine) => format!("linux-{machine}-{libc}"),
        (system, machine) => format!("{system}-{machine}"),
    };
    PLATFORMS.iter().map(|platform| platform.name).find(|known| *known == name)
}

/// Fetches the tool by its digest and unpacks it where nothing else is.
async fn ready(bases: &Bases, index: &Index, tool: &ToolLock) -> Result<Uv, LockError> {
    let host = host_platform();
    let Some(file) = host.and_then(|host| tool.file.get(host)) else {
        let host = host.unwrap_or("this machine");
        return Err(InvalidFiles(vec![
            Problem::in_file(TOOLS_LOCK, format!("{UV} {} is not pinned for {host}", tool.version))
                .help("pin it here: kiln lock --tools"),
        ])
        .into());
    };
    if !bases.store().contains(&file.digest) {
        fetch(bases, index, tool, file).await?;
    }
    let folder = bases.store().temporary_folder()?;
    let (store, digest, version) = (bases.store().clone(), file.digest, tool.version.clone());
    let program = folder.path().join(UV);
    let target = program.clone();
    blocking::<_, LockError>(move || {
        // Reading verifies the wheel, and the program is a part of it.
        let mut archive = ZipReader::open(Cursor::new(store.read_blob(&digest)?), &Limits::default())?;
        let member = archive
            .members()
            .iter()
            .find(|member| member.path.as_str().ends_with(".data/scripts/uv"))
            .cloned()
            .ok_or_else(|| tool_error(&version, "its wheel has no program".to_owned()))?;
        fs::write(&target, archive.read(&member)?)?;
        fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    })
    .await?;
    let mut variables = bases.network().tool_variables().clone();
    variables.extend(index_variables(index, &[]));
    Uv::new(folder, program, tool.version.clone(), bases, variables, &[index])
}

async fn fetch(bases: &Bases, index: &Index, tool: &ToolLock, file: &ToolFile) -> Result<(), LockError> {
    let listed = index.files(bases.network().client().await?, &uv_name()?).await?;
    let found = listed.iter().find(|listed| {
        listed.file_name == file.name && listed.digest.is_none_or(|digest| digest == file.digest)
    });
    let Some(found) = found else {
        return Err(WheelError::HashNotLocked {
            distribution: UV.to_owned(),
            version: tool.version.clone(),
            lock: TOOLS_LOCK.to_owned(),
            offered: listed
                .iter()
                .filter(|listed| listed.file_name == file.name)
                .map(|listed| {
                    let digest = listed
                        .digest
                        .map_or("without a hash".to_owned(), |digest: Digest| digest.to_string());
                    format!("{} {digest}", listed.file_name)
                })
                .collect(),
            locked: vec![file.digest],
        }
        .into());
    };
    bases.network().download(found, &[file.digest], TOOLS_LOCK).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, yanked: bool) -> IndexFile {
        IndexFile {
            file_name: name.to_owned(),
            url: "file:///uv".parse().unwrap(),
            digest: Some(Digest::of(name.as_bytes())),
            size: None,
            requires_python: None,
            yanked,
            metadata: false,
        }
    }

    #[test]
    fn the_newest_version_that_runs_here_is_chosen() {
        let wheels = |version: &str, yanked: bool| -> Vec<IndexFile> {
            let platforms = [
                "manylinux_2_17_x86_64",
                "musllinux_1_1_x86_64",
                "manylinux_2_17_aarch64",
                "musllinux_1_1_aarch64",
            ];
            let name = |platform: &str| format!("uv-{version}-py3-none-{platform}.whl");
            platforms.iter().map(|platform| file(&name(platform), yanked)).collect()
        };
        let mut listed = [wheels("0.9.9", false), wheels("0.10.0", false)].concat();
        listed.extend(wheels("0.11.0", true));
        listed.extend(wheels("0.12.0rc1", false));
        listed.push(file("uv-0.13.0-py3-none-win_amd64.whl", false));
        listed.push(file("uv-0.13.0.tar.gz", false));
        let (version, files) = choose(&listed, None).unwrap();
        assert_eq!(version, "0.10.0");
        let platforms: Vec<&str> = files.keys().copied().collect();
        assert_eq!(
            platforms,
            ["linux-aarch64-gnu", "linux-aarch64-musl", "linux-x86_64-gnu", "linux-x86_64-musl"]
        );
        assert_eq!(files["linux-x86_64-musl"].file_name, "uv-0.10.0-py3-none-musllinux_1_1_x86_64.whl");
        assert_eq!(choose(&listed, Some("0.9.9")).unwrap().0, "0.9.9");
        assert!(
            choose(&listed, Some("0.13.0"))
                .unwrap_err()
                .to_string()
                .contains("uv 0.13.0: the index has no wheel")
        );
    }
}
