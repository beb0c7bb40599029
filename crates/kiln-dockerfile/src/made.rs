//! What a Dockerfile made, as the rest of kiln sees it: an image on its base, the tree that it has over it, and who owns
//! what in that.

use crate::DockerfileError;
use crate::container::CAPABILITY;
use crate::normal::AppliedRules;
use crate::remembered::{DOCKERFILE_RULES, Remembered};
use kiln_audit::{Expected, FoundDistribution, distributions_in_tree, inspect_elf, reconcile, recorded_path};
use kiln_collect::{Collection, Content, Part, Verdict, component};
use kiln_guest::{BaseImage, Difference, contents, finds};
use kiln_image::{
    BaseConfig, Change, ContentEntry, ImageError, LAMBDA_ENTRYPOINT, NodeContent, RUNTIME_CLIENT,
};
use kiln_plan::{ArtifactPlan, DockerfileSection, Reproducible};
use kiln_record::{
    ArtifactKind, Attributes, Check, CheckName, Code, Component, ComponentId, DistributionName, Ecosystem,
    Entry, Finding, Mode, Runtime, Transformation, TransformedComponent, Tree, TreePath,
};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The variable by which build programs are told the one time of a build (reproducible-builds.org, "SOURCE_DATE_EPOCH").
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The folder of dpkg's lists of files.
const DPKG_INFO: &str = "var/lib/dpkg/info/";

/// What a Dockerfile made.
pub struct Made {
    /// The image: its config, its layers in the store, those of the base first, and what they hold together.
    pub whole: BaseImage,
    /// How many of the layers are its own.
    pub own_layers: usize,
    /// The files and links that it has over its base.
    pub tree: Tree,
    /// What files and folders have that is not usual.
    pub attributes: BTreeMap<TreePath, Attributes>,
    /// What the base has and the image does not.
    pub removed: BTreeSet<TreePath>,
    /// The user that it runs as, in numbers, if that can be told.
    pub user: Option<String>,
    /// What is neither file, folder nor link, with what it is instead.
    special: BTreeMap<TreePath, String>,
    rules: AppliedRules,
    difference: Option<Difference>,
    syntax: Option<String>,
}

impl Made {
    /// Brings what is remembered of a build together with its base.
    pub(crate) fn new(
        store: &Store,
        base: Arc<BaseImage>,
        made: Remembered,
        syntax: Option<String>,
    ) -> Result<Self, DockerfileError> {
        let layers: Vec<_> = base.layers.iter().chain(&made.tars).copied().collect();
        let whole = BaseImage {
            config: BaseConfig {
                platform: base.config.platform,
                variant: base.config.variant.clone(),
                runs: made.runs,
                diff_ids: layers.iter().map(|layer| layer.diff_id).collect(),
                history: base.config.history.clone(),
            },
            contents: contents(store, &layers)?,
            layers,
            manifest_sha512: None,
        };
        let mut this = Self {
            whole,
            own_layers: made.tars.len(),
            tree: Tree::new(),
            attributes: BTreeMap::new(),
            removed: BTreeSet::new(),
            user: made.user,
            special: BTreeMap::new(),
            rules: made.rules,
            difference: made.difference,
            syntax,
        };
        for (path, change) in made.layers.into_iter().flatten() {
            let Change::Put(node) = change else {
                this.removed.insert(path);
                continue;
            };
            let attributes =
                Attributes { mode: node.mode, user: node.user, group: node.group, xattrs: node.xattrs };
            let (entry, usual) = match node.content {
                NodeContent::File { digest, size } => {
                    let mode = Mode::from_bits(node.mode);
                    (Some(Entry::File { digest, size, mode }), mode.bits())
                }
                NodeContent::Symlink { target } => (Some(Entry::Symlink { target }), 0o777),
                NodeContent::Folder => (None, 0o755),
                NodeContent::Special { what } => {
                    this.special.insert(path, what);
                    continue;
                }
            };
            if attributes.are_unusual(usual) {
                this.attributes.insert(path.clone(), attributes);
            }
            if let Some(entry) = entry {
                let inserted = this.tree.insert(path, entry);
                inserted.map_err(|error| ImageError::Image { reason: format!("a layer: {error}") })?;
            }
        }
        Ok(this)
    }

