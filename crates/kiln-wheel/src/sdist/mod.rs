//! Source distributions that the manifest lets be built: fetched by the digest that the lock names, built twice in a base
//! without a network, brought into one form and compared. From there on the wheel goes the way of every wheel.

mod diagnosis;
mod environment;
mod source;
mod unused;
mod wheel;

pub(crate) use environment::BuildEnvironment;
pub use environment::environment_of_base;
pub use source::UnpackedSource;
pub(crate) use unused::unused;

use crate::WheelError;
use crate::bring::distribution::{self, Chosen, Found, NoWheelFound, ReadyWheel};
use crate::choose::{Bindings, command};
use kiln_guest::{Bases, Difference, Ending, Given, Log, Program, Ran, again, guest};
use kiln_invocation::{Asked, Event, blocking};
use kiln_pack::{COMPRESSOR, PackError, TarContent, stream_tar};
use kiln_plan::{ArtifactPlan, BuildPlan, LockKind, Manifest};
use kiln_python::{
    BUILD_SDIST, BuildSystem, INSTALLER_RULES, Locked, SdistReport, SdistRequest, TargetEnvironment,
    WheelName, is_file_of, unmet_build_requirements,
};
use kiln_record::{
    Architecture, BuiltFrom, Code, Defect, Digest, DistributionName, Finding, Origin, OriginSource, Place,
    Runtime, digest_of_value, excerpt,
};
use kiln_store::{Memo, SpoolReader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use wheel::BuiltWheel;

/// The version of the rules by which source distributions are built and their wheels are brought into one form. A step
/// makes kiln build them again.
const SDIST_RULES: u32 = 1;

/// Where things are in the container. The source is always built at one place, so that no path of it can differ.
const BUILDER: (u32, u32) = (65534, 65534);
const SOURCE: &str = "/kiln/source";
const WORK: &str = "/kiln/build";
const OUT: &str = "/kiln/wheel";
const REQUIREMENTS: &str = "/kiln/requirements";
const COMMANDS: &str = "/tmp/kiln-commands";
/// The temporary folder of each build: the one thing that is called otherwise in the second one.
const TEMPORARY: [&str; 2] = ["/tmp/kiln-first", "/tmp/kiln-second-build"];
const DEADLINE: Duration = Duration::from_secs(1800);
const MEMORY: u64 = 4 << 30;

/// What a build of a source distribution gave, remembered by everything that decides it.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    wheel: Chosen,
    from: BuiltFrom,
    difference: Option<Difference>,
    /// A file of the source that a compiler would take.
    native_source: Option<String>,
}

/// The source distribution that stands for a locked distribution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChosenSdist {
    pub(crate) file: Chosen,
    size: u64,
    sha512: String,
    /// Why no wheel is taken.
    reason: String,
}

impl Memo for Remembered {
    const KIND: &'static str = "built-sdist";

    fn content(&self) -> Vec<Digest> {
        vec![self.wheel.digest]
    }
}

impl Memo for ChosenSdist {
    const KIND: &'static str = "chosen-sdist";

    fn content(&self) -> Vec<Digest> {
        vec![self.file.digest]
    }
}

impl Remembered {
    /// Whether this can be what another machine made of a source distribution, of which `expected` says what is known before
    /// it is built; else what is wrong with it, as what follows "its result". That the wheel is the one that building it
    /// here would give cannot be told.
    fn fits(&self, expected: &BuiltFrom, locked: &Locked) -> Result<(), String> {
        let name = &self.wheel.file_name;
        if WheelName::parse(name).is_err() || !is_file_of(name, &locked.name, &locked.version) {
            return Err(format!(
                "is {}, which is no wheel of {} {}",
                excerpt(name),
                locked.name,
                locked.version
            ));
        }
        let said = BuiltFrom {
            reason: self.from.reason.clone(),
            backend: self.from.backend.clone(),
            requirements: self.from.requirements.clone(),
            reproducible: self.difference.is_none(),
            ..expected.clone()
        };
        if said == self.from { Ok(()) } else { Err("tells of another build".to_owned()) }
    }
}

