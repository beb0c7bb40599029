//! A record to change one thing in.

use kiln_record::{
    Architecture, ArtifactKind, Component, ComponentId, Digest, Ecosystem, Entry, Epoch, FORMAT_VERSION,
    FileRecord, Input, InputRole, Metadata, Mode, Origin, Output, Record, Target, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};

/// A part of a build: its files as path and size; content follows from path, size and `seed`.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) wheel: &'static str,
    pub(crate) files: Vec<(&'static str, u64)>,
    pub(crate) seed: &'static str,
    pub(crate) requires: Vec<&'static str>,
}

/// A build before it is a record.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) parts: Vec<Part>,
    pub(crate) source: &'static str,
    pub(crate) lock: &'static str,
    pub(crate) base: &'static str,
    pub(crate) manifest: &'static str,
    pub(crate) archive: u64,
}

/// An application with three distributions; `extra` is required by `main`.
pub(crate) fn build() -> Build {
    let part = |name, version, files, requires| Part { name, version, wheel: "1", files, seed: "", requires };
    Build {
        parts: vec![
            part("main", "1.0", vec![("main/__init__.py", 1000), ("main/core.py", 50_000)], vec!["extra"]),
            part(
                "extra",
                "2.1.0",
                vec![("extra.py", 40_000), ("extra-2.1.0.dist-info/METADATA", 500)],
                vec![],
            ),
            part("other", "3.0", vec![("other/big.dat", 2_000_000)], vec![]),
        ],
        source: "1",
        lock: "1",
        base: "1",
        manifest: "1",
        archive: 1_000_000,
    }
}

impl Build {
    pub(crate) fn part(&mut self, name: &str) -> &mut Part {
        self.parts.iter_mut().find(|p| p.name == name).unwrap()
    }

    pub(crate) fn record(&self) -> Record {
        let own = ComponentId::new(Ecosystem::Application, "sample");
        let python = |name: &str| ComponentId::new(Ecosystem::Python, name);
        let mut files = vec![file("app.py", 300, self.source, &own)];
        let mut components = vec![component(own, Ecosystem::Application, "sample", None)];
        for part in &self.parts {
            let id = python(part.name);
            let mut made = component(id.clone(), Ecosystem::Python, part.name, Some(part.version));
            made.requires = part.requires.iter().map(|r| python(r)).collect();
            made.bytes = part.files.iter().map(|(_, size)| size).sum();
            made.origin = Some(Origin {
                file_name: format!("{}-{}-py3-none-any.whl", part.name, part.version),
                size: 10,
                digest: Digest::of(format!("{} {} {}", part.name, part.version, part.wheel).as_bytes()),
                sha512: None,
                source: None,
            });
            components.push(made);
            files.extend(part.files.iter().map(|(path, size)| file(path, *size, part.seed, &id)));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        components.sort_by(|a, b| a.id.cmp(&b.id));
        let tree: Tree = files.iter().map(|f| (f.path.clone(), f.entry.clone())).collect();
        let archive = Digest::of(format!("{} {}", tree.digest(), self.archive).as_bytes());
        let input = |role, name: &str, seed: &str| Input {
            role,
            name: name.to_owned(),
            digest: Digest::of(format!("{name} {seed}").as_bytes()),
        };
        Record {
            format: FORMAT_VERSION,
            artifact: "sample".parse().unwrap(),
            kind: ArtifactKind::LambdaZip,
            target: Target { runtime: "python3.13".to_owned(), architecture: Architecture::Amd64 },
            handler: Some("app.handler".to_owned()),
            layers: Vec::new(),
            plan: Digest::of(b"plan"),
            epoch: Epoch::from_seconds(1_780_000_000).unwrap(),
            organization: None,
            stated: Vec::new(),
            policy: None,
            inputs: vec![
                input(InputRole::Manifest, "manifests/sample.toml", self.manifest),
                input(InputRole::Base, "python-3.13", self.base),
                input(InputRole::Lock, "requirements.txt", self.lock),
                input(InputRole::Source, "manifests/sample", self.source),
            ],
            tree: tree.digest(),
            unpacked_size: tree.size(),
            image: None,
            files,
            components,
            environment: Vec::new(),
            binaries: BTreeMap::new(),
            transformations: Vec::new(),
            gaps: Vec::new(),
            findings: Vec::new(),
            checks: Vec::new(),
            imports: None,
            tools: BTreeMap::from([("libdeflate".to_owned(), "1.26.1".to_owned())]),
            outputs: vec![Output {
                file_name: "sample.zip".to_owned(),
                media_type: "application/zip".to_owned(),
                size: self.archive,
                digest: archive,
                sha256_base64: archive.base64(),
                sha512: None,
            }],
        }
    }
}

fn component(id: ComponentId, ecosystem: Ecosystem, name: &str, version: Option<&str>) -> Component {
    Component {
        id,
        ecosystem,
        name: name.to_owned(),
        version: version.map(str::to_owned),
        bytes: 0,
        files: 1,
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

fn file(path: &str, size: u64, seed: &str, component: &ComponentId) -> FileRecord {
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
