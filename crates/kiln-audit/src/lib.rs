//! Judging what is about to be packed, and comparing what was built.
//!
//! Two halves, both pure: *verify* turns a tree and what its files say into findings (`elf`, `binary`, `reconcile`,
//! `limits`, under a `policy`); *compare* turns two records and a size history into a diff (`compare`, `anomaly`,
//! `report`). Nothing here reads a file: content arrives as bytes.

mod anomaly;
mod binary;
mod causes;
mod compare;
mod components;
mod difference;
mod elf;
mod elf_difference;
mod error;
mod files;
mod first_difference;
mod gate;
mod hygiene;
mod known;
mod layering;
mod leaks;
mod libraries;
mod license_text;
mod limits;
mod linkage;
mod names;
mod namespaces;
mod native_changes;
mod owner;
mod packaging;
mod policy;
mod quantity;
mod reconcile;
mod report;
mod report_markdown;
mod report_parts;
mod report_rows;
mod security;
mod stated;
mod version;
mod workspace_diff;

pub use anomaly::{
    Anomaly, COMPONENT_FLOOR, HISTORY, Measure, Rule, STEP_FLOOR, Sample, SizeStep, StepVerdict, size_step,
};
pub use binary::{BinaryTarget, check_binary};
pub use causes::{BasePackages, CauseKind, ChangeCause, InputChange, PackageMove, PropertyChange};
pub use compare::{ContainerField, DIFF_FORMAT, Diff, GapChange, Side, Verdict, compare, compare_subjects};
pub use components::{ByteDelta, ComponentBytes, ComponentChange, ComponentChangeKind};
pub use difference::FirstDifference;
pub use elf::{ElfFacts, Libc, NeededVersion, inspect_elf};
pub use error::AuditError;
pub use files::{FileChange, FileChangeKind, FileState};
pub use first_difference::{LARGEST_EXPLAINED, first_difference};
pub use gate::{FailOn, Growth, UnknownFailOn};
pub use hygiene::{check_bytecode, check_duplicates, check_links};
pub use known::{Known, SizeHistory, Subject};
pub use layering::{Layered, check_layering};
pub use leaks::{LEAK_SIZE_LIMIT, Whose, check_leaks, is_environment_file, may_name_build_paths};
pub use libraries::{NativeFile, NativeFiles, check_libraries};
pub use license_text::license_of_text;
pub use limits::{
    Budget, IMAGE_LIMIT, ImageSizes, UNPACKED_LIMIT, ZIP_UPLOAD_LIMIT, check_image_limits, check_limits,
};
pub use names::{
    Bringing, LARGEST_PTH, check_file_count, check_file_names, check_module_names, check_startup, may_start,
};
pub use namespaces::{SearchedTree, check_namespaces, check_unowned};
pub use native_changes::{LinkedChange, NeedChange};
pub use packaging::{Packaging, Packagings};
pub use policy::{Exception, Policy};
pub use quantity::{binary as format_size, signed as format_change};
pub use reconcile::{
    Expected, FoundDistribution, MAX_PROBLEMS, distributions_in_tree, reconcile, recorded_path,
};
pub use report_parts::{cell as markdown_cell, component_notes, file_difference, title as component_title};
pub use report_rows::Attention;
pub use security::{CheckChange, ImportChange};
pub use stated::{check_bills, check_hashes, check_license_texts};
pub use workspace_diff::{
    ArtifactChange, ArtifactCounts, ArtifactState, WORKSPACE_DIFF_FORMAT, WorkspaceDiff,
};
