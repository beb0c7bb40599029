//! When a check that runs an artifact needs this machine's processors no longer: what does not decide how long it takes waits
//! until then.

use std::sync::Arc;
use tokio::sync::SetOnce;

/// Whether the programs of a check have all that they are given. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Underway(Arc<SetOnce<()>>);

impl Underway {
    /// Waits until they have, or there are none.
    pub async fn wait(&self) {
        self.0.wait().await;
    }

    /// Says so; more than once is no more than once.
    pub fn tell(&self) {
        let _ = self.0.set(());
    }
}

/// Says so at the latest when this is dropped: whatever became of the check, nobody waits for it.
pub(crate) struct AtLast<'a>(pub(crate) &'a Underway);

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        self.0.tell();
    }
}
