//! The smoke check: a function handles events under the Lambda Runtime API, and each answer is held against
//! what its manifest says.
//!
//! Two programs run in the base. [`RUNTIME_API`] serves the API on the loopback interface and starts the
//! function, which may be any program that speaks it; [`function_script`] is that program for a Python
//! handler.

mod answer;
mod outcome;
mod report;

pub use answer::{Match, differences};
pub use outcome::{Expectation, SmokeLimits, SmokeOutcome, SmokeProblem, smoke_outcome};
pub use report::{
    AskedOfStandIn, EventOutcome, EventReport, FunctionError, FunctionRequest, RUNTIME_API, RequestedEvent,
    SmokeReport, SmokeRequest, function_script,
};
