//! Steps: programs that make files of an artifact, in a pinned base without a network.
//!
//! A step is a pure value. The digest of all that it is given is what its result is remembered by, so that an unchanged
//! build runs nothing, and one that is run anew gives the same files. Those that do not wait for each other run side by
//! side.

use crate::job::{Content, Given, Job, Remembered};
use crate::output::tree;
use crate::run;
use crate::told::fits;
use crate::{StepError, crates};
use kiln_collect::{BroughtBy, Part, component, read_given};
use kiln_guest::{Bases, Difference};
use kiln_invocation::{Asked, Network};
use kiln_plan::{
    ArtifactPlan, InvalidFiles, LockedCrate, Manifest, Problem, Reproducible, StepInput, StepSection,
    parse_cargo_lock,
};
use kiln_record::{
    Check, CheckName, Code, Component, ComponentId, Defect, Digest, Ecosystem, Embedded, Finding, Input,
    InputRole, MadeBy, MadeFrom, Tree, digest_of_value,
};
use kiln_sbom::merge_embedded;
use kiln_store::StatCache;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The version of the rules by which steps run and their outputs are brought into one form. A step here makes kiln run
/// them again.
const STEP_RULES: u32 = 1;

/// The files of the workspace that the steps of an artifact are given: for each step, by the place of the input.
#[derive(Clone, Debug, Default)]
pub struct StepFiles(Vec<BTreeMap<String, Content>>);

impl StepFiles {
    /// Reads the trees. File content is only read where the stat cache does not know it.
    pub fn read(root: &Path, manifest: &Manifest, stat: &StatCache) -> Result<Self, StepError> {
        let mut steps = Vec::new();
        for step in &manifest.steps {
            let mut given = BTreeMap::new();
            for input in &step.inputs {
                let content = match input {
                    StepInput::Files { source, .. } => {
                        let what = format!("the step `{}`", step.name);
                        Content::Files(Arc::new(read_given(root, &manifest.file, &what, source, stat)?))
                    }
                    StepInput::Crates { lock, .. } => {
                        Content::Crates(Arc::new(locked_crates(root, manifest, step, lock)?))
                    }
                    StepInput::Step { .. } => continue,
                };
                given.insert(input.at().to_owned(), content);
            }
            steps.push(given);
        }
        Ok(Self(steps))
    }

    /// Every file of the workspace that a step is given.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let given = self.0.iter().flat_map(BTreeMap::values);
        given.flat_map(|content| match content {
            Content::Files(source) => Some(source.files.values()).into_iter().flatten(),
            Content::Made(_) | Content::Crates(_) => None.into_iter().flatten(),
        })
    }

    /// Brings the archives of all crates that the steps are given into the store, and returns them.
    ///
    /// # Errors
    /// If one cannot be had.
    pub async fn bring_crates(&self, network: &Network) -> Result<Vec<LockedCrate>, StepError> {
        let mut all = Vec::new();
        for (at, content) in self.0.iter().flatten() {
            if let Content::Crates(locked) = content {
                crates::bring(network, at, locked).await?;
                all.extend(locked.iter().cloned());
            }
        }
        Ok(all)
    }

    /// The step, path and tree digest of each.
    pub fn digests(&self, manifest: &Manifest) -> Result<Vec<(String, String, Digest)>, StepError> {
        let mut all = Vec::new();
        for (step, given) in manifest.steps.iter().zip(&self.0) {
            for input in &step.inputs {
                if let Some(content) = given.get(input.at()) {
                    let path = format!("{} at {}", input.name(), input.at());
                    all.push((step.name.clone(), path, content.digest()?));
                }
            }
        }
        Ok(all)
    }
}

fn locked_crates(
    root: &Path,
    manifest: &Manifest,
    step: &StepSection,
    lock: &str,
) -> Result<Vec<LockedCrate>, StepError> {
    let path = root.join(lock);
    if !path.is_file() {
        let message = format!("the step `{}` names the lock {lock}, which is not there", step.name);
        let problem = Problem::in_file(&manifest.file, message)
            .at(&manifest.text, step.spans.name.clone())
            .help("make it: cargo generate-lockfile");
        return Err(InvalidFiles(vec![problem]).into());
    }
    let text: Arc<str> = fs_err::read_to_string(path)?.into();
    parse_cargo_lock(lock, &text).map_err(|problems| InvalidFiles(problems).into())
}

