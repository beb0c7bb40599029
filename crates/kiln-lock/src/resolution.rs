//! Resolving a declaration without building anything.

use crate::indexes::Indexes;
use crate::no_answer::NoAnswer;
use crate::uv::{Freedom, Question, Uv, wanted_builds};
use kiln_guest::Bases;
use kiln_python::Pinned;

/// Resolves a declaration. A listed source distribution that uv would have to build to know what it requires is looked
/// into instead, and uv is asked again.
pub(crate) async fn resolve(
    bases: &Bases,
    indexes: &Indexes<'_>,
    uv: &Uv,
    question: &Question<'_>,
    freedom: &Freedom,
) -> Result<Vec<Pinned>, NoAnswer> {
    loop {
        let refused = match uv.resolve(question, freedom).await {
            Err(NoAnswer::Refused { lines, unsatisfiable }) => (lines, unsatisfiable),
            other => return other,
        };
        let mut learnt = false;
        for wanted in wanted_builds(&refused.0) {
            if question.sdists.listed.contains(&wanted.0) {
                learnt |= question.sdists.look_into(bases, indexes, wanted).await?;
            }
        }
        if !learnt {
            return Err(NoAnswer::Refused { lines: refused.0, unsatisfiable: refused.1 });
        }
    }
}
