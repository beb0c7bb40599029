//! Releases as an auditor has them: an archive and its record in a folder, without a workspace and without an engine. They are
//! written here field by field, so that each of two differs in what a test says and in nothing else.

use super::{Kiln, Outcome};
use fs_err as fs;
use kiln_pack::{ZipWriter, compress};
use kiln_record::{
    ArtifactKind, Attributes, Check, Component, ComponentId, Digest, Ecosystem, Entry, FORMAT_VERSION,
    FileRecord, ImageBase, ImageRecord, ImageRuns, Input, InputRole, JudgedBy, Metadata, Mode, Origin,
    Output, Record, Target, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A release before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) name: &'static str,
    /// Path, mode, content and owner of each file.
    pub(crate) files: BTreeMap<String, (Mode, Vec<u8>, ComponentId)>,
    pub(crate) components: BTreeMap<ComponentId, Component>,
    /// What the digest of each input follows from, by role and name.
    pub(crate) inputs: BTreeMap<(InputRole, &'static str), String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) image: Option<ImageRecord>,
    pub(crate) policy: Option<JudgedBy>,
}

/// The id of a distribution.
pub(crate) fn python(name: &str) -> ComponentId {
    ComponentId::new(Ecosystem::Python, name)
}

fn component(id: &ComponentId, version: Option<&str>) -> Component {
    Component {
        id: id.clone(),
        ecosystem: id.ecosystem(),
        name: id.name().rsplit('/').next().unwrap().to_owned(),
        version: version.map(str::to_owned),
        bytes: 0,
        files: 0,
        origin: None,
        file_sha512: None,
        package: None,
        upstream: None,
        built_from: None,
        made_by: None,
        metadata: Metadata::default(),
        requires: BTreeSet::new(),
        within: None,
        from_base: false,
        embedded: Vec::new(),
        unread_sboms: BTreeMap::new(),
        license_files: BTreeMap::new(),
    }
}

impl Release {
    /// A function with its own module and one lock.
    pub(crate) fn new(name: &'static str) -> Self {
        let own = ComponentId::new(Ecosystem::Application, name);
        let inputs = [
            (InputRole::Manifest, "manifests/app.toml"),
            (InputRole::Base, "python-3.13"),
            (InputRole::Lock, "requirements.txt"),
            (InputRole::Source, "src"),
        ];
        let mut release = Self {
            name,
            files: BTreeMap::new(),
            components: BTreeMap::from([(own.clone(), component(&own, None))]),
            inputs: inputs.into_iter().map(|key| (key, "1".to_owned())).collect(),
            checks: Vec::new(),
            image: None,
            policy: None,
        };
        release.own("app.py", b"import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n");
        release
    }

    /// An own file.
    pub(crate) fn own(&mut self, path: &str, content: &[u8]) -> &mut Self {
        let own = ComponentId::new(Ecosystem::Application, self.name);
        self.files.insert(path.to_owned(), (Mode::Plain, content.to_vec(), own));
        self
    }

    /// A distribution with one file and its metadata, from a wheel whose digest follows from its content.
    pub(crate) fn distribution(
        &mut self,
        name: &str,
        version: &str,
        path: &str,
        content: &[u8],
    ) -> &mut Self {
        let id = python(name);
        let info = format!("{}-{version}.dist-info", name.replace('-', "_"));
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n");
        let record = format!("{path},,\n{info}/METADATA,,\n{info}/RECORD,,\n");
        let mut made = component(&id, Some(version));
        made.metadata.license = Some("MIT".to_owned());
        made.origin = Some(Origin {
            file_name: format!("{}-{version}-py3-none-any.whl", name.replace('-', "_")),
            size: 1,
            digest: Digest::of(content),
            sha512: None,
            source: None,
        });
        self.components.insert(id.clone(), made);
        for (path, bytes) in [
            (path.to_owned(), content),
            (format!("{info}/METADATA"), metadata.as_bytes()),
            (format!("{info}/RECORD"), record.as_bytes()),
        ] {
            self.files.insert(path, (Mode::Plain, bytes.to_vec(), id.clone()));
        }
        self
    }

    /// Takes a distribution out again.
    pub(crate) fn without(&mut self, name: &str) -> &mut Self {
        let id = python(name);
        self.components.remove(&id);
        self.files.retain(|_, (_, _, owner)| *owner != id);
        self
    }

    /// Says that an input is another one now.
    pub(crate) fn moves(&mut self, role: InputRole) -> &mut Self {
        self.inputs.iter_mut().filter(|((known, _), _)| *known == role).for_each(|(_, seed)| seed.push('+'));
        self
    }

    /// Makes it an image on a base that has these packages, by name, version and bytes.
    pub(crate) fn on_base(&mut self, base: &str, packages: &[(&str, &str, u64)]) -> &mut Self {
        self.on_base_of(Ecosystem::Debian, base, packages)
    }

