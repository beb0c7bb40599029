//! From files to components: which distribution, library or package each file belongs to.

use super::Files;
use super::image::ImageFiles;
use kiln_audit::{FoundDistribution, distributions_in_tree, recorded_path};
use kiln_collect::component;
use kiln_image::OsPackage;
use kiln_record::{
    Architecture, ArtifactKind, ArtifactName, Component, ComponentId, Digest, Ecosystem, Epoch,
    FORMAT_VERSION, FileRecord, Metadata, MetadataFields, Output, Record, Target, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// The longest licence text that is taken, in characters.
const LONGEST_LICENSE: usize = 200;

/// Where something that was read lies, besides what it holds.
pub(crate) struct Found {
    /// How to call it.
    pub(crate) name: ArtifactName,
    /// Its kind, as far as that can be told.
    pub(crate) kind: ArtifactKind,
    /// The file, its length and digest; none of a folder.
    pub(crate) output: Option<(String, u64, Digest)>,
}

/// A record that holds what was read, and nothing else.
pub(crate) fn record_of(found: Found, files: &Files, image: Option<&ImageFiles>) -> Record {
    let own = ComponentId::new(Ecosystem::Application, found.name.as_str());
    let mut inventory =
        Inventory { files, owners: BTreeMap::new(), components: BTreeMap::new(), own: own.clone() };
    inventory.add_packages(image.and_then(|image| image.contents.packages.as_deref()).unwrap_or_default());
    inventory.add_distributions();
    inventory.add_libraries();
    let Inventory { owners, mut components, .. } = inventory;
    let name = found.name.clone();
    components.insert(own.clone(), component(own.clone(), Ecosystem::Application, name.as_str()));
    let mut listed = Vec::new();
    for (path, entry) in files.tree.iter() {
        let owner = owners.get(path).unwrap_or(&own);
        if let Some(owner) = components.get_mut(owner) {
            owner.bytes = owner.bytes.saturating_add(entry.size());
            owner.files += 1;
        }
        listed.push(FileRecord { path: path.clone(), entry: entry.clone(), component: owner.clone() });
    }
    components.retain(|id, component| *id != own || component.files > 0);
    let architecture = image.map(|image| image.config.platform.architecture);
    Record {
        kind: found.kind,
        target: Target {
            runtime: "not known".to_owned(),
            architecture: architecture.unwrap_or(Architecture::Amd64),
        },
        tree: files.tree.digest(),
        unpacked_size: files.tree.size(),
        files: listed,
        components: components.into_values().collect(),
        outputs: found
            .output
            .map(|(file_name, size, digest)| Output {
                file_name,
                media_type: "application/octet-stream".to_owned(),
                size,
                digest,
                sha256_base64: digest.base64(),
                sha512: None,
            })
            .into_iter()
            .collect(),
        ..empty(name)
    }
}

/// A record that lists components, and nothing else.
pub(crate) fn listed_record(name: ArtifactName, components: Vec<Component>) -> Record {
    Record { components, ..empty(name) }
}

fn empty(artifact: ArtifactName) -> Record {
    Record {
        format: FORMAT_VERSION,
        artifact,
        kind: ArtifactKind::LambdaZip,
        target: Target { runtime: "not known".to_owned(), architecture: Architecture::Amd64 },
        handler: None,
        layers: Vec::new(),
        plan: Digest::of(b""),
        epoch: Epoch::from_seconds(0).expect("1970 is a time"),
        organization: None,
        stated: Vec::new(),
        policy: None,
        inputs: Vec::new(),
        tree: Tree::new().digest(),
        unpacked_size: 0,
        image: None,
        files: Vec::new(),
        components: Vec::new(),
        binaries: BTreeMap::new(),
        environment: Vec::new(),
        gaps: Vec::new(),
        transformations: Vec::new(),
        findings: Vec::new(),
        checks: Vec::new(),
        imports: None,
        tools: BTreeMap::new(),
        outputs: Vec::new(),
    }
}

struct Inventory<'a> {
    files: &'a Files,
    owners: BTreeMap<TreePath, ComponentId>,
    components: BTreeMap<ComponentId, Component>,
    own: ComponentId,
}