/// What came of bringing a distribution.
#[derive(Default)]
pub struct Brought {
    pub wheel: Option<ReadyWheel>,
    pub findings: Vec<Finding>,
}

/// What a locked distribution is made of.
pub(crate) enum Source<'a> {
    /// A wheel, or what is wrong with it.
    Wheel(Box<Brought>),
    /// A source distribution, and what building it needs.
    Sdist(&'a BuildPlan, ChosenSdist),
}

impl Brought {
    fn finding(finding: Finding) -> Self {
        Self { wheel: None, findings: vec![finding] }
    }

    /// What came of a place that offers one file and nothing to build. `at` is where the lock names it.
    pub fn of(found: Found, locked: &Locked, at: &Place) -> Self {
        match found {
            Found::Wheel(wheel) => Self { wheel: Some(*wheel), findings: Vec::new() },
            Found::IfAccepted(wheel, finding) => Self { wheel: Some(*wheel), findings: vec![*finding] },
            Found::Finding(finding) => Self::finding(*finding),
            Found::NoWheel(found) => Self::finding(found.none.finding(&locked.name, &locked.version, at)),
        }
    }
}

/// Brings the distributions of one artifact: wheels where any fits, else what was built from a source distribution.
pub struct Builder<'a> {
    bases: &'a Bases,
    plan: &'a ArtifactPlan,
    runtime: &'a Runtime,
    bindings: &'a Bindings,
    /// Made when the first source distribution needs it.
    environment: OnceCell<Result<Arc<BuildEnvironment>, Vec<Finding>>>,
}

/// One source distribution to build.
struct Job<'a> {
    build: &'a BuildPlan,
    locked: &'a Locked,
    chosen: ChosenSdist,
    variables: BTreeMap<String, String>,
    key: Digest,
}

impl Job<'_> {
    /// What it is in words.
    fn what(&self) -> String {
        format!("the wheel of {}", self.chosen.file.file_name)
    }

    /// What is known before it is built: all but the backend, its requirements and what came of the second time.
    fn built_from(&self) -> BuiltFrom {
        BuiltFrom {
            sdist: Origin {
                file_name: self.chosen.file.file_name.clone(),
                size: self.chosen.size,
                digest: self.chosen.file.digest,
                sha512: Some(self.chosen.sha512.clone()),
                // The lock says where it is from, and not what is remembered of it.
                source: None,
            },
            reason: self.chosen.reason.clone(),
            base: self.build.base.definition.name.to_string(),
            base_digest: self.build.base.lock.manifest,
            backend: String::new(),
            requirements: Vec::new(),
            rules: SDIST_RULES,
            reproducible: true,
        }
    }
}

impl<'a> Builder<'a> {
    /// For the distributions of one artifact. `bindings` says which index each is asked of.
    pub fn new(
        bases: &'a Bases,
        plan: &'a ArtifactPlan,
        runtime: &'a Runtime,
        bindings: &'a Bindings,
    ) -> Self {
        Self { bases, plan, runtime, bindings, environment: OnceCell::new() }
    }

    fn listed(&self) -> &[DistributionName] {
        self.plan.manifest.python.as_ref().map_or(&[], |python| &python.sdists)
    }

    /// Says how the lock gets the wheels of the target, where kiln can make that lock. What is locked stays so, with its hashes,
    /// unless it is named.
    fn lockable(&self, name: &DistributionName, finding: Finding) -> Finding {
        let manifest = &self.plan.manifest;
        let first = match &manifest.python {
            Some(python) if python.requirements.is_some() => String::new(),
            Some(python) if python.lock_kind() == LockKind::Requirements => {
                format!("name what you want with `requirements` under [python] in {}, then ", manifest.file)
            }
            _ => return finding,
        };
        finding.remedy(format!(
            "to lock the wheels that {} loads: {first}{} -P {name}; then kiln build {}",
            self.runtime.name,
            command(manifest),
            manifest.stated_name()
        ))
    }

