//! Bytecode, compiled in the pinned base at the place where Lambda has the modules: twice, with other hash seeds and in
//! another order, so that what depends on either is noticed.

use super::place::{place_of_tree, python_root, without_prefix};
use crate::WheelError;
use kiln_collect::{Collection, Content};
use kiln_guest::{Bases, Given, Program, Ran, guest};
use kiln_invocation::{Asked, Events, blocking};
use kiln_pack::{TarContent, stream_tar};
use kiln_plan::ArtifactPlan;
use kiln_python::{COMPILE, CompileReport, CompileRequest};
use kiln_record::{
    ArtifactKind, BaseName, Check, CheckName, Code, Digest, Entry, Finding, Mode, Runtime, Transformation,
    TreePath, digest_of_value,
};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

/// The version of the rule. A step means that equal modules may come out differently.
pub(super) const BYTECODE_RULES: u32 = 1;
const RULE: &str = "bytecode-unchecked-hash";
const OUT: &str = "/kiln/bytecode";
const NAMED: usize = 10;

/// What compiling gave, remembered by everything that decides it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    /// Bytecode by the module it is of; both are paths of the artifact.
    files: BTreeMap<TreePath, Made>,
    left: BTreeMap<TreePath, String>,
}

impl Memo for Remembered {
    const KIND: &'static str = "bytecode";

    fn content(&self) -> Vec<Digest> {
        self.files.values().map(|made| made.digest).collect()
    }
}

impl Remembered {
    /// Whether this can be what another machine compiled of some modules; else what is wrong with it, as what follows "its
    /// result". That the bytecode is of these modules cannot be told without compiling them.
    fn fits(&self, store: &Store, modules: &BTreeSet<TreePath>) -> Result<(), String> {
        for (module, made) in &self.files {
            if !modules.contains(module) || !is_bytecode_of(made.path.as_str(), module.as_str()) {
                return Err(format!("has {}, which is no bytecode of a module of the artifact", made.path));
            }
            let mut head = Vec::new();
            let file = store.open_blob(&made.digest).map_err(|error| error.to_string())?;
            let length = file.metadata().map_err(|error| error.to_string())?.len();
            file.take(HEAD).read_to_end(&mut head).map_err(|error| error.to_string())?;
            if length != made.size || head.get(4..8) != Some(&[1, 0, 0, 0]) {
                return Err(format!("has {}, which an interpreter would not use unchecked", made.path));
            }
        }
        let strange = |reason: &String| reason.chars().any(char::is_control);
        match self.left.iter().find(|(module, why)| !modules.contains(*module) || strange(why)) {
            Some((module, _)) => Err(format!("says of {module} what it cannot say")),
            None => Ok(()),
        }
    }
}

/// Whether a path is where some interpreter has the bytecode of a module: `a/__pycache__/b.cpython-313.pyc` of `a/b.py`.
fn is_bytecode_of(path: &str, module: &str) -> bool {
    let (folder, name) = module.rsplit_once('/').map_or(("", module), |(folder, name)| (folder, name));
    let inside = if folder.is_empty() {
        Some(path)
    } else {
        path.strip_prefix(folder).and_then(|p| p.strip_prefix('/'))
    };
    let name = name.strip_suffix(".py").unwrap_or(name);
    let tag = inside.and_then(|path| {
        path.strip_prefix("__pycache__/")?.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".pyc")
    });
    tag.is_some_and(|tag| !tag.is_empty() && !tag.contains('/'))
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    path: TreePath,
    digest: Digest,
    size: u64,
}

/// What compiling gave.
#[derive(Default)]
pub(super) struct Compiled {
    pub(super) files: BTreeMap<TreePath, Made>,
    pub(super) left: BTreeMap<TreePath, String>,
    pub(super) findings: Vec<Finding>,
    pub(super) check: Option<Check>,
}

