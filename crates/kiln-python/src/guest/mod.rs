//! The programs that run inside a base, each beside the request that it takes and the report that it gives.
//!
//! They need nothing but Python and its standard library, and believe nothing: what they write is read as the
//! words of the code that ran beside them. The seventh, `probe.py`, is asked by
//! [`Interpreter`](crate::Interpreter).

mod build_sdist;
mod compile;
mod imports;
mod report;
mod smoke;

pub use build_sdist::{BUILD_SDIST, SdistReport, SdistRequest};
pub use compile::{COMPILE, CompileReport, CompileRequest};
pub use imports::{
    COMPILED_PLACE, Compiled, CompiledOf, FirstImport, HandlerOutcome, HandlerReport, IMPORT_CHECK,
    ImportProblem, ImportReport, ImportRequest, LayerModule, ModuleReport, ScanReport, StandInReport,
    Surroundings, TellsCompiled, Unreported, UnresolvedImport, import_findings, scan_findings,
};
pub use smoke::{
    AskedOfStandIn, EventOutcome, EventReport, Expectation, FunctionError, FunctionRequest, Match,
    RUNTIME_API, RequestedEvent, SmokeLimits, SmokeOutcome, SmokeProblem, SmokeReport, SmokeRequest,
    differences, function_script, smoke_outcome,
};
