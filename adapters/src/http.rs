//! The HTTP side: warp's filters and replies, behind an accept loop of our own.
//!
//! ```text
//!   server (sockets, places, TLS, panics, drain) ─→ route ─→ status │ health │ jobs (backup, restore) ─→ JobApi
//!      └ refusals                            auth ─┘   │                        └ json ─ draft   └ polling body
//!                                                      └ openapi, which tells of all that is routed
//! ```
//!
//! A request passes, in this order: credentials, route, stopping, body, id, duplicate, members,
//! capacity, own disk.

mod audit;
mod auth;
mod body;
mod bounds;
mod check;
mod draft;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod jobs;
mod json;
mod listing;
mod openapi;
mod operation;
mod places;
mod polling;
mod query;
mod refusals;
mod reply;
mod request_id;
mod route;
mod server;
mod status;
mod stream;
mod tls;
mod waits;
mod watching;

use std::{sync::Arc, time::Duration};

use domain::{
    plan::JobKind,
    ports::{AuditLog, JobApi, Metrics},
    request::RequestRules,
};
use route::Routes;
use warp::{filters::BoxedFilter, reply::Response};

pub use auth::Credentials;
pub use check::{report, request_of};
pub use health::Readiness;
pub use server::{BoundServer, HttpServer};
pub use tls::{Tls, TlsFiles};

/// What bounds a client, so that a slow or broken one holds nothing for long.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Connections at a time. One more takes the place of the one that has waited longest for its
    /// client; only if all are being answered does it wait itself.
    pub connections: usize,
    /// For a TLS handshake.
    pub handshake_time: Duration,
    /// For a request's header, and between two requests of one connection.
    pub header_time: Duration,
    /// For a request's body.
    pub body_time: Duration,
    /// For a client to take any byte of an answer.
    pub write_time: Duration,
    /// The longest body, in bytes.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake_time: Duration::from_secs(10),
            // Clients poll every 5 or 10 seconds on one connection, which must not be closed under them.
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            body_bytes: 1024 * 1024,
        }
    }
}

/// What the routes need.
#[derive(Debug)]
pub struct HttpContext {
    /// The agent's core.
    pub api: Arc<dyn JobApi>,
    /// Who may call.
    pub credentials: Credentials,
    /// What TLS connections are made with; without it HTTP is plain.
    pub tls: Option<Arc<Tls>>,
    /// What the operator's configuration says about requests.
    pub rules: RequestRules,
    /// What bounds a client.
    pub limits: HttpLimits,
    /// Who asked for what.
    pub audit: Arc<dyn AuditLog>,
    /// The numbers at `/metrics`.
    pub metrics: Arc<dyn Metrics>,
    /// Whether they are told to who shows no credentials.
    pub metrics_without_auth: bool,
    /// The last look at what jobs need; `Readiness::default()` for none yet.
    pub readiness: Readiness,
}

/// All routes. The filter answers every request; it never rejects.
#[must_use]
pub fn routes(context: &Arc<HttpContext>) -> BoxedFilter<(Response,)> {
    all().into_filter(context)
}

/// What the agent answers to. A new route is added here, by its module.
fn all() -> Routes {
    let mut routes = Routes::default();
    status::add_to(&mut routes);
    health::add_to(&mut routes);
    check::add_to(&mut routes);
    openapi::add_to(&mut routes);
    listing::add_to(&mut routes);
    for kind in JobKind::ALL {
        jobs::add_to(&mut routes, kind);
    }
    routes
}

#[cfg(test)]
mod tests;
