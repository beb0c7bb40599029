//! Which addresses are of this very host.

use url::{Host, Url};

/// Whether a URL is of this very host.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_needs_no_proxy() {
        for (text, expect) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://127.9.9.9/", true),
            ("https://[::1]/", true),
            ("http://LOCALHOST/", true),
            ("https://registry.localhost:5000/", true),
            ("https://localhost.example.org/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(text).unwrap()), expect, "{text}");
        }
    }
}
