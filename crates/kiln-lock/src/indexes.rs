//! The indexes of a workspace, for whoever resolves.

use crate::LockError;
use crate::index_router::IndexRouter;
use kiln_fetch::Index;
use kiln_guest::Bases;
use kiln_plan::NamedIndex;
use kiln_record::DistributionName;
use kiln_wheel::{claimed, claimed_twice};

/// The indexes of a workspace.
pub(crate) struct Indexes<'a> {
    pub default: &'a Index,
    pub named: &'a [NamedIndex],
    /// What stands for all of them, where any are named.
    pub router: Option<&'a IndexRouter>,
}

impl Indexes<'_> {
    /// The one that a distribution is bound to.
    pub(crate) async fn of(&self, bases: &Bases, name: &DistributionName) -> Result<Index, LockError> {
        match claimed(self.named, name) {
            Ok(None) => Ok(self.default.clone()),
            Ok(Some(index)) => Ok(bases.network().named_index(&index.name).await?),
            Err(claims) => Err(LockError::Denied(Box::new(claimed_twice(name, &claims)))),
        }
    }
}
