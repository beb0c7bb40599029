//! Python packaging: what a lock says, what an interpreter can load, and how a wheel is installed.
//!
//! Everything here is a pure function from text or bytes to values: nothing is read, fetched or run.
//!
//! # Where things are
//!
//! A folder uses only those above it, and no two files use each other.
//!
//! | folder | what it knows |
//! |---|---|
//! | `input` | files that users write: their problems, lines, TOML, URLs and paths |
//! | `specifier` | `name[extra] >=1 ; marker`: dependency specifiers, versions and their constraints |
//! | `interpreter` | what a base's Python says about itself, the tags that it loads, and the target |
//! | `wheel` | wheels: file names, the best of several, and what one installs |
//! | `sdist` | source distributions: which is built, by what, and what they require |
//! | `project` | `pyproject.toml`: what a project asks for, and what one in the workspace would install |
//! | `lock` | the five lock formats, each read into a [`Lock`] and held against its project file |
//! | `select` | which distributions of a lock go into an artifact, and why each other does not |
//! | `install` | wheels merged into one tree, held against each other's requirements and against pip |
//! | `resolve` | `kiln lock`: what is asked for, how uv is told the target, the lock that is written |
//! | `guest` | the programs that run inside a base, with their requests, their reports and what those mean |
//!
//! A lock's way through the crate: [`read_lock`] reads it, [`select()`] chooses from it, [`best_wheel`]
//! picks a file, [`read_wheel`] reads that, and [`install()`] merges all of them.
//!
//! Seven programs are carried as text and run by others inside a base image: the probe ([`PROBE`]), the
//! import check with the scan that it begins with ([`IMPORT_CHECK`]), the Runtime API ([`RUNTIME_API`]) and
//! the loop that handles its events ([`function_script`]), the compiler of bytecode ([`COMPILE`]), and the
//! build of a source distribution ([`BUILD_SDIST`]). Beside them, [`RUN_PIP`] starts the base's own pip.

mod error;
mod guest;
mod input;
mod install;
mod interpreter;
mod lock;
mod project;
mod resolve;
mod sdist;
mod select;
mod specifier;
mod wheel;

pub use error::PythonError;
pub use guest::{
    AskedOfStandIn, BUILD_SDIST, COMPILE, COMPILED_PLACE, CompileReport, CompileRequest, Compiled,
    CompiledOf, EventOutcome, EventReport, Expectation, FirstImport, FunctionError, FunctionRequest,
    HandlerOutcome, HandlerReport, IMPORT_CHECK, ImportProblem, ImportReport, ImportRequest, LayerModule,
    Match, ModuleReport, RUNTIME_API, RequestedEvent, ScanReport, SdistReport, SdistRequest, SmokeLimits,
    SmokeOutcome, SmokeProblem, SmokeReport, SmokeRequest, StandInReport, Surroundings, TellsCompiled,
    Unreported, UnresolvedImport, differences, function_script, import_findings, scan_findings,
    smoke_outcome,
};
pub use input::{InputProblem, InvalidInput, ProblemKind, Remark};
pub use install::{
    INSTALLER_RULES, Installed, InstalledFiles, InstallerComparison, InstallerFile, RUN_PIP, Requirements,
    Rule, compare_installed, install, needs_content, requires, wheels_requiring_other_python,
};
pub use interpreter::{Interpreter, PROBE, TargetEnvironment, Verdict};
pub use lock::{
    ConflictItem, FilePlace, Lock, LockFormat, LockHeader, LockTarget, Locked, LockedDependency, LockedFile,
    LockedIndex, NamedText, SourceFolder, WeakFile, parse_pipfile, parse_poetry, parse_pylock,
    parse_requirements, parse_uv, read_lock,
};
pub use project::{Declared, RequiresPython, SourceProject, read_source_project};
pub use resolve::{
    ChangeKind, Declaration, HeldBack, LockChange, Offer, Pinned, Wanted, declare_project,
    declare_requirements, declared_not_locked, held_back, is_of_input, lock_changes, read_resolution,
    render_lock, stand_in_for_trial, stand_in_interpreter,
};
pub use sdist::{
    BuildSystem, SdistMetadata, best_sdist, dependency_metadata, sdist_metadata, unmet_build_requirements,
};
pub use select::{AskedOfLock, Choice, LayerContent, Selection, holds, select, way_to_runtime};
pub use specifier::{Constraint, poetry_constraint};
pub use wheel::{
    FileSource, InstalledFile, NoWheel, Wheel, WheelMember, WheelName, best_wheel, distance, is_file_of,
    license_in_metadata, read_wheel, read_wheel_without_record, render_record, top_level_modules,
};