/// A step whose files are in the store.
#[derive(Clone, Debug)]
pub struct ReadyStep {
    /// What the manifest says of it.
    pub section: StepSection,
    /// What the record says of it.
    pub made_by: MadeBy,
    /// What the artifact takes, under the paths that it has there.
    pub shipped: Tree,
    /// The crates that it was given, or that a step was given whose outputs it was given.
    pub crates: Vec<Embedded>,
    /// Everything that other steps are given.
    all: Arc<Tree>,
    difference: Option<Difference>,
}

impl ReadyStep {
    /// What the artifact takes of it.
    #[must_use]
    pub fn part(&self) -> Part {
        let name = self.section.name.as_str();
        let id = ComponentId::new(Ecosystem::Application, name);
        let component = Component {
            made_by: Some(self.made_by.clone()),
            embedded: self.crates.clone(),
            ..component(id, Ecosystem::Application, name)
        };
        Part::own(component, BroughtBy::Step, &self.shipped, &BTreeMap::new(), None)
    }
}

/// The steps of one artifact, each made ready once.
struct Steps<'a> {
    bases: &'a Bases,
    plan: &'a ArtifactPlan,
    files: &'a StepFiles,
    ready: Vec<OnceCell<ReadyStep>>,
}

/// Makes every step of an artifact ready: remembered, or run now.
pub async fn make_all(
    bases: &Bases,
    plan: &ArtifactPlan,
    files: &StepFiles,
) -> Result<Vec<ReadyStep>, StepError> {
    let count = plan.manifest.steps.len();
    let steps = Steps { bases, plan, files, ready: (0..count).map(|_| OnceCell::new()).collect() };
    futures_util::future::try_join_all((0..count).map(|index| steps.ready(index))).await
}

/// The findings of steps that did not make the same twice.
pub fn findings(plan: &ArtifactPlan, steps: &[ReadyStep]) -> Vec<Finding> {
    steps.iter().filter_map(|step| Some(not_reproducible(plan, step, step.difference.as_ref()?))).collect()
}

/// What is to be told of steps, whatever came of them.
pub fn checks(steps: &[ReadyStep]) -> Vec<Check> {
    let (twice, once): (Vec<&ReadyStep>, Vec<&ReadyStep>) =
        steps.iter().partition(|step| step.section.reproducible == Reproducible::Check);
    let mut checks = Vec::new();
    if !twice.is_empty() {
        checks.push(Check::ran(CheckName::Step, twice.len(), "steps run twice"));
    }
    for step in once {
        let reason = format!("the manifest assumes that {} makes the same each time", step.section.name);
        checks.push(Check::not_checked(CheckName::Step, reason));
    }
    checks
}

/// The crates that a component was made with, as inputs of the build.
pub fn crate_inputs(component: &Component) -> impl Iterator<Item = Input> {
    let crates = component.embedded.iter().filter(|_| component.made_by.is_some());
    crates.filter_map(|part| {
        let version = part.version.as_deref()?;
        Some(Input {
            role: InputRole::Crate,
            name: format!("{}-{version}.crate", part.name),
            digest: part.sha256?,
        })
    })
}

type Making<'s> = Pin<Box<dyn Future<Output = Result<ReadyStep, StepError>> + Send + 's>>;