    /// The Python that its program runs in: the program itself if that is one, else the first in its search path.
    pub fn python(&self) -> Option<String> {
        let runs = &self.whole.config.runs;
        let path = runs.environment.get("PATH");
        let program = runs.entrypoint.iter().chain(&runs.command).next().cloned();
        let is_python = |program: &String| {
            let name = program.rsplit('/').next().unwrap_or(program);
            name.strip_prefix("python")
                .is_some_and(|version| version.chars().all(|c| c == '.' || c.is_ascii_digit()))
        };
        let named = program.filter(is_python).into_iter().chain(["python3".to_owned(), "python".to_owned()]);
        named.into_iter().find(|name| finds(&self.whole.contents, name, path))
    }

    /// What the rules changed, as the record has it.
    fn transformations(&self, application: &ComponentId) -> Vec<Transformation> {
        self.rules
            .iter()
            .map(|(rule, changed)| {
                let bytes = changed.iter().filter_map(|path| self.tree.get(path)).map(Entry::size).sum();
                let files = changed.len() as u64;
                let counted = TransformedComponent { files, bytes_before: bytes, bytes_after: bytes };
                Transformation {
                    rule: rule.clone(),
                    version: DOCKERFILE_RULES,
                    files,
                    // What was there before has times in it: it would be told otherwise tomorrow.
                    bytes_before: bytes,
                    bytes_after: bytes,
                    components: BTreeMap::from([(application.clone(), counted)]),
                    changed: changed.iter().map(|path| (path.clone(), None)).collect(),
                    left: BTreeMap::new(),
                    not_taken: BTreeSet::new(),
                }
            })
            .collect()
    }
}

/// The distributions of a tree, in whatever folders they are.
pub fn found_distributions(
    store: &Store,
    collection: &Collection,
) -> Result<Vec<FoundDistribution>, DockerfileError> {
    let folders: BTreeSet<&str> = collection
        .tree
        .iter()
        .map(|(path, _)| path.parent())
        .filter(|folder| folder.ends_with(".dist-info"))
        .map(|folder| folder.rsplit_once('/').map_or("", |(above, _)| above))
        .collect();
    let mut found = Vec::new();
    for folder in folders {
        found.extend(distributions_in_tree(&collection.tree, Some(folder), &mut |path| {
            collection.read(store, path)
        })?);
    }
    Ok(found)
}

/// Compares the distributions of an image with its lock. Without one, nothing is locked, and what is there is only held
/// against its own metadata.
pub fn reconciled(
    plan: &ArtifactPlan,
    wanted: &[Expected],
    there: &[FoundDistribution],
) -> (Vec<Finding>, Check) {
    if plan.manifest.python.is_some() {
        let (findings, check) = reconcile(wanted, there);
        return (findings.into_iter().map(|finding| installed_by(plan, finding)).collect(), check);
    }
    let own: Vec<Expected> = there
        .iter()
        .map(|found| Expected { name: found.name.clone(), version: found.version.clone() })
        .collect();
    reconcile(&own, there)
}

/// Says of a distribution that is not there what puts it into the image: its Dockerfile, as the manifest excludes nothing.
fn installed_by(plan: &ArtifactPlan, mut finding: Finding) -> Finding {
    if finding.code == Code::LockedNotInstalled
        && let Some(section) = plan.manifest.dockerfile()
    {
        let wheels = match section.wheels {
            Some(_) => String::new(),
            None => format!("set `wheels` under [dockerfile] in {}, and ", plan.manifest.file),
        };
        finding.remedy = vec![
            format!(
                "{wheels}install it from the wheels of the lock in a RUN of {}, such as: pip install --no-index --find-links /src --require-hashes -r /src/requirements.txt (docs/dockerfiles.md)",
                section.path
            ),
            "or, if an earlier stage installs it, copy it to the last one: COPY --from".to_owned(),
            "or lock again if the lock is wrong: `kiln lock`".to_owned(),
        ];
    }
    finding
}

