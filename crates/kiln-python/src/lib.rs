//! Python packaging: what a lock says, what an interpreter can load, and how a wheel is installed.
//!
//! Everything here is a pure function from text or bytes to values. Two scripts are carried as text and run by others
//! inside a base image: the probe ([`PROBE`]) and the import check.

mod compile;
mod constraint_union;
mod declaration;
mod declaration_project;
mod dependency;
mod entry_points;
mod environment;
mod error;
mod file_place;
mod held_back;
mod import_check;
mod import_findings;
mod import_scan;
mod install;
mod installer;
mod interpreter;
mod judge;
mod lock;
mod marker;
mod metadata;
mod modules;
mod pipfile;
mod pipfile_hash;
mod poetry;
mod poetry_constraint;
mod poetry_hash;
mod project;
mod project_layout;
mod pylock;
mod python_range;
mod reach;
mod record_file;
mod release_file;
mod requirements;
mod requirements_direct;
mod requirements_include;
mod requirements_lines;
mod requires;
mod same_condition;
mod sdist;
mod sdist_metadata;
mod select;
mod smoke;
mod source_project;
mod stand_in;
mod tags;
mod target_lock;
mod uv_fresh;
mod uv_lock;
mod wheel;
mod wheel_archive;
mod wheel_python;

pub use compile::{COMPILE, CompileReport, CompileRequest};
pub use declaration::{Declaration, Wanted, declare_requirements};
pub use declaration_project::declare_project;
pub use environment::{TargetEnvironment, Verdict};
pub use error::PythonError;
pub use file_place::FilePlace;
pub use held_back::{HeldBack, Offer, held_back};
pub use import_check::{
    FirstImport, HandlerOutcome, HandlerReport, IMPORT_CHECK, ImportProblem, ImportReport, ImportRequest,
    LayerModule, ModuleReport, ScanReport, StandInReport, Unreported, UnresolvedImport, lambda_environment,
};
pub use import_findings::import_findings;
pub use import_scan::{Surroundings, scan_findings};
pub use install::{Installed, install};
pub use installer::{
    INSTALLER_RULES, InstalledFiles, InstallerComparison, InstallerFile, RUN_PIP, Rule, compare_installed,
    needs_content,
};
pub use interpreter::{Interpreter, PROBE};
pub use lock::{
    ConflictItem, Declared, InputProblem, Lock, LockFormat, Locked, LockedDependency, LockedFile,
    LockedIndex, ProblemKind, Remark, RequiresPython, SourceFolder,
};
pub use modules::top_level_modules;
pub use pipfile::parse_pipfile;
pub use poetry::parse_poetry;
pub use poetry_constraint::{Constraint, poetry_constraint};
pub use pylock::parse_pylock;
pub use record_file::render_record;
pub use release_file::{best_sdist, is_file_of};
pub use requirements::parse_requirements;
pub use requires::{Requirements, requires};
pub use sdist::{BUILD_SDIST, BuildSystem, SdistReport, SdistRequest, unmet_build_requirements};
pub use sdist_metadata::{SdistMetadata, dependency_metadata, sdist_metadata};
pub use select::{Choice, LayerContent, Selection, select};
pub use smoke::{
    AskedOfStandIn, EventOutcome, EventReport, Expectation, FunctionError, FunctionRequest, Match,
    RUNTIME_API, RequestedEvent, SmokeLimits, SmokeOutcome, SmokeProblem, SmokeReport, SmokeRequest,
    differences, function_script, smoke_outcome,
};
pub use source_project::{SourceProject, read_source_project};
pub use stand_in::{stand_in_for_trial, stand_in_interpreter};
pub use tags::{NoWheel, WheelName, best_wheel};
pub use target_lock::{
    ChangeKind, LockChange, LockHeader, LockTarget, Pinned, declared_not_locked, is_of_input, lock_changes,
    read_resolution, render_lock,
};
pub use uv_lock::parse_uv;
pub use wheel::{FileSource, InstalledFile, Wheel, WheelMember, read_wheel};
pub use wheel_python::wheels_requiring_other_python;
