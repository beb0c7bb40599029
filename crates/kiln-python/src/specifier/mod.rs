//! Dependency specifiers, `name[extra] >=1.0 ; marker` (packaging specification "dependency specifiers"):
//! markers, versions and constraints, in the notation of PEP 440 and in Poetry's.

mod constraint;
mod constraint_union;
mod dependency;
mod marker;
mod same_condition;
mod version;

pub use constraint::{Constraint, poetry_constraint};
pub(crate) use dependency::Dependency;
pub(crate) use marker::{Marker, Variable, all_markers, normal_extra};
pub(crate) use same_condition::{releases, same_condition};
pub(crate) use version::{accepts, same_version};