    /// What building needs, if the manifest lets this distribution be built.
    fn build_of(&self, locked: &Locked) -> Option<&'a BuildPlan> {
        self.plan.build.as_ref().filter(|_| self.listed().contains(&locked.name))
    }

    /// Brings a locked distribution into the store, by building it where that is what it takes.
    pub async fn bring(
        &self,
        lock_file: &str,
        locked: &Locked,
        target: &TargetEnvironment,
    ) -> Result<Brought, WheelError> {
        match self.source(lock_file, locked, target).await? {
            Source::Wheel(brought) => Ok(*brought),
            Source::Sdist(build, chosen) => {
                let place = Place::line(lock_file, locked.line);
                self.wheel_of(&self.job(build, locked, chosen)?, &place, target).await
            }
        }
    }

    /// Brings what a locked distribution is made of into the store; nothing is built.
    pub(crate) async fn source(
        &self,
        lock_file: &str,
        locked: &Locked,
        target: &TargetEnvironment,
    ) -> Result<Source<'a>, WheelError> {
        let (bases, place) = (self.bases, Place::line(lock_file, locked.line));
        if let Some(build) = self.build_of(locked)
            && let Some(chosen) = self.chosen(locked, target)?
        {
            return Ok(Source::Sdist(build, chosen));
        }
        let index = self.bindings.of(&locked.name);
        let brought = match distribution::bring(bases, &self.plan.base, lock_file, locked, index, target)
            .await?
        {
            Found::Wheel(wheel) => Brought { wheel: Some(*wheel), findings: Vec::new() },
            Found::IfAccepted(wheel, finding) => Brought { wheel: Some(*wheel), findings: vec![*finding] },
            Found::Finding(finding) => Brought::finding(*finding),
            Found::NoWheel(no_wheel) => {
                let NoWheelFound { none, sdist, hashes } = *no_wheel;
                let (name, version) = (&locked.name, &locked.version);
                let Some(file) = sdist else {
                    let finding = self.lockable(name, none.finding(name, version, &place));
                    return Ok(Source::Wheel(Box::new(Brought::finding(finding))));
                };
                let Some(build) = self.build_of(locked) else {
                    let manifest = &self.plan.manifest.file;
                    let finding = none.not_listed(name, version, &place, manifest, self.listed());
                    return Ok(Source::Wheel(Box::new(Brought::finding(finding))));
                };
                let digest = bases.network().download(&file, &hashes, &place.to_string()).await?;
                let store = bases.store().clone();
                let (size, sha512) = blocking(move || distribution::measure(&store, &digest)).await?;
                let chosen = ChosenSdist {
                    file: Chosen { file_name: file.file_name.clone(), digest },
                    size,
                    sha512,
                    reason: none.reason(),
                };
                let key = distribution::choice_key(locked, &hashes, target)?;
                bases.store().remember(&key, &chosen)?;
                return Ok(Source::Sdist(build, chosen));
            }
        };
        Ok(Source::Wheel(Box::new(brought)))
    }

    /// The wheel of a locked distribution, if an earlier run brought or built it. Nothing is fetched or built.
    pub async fn known(
        &self,
        locked: &Locked,
        target: &TargetEnvironment,
    ) -> Result<Option<ReadyWheel>, WheelError> {
        if let Some(wheel) = distribution::known(self.bases.network(), locked, target).await? {
            return Ok(Some(wheel));
        }
        let Some(build) = self.build_of(locked) else { return Ok(None) };
        let Some(chosen) = self.chosen(locked, target)? else { return Ok(None) };
        let job = self.job(build, locked, chosen)?;
        match self.bases.network().shared().known(&self.asked(&job, &job.what()))? {
            Some(known) => Ok(Some(self.ready(&job, known).await?)),
            None => Ok(None),
        }
    }

    /// The source distribution that an earlier run chose, if the store still has it.
    fn chosen(&self, locked: &Locked, target: &TargetEnvironment) -> Result<Option<ChosenSdist>, WheelError> {
        let hashes = distribution::locked_hashes(locked);
        let key = distribution::choice_key(locked, &hashes, target)?;
        let known = self.bases.store().recall::<ChosenSdist>(&key)?;
        Ok(known.filter(|chosen| hashes.contains(&chosen.file.digest)))
    }

    fn job<'j>(
        &self,
        build: &'j BuildPlan,
        locked: &'j Locked,
        chosen: ChosenSdist,
    ) -> Result<Job<'j>, WheelError> {
        let variables = variables(self.plan, build);
        let image = &build.base.definition.image;
        let key = digest_of_value(&(
            (SDIST_RULES, BUILD_SDIST, COMPRESSOR, INSTALLER_RULES, distribution::CHOICE_RULES),
            (&locked.name, &locked.version, chosen.file.digest),
            (build.base.lock.manifest, build.base.platform, &image.python),
            (&build.digests, &variables, self.plan.epoch),
        ))?;
        Ok(Job { build, locked, chosen, variables, key })
    }

    fn asked<'j>(&'j self, job: &'j Job<'_>, what: &'j str) -> Asked<'j> {
        Asked { artifact: &self.plan.manifest.name, what, key: &job.key }
    }

    async fn ready(&self, job: &Job<'_>, known: Remembered) -> Result<ReadyWheel, WheelError> {
        let ready = distribution::read(self.bases.network(), known.wheel).await?;
        let mut from = BuiltFrom { reason: job.chosen.reason.clone(), ..known.from };
        let index = self.bindings.of(&job.locked.name);
        from.sdist.source = index.map(|name| OriginSource::Index { name: name.to_owned() });
        Ok(ReadyWheel { built_from: Some(from), ..ready })
    }

    /// The wheel of a source distribution: remembered, or built now.
    async fn wheel_of(
        &self,
        job: &Job<'_>,
        place: &Place,
        target: &TargetEnvironment,
    ) -> Result<Brought, WheelError> {
        let _flight = self.bases.network().flight(&job.key).await;
        let shared = self.bases.network().shared();
        let (expected, of) = (job.built_from(), job.locked.clone());
        let what = job.what();
        let asked = self.asked(job, &what);
        let known = match shared.recall(&asked, move |_, told: &Remembered| told.fits(&expected, &of)).await?
        {
            Some(known) => known,
            None => match self.build(job).await? {
                Ok(built) => shared.remember(&asked, built).await?,
                Err(findings) => return Ok(Brought { wheel: None, findings }),
            },
        };
        let (name, version) = (&job.locked.name, &job.locked.version);
        if let Err(reason) = target.fitting_tag(&known.wheel.file_name) {
            let cause = format!(
                "{name} {version} ({place}) was built to {}, which base and target cannot both load: {reason}",
                known.wheel.file_name
            );
            let finding = Finding::new(Code::NoCompatibleWheel, name.as_str(), cause)
                .at(place.clone())
                .detail(format!("built in base {} from {}", known.from.base, known.from.sdist.file_name))
                .remedy(format!("name a base with the Python and machine of {}", self.runtime.name));
            return Ok(Brought::finding(finding));
        }
        let mut findings = Vec::new();
        if let Some(difference) = &known.difference {
            findings.push(not_reproducible(job, difference));
        }
        let native_source = known.native_source.clone();
        let wheel = self.ready(job, known).await?;
        findings.extend(without_extension(job, &wheel, native_source.as_deref(), &self.plan.manifest));
        Ok(Brought { wheel: Some(wheel), findings })
    }

    async fn build(&self, job: &Job<'_>) -> Result<Result<Remembered, Vec<Finding>>, WheelError> {
        let bases = self.bases;
        let (file, digest) = (job.chosen.file.file_name.clone(), job.chosen.file.digest);
        let source = {
            let (store, file) = (bases.store().clone(), file.clone());
            Arc::new(blocking(move || UnpackedSource::read(&store, &file, &digest)).await?)
        };
        let system = BuildSystem::read(source.pyproject().as_deref())
            .map_err(|reason| self.failed(job, format!("cannot be built: {reason}"), &Log::default()))?;
        let environment = self
            .environment
            .get_or_try_init(|| BuildEnvironment::prepare(bases, self.plan, self.runtime, job.build))
            .await?;
        let environment = match environment {
            Ok(environment) => Arc::clone(environment),
            Err(findings) => return Ok(Err(findings.clone())),
        };
        let unmet = unmet_build_requirements(&system.requires, &environment.versions, &environment.target);
        if !unmet.is_empty() {
            return Ok(Err(vec![self.not_locked(job, &system, &unmet)]));
        }
        let architecture = self.plan.manifest.target.architecture;
        if bases.engine().await?.info().await?.platform.architecture != architecture {
            let reason = format!("cannot be built: there is no {} engine here", architecture.lambda());
            return Err(self.failed(job, reason, &Log::default()));
        }
        // Compilers take what memory and processors there are: no more of them at once than wheels are read.
        let turn = bases.run().reading_turn().await?;
        let mut wheels = Vec::new();
        for reverse in [false, true] {
            bases.run().tell(Event::SdistBuild { file: file.clone(), again: reverse });
            let making = self.run(job, &environment, &system, &source, reverse);
            let (report, wheel) = if reverse { again(making).await? } else { making.await? };
            let unmet =
                unmet_build_requirements(&report.requires, &environment.versions, &environment.target);
            if !unmet.is_empty() {
                return Ok(Err(vec![self.not_locked(job, &system, &unmet)]));
            }
            match wheel {
                Some(wheel) => wheels.push(wheel),
                None => return Err(self.failed(job, "gave no wheel".to_owned(), &Log::default())),
            }
        }
        drop(turn);
        let [mut wheel, mut second] = <[_; 2]>::try_from(wheels)
            .map_err(|_| Defect::new("a build that was made twice gave two wheels"))?;
        let (backend, requirements) = (system.backend, environment.requirements());
        let from = BuiltFrom { backend, requirements, ..job.built_from() };
        let (store, native_source) = (bases.store().clone(), source.native_source());
        blocking(move || {
            let difference = wheel.difference(&mut second)?;
            let (digest, _) = wheel.normal_form(store.writer()?)?.commit(None)?;
            Ok(Ok(Remembered {
                wheel: Chosen { file_name: wheel.file_name, digest },
                from: BuiltFrom { reproducible: difference.is_none(), ..from },
                difference,
                native_source,
            }))
        })
        .await
    }

    /// Builds it once.
    async fn run(
        &self,
        job: &Job<'_>,
        environment: &BuildEnvironment,
        system: &BuildSystem,
        source: &Arc<UnpackedSource>,
        reverse: bool,
    ) -> Result<(SdistReport, Option<BuiltWheel<SpoolReader>>), WheelError> {
        let bases = self.bases;
        let epoch = self.plan.epoch.seconds();
        let request = SdistRequest {
            source: SOURCE.to_owned(),
            work: format!("{WORK}/source"),
            out: OUT.to_owned(),
            requirements: REQUIREMENTS.to_owned(),
            commands: COMMANDS.to_owned(),
            backend: system.backend.clone(),
            backend_path: system.backend_path.clone(),
            locked: environment.versions.keys().cloned().collect(),
            epoch,
            user: bases.has_second_user().then_some(BUILDER),
            reverse,
        };
        let mut env = job.variables.clone();
        env.insert("TMPDIR".to_owned(), TEMPORARY[usize::from(reverse)].to_owned());
        let collection = Arc::clone(&environment.collection);
        let argv = [
            job.build.base.definition.image.python.as_str(),
            "-I",
            "-S",
            "-B",
            "-c",
            BUILD_SDIST,
            &request.to_json(),
        ];
        let label = format!("{} build of {}", self.plan.manifest.name, job.chosen.file.file_name);
        let image = bases.image(&job.build.base).await?;
        let store = bases.store();
        let requirements = Given::new(REQUIREMENTS, vec![collection], false).bring(bases, &image).await?;
        let program = Program::new(label, image, argv.map(str::to_owned).to_vec())
            .environment(env)
            .user(format!("{}:{}", BUILDER.0, BUILDER.1))
            .supervised()
            .inputs([source.input(store, SOURCE, epoch).await?, requirements])
            .outputs(store, [guest(OUT)?])?
            .scratch(vec![guest("/tmp")?, guest(WORK)?])
            .memory(MEMORY)
            .processes(512)
            .output_bytes(512 << 20)
            .deadline(DEADLINE);
        let ran = program.run(bases.engine().await?, bases.run().events(), job.locked.name.as_str()).await?;
        self.outcome(job, &ran)
    }

    fn outcome(
        &self,
        job: &Job<'_>,
        ran: &Ran,
    ) -> Result<(SdistReport, Option<BuiltWheel<SpoolReader>>), WheelError> {
        let log = &ran.log;
        match &ran.ending {
            Ending::Exit(0) => {}
            Ending::OutOfMemory => {
                let reason = format!("ran out of memory, of which it may use {} GB", MEMORY >> 30);
                return Err(self.failed(job, reason, log));
            }
            Ending::TimedOut { seconds } => {
                return Err(self.failed(job, format!("was not done after {seconds} s, and was ended"), log));
            }
            Ending::OutputTooLarge { what, limit } => {
                return Err(self.failed(job, format!("wrote more than {limit} bytes of {what}"), log));
            }
            Ending::TooManyFiles { limit } => {
                let reason = format!("left more than {limit} files, folders and links");
                return Err(self.failed(job, reason, log));
            }
            Ending::Exit(_) | Ending::NoSuchProgram => {
                let code = ran.ending.code().unwrap_or_default();
                return Err(self.failed(job, format!("failed with exit code {code}"), log));
            }
        }
        let report = SdistReport::from_stdout(&ran.stdout)
            .map_err(|error| self.failed(job, error.to_string(), log))?;
        let Some(name) = &report.wheel else { return Ok((report, None)) };
        let (wanted, version) = (&job.locked.name, &job.locked.version);
        if WheelName::parse(name).is_err() || !is_file_of(name, wanted, version) {
            let reason = format!("made {}, which is no wheel of {wanted} {version}", excerpt(name));
            return Err(self.failed(job, reason, log));
        }
        let mut wheel = None;
        for (_, tar) in &ran.outputs {
            let spool = self.bases.store().spool()?;
            let (mut whole, mut found) = (spool.writer()?, false);
            let unreadable =
                |error| self.failed(job, format!("made a wheel that cannot be read: {error}"), log);
            stream_tar(tar.reader()?, &kiln_pack::Limits::default(), |item| {
                if let TarContent::File(file) = item.content
                    && item.path.as_str() == name
                {
                    io::copy(file, &mut whole)?;
                    found = true;
                }
                Ok::<(), PackError>(())
            })
            .map_err(unreadable)?;
            if found {
                wheel = Some(BuiltWheel::read(name, spool.reader()?).map_err(unreadable)?);
            }
        }
        Ok((report, wheel))
    }

    fn failed(&self, job: &Job<'_>, reason: String, log: &Log) -> WheelError {
        WheelError::SdistBuild {
            sdist: job.chosen.file.file_name.clone(),
            base: job.build.base.definition.name.clone(),
            reason,
            hints: diagnosis::hints(log, job.build, &self.plan.manifest),
            lines: log.lines(),
        }
    }

    /// The finding for what the lock of build requirements lacks.
    fn not_locked(&self, job: &Job<'_>, system: &BuildSystem, unmet: &[(String, String)]) -> Finding {
        let (name, version) = (&job.locked.name, &job.locked.version);
        let lock = job.build.lock.as_deref();
        let asked: Vec<String> = unmet.iter().map(|(text, _)| format!("`{text}`")).collect();
        let where_from = match lock {
            Some(lock) => format!("{lock} does not have"),
            None => format!("{} names no lock for", self.plan.manifest.file),
        };
        let cause = format!("{name} {version} is built with {}, which {where_from}", asked.join(", "));
        let mut finding = Finding::new(Code::BuildRequirementNotLocked, name.as_str(), cause);
        for (text, reason) in unmet {
            finding = finding.detail(format!("{text}: {reason}"));
        }
        finding = finding.detail(match system.stated {
            true => {
                format!("{} says so, for its build backend {}", job.chosen.file.file_name, system.backend)
            }
            false => {
                format!("{} does not say how it is built, so setuptools builds it", job.chosen.file.file_name)
            }
        });
        environment::with_remedies(finding, &self.plan.manifest, lock)
    }
}

