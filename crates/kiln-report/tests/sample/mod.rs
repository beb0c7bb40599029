//! Builds of any size, and what is hostile in one.

use kiln_record::{
    Architecture, ArtifactKind, Cause, Check, CheckName, Code, Component, ComponentId, Digest, Ecosystem,
    Entry, Epoch, FORMAT_VERSION, FileRecord, Finding, Gap, Input, InputRole, Metadata, Mode, Output, Place,
    Record, Target, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a stranger would write to be more than text: markup, script, control and bidirectional characters.
pub(crate) const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}\u{1b}[31m";

/// A distribution: its name, version, number of files and bytes in each.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a>(pub(crate) &'a str, pub(crate) &'a str, pub(crate) usize, pub(crate) u64);

/// A build of distributions of which each requires the next, and the artifact's own code the first.
pub(crate) fn record(parts: &[Part<'_>]) -> Record {
    let own = ComponentId::new(Ecosystem::Application, "shop");
    let mut components = vec![component(&own, "shop", None)];
    let mut files = vec![file("app.py", 4_200, &own, "1")];
    components[0].requires = parts.first().map(|part| python(part.0)).into_iter().collect();
    for (index, Part(name, version, count, bytes)) in parts.iter().enumerate() {
        let id = python(name);
        let mut made = component(&id, name, Some(version));
        made.requires = parts.get(index + 1).map(|part| python(part.0)).into_iter().collect::<BTreeSet<_>>();
        made.metadata.license_expression = Some("MIT".to_owned());
        for number in 0..*count {
            files.push(file(&format!("p{index}/package/module_{number}.py"), *bytes, &id, version));
        }
        components.push(made);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    components.sort_by(|a, b| a.id.cmp(&b.id));
    for component in &mut components {
        let owned = files.iter().filter(|file| file.component == component.id);
        (component.bytes, component.files) =
            owned.fold((0, 0), |(bytes, count), file| (bytes + file.entry.size(), count + 1));
    }
    let tree: Tree = files.iter().map(|file| (file.path.clone(), file.entry.clone())).collect();
    let archive = Digest::of(tree.digest().to_string().as_bytes());
    Record {
        binaries: BTreeMap::new(),
        organization: None,
        stated: Vec::new(),
        policy: None,
        environment: Vec::new(),
        format: FORMAT_VERSION,
        artifact: "shop".parse().unwrap(),
        kind: ArtifactKind::LambdaZip,
        target: Target { runtime: "python3.13".to_owned(), architecture: Architecture::Amd64 },
        handler: Some("app.handler".to_owned()),
        layers: Vec::new(),
        plan: Digest::of(b"plan"),
        epoch: Epoch::from_seconds(1_780_000_000).unwrap(),
        inputs: vec![
            input(InputRole::Manifest, "manifests/shop.toml", "1"),
            input(InputRole::Lock, "app/requirements.lock", &format!("{}", parts.len())),
        ],
        tree: tree.digest(),
        unpacked_size: tree.size(),
        image: None,
        outputs: vec![Output {
            file_name: "shop.zip".to_owned(),
            media_type: "application/zip".to_owned(),
            size: tree.size() / 3,
            digest: archive,
            sha256_base64: archive.base64(),
            sha512: None,
        }],
        files,
        components,
        transformations: Vec::new(),
        gaps: vec![Gap {
            distribution: "colorama".to_owned(),
            version: "0.4.6".to_owned(),
            cause: Cause::Marker {
                marker: "sys_platform == 'win32'".to_owned(),
                values: vec!["sys_platform = \"linux\"".to_owned()],
            },
        }],
        findings: vec![
            Finding::new(Code::ImportedNotDeclared, "urllib3", "`urllib3` is imported at app.py:3")
                .remedy("add urllib3 to the project's dependencies")
                .at(Place::line("app/requirements.lock", 12)),
        ],
        checks: vec![
            Check::ran(CheckName::Distributions, parts.len(), "distributions"),
            Check::ran(CheckName::Elf, 14, "ELF files"),
            Check::not_checked(CheckName::Smoke, "the manifest states no event"),
        ],
        imports: None,
        tools: BTreeMap::from([("kiln".to_owned(), "0.1.0".to_owned())]),
    }
}

/// The same with hostile texts wherever a record takes any.
pub(crate) fn hostile(mut record: Record) -> Record {
    for component in &mut record.components {
        component.name = format!("{}{HOSTILE}", component.name);
        component.version = Some(HOSTILE.to_owned());
        component.metadata.license_expression = Some(HOSTILE.to_owned());
    }
    record.target.runtime = HOSTILE.to_owned();
    record.inputs[0].name = HOSTILE.to_owned();
    record.gaps[0].distribution = HOSTILE.to_owned();
    record.gaps[0].version = HOSTILE.to_owned();
    record.checks[2] = Check::not_checked(CheckName::Smoke, HOSTILE);
    record.findings[0].subject = HOSTILE.to_owned();
    record.findings[0].cause = HOSTILE.to_owned();
    record.findings[0].detail = vec![HOSTILE.to_owned()];
    record.findings[0].remedy = vec![HOSTILE.to_owned()];
    record.findings[0].place = Some(Place::line(HOSTILE, 7));
    record.outputs[0].file_name = HOSTILE.to_owned();
    record.tools.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    record
}

fn python(name: &str) -> ComponentId {
    ComponentId::new(Ecosystem::Python, name)
}

fn input(role: InputRole, name: &str, seed: &str) -> Input {
    Input { role, name: name.to_owned(), digest: Digest::of(format!("{name} {seed}").as_bytes()) }
}

fn component(id: &ComponentId, name: &str, version: Option<&str>) -> Component {
    Component {
        id: id.clone(),
        ecosystem: id.ecosystem(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        bytes: 0,
        files: 0,
        origin: None,
        file_sha512: None,
        metadata: Metadata::default(),
        requires: BTreeSet::new(),
        within: None,
        from_base: false,
        embedded: Vec::new(),
        unread_sboms: BTreeMap::new(),
        license_files: BTreeMap::new(),
        package: None,
        upstream: None,
        built_from: None,
        made_by: None,
    }
}

fn file(path: &str, size: u64, component: &ComponentId, seed: &str) -> FileRecord {
    FileRecord {
        path: TreePath::new(path).unwrap(),
        entry: Entry::File {
            digest: Digest::of(format!("{path} {size} {seed}").as_bytes()),
            size,
            mode: Mode::Plain,
        },
        component: component.clone(),
    }
}