impl Steps<'_> {
    fn ready(&self, index: usize) -> Making<'_> {
        Box::pin(async move { self.ready[index].get_or_try_init(|| self.make(index)).await.cloned() })
    }

    async fn make(&self, index: usize) -> Result<ReadyStep, StepError> {
        let section = &self.plan.manifest.steps[index];
        // What it waits for is made side by side.
        let needs = section.inputs.iter().filter_map(|input| match input {
            StepInput::Step { step, .. } => {
                self.plan.manifest.steps.iter().position(|other| other.name == *step)
            }
            StepInput::Files { .. } | StepInput::Crates { .. } => None,
        });
        let needs = futures_util::future::try_join_all(needs.map(|other| self.ready(other))).await?;
        let mut given = Vec::new();
        for input in &section.inputs {
            let content = match input {
                StepInput::Files { at, .. } | StepInput::Crates { at, .. } => {
                    self.files.0.get(index).and_then(|given| given.get(at)).cloned()
                }
                StepInput::Step { step, .. } => {
                    let other = needs.iter().find(|other| other.section.name == *step);
                    other.map(|other| Content::Made(Arc::clone(&other.all)))
                }
            };
            let content = content.ok_or_else(|| {
                Defect::new(format!(
                    "the input `{}` of the step `{}` was not planned",
                    input.name(),
                    section.name
                ))
            })?;
            let digest = content.digest()?;
            given.push(Given { at: input.at().to_owned(), name: input.name().to_owned(), content, digest });
        }
        let mut crates: Vec<Embedded> = needs.iter().flat_map(|other| other.crates.iter().cloned()).collect();
        for given in &given {
            if let Content::Crates(locked) = &given.content {
                crates.extend(crates::parts(self.bases.network(), &given.name, locked).await?);
            }
        }
        let job = self.job(section, index, given)?;
        let _flight = self.bases.network().flight(&job.digest).await;
        let what = format!("the step {}", section.name);
        let asked = Asked { artifact: &self.plan.manifest.name, what: &what, key: &job.digest };
        let (shared, of) = (self.bases.network().shared(), section.clone());
        let made = match shared.recall(&asked, move |store, made| fits(&of, store, made)).await? {
            Some(known) => known,
            None => shared.remember(&asked, run::make(self.bases, &job).await?).await?,
        };
        Ok(ready(&job, made, merge_embedded(crates)))
    }

    fn job<'j>(
        &'j self,
        section: &'j StepSection,
        index: usize,
        given: Vec<Given>,
    ) -> Result<Job<'j>, StepError> {
        let base = &self.plan.steps[index].base;
        let env = run::variables(self.plan, section, base);
        let trees: Vec<(&str, Digest)> =
            given.iter().map(|given| (given.at.as_str(), given.digest)).collect();
        let digest = digest_of_value(&(
            STEP_RULES,
            (base.lock.manifest, base.platform),
            (&section.argv, &env, &section.working_dir),
            (trees, &section.outputs),
            (section.memory, section.timeout, section.reproducible),
        ))?;
        Ok(Job { section, plan: self.plan, index, env, given, digest })
    }
}

fn ready(job: &Job<'_>, made: Remembered, crates: Vec<Embedded>) -> ReadyStep {
    let base = &job.plan.steps[job.index].base;
    let inputs = job
        .given
        .iter()
        .map(|given| (given.at.clone(), MadeFrom { name: given.name.clone(), tree: given.digest }));
    let checked = job.section.reproducible == Reproducible::Check;
    ReadyStep {
        made_by: MadeBy {
            digest: job.digest,
            base: base.definition.name.to_string(),
            base_digest: base.lock.manifest,
            argv: job.section.argv.clone(),
            inputs: inputs.collect(),
            rules: STEP_RULES,
            reproducible: checked.then_some(made.difference.is_none()),
        },
        section: job.section.clone(),
        shipped: tree(&made.files, true),
        crates,
        all: Arc::new(tree(&made.files, false)),
        difference: made.difference,
    }
}

fn not_reproducible(plan: &ArtifactPlan, step: &ReadyStep, difference: &Difference) -> Finding {
    let name = &step.section.name;
    let cause =
        format!("the step `{name}` ran twice, and {} is not the same: {}", difference.path, difference.how);
    let mut finding = Finding::new(Code::StepNotReproducible, name.as_str(), cause);
    if difference.files > 1 {
        finding = finding.detail(format!("{} files differ", difference.files));
    }
    finding
        .detail("the second run began later, in a container of its own, and its input files are a day younger")
        .remedy(format!(
            "let it take times from SOURCE_DATE_EPOCH, sort what it reads from folders, and use no random numbers ({})",
            plan.manifest.file
        ))
        .remedy("or accept it in the policy: whoever builds the artifact again will then get another one")
}
