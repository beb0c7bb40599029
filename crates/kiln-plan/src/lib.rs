//! What the user states, made into a plan.
//!
//! Text comes in (settings, base definitions and their locks, manifests), values go out: a validated workspace, and for
//! each artifact a plan in which every input has a digest. Nothing here reads a file.

mod base;
mod build_section;
mod cargo_lock;
mod dockerfile;
mod image;
mod index;
mod manifest;
mod package;
mod plan;
mod platforms;
mod problem;
mod python_section;
mod runtime_table;
mod settings;
mod size;
mod smoke;
mod step;
mod tools;
mod upstream;
mod workspace;
mod workspace_path;

pub use base::{
    BASE_LOCK_FORMAT, BaseDefinition, BaseKind, BaseLock, DebianDefinition, DebianRelease, ImageSettings,
    LockedPackage, PlatformLock, RegistryDefinition,
};
pub use build_section::{BUILD_VARIABLES, BuildSection};
pub use cargo_lock::{LockedCrate, parse_cargo_lock};
pub use dockerfile::{Dockerfile, DockerfileSection, ENGINE_BASES, dockerfile_of};
pub use image::{Compression, ImageOutput, ImageSection};
pub use index::{IndexPlace, NamePattern, NamedIndex};
pub use manifest::{APP_FOLDER, BudgetSection, CheckSection, Manifest, SourceSection};
pub use package::{Bytecode, DropRule, PackageSection, Strip};
pub use plan::{
    ArtifactPlan, BuildPlan, LayerInput, PinnedBase, PlanInputs, RecipePlan, StepPlan, base_not_pinned, plan,
};
pub use platforms::PlatformSet;
pub use problem::Problem;
pub use python_section::{Installer, LockKind, PythonSection};
pub use settings::{PolicyException, PolicyLevel, PolicySection, Settings};
pub use size::parse_size;
pub use smoke::{SmokeEvent, SmokeMatch, SmokeStatus};
pub use step::{Reproducible, STEP_SCRATCH, STEP_VARIABLES, StepInput, StepOutput, StepSection, StepSpans};
pub use tools::{TOOLS_LOCK, TOOLS_LOCK_FORMAT, ToolFile, ToolLock, ToolsLock};
pub use upstream::{
    ARTIFACT_LOCK_FORMAT, ArtifactLockFile, LockedUpstream, UpstreamSection, artifact_lock_path,
    locked_upstreams,
};
pub use workspace::{TextFile, Workspace, WorkspaceFiles};
