//! How the agent listens: TLS, or in clear.

use std::net::IpAddr;

use adapters::http::TlsFiles;

use super::variables::Variables;

/// The files of TLS; none if HTTP is plain.
pub(super) fn tls(vars: &mut Variables<'_>) -> Option<TlsFiles> {
    let faults = vars.fault_count();
    let certificate = vars.directory("tls_certificate");
    let private_key = vars.directory("tls_private_key");
    let client_ca = vars.directory("tls_client_ca");
    if vars.fault_count() > faults {
        return None;
    }
    match (certificate, private_key) {
        (Some(certificate), Some(private_key)) => {
            return Some(TlsFiles {
                certificate,
                private_key,
                client_ca,
            });
        }
        (Some(_), None) => vars.fault(
            "tls_private_key",
            "is required with tls_certificate: the file of its key",
        ),
        (None, Some(_)) => vars.fault(
            "tls_certificate",
            "is required with tls_private_key: the file of its certificate",
        ),
        (None, None) if client_ca.is_some() => vars.fault(
            "tls_client_ca",
            "is only for TLS: set tls_certificate and tls_private_key with it",
        ),
        (None, None) => {}
    }
    None
}

/// What is to be said if others on the network can read along.
pub(super) fn in_clear(host: IpAddr, is_tls: bool) -> Option<String> {
    if is_tls || host.is_loopback() {
        return None;
    }
    Some(format!(
        "listening on {host} without TLS: passwords and the keys of stores cross the network in clear; set \
         tls_certificate and tls_private_key, or listen on client_address=127.0.0.1"
    ))
}
