//! Endpoints, as clients and operators write them.

use std::net::IpAddr;

/// Completes an endpoint: without a scheme it is https, or http if `skip_ssl` is set; a scheme that
/// is there wins.
///
/// # Errors
///
/// With a fragment that says what is wrong.
pub fn complete(text: &str, skip_ssl: bool) -> Result<String, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if skip_ssl => ("http".to_owned(), text),
        None => ("https".to_owned(), text),
    };
    if scheme != "http" && scheme != "https" {
        return Err("must begin with http:// or https://, or have no scheme".to_owned());
    }
    let rest = rest.trim_end_matches('/');
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("names no host".to_owned());
    }
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "@?#\\\"<>".contains(c);
    if rest.contains(is_bad) {
        return Err("must be a plain address: no blanks, credentials, query or fragment".to_owned());
    }
    Ok(format!("{scheme}://{rest}"))
}

/// Whether a completed endpoint is on this machine, by its address or by the name `localhost`.
pub(super) fn is_loopback(url: &str) -> bool {
    let (host, _) = host_and_port(url);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The host of a completed endpoint, an IPv6 address in brackets, and the port that is meant.
#[must_use]
pub fn host_and_port(url: &str) -> (&str, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let end_of_address = authority.rfind(']').unwrap_or(0);
    let (host, port) = match authority[end_of_address..].rfind(':') {
        Some(colon) => (
            &authority[..end_of_address + colon],
            &authority[end_of_address + colon + 1..],
        ),
        None => (authority, ""),
    };
    let usual = if scheme == "http" { 80 } else { 443 };
    (host, port.parse().unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_loopback_addresses() {
        for (url, is_here) in [
            ("http://127.0.0.1", true),
            ("http://127.1.2.3:10000/devstoreaccount1", true),
            ("http://localhost:4443", true),
            ("http://[::1]:9000/base", true),
            ("http://127.0.0.1.example.org", false),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
            ("http://[fe80::1]", false),
            ("http://example.org/127.0.0.1", false),
        ] {
            assert_eq!(is_loopback(url), is_here, "{url}");
        }
    }

    #[test]
    fn host_and_port_are_told_apart() {
        for (url, host, port) in [
            ("https://s3.example.org", "s3.example.org", 443),
            ("http://s3.example.org/base:1", "s3.example.org", 80),
            ("https://s3.example.org:8443/base", "s3.example.org", 8443),
            ("http://10.1.2.3:9000", "10.1.2.3", 9000),
            ("http://[::1]", "[::1]", 80),
            ("https://[fd12::1]:9000/base", "[fd12::1]", 9000),
        ] {
            assert_eq!(host_and_port(url), (host, port), "{url}");
        }
    }

    #[test]
    fn a_scheme_is_added_where_it_is_missing_and_wins_where_it_is_there() {
        for (text, skip_ssl, url) in [
            ("s3.example.org", false, "https://s3.example.org"),
            ("s3.example.org", true, "http://s3.example.org"),
            ("127.0.0.1:9200", true, "http://127.0.0.1:9200"),
            ("https://s3.example.org/", true, "https://s3.example.org"),
            ("HTTP://s3.example.org:80", false, "http://s3.example.org:80"),
            ("[::1]:9000/base/", true, "http://[::1]:9000/base"),
        ] {
            assert_eq!(complete(text, skip_ssl), Ok(url.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "ftp://x",
            "https://",
            "://x",
            "http:///x",
            "a b",
            "https://u:p@x",
            "x?y",
            "x#y",
            ":80",
            "x\ny",
        ] {
            assert!(complete(text, false).is_err(), "{text}");
        }
    }
}
