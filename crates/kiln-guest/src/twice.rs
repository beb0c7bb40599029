//! Making something twice, to see that it comes out the same.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The second time begins at least a second after the first, so that a clock in what is made shows.
const PAUSE: Duration = Duration::from_millis(1100);

/// What is not the same in two makings of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The first file that differs.
    pub path: String,
    /// How, as a clause.
    pub how: String,
    /// How many files differ.
    pub files: usize,
}

/// Makes something again, later than it was made first. `make` is told that it is the second time by whoever calls this.
pub async fn again<T>(make: impl Future<Output = T>) -> T {
    tokio::time::sleep(PAUSE).await;
    make.await
}