/// The finding for a wheel without native code of a source distribution with sources for a compiler: setup files go on
/// without an extension that is optional and cannot be compiled.
fn without_extension(
    job: &Job<'_>,
    wheel: &ReadyWheel,
    native_source: Option<&str>,
    manifest: &Manifest,
) -> Option<Finding> {
    let native_source = native_source?;
    if !wheel.elf.is_empty() || !wheel.unreadable_elf.is_empty() {
        return None;
    }
    let (name, base) = (&job.locked.name, &job.build.base.definition.name);
    let cause = format!(
        "{} has sources for a compiler, such as {native_source}, and was built to {}, which has no native code",
        job.chosen.file.file_name, wheel.file_name
    );
    Some(
        Finding::new(Code::ExtensionNotBuilt, name.as_str(), cause)
            .detail(format!(
                "built in base {base}; many builds go on without an extension that they cannot compile"
            ))
            .remedy(format!(
                "name a base with a compiler and Python's headers with `base` under [python.build] in {}",
                manifest.file
            ))
            .remedy("or accept it in the policy: what is there works without, and may be slower"),
    )
}

fn not_reproducible(job: &Job<'_>, difference: &Difference) -> Finding {
    let (name, version) = (&job.locked.name, &job.locked.version);
    let cause = format!(
        "{} was built twice, and {} is not the same: {}",
        job.chosen.file.file_name, difference.path, difference.how
    );
    let mut finding = Finding::new(Code::SdistNotReproducible, name.as_str(), cause);
    if difference.files > 1 {
        finding = finding.detail(format!("{} members of the wheel differ", difference.files));
    }
    finding
        .detail("the second build began later, with its files in the opposite order and another temporary folder")
        .remedy(format!("lock a version of {name} that has a wheel, or another one than {version}"))
        .remedy("or set what it takes from the clock or at random with `env` under [python.build], if it lets you")
        .remedy("or accept it in the policy: whoever builds the artifact again will then get another one")
}

