//! Host names are looked up once.
//!
//! The connections of a run begin together, and to few hosts. Asked for each of them at once, small resolvers drop queries,
//! and the C library waits five seconds before it asks again (resolv.conf(5), `timeout`): longer than most downloads take.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// The addresses of one host, once they are known.
type Found = Arc<OnceCell<Vec<SocketAddr>>>;

/// Asks the machine's resolver for each host once, however many connections wait for the answer. What failed is asked for again
/// by the next connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostNames {
    found: Arc<Mutex<BTreeMap<String, Found>>>,
}

impl HostNames {
    fn of(&self, host: &str) -> Found {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(found.entry(host.to_owned()).or_default())
    }
}

impl Resolve for HostNames {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.of(name.as_str());
        Box::pin(async move {
            let looked_up = || async {
                tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>)
            };
            let addresses = found.get_or_try_init(looked_up).await?.clone();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_answer_serves_every_connection_and_a_failure_is_not_kept() {
        let names = HostNames::default();
        let ask = |host: &str| names.resolve(host.parse().unwrap());
        let first: Vec<SocketAddr> = ask("localhost").await.unwrap().collect();
        assert!(first.iter().all(|address| address.ip().is_loopback()) && !first.is_empty());
        // What is known is given without asking: here it is put where the machine would have said something else.
        let known: SocketAddr = "192.0.2.1:0".parse().unwrap();
        names.of("host.invalid").set(vec![known]).unwrap();
        assert_eq!(ask("host.invalid").await.unwrap().collect::<Vec<_>>(), [known]);
        assert!(ask("other.invalid").await.is_err());
        assert!(names.of("other.invalid").get().is_none());
        assert_eq!(names.of("localhost").get(), Some(&first));
    }
}