/// Compiles every module of the artifact.
pub(super) async fn compile(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Arc<Collection>,
) -> Result<Compiled, WheelError> {
    let manifest = &plan.manifest;
    if runtime.python.is_none() {
        let check =
            Check::not_checked(CheckName::Bytecode, format!("runtime {} has no Python", runtime.name));
        return Ok(Compiled { check: Some(check), ..Compiled::default() });
    }
    let modules: Vec<(&TreePath, &Digest)> = collection
        .tree
        .iter()
        .filter_map(|(path, entry)| match entry {
            Entry::File { digest, .. } if path.file_name().ends_with(".py") => Some((path, digest)),
            _ => None,
        })
        .collect();
    let root = python_root(plan);
    let image = &plan.base.definition.image;
    let key = digest_of_value(&(
        (BYTECODE_RULES, COMPILE, &root),
        (plan.base.lock.manifest, plan.base.platform, &image.python, &image.env),
        &modules,
    ))?;
    let asked = Asked { artifact: &manifest.name, what: "the bytecode", key: &key };
    let shared = bases.network().shared();
    let own: BTreeSet<TreePath> = modules.iter().map(|(path, _)| (*path).clone()).collect();
    let known = shared.recall::<Remembered>(&asked, move |store, told| told.fits(store, &own)).await?;
    if let Some(known) = known {
        let check = Some(Check::ran(CheckName::Bytecode, known.files.len(), "modules compiled twice"));
        return Ok(Compiled { files: known.files, left: known.left, findings: Vec::new(), check });
    }
    let architecture = manifest.target.architecture;
    if !bases.can_run(&plan.base).await? {
        let finding = Finding::new(
            Code::BytecodeNotReproducible,
            "bytecode",
            format!("nothing was compiled: there is no {} engine here", architecture.lambda()),
        )
        .remedy(format!("build on a machine, or with an engine, of {}", architecture.lambda()))
        .remedy("or set `bytecode = \"none\"` under [package]");
        return Ok(Compiled { findings: vec![finding], ..Compiled::default() });
    }
    let (first, second) =
        tokio::try_join!(run(bases, plan, collection, false), run(bases, plan, collection, true))?;
    if let Some(finding) = refused(&first.0, &second.0, &first.1) {
        return Ok(Compiled { findings: vec![finding], ..Compiled::default() });
    }
    let remembered = {
        let collection = Arc::clone(collection);
        let folder = manifest.python_folder().map(str::to_owned);
        blocking::<_, WheelError>(move || {
            let prefix = folder.as_deref();
            let (bytecode, report) = first;
            let mut remembered = Remembered::default();
            for (path, entry) in collection.tree.iter() {
                let Some(module) = without_prefix(path, prefix) else { continue };
                if !matches!(entry, Entry::File { .. }) || !module.file_name().ends_with(".py") {
                    continue;
                }
                if let Some(reason) = report.failed.get(module.as_str()) {
                    let reason = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                    remembered.left.insert(path.clone(), reason);
                    continue;
                }
                let file = report.bytecode_path(module.as_str());
                if let Some(Pyc { digest, size, .. }) = bytecode.get(file.as_str())
                    && let Ok(file) = TreePath::new(&file)
                    && let Ok(made) = kiln_collect::below(&file, prefix)
                {
                    remembered.files.insert(path.clone(), Made { path: made, digest: *digest, size: *size });
                }
            }
            Ok(remembered)
        })
        .await?
    };
    let remembered = shared.remember(&asked, remembered).await?;
    let check = Some(Check::ran(CheckName::Bytecode, remembered.files.len(), "modules compiled twice"));
    Ok(Compiled { files: remembered.files, left: remembered.left, findings: Vec::new(), check })
}

/// The finding for bytecode that is not the same each time, or that the interpreter would not use.
fn refused(first: &Bytecode, second: &Bytecode, report: &CompileReport) -> Option<Finding> {
    let differing: Vec<&String> = first
        .iter()
        .filter(|(path, pyc)| second.get(*path) != Some(pyc))
        .map(|(path, _)| path)
        .chain(second.keys().filter(|path| !first.contains_key(*path)))
        .collect();
    let foreign = first.iter().find(|(_, pyc)| !report.is_used_unchecked(&pyc.head)).map(|(path, _)| path);
    if differing.is_empty() && foreign.is_none() {
        return None;
    }
    let mut finding = Finding::new(
        Code::BytecodeNotReproducible,
        differing.first().copied().or(foreign).cloned().unwrap_or_default(),
        match differing.len() {
            0 => "the base compiled it to something that it would not use".to_owned(),
            1 => "compiled twice, it is not the same bytecode".to_owned(),
            n => format!("it and {} other modules, compiled twice, are not the same bytecode", n - 1),
        },
    )
    .remedy("set `bytecode = \"none\"` under [package]: the runtime then compiles what it imports")
    .remedy("or leave these modules out, if nothing needs them, with `exclude` under [package]");
    for path in differing.iter().take(NAMED) {
        finding =
            finding.detail(format!("{path} depends on the order of hashes, or on what was compiled before"));
    }
    if differing.len() > NAMED {
        finding = finding.detail(format!("and {} more", differing.len() - NAMED));
    }
    Some(finding)
}