/// The variables of a build, but for the temporary folder.
fn variables(plan: &ArtifactPlan, build: &BuildPlan) -> BTreeMap<String, String> {
    let mut variables = build.base.definition.image.env.clone();
    variables.retain(|name, _| !name.starts_with("PYTHON") && !name.starts_with("LC_"));
    let section = plan.manifest.python.as_ref().and_then(|python| python.build.as_ref());
    variables.extend(section.iter().flat_map(|section| section.env.clone()));
    let machine = match build.base.platform.architecture {
        Architecture::Amd64 => "-march=x86-64 -mtune=generic",
        Architecture::Arm64 => "-march=armv8-a -mtune=generic",
    };
    let maps = format!("-ffile-prefix-map={WORK}/source=. -fdebug-prefix-map={WORK}/source=.");
    for name in ["CFLAGS", "CXXFLAGS"] {
        // The last one counts, so what makes builds alike comes after what the manifest wants.
        let own = variables.remove(name).map_or_else(|| "-O2".to_owned(), |own| own.trim().to_owned());
        variables.insert(name.to_owned(), format!("{own} {machine} {maps}"));
    }
    let fixed = [
        ("HOME", "/tmp/kiln-home".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("PATH", format!("{COMMANDS}:{REQUIREMENTS}/bin:/usr/local/bin:/usr/bin:/bin")),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("PYTHONNOUSERSITE", "1".to_owned()),
        ("PYTHONPATH", REQUIREMENTS.to_owned()),
        ("SOURCE_DATE_EPOCH", plan.epoch.seconds().to_string()),
        ("TZ", "UTC".to_owned()),
    ];
    variables.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
    variables
}
