//! The import check: whether the handler can be imported by the rule that Lambda applies, what that took, and
//! what the artifact's own files import.
//!
//! The check is a program that runs in the base ([`IMPORT_CHECK`]); it begins with a scan that runs nothing.

mod check;
mod compiled;
mod findings;
mod held;
mod scan;
mod surroundings;

pub use check::{
    FirstImport, HandlerOutcome, HandlerReport, IMPORT_CHECK, ImportProblem, ImportReport, ImportRequest,
    LayerModule, ModuleReport, ScanReport, StandInReport, TellsCompiled, Unreported, UnresolvedImport,
};
pub use compiled::{COMPILED_PLACE, Compiled, CompiledOf};
pub use findings::import_findings;
pub use scan::scan_findings;
pub use surroundings::Surroundings;