/// The tree with its owners: distributions by their RECORD, Debian packages by dpkg's lists, and the application for all
/// that is left.
pub fn collection(
    store: &Store,
    plan: &ArtifactPlan,
    made: &Made,
    parts: &[Part],
) -> Result<Collection, DockerfileError> {
    let name = plan.manifest.name.as_str();
    let application = ComponentId::new(Ecosystem::Application, name);
    let mut this = Collection { tree: made.tree.clone(), ..Collection::default() };
    for (path, entry) in made.tree.iter() {
        this.owners.insert(path.clone(), application.clone());
        if let Entry::File { digest, .. } = entry {
            this.content.insert(path.clone(), Content::Stored(*digest));
        }
    }
    for (path, package) in of_packages(store, made, &this)? {
        this.owners.insert(path, ComponentId::new(Ecosystem::Debian, &package));
    }
    let found = found_distributions(store, &this)?;
    for distribution in &found {
        let id = ComponentId::new(Ecosystem::Python, distribution.name.as_str());
        for path in recorded(store, &this, distribution)? {
            this.owners.insert(path, id.clone());
        }
    }
    for (path, owner) in &this.owners {
        let digest = match this.tree.get(path) {
            Some(Entry::File { digest, .. }) if *owner != application => digest,
            _ => continue,
        };
        if let Ok(Some(facts)) = inspect_elf(&store.read_blob(digest)?) {
            this.elf.insert(path.clone(), facts);
        }
    }
    this.components = components(name, &this, &found, parts);
    this.recount();
    this.transformations = made.transformations(&application);
    Ok(this)
}

/// Which Debian package owns each path, of those that were installed over the base.
fn of_packages(
    store: &Store,
    made: &Made,
    collection: &Collection,
) -> Result<BTreeMap<TreePath, String>, DockerfileError> {
    let mut owners = BTreeMap::new();
    for (list, _) in collection.tree.iter().filter(|(path, _)| path.as_str().starts_with(DPKG_INFO)) {
        let Some(package) = list.file_name().strip_suffix(".list") else { continue };
        let package = package.split(':').next().unwrap_or(package);
        let text = collection.read(store, list)?;
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(path) = made.whole.contents.resolve(line) else { continue };
            if collection.tree.get(&path).is_some() {
                owners.insert(path, package.to_owned());
            }
        }
        for (path, _) in collection.tree.iter().filter(|(path, _)| path.as_str().starts_with(DPKG_INFO)) {
            let stem =
                path.file_name().rsplit_once('.').map(|(stem, _)| stem.split(':').next().unwrap_or(stem));
            if stem == Some(package) {
                owners.insert(path.clone(), package.to_owned());
            }
        }
    }
    Ok(owners)
}

/// The paths of a tree that a distribution's RECORD names.
fn recorded(
    store: &Store,
    collection: &Collection,
    distribution: &FoundDistribution,
) -> Result<Vec<TreePath>, DockerfileError> {
    let Ok(record) = TreePath::new(&format!("{}/RECORD", distribution.dist_info)) else {
        return Ok(Vec::new());
    };
    if !matches!(collection.tree.get(&record), Some(Entry::File { .. })) {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&collection.read(store, &record)?).into_owned();
    let site = distribution.dist_info.parent();
    let listed = text.lines().filter_map(|line| {
        let path = line.rsplitn(3, ',').nth(2)?;
        recorded_path(site, path.trim_matches('"'))
    });
    Ok(listed.filter(|path| collection.tree.get(path).is_some()).collect())
}

