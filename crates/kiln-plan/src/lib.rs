//! What the user states, made into a plan.
//!
//! Text comes in (settings, base definitions and their locks, manifests), values go out: a validated
//! workspace, and for each artifact a plan in which every input has a digest. Nothing here reads a file.

mod artifact_lock;
mod base;
mod cargo_lock;
mod dockerfile;
mod dockerignore;
mod duration;
mod manifest;
mod nearest;
mod period;
mod plan;
mod platforms;
mod problem;
mod settings;
mod size;
mod spanned;
mod tools_lock;
mod tracked;
mod workspace;
mod workspace_path;

pub use artifact_lock::{ARTIFACT_LOCK_FORMAT, ArtifactLockFile, LockedUpstream, locked_upstreams};
pub use base::{
    BASE_LOCK_FORMAT, BaseDefinition, BaseKind, BaseLock, DEBIAN_KEYRING, DebianDefinition, DebianRelease,
    ImageSettings, KnownBase, LockedPackage, PinnedBase, PlatformLock, RegistryDefinition, base_for,
    base_not_pinned, known_base, usual_base_name,
};
pub use cargo_lock::{LockedCrate, parse_cargo_lock};
pub use dockerfile::{Dockerfile, ENGINE_BASES};
pub use dockerignore::Ignore;
pub use manifest::{
    APP_FOLDER, BUILD_VARIABLES, BaseChoice, BudgetSection, BuildSection, Bytecode, CheckSection,
    Compression, DockerfileSection, DropRule, ImageOutput, ImageSection, Installer, LockKind, Manifest,
    PackageSection, PythonSection, Reproducible, STEP_SCRATCH, STEP_VARIABLES, SmokeEvent, SmokeMatch,
    SmokeStatus, SourceSection, StepInput, StepOutput, StepSection, StepSpans, Strip, TargetSection,
    UpstreamSection, artifact_lock_path, dockerfile_of,
};
pub use nearest::nearest;
pub use period::Period;
pub use plan::{ArtifactPlan, BuildPlan, LayerInput, PlanInputs, RecipePlan, StepPlan, plan};
pub use platforms::PlatformSet;
pub use problem::{InvalidFiles, Problem, line_of_key};
pub use settings::{
    EngineKind, EngineSetting, IndexPlace, NamePattern, NamedIndex, PolicyException, PolicySection,
    RegistryMirrorSetting, RemoteSetting, Settings, Trust,
};
pub use size::parse_size;
pub use tools_lock::{
    CrateArchive, NamedCrate, TOOLS_LOCK, TOOLS_LOCK_FORMAT, ToolFile, ToolLock, ToolsLock,
};
pub use tracked::Tracked;
pub use workspace::{TextFile, Workspace, WorkspaceFiles};
