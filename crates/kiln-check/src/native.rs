//! Native code: every ELF file of an artifact against the runtime it is for.

use crate::CheckError;
use kiln_audit::{
    BinaryTarget, ElfFacts, NativeFile, NativeFiles, check_binary, check_libraries, inspect_elf,
};
use kiln_collect::{Collection, Part, ReadyLayer, Verdict};
use kiln_plan::ArtifactPlan;
use kiln_record::{
    ArtifactKind, Binary, Check, CheckName, Code, Ecosystem, Entry, Environment, Finding, Runtime, TreePath,
};
use kiln_store::Store;
use std::collections::BTreeMap;

/// Judges every ELF file: those of wheels by the facts remembered, the application's own by reading them. What they need is
/// looked for in the artifact, its layers and the runtime.
///
/// Also gives what each of them says of itself, for the record.
///
/// # Errors
/// If a file cannot be read any more.
pub fn native(
    store: &Store,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Collection,
    parts: &[Part],
    layers: &[ReadyLayer],
) -> Result<(Verdict, BTreeMap<TreePath, Binary>), CheckError> {
    let manifest = &plan.manifest;
    let target = BinaryTarget { runtime, architecture: manifest.target.architecture, python: runtime.python };
    let versions: BTreeMap<&str, &str> = parts
        .iter()
        .filter(|part| part.component.ecosystem == Ecosystem::Python)
        .filter_map(|part| Some((part.component.name.as_str(), part.component.version.as_deref()?)))
        .collect();
    let owner_of = |path: &TreePath| {
        let owner = collection.owners.get(path).map(ToString::to_string).unwrap_or_default();
        let name = owner.split('/').nth(1).unwrap_or_default().to_owned();
        match versions.get(name.as_str()) {
            Some(version) => format!("{name} {version}"),
            None => name,
        }
    };
    let mut findings = Vec::new();
    for part in parts {
        let owner =
            format!("{} {}", part.component.name, part.component.version.as_deref().unwrap_or_default());
        for (path, reason) in
            part.unreadable_elf.iter().filter(|(path, _)| !collection.left_out.contains(*path))
        {
            findings.push(unreadable(path, owner.trim_end(), reason));
        }
    }
    let (own, bad) = own_files(store, collection)?;
    findings.extend(bad.iter().map(|(path, reason)| unreadable(path, &owner_of(path), reason)));

    let environment = Environment::of(runtime, &manifest.environment);
    let searched = environment.library_path().into_iter().map(str::to_owned).collect();
    let mut native = NativeFiles { searched, ..NativeFiles::default() };
    let all = collection.elf.iter().chain(&own);
    for (path, facts) in all {
        let owner = owner_of(path);
        findings.extend(check_binary(path, &owner, facts, &target));
        native.files.push(NativeFile { path: mounted(manifest.mount(), path), owner, facts, judged: true });
    }
    let files = native.files.len();
    let binaries =
        collection.elf.iter().chain(&own).map(|(path, facts)| (path.clone(), facts.to_binary())).collect();
    native.links.extend(links(manifest.mount(), collection));
    // What layers hold helps, and was judged when they were built.
    let mut of_layers = Vec::new();
    for layer in layers {
        of_layers.push((layer, own_files(store, &layer.collection)?.0));
    }
    for (layer, own) in &of_layers {
        for (path, facts) in layer.collection.elf.iter().chain(own) {
            let path = mounted(ArtifactKind::LambdaLayer.mount(), path);
            let owner = layer.name.to_string();
            native.files.push(NativeFile { path, owner, facts, judged: false });
        }
        native.links.extend(links(ArtifactKind::LambdaLayer.mount(), &layer.collection));
    }
    let (found, needs) = check_libraries(&native, runtime);
    // Nothing else matters about a file that is for another machine.
    let foreign: Vec<String> =
        findings.iter().filter(|f| f.code == Code::WrongMachine).map(|f| f.subject.clone()).collect();
    findings.extend(found.into_iter().filter(|finding| !foreign.contains(&finding.subject)));
    let libraries = match runtime.system.libraries.is_empty() {
        false => Check::ran(CheckName::Libraries, needs, "needed libraries"),
        true => Check::not_checked(
            CheckName::Libraries,
            format!("no libraries are listed for the runtime {}", runtime.name),
        ),
    };
    if runtime.system.libraries.is_empty() {
        findings.retain(|finding| finding.code != Code::NeededLibraryMissing);
    }
    let checks = vec![Check::ran(CheckName::Elf, files, "ELF files"), libraries];
    Ok((Verdict { findings, checks }, binaries))
}

type Facts = BTreeMap<TreePath, ElfFacts>;

/// The ELF files of the application itself, and those that cannot be understood.
fn own_files(
    store: &Store,
    collection: &Collection,
) -> Result<(Facts, BTreeMap<TreePath, String>), CheckError> {
    let (mut facts, mut bad) = (BTreeMap::new(), BTreeMap::new());
    for (path, owner) in &collection.owners {
        if owner.ecosystem() != Ecosystem::Application
            || !matches!(collection.tree.get(path), Some(Entry::File { .. }))
        {
            continue;
        }
        match inspect_elf(&collection.read(store, path)?) {
            Ok(Some(found)) => {
                facts.insert(path.clone(), found);
            }
            Ok(None) => {}
            Err(error) => {
                bad.insert(path.clone(), error.to_string());
            }
        }
    }
    Ok((facts, bad))
}

fn unreadable(path: &TreePath, owner: &str, reason: &str) -> Finding {
    Finding::new(
        Code::ElfUnreadable,
        path.as_str(),
        format!("{path} of {owner} is an ELF file that cannot be understood: {reason}"),
    )
    .remedy("ask its publisher for a sound file, or leave it out")
}

fn mounted(mount: &str, path: &TreePath) -> String {
    format!("{mount}/{path}")
}

/// The links of a tree by absolute path.
fn links<'a>(mount: &'a str, collection: &'a Collection) -> impl Iterator<Item = (String, String)> + 'a {
    collection.tree.iter().filter_map(move |(path, entry)| match entry {
        Entry::Symlink { target } => Some((mounted(mount, path), target.clone())),
        Entry::File { .. } => None,
    })
}