fn components(
    artifact: &str,
    collection: &Collection,
    found: &[FoundDistribution],
    parts: &[Part],
) -> Vec<Component> {
    let python = |name: &DistributionName| ComponentId::new(Ecosystem::Python, name.as_str());
    let there: BTreeSet<ComponentId> = found.iter().map(|distribution| python(&distribution.name)).collect();
    let mut components: BTreeMap<ComponentId, Component> = BTreeMap::new();
    for distribution in found {
        let id = python(&distribution.name);
        // What is known of the locked wheel is known of what was installed from it, if it is that version.
        let part = parts.iter().map(|part| &part.component).find(|component| component.id == id);
        let locked =
            part.filter(|component| component.version.as_ref() == Some(&distribution.version)).cloned();
        let unknown = || component(id.clone(), Ecosystem::Python, distribution.name.as_str());
        let requires = part.into_iter().flat_map(|component| &component.requires);
        let component = Component {
            version: Some(distribution.version.clone()),
            requires: requires.filter(|id| there.contains(id)).cloned().collect(),
            built_from: None,
            ..locked.unwrap_or_else(unknown)
        };
        components.insert(id, component);
    }
    let required: BTreeSet<ComponentId> =
        components.values().flat_map(|component| component.requires.iter().cloned()).collect();
    let application = ComponentId::new(Ecosystem::Application, artifact);
    let own = Component {
        requires: there.difference(&required).cloned().collect(),
        ..component(application.clone(), Ecosystem::Application, artifact)
    };
    if collection.owners.values().any(|owner| *owner == application) {
        components.insert(application, own);
    }
    components.into_values().collect()
}

/// Judges how it was built, and what of it no rule brings into a form.
pub fn judge(plan: &ArtifactPlan, runtime: &Runtime, made: &Made) -> Verdict {
    let Some(section) = plan.manifest.dockerfile() else { return Verdict::default() };
    let mut findings = Vec::new();
    if section.network {
        findings.push(
            Finding::new(
                Code::NotHermetic,
                &section.path,
                "its programs have a network: what they fetched is in no lock, and may be something else tomorrow",
            )
            .detail(format!("`network = true` under [dockerfile] in {}", plan.manifest.file))
            .remedy(format!("bring what it needs into its context: {}", brought(section)))
            .remedy("or except it in the policy, with the reason"),
        );
    }
    if let Some(difference) = &made.difference {
        let cause =
            format!("it was built twice, and {} is not the same: {}", difference.path, difference.how);
        let mut finding = Finding::new(Code::DockerfileNotReproducible, &section.path, cause);
        if difference.files > 1 {
            finding = finding.detail(format!("{} paths differ", difference.files));
        }
        findings.push(
            finding
                .detail("times, order, package-manager logs and caches are brought into one form before")
                .remedy(match plan.recipe.as_ref().is_some_and(|recipe| recipe.dockerfile.declared.contains(SOURCE_DATE_EPOCH)) {
                    true => "let it take times from SOURCE_DATE_EPOCH, which it declares, and use no random numbers",
                    false => "let it take times from SOURCE_DATE_EPOCH (declare it with ARG), and use no random numbers",
                })
                .remedy("or leave the file out: remove it in the RUN that makes it"),
        );
    }
    for (path, what) in &made.special {
        findings.push(
            Finding::new(
                Code::SpecialFile,
                path.as_str(),
                format!("`/{path}` is {what}, which no layer of kiln's holds: the image would be without it"),
            )
            .remedy("remove it in the RUN that makes it, and let the service make it when it starts"),
        );
    }
    findings
        .extend(made.attributes.iter().filter_map(|(path, attributes)| privileged(made, path, attributes)));
    if made.user.is_none() {
        let user = made.whole.config.runs.user.clone().unwrap_or_default();
        findings.push(
            Finding::new(
                Code::UserUnknown,
                &section.path,
                format!("the image is to run as `{user}`, whom its /etc/passwd and /etc/group do not know"),
            )
            .remedy("make the user in a RUN, or state it in numbers: USER 65534:65534"),
        );
    }
    if plan.manifest.kind == ArtifactKind::LambdaImage {
        findings.extend(function(plan, runtime, made));
    }
    let mut checks = vec![match section.reproducible {
        Reproducible::Check => Check::ran(CheckName::Dockerfile, 1, "Dockerfiles built twice"),
        Reproducible::Assume => {
            Check::not_checked(CheckName::Dockerfile, "the manifest assumes that it makes the same each time")
        }
    }];
    let runs = &made.whole.config.runs;
    if runs.entrypoint.is_empty() && runs.command.is_empty() {
        checks.push(Check::not_checked(
            CheckName::Start,
            "the image has neither ENTRYPOINT nor CMD: it starts nothing by itself",
        ));
    }
    if let Some(syntax) = &made.syntax {
        let reason = format!("the frontend {syntax} was not used: the engine's own read the file");
        checks.push(Check::not_checked(CheckName::DockerfileSyntax, reason));
    }
    checks.push(made.whole.contents.package_check("packages of the image", "the image"));
    Verdict { findings, checks }
}

