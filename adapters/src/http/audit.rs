//! What callers did, for the audit log.

use std::net::SocketAddr;

use domain::ports::{Actor, AuditAction, AuditEntry, Claim};
use warp::http::{HeaderMap, StatusCode};

use super::{HttpContext, auth};

/// Where a connection comes from, among the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who sent a request: its user as given, and its address.
pub(super) fn caller(headers: &HeaderMap, peer: Option<Peer>) -> Actor {
    let header = headers.get("authorization");
    let user = header.and_then(|header| auth::parse(header.as_bytes()));
    Actor::Caller {
        user: user.map(|(user, _)| Claim::of(&user)),
        address: peer.map(|Peer(address)| address),
    }
}

/// Notes a request without the right credentials.
pub(super) fn refused(context: &HttpContext, headers: &HeaderMap, peer: Option<Peer>) {
    context.audit.record(AuditEntry {
        action: AuditAction::Login,
        actor: caller(headers, peer),
        kind: None,
        id: None,
        outcome: StatusCode::UNAUTHORIZED.as_str().into(),
    });
}
