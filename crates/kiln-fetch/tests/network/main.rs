//! The crate's behaviour against servers on 127.0.0.1: well-behaved, broken and hostile ones.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod archives;
mod downloads;
mod indexes;
mod logins;
mod registries;
mod repositories;
mod server;
mod transport;

use kiln_fetch::{Client, NetworkSettings};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file beside the tests that holds certificates or keys made for them.
fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/tls").join(name)
}

/// Settings for a server that is near: failures show quickly. The host's trust store is left alone, so that the
/// outcome does not depend on it and the many clients of these tests need not load it.
fn settings() -> NetworkSettings {
    NetworkSettings {
        ca_bundle: Some(tls_file("authority.pem")),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        attempts: 2,
        ..NetworkSettings::default()
    }
}

fn client() -> Client {
    Client::new(&settings()).unwrap()
}