/// What brings things into a context that its programs would fetch, but for what the manifest has already.
pub(crate) fn brought(section: &DockerfileSection) -> &'static str {
    match section.wheels {
        None => "`wheels` under [dockerfile] gives the locked wheels, [[upstream]] and [[step]] the rest",
        Some(_) => "[[upstream]] and [[step]] bring what the locked wheels are not",
    }
}

/// A file that gives whoever starts it the rights of another user, or some of root's.
fn privileged(made: &Made, path: &TreePath, attributes: &Attributes) -> Option<Finding> {
    // A folder's bit only says which group new files belong to.
    if !matches!(made.tree.get(path), Some(Entry::File { .. })) {
        return None;
    }
    let (what, remedy) = match attributes.xattrs.get(CAPABILITY) {
        _ if attributes.mode & 0o6000 != 0 => {
            let who = if attributes.mode & 0o4000 != 0 { "its owner" } else { "its group" };
            let what = format!(
                "has the mode {:04o}: whoever starts it runs it as {who} ({}:{})",
                attributes.mode, attributes.user, attributes.group
            );
            (what, "take the bit away in the RUN that makes it: chmod ug-s")
        }
        Some(value) => (
            format!("has capabilities ({value}): whoever starts it has those of root's rights"),
            "take them away in the RUN that makes it: setcap -r",
        ),
        None => return None,
    };
    Some(
        Finding::new(Code::PrivilegedFile, path.as_str(), format!("`/{path}` {what}"))
            .remedy(remedy)
            .remedy("or except it in the policy, with the reason why the service needs it"),
    )
}

/// What an image needs to be a function.
fn function(plan: &ArtifactPlan, runtime: &Runtime, made: &Made) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifest = &plan.manifest;
    let has_client = made.whole.contents.has_file(LAMBDA_ENTRYPOINT)
        || made.whole.contents.entries.iter().any(|(path, entry)| {
            matches!(entry, ContentEntry::File { .. })
                && path.as_str().ends_with(&format!("{}/__main__.py", RUNTIME_CLIENT))
        });
    if runtime.python.is_some() && !has_client {
        findings.push(
            Finding::new(
                Code::RuntimeClientMissing,
                RUNTIME_CLIENT,
                "the image has no Lambda runtime client: nothing would ask Lambda for events",
            )
            .remedy(format!("install `{}` in the Dockerfile, and make it the ENTRYPOINT", RUNTIME_CLIENT))
            .remedy("or use one of AWS's base images for Lambda"),
        );
    }
    let command = &made.whole.config.runs.command;
    if let Some(handler) = &manifest.handler
        && command.first() != Some(handler)
    {
        findings.push(
            Finding::new(
                Code::HandlerMissing,
                handler.as_str(),
                format!(
                    "the image's CMD is `{}`, and the manifest's handler is `{handler}`",
                    command.join(" ")
                ),
            )
            .remedy(format!(
                "write CMD [\"{handler}\"] in the Dockerfile, or correct `handler` in {}",
                manifest.file
            )),
        );
    }
    findings
}