/// Adds bytecode to the tree, for the owner of its module. Returns the bytecode of each module.
pub(super) fn add(
    collection: &mut Collection,
    files: BTreeMap<TreePath, Made>,
    left: BTreeMap<TreePath, String>,
) -> BTreeMap<TreePath, TreePath> {
    let mut rule = Transformation::new(RULE, BYTECODE_RULES);
    rule.left = left;
    let mut bytecode = BTreeMap::new();
    for (module, made) in files {
        let Some(owner) = collection.owners.get(&module).cloned() else { continue };
        let before = collection.tree.remove(&made.path);
        let replaced = match &before {
            Some(Entry::File { digest, size, .. }) => Some((*digest, *size)),
            _ => None,
        };
        rule.count(&owner, replaced.map_or(0, |(_, size)| size), made.size);
        rule.changed.insert(made.path.clone(), replaced.map(|(digest, _)| digest));
        let entry = Entry::File { digest: made.digest, size: made.size, mode: Mode::Plain };
        // The path was just made free.
        let _ = collection.tree.insert(made.path.clone(), entry);
        collection.content.insert(made.path.clone(), Content::Stored(made.digest));
        collection.owners.insert(made.path.clone(), owner);
        bytecode.insert(module, made.path);
    }
    collection.transformations.push(rule);
    bytecode
}

/// What was compiled, by its path; its content is in the store.
type Bytecode = BTreeMap<String, Pyc>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pyc {
    digest: Digest,
    size: u64,
    /// Its first bytes, which say who uses it and when.
    head: Vec<u8>,
}

/// As much of bytecode is its header (PEP 552).
const HEAD: u64 = 16;

async fn run(
    bases: &Bases,
    plan: &ArtifactPlan,
    collection: &Arc<Collection>,
    reverse: bool,
) -> Result<(Bytecode, CompileReport), WheelError> {
    let request = CompileRequest { root: python_root(plan), out: OUT.to_owned(), reverse };
    let mut env = plan.base.definition.image.env.clone();
    env.retain(|name, _| !name.starts_with("PYTHON"));
    env.insert("PYTHONHASHSEED".to_owned(), if reverse { "4191815221" } else { "0" }.to_owned());
    env.insert("HOME".to_owned(), "/tmp".to_owned());
    let python = plan.base.definition.image.python.as_str();
    let argv = [python, "-S", "-s", "-B", "-c", COMPILE, &request.to_json()];
    let label = format!("{} bytecode", plan.manifest.name);
    let from_root = plan.manifest.kind == ArtifactKind::Image;
    let tree = vec![Arc::clone(collection)];
    let image = bases.image(&plan.base).await?;
    let input = Given::new(place_of_tree(plan), tree, from_root).bring(bases, &image).await?;
    let program = Program::new(label, image, argv.map(str::to_owned).to_vec())
        .environment(env)
        .reports()
        .inputs([input])
        .outputs(bases.store(), [guest(OUT)?])?
        .processes(64)
        .output_bytes(512 << 20)
        .deadline(Duration::from_secs(600));
    let outcome = program.run(bases.engine().await?, &Events::none(), "").await?;
    let base = plan.base.definition.name.clone();
    // A report counts for nothing where its program did not end as one that reports.
    if !outcome.ending.is_success() {
        return Err(outcome.failed("compiling to bytecode", &base).into());
    }
    let store = bases.store().clone();
    blocking::<_, WheelError>(move || {
        let report = CompileReport::from_stdout(&outcome.stdout)
            .map_err(|error| failed(&base, &outcome, &error.to_string()))?;
        let mut bytecode = Bytecode::new();
        let mut batch = store.batch();
        for (_, spool) in &outcome.outputs {
            stream_tar(spool.reader()?, &kiln_pack::Limits::default(), |item| {
                if let TarContent::File(file) = item.content {
                    let mut head = Vec::new();
                    file.by_ref().take(HEAD).read_to_end(&mut head)?;
                    let (digest, size) = batch.put_from(&mut head.as_slice().chain(file))?;
                    bytecode.insert(item.path.to_string(), Pyc { digest, size, head });
                }
                Ok::<(), WheelError>(())
            })?;
        }
        batch.commit()?;
        Ok((bytecode, report))
    })
    .await
}