impl Inventory<'_> {
    /// Packages of the system: those of Debian own what their lists name; of others only the database tells how much they have.
    fn add_packages(&mut self, packages: &[OsPackage]) {
        for package in packages {
            let id = ComponentId::new(package.ecosystem, &package.name);
            let lists = [
                format!("var/lib/dpkg/info/{}.list", package.name),
                format!("var/lib/dpkg/info/{}:{}.list", package.name, package.architecture),
            ];
            let list = lists.iter().find_map(|path| self.files.metadata.get(&TreePath::new(path).ok()?));
            let named = list.map(|list| String::from_utf8_lossy(list).into_owned()).unwrap_or_default();
            for line in named.lines() {
                // Packages name paths as they were before `/bin` and `/lib` became links.
                let below = line.trim_start_matches('/');
                let places = [below.to_owned(), format!("usr/{below}")];
                let path = places.iter().filter_map(|path| TreePath::new(path).ok());
                let path = path.into_iter().find(|path| self.files.tree.get(path).is_some());
                if let Some(path) = path {
                    self.owners.entry(path).or_insert_with(|| id.clone());
                }
            }
            let from_base = list.is_none();
            let (bytes, files) = if from_base { (package.bytes, package.files) } else { (0, 0) };
            let made = Component {
                version: Some(package.version.clone()),
                metadata: Metadata { license: package.license.clone(), ..Metadata::default() },
                from_base,
                bytes,
                files,
                ..component(id.clone(), package.ecosystem, &package.name)
            };
            self.components.insert(id, made);
        }
    }

    /// Distributions of Python, at any depth: those in the folder that has most of them are installed, others are inside what holds
    /// them.
    fn add_distributions(&mut self) {
        let folders: BTreeMap<String, usize> = self
            .files
            .metadata
            .keys()
            .filter(|path| path.file_name() == "METADATA")
            .map(|path| path.parent().rsplit_once('/').map_or("", |(above, _)| above).to_owned())
            .fold(BTreeMap::new(), |mut all, folder| {
                *all.entry(folder).or_default() += 1;
                all
            });
        let depth = |folder: &str| if folder.is_empty() { 0 } else { 1 + folder.matches('/').count() };
        let most = folders.iter().max_by_key(|(folder, count)| (**count, std::cmp::Reverse(depth(folder))));
        let installed_in = most.map(|(folder, _)| folder.clone());
        let mut ordered: Vec<&String> = folders.keys().collect();
        ordered.sort_by_key(|folder| (Some(*folder) != installed_in.as_ref(), depth(folder)));
        for folder in ordered {
            // What a distribution says of its files is not judged here, and is read below.
            let metadata = &self.files.metadata;
            let read = &mut |path: &TreePath| -> Result<Vec<u8>, Infallible> {
                let asked = (path.file_name() == "METADATA").then(|| metadata.get(path).cloned());
                Ok(asked.flatten().unwrap_or_default())
            };
            let Ok(all) = distributions_in_tree(&self.files.tree, Some(folder), read);
            for found in all {
                self.add_distribution(folder, &found, Some(folder) != installed_in.as_ref());
            }
        }
    }

    fn add_distribution(&mut self, folder: &str, found: &FoundDistribution, inside: bool) {
        let place = |name: &str| TreePath::new(&format!("{}/{name}", found.dist_info)).ok();
        let content = |name: &str| {
            let bytes = place(name).and_then(|path| self.files.metadata.get(&path));
            bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let Some(metadata) = content("METADATA") else { return };
        let holder = place("METADATA").and_then(|path| self.owners.get(&path).cloned());
        let name = found.name.as_str();
        let mut id = ComponentId::new(Ecosystem::Python, name);
        if self.components.contains_key(&id) {
            id = ComponentId::new(Ecosystem::Python, &format!("{name}/{folder}"));
        }
        let beginning = format!("{}/", found.dist_info);
        let mut paths: BTreeSet<TreePath> = self.files.tree.beginning_with(&beginning).cloned().collect();
        match content("RECORD") {
            Some(record) => {
                let named = record.lines().map(first_field);
                paths.extend(named.filter_map(|named| recorded_path(folder, &named)));
            }
            None => {
                let modules = content("top_level.txt").unwrap_or_default();
                for module in modules.lines().filter(|line| !line.is_empty()) {
                    let module =
                        if folder.is_empty() { module.to_owned() } else { format!("{folder}/{module}") };
                    let file = format!("{module}.py");
                    let below = self.files.tree.iter().map(|(path, _)| path);
                    paths.extend(
                        below.filter(|path| path.is_within(&module) || path.as_str() == file).cloned(),
                    );
                }
            }
        }
        let compiled: Vec<TreePath> = paths.iter().flat_map(|path| self.compiled_from(path)).collect();
        paths.extend(compiled);
        for path in paths {
            let there = self.owners.get(&path);
            if self.files.tree.get(&path).is_some() && (there.is_none() || there == holder.as_ref()) {
                self.owners.insert(path, id.clone());
            }
        }
        let made = Component {
            version: Some(found.version.clone()).filter(|version| !version.is_empty()),
            metadata: licenses(&metadata),
            within: inside.then(|| holder.unwrap_or_else(|| self.own.clone())),
            ..component(id.clone(), Ecosystem::Python, name)
        };
        self.components.insert(id, made);
    }

    /// The bytecode of a module that is beside it.
    fn compiled_from(&self, path: &TreePath) -> Vec<TreePath> {
        let Some(stem) = path.file_name().strip_suffix(".py") else { return Vec::new() };
        let parent = path.parent();
        let slash = if parent.is_empty() { "" } else { "/" };
        let start = format!("{parent}{slash}__pycache__/{stem}.");
        self.files.tree.beginning_with(&start).cloned().collect()
    }

    /// Libraries that a distribution bundles, as auditwheel places them: in `<name>.libs/`.
    fn add_libraries(&mut self) {
        for path in &self.files.elf {
            let Some(owner) = self.owners.get(path).filter(|id| id.ecosystem() == Ecosystem::Python) else {
                continue;
            };
            let Some(holder) = self.components.get(owner) else { continue };
            let id = ComponentId::new(Ecosystem::Native, &format!("{}/{}", holder.name, path.file_name()));
            let made = Component {
                within: Some(holder.id.clone()),
                ..component(id.clone(), Ecosystem::Native, path.file_name())
            };
            self.owners.insert(path.clone(), id.clone());
            self.components.insert(id, made);
        }
    }
}

/// The first field of a line of RECORD: CSV, in quotes where it holds a comma.
fn first_field(line: &str) -> String {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split("\",").next().unwrap_or(quoted).replace("\"\"", "\""),
        None => line.split(',').next().unwrap_or_default().to_owned(),
    }
}

/// The licence that METADATA states.
fn licenses(metadata: &str) -> Metadata {
    let fields = MetadataFields::read(metadata);
    let all = |name: &'static str| {
        let stated = fields.all(name).filter(|value| !value.is_empty() && *value != "UNKNOWN");
        stated.map(|value| value.chars().take(LONGEST_LICENSE).collect::<String>())
    };
    let classifiers = all("Classifier").filter_map(|text| {
        let rest = text.strip_prefix("License ::")?.trim();
        let name =
            rest.strip_prefix("OSI Approved").map_or(rest, |rest| rest.trim().trim_start_matches(':').trim());
        (!name.is_empty()).then(|| name.to_owned())
    });
    Metadata {
        license_expression: all("License-Expression").next(),
        license: all("License").next(),
        license_classifiers: classifiers.collect(),
        ..Metadata::default()
    }
}
