//! Where a shared cache is.

use crate::{RemoteError, Result};
use kiln_record::excerpt;
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// The address of a server: `grpcs://HOST[:PORT][/INSTANCE]`, or `grpc://HOST:PORT[/INSTANCE]` without TLS; of one on this
/// very machine also `unix:/PATH`, its socket.
///
/// The instance is what the Remote Execution API calls `instance_name`; most servers have one without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    tls: bool,
    /// Host and port, or the path of a socket.
    authority: String,
    instance: String,
    loopback: bool,
}

impl Address {
    /// Whether it is reached with TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is a socket of this machine, which is known by its path.
    fn is_socket(&self) -> bool {
        self.authority.starts_with('/')
    }

    /// Whether it is this very host.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// What the Remote Execution API calls `instance_name`; often empty.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The same for HTTP, as a connection and a credential helper take it.
    pub(crate) fn http(&self) -> String {
        if self.is_socket() {
            return format!("unix:{}", self.authority);
        }
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_socket() {
            return write!(f, "unix:{}", self.authority);
        }
        write!(f, "{}://{}", if self.tls { "grpcs" } else { "grpc" }, self.authority)?;
        if self.instance.is_empty() { Ok(()) } else { write!(f, "/{}", self.instance) }
    }
}

impl FromStr for Address {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self> {
        let shown = excerpt(text.rsplit_once('@').map_or(text, |(_, host)| host));
        let bad = |why: &str| RemoteError::Address { address: shown.clone(), why: why.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.chars().any(char::is_control) {
                return Err(bad("after unix: comes the absolute path of a socket"));
            }
            let authority = path.to_owned();
            return Ok(Self { tls: false, authority, instance: String::new(), loopback: true });
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("grpcs", rest)) => (true, rest),
            Some(("grpc", rest)) => (false, rest),
            _ => {
                return Err(bad(
                    "it begins with grpcs:// or, without TLS, grpc://, or with unix: where it is a socket",
                ));
            }
        };
        // Hosts are read as those of the web are.
        let url = Url::parse(&format!("https://{rest}")).map_err(|error| bad(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a login is not part of it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it ends with its instance"));
        }
        let host = url.host_str().ok_or_else(|| bad("it has no host"))?;
        let port = match (url.port(), tls) {
            (Some(port), _) => port,
            // The parser drops the port that is usual for the web.
            (None, true) => 443,
            (None, false) if rest.split('/').next().is_some_and(|named| named.ends_with(":443")) => 443,
            (None, false) => return Err(bad("without TLS it has a port")),
        };
        let instance = url.path().trim_matches('/').to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if !instance.chars().all(plain) || instance.len() > 200 || instance.contains("//") {
            return Err(bad("an instance has letters, digits, `-`, `_`, `.` and `/`"));
        }
        // A resource name of a blob would be read otherwise (remote_execution.proto, `ContentAddressableStorage`).
        let reserved = [
            "blobs",
            "uploads",
            "actions",
            "actionResults",
            "operations",
            "capabilities",
            "compressed-blobs",
        ];
        if instance.split('/').any(|part| reserved.contains(&part)) {
            return Err(bad("an instance has none of the words that the API reserves, such as `blobs`"));
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        Ok(Self { tls, authority: format!("{host}:{port}"), instance, loopback })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_in_one_form() {
        for (text, expect) in [
            ("grpcs://cache.example.org", "grpcs://cache.example.org:443"),
            ("grpcs://Cache.example.org:8980/team/main/", "grpcs://cache.example.org:8980/team/main"),
            ("grpc://127.0.0.1:50051", "grpc://127.0.0.1:50051"),
            ("grpc://[::1]:443", "grpc://[::1]:443"),
            ("unix:///run/casd.sock", "unix:/run/casd.sock"),
            ("unix:/run/casd.sock", "unix:/run/casd.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), expect);
            assert_eq!(expect.parse::<Address>().unwrap(), address);
        }
        for text in [
            "",
            "https://cache.example.org",
            "grpc://cache.example.org",
            "grpcs://",
            "grpcs://user:secret@cache.example.org",
            "grpcs://cache.example.org/?a",
            "grpcs://cache.example.org/blobs",
            "grpcs://cache.example.org/a b",
            "unix:casd.sock",
            "unix:",
        ] {
            let told = text.parse::<Address>().unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn only_this_host_is_loopback() {
        let is_loopback = |text: &str| text.parse::<Address>().unwrap().is_loopback();
        assert!(is_loopback("grpc://127.0.0.1:1") && is_loopback("grpc://localhost:1"));
        assert!(!is_loopback("grpc://10.0.0.1:1") && !is_loopback("grpc://localhost.example.org:1"));
    }
}