fn failed(base: &BaseName, ran: &Ran, reason: &str) -> WheelError {
    ran.log.push(reason);
    ran.failed("compiling to bytecode", base).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: &[u8] = b"\xa7\x0d\x0d\x0a\x01\0\0\0";

    fn bytecode(files: &[(&str, &[u8])]) -> Bytecode {
        let pyc = |rest: &[u8]| {
            let bytes = [USED, rest].concat();
            Pyc { digest: Digest::of(&bytes), size: bytes.len() as u64, head: bytes }
        };
        files.iter().map(|(path, rest)| ((*path).to_owned(), pyc(rest))).collect()
    }

    #[test]
    fn what_cannot_be_bytecode_of_a_module_is_refused() {
        for (path, module, is) in [
            ("a/__pycache__/b.cpython-311.pyc", "a/b.py", true),
            ("__pycache__/b.cpython-311.pyc", "b.py", true),
            ("__pycache__/b.cpython-311.pyc", "a/b.py", false),
            ("a/__pycache__/bc.cpython-311.pyc", "a/b.py", false),
            ("a/__pycache__/b..pyc/x.pyc", "a/b.py", false),
            ("a/b.pyc", "a/b.py", false),
        ] {
            assert_eq!(is_bytecode_of(path, module), is, "{path} of {module}");
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = |path: &str| TreePath::new(path).unwrap();
        let told = |bytes: &[u8], size: u64| Remembered {
            files: BTreeMap::from([(
                path("b.py"),
                Made { path: path("__pycache__/b.cpython-311.pyc"), digest: store.put(bytes).unwrap(), size },
            )]),
            left: BTreeMap::new(),
        };
        let own = BTreeSet::from([path("b.py")]);
        assert_eq!(told(USED, 8).fits(&store, &own), Ok(()));
        assert!(told(USED, 9).fits(&store, &own).is_err());
        assert!(told(b"\xa7\x0d\x0d\x0a\0\0\0\0", 8).fits(&store, &own).is_err(), "it would be checked");
        assert!(told(USED, 8).fits(&store, &BTreeSet::from([path("c.py")])).is_err());
        let left = BTreeMap::from([(path("c.py"), "no".to_owned())]);
        assert!(Remembered { left, ..told(USED, 8) }.fits(&store, &own).is_err());
    }

    #[test]
    fn what_differs_between_two_compilations_is_refused_by_name() {
        let report = CompileReport {
            magic: "a70d0d0a".to_owned(),
            tag: "cpython-311".to_owned(),
            failed: BTreeMap::new(),
        };
        let one = bytecode(&[("a.pyc", b"1"), ("b.pyc", b"1"), ("c.pyc", b"1")]);
        assert_eq!(refused(&one, &one, &report), None);
        let other = bytecode(&[("a.pyc", b"1"), ("b.pyc", b"2"), ("d.pyc", b"1")]);
        let finding = refused(&one, &other, &report).unwrap();
        assert_eq!((finding.code, finding.subject.as_str()), (Code::BytecodeNotReproducible, "b.pyc"));
        assert!(finding.cause.contains("2 other modules"), "{finding:?}");
        assert_eq!(finding.detail.len(), 3);
        let foreign = CompileReport { magic: "cb0d0d0a".to_owned(), ..report };
        assert!(refused(&one, &one, &foreign).unwrap().cause.contains("would not use"));
    }
}