    /// The same on a base of which the packages are of another system.
    pub(crate) fn on_base_of(
        &mut self,
        ecosystem: Ecosystem,
        base: &str,
        packages: &[(&str, &str, u64)],
    ) -> &mut Self {
        for (name, version, bytes) in packages {
            let id = ComponentId::new(ecosystem, name);
            let mut package = component(&id, Some(version));
            (package.from_base, package.bytes, package.files) = (true, *bytes, 1);
            self.components.insert(id, package);
        }
        self.inputs.insert((InputRole::Base, "python-3.13"), base.to_owned());
        self.image = Some(ImageRecord {
            manifest: Digest::of(base.as_bytes()),
            config: Digest::of(base.as_bytes()),
            variant: None,
            base: ImageBase {
                name: "python-3.13".parse().unwrap(),
                reference: "example.org/python:3.13".to_owned(),
                manifest_sha512: None,
                manifest: Digest::of(base.as_bytes()),
                files: 1,
                bytes: 1,
                unowned_bytes: 0,
                surface: None,
            },
            layers: Vec::new(),
            size: 1000,
            unpacked_size: 1000,
            python_folder: None,
            runs: ImageRuns::default(),
            attributes: BTreeMap::new(),
            removed: BTreeSet::new(),
            annotations: BTreeMap::new(),
        });
        self
    }

    /// Gives a path of an image a mode of its own.
    pub(crate) fn mode(&mut self, path: &str, mode: u32) -> &mut Self {
        let attributes = Attributes { mode, user: 0, group: 0, xattrs: BTreeMap::new() };
        let image = self.image.as_mut().expect("modes are of images");
        image.attributes.insert(TreePath::new(path).unwrap(), attributes);
        self
    }

    /// The archive, and the record of it.
    pub(crate) fn made(&self) -> (Vec<u8>, Record) {
        let mut zip = ZipWriter::new(Vec::new());
        let (mut files, mut components) = (Vec::new(), self.components.clone());
        for (path, (mode, content, owner)) in &self.files {
            let path = TreePath::new(path).unwrap();
            zip.add_file(&path, *mode, &compress(content)).unwrap();
            let entry = Entry::File { digest: Digest::of(content), size: content.len() as u64, mode: *mode };
            let owned = components.get_mut(owner).unwrap();
            (owned.bytes, owned.files) = (owned.bytes + entry.size(), owned.files + 1);
            files.push(FileRecord { path, entry, component: owner.clone() });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let archive = zip.finish().unwrap();
        let tree: Tree = files.iter().map(|file| (file.path.clone(), file.entry.clone())).collect();
        let digest = Digest::of(&archive);
        let record = Record {
            binaries: BTreeMap::new(),
            environment: Vec::new(),
            organization: None,
            stated: Vec::new(),
            policy: self.policy.clone(),
            format: FORMAT_VERSION,
            artifact: self.name.parse().unwrap(),
            kind: if self.image.is_some() { ArtifactKind::Image } else { ArtifactKind::LambdaZip },
            target: Target { runtime: "python3.13".to_owned(), architecture: "x86_64".parse().unwrap() },
            handler: None,
            layers: Vec::new(),
            plan: Digest::of(format!("{:?}", self.inputs).as_bytes()),
            epoch: "2026-01-02T03:04:05Z".parse().unwrap(),
            inputs: self
                .inputs
                .iter()
                .map(|((role, name), seed)| Input {
                    role: *role,
                    name: (*name).to_owned(),
                    digest: Digest::of(format!("{name} {seed}").as_bytes()),
                })
                .collect(),
            tree: tree.digest(),
            unpacked_size: tree.size(),
            image: self.image.clone(),
            files,
            components: components.into_values().collect(),
            gaps: Vec::new(),
            transformations: Vec::new(),
            findings: Vec::new(),
            checks: self.checks.clone(),
            imports: None,
            tools: BTreeMap::new(),
            outputs: vec![Output {
                file_name: format!("{}.zip", self.name),
                sha512: None,
                media_type: "application/zip".to_owned(),
                size: archive.len() as u64,
                digest,
                sha256_base64: digest.base64(),
            }],
        };
        record.check().unwrap();
        (archive, record)
    }

    /// Writes archive and record into a folder; of an image the record alone, as an auditor may have it.
    pub(crate) fn write(&self, folder: &Path) -> &Self {
        let (archive, record) = self.made();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("record.json"), record.to_json().unwrap()).unwrap();
        if self.image.is_none() {
            fs::write(folder.join(format!("{}.zip", self.name)), archive).unwrap();
        }
        self
    }
}

/// Runs kiln as an auditor does: in a folder without a workspace, with no variable at all, so that there is no home, no program and
/// no engine.
pub(crate) fn audit(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(Kiln::program());
    command.env_clear().env("PATH", "").current_dir(folder).args(arguments);
    let line = format!("{command:?}");
    let outcome = Outcome::new(line, command.output().expect("the binary starts"));
    let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    if !outcome.stdout.is_empty()
        && let Some(schema) = super::schemas::of_output(&words, &outcome.stdout)
    {
        super::schemas::validate(&schema, &outcome.json());
    }
    outcome
}
