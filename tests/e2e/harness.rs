//! What the tests stand on: the real agent in a place of its own, scripts that leave a trace,
//! a small HTTP client that sends exactly what it is told to, and an S3 server.

mod agent;
mod bodies;
mod command;
mod connection_limit;
mod http;
mod kind;
mod mortal;
mod mounts;
mod pki;
mod place;
mod s3;
mod servers;
mod stowaways;
mod trace;
mod wait;

pub(crate) use agent::{Agent, PASSWORD, USER};
pub(crate) use bodies::{Body, backup, file_store, refused_s3, restore, start};
pub(crate) use command::{Environment, agent_command, complete_environment, run_agent};
pub(crate) use http::{Connection, Response, basic};
pub(crate) use kind::Kind;
pub(crate) use mortal::{Mortality, arm, instants};
pub(crate) use mounts::{ReadOnly, Tmpfs};
pub(crate) use pki::{Authority, Pair, TlsClient};
pub(crate) use place::{Place, names_in};
pub(crate) use s3::{AUTH_KEY, AUTH_SECRET, Fault, S3Server};
pub(crate) use servers::{leave_out, say};
pub(crate) use stowaways::{end_all_with, processes_with, send_signal};
pub(crate) use wait::{PATIENCE, wait_as_long_as, wait_for, wait_until};

/// Whether the long matrices run in full: `OSB_TEST_BREADTH=wide`.
pub(crate) fn wide() -> bool {
    match std::env::var("OSB_TEST_BREADTH").as_deref() {
        Ok("wide") => true,
        Ok("narrow" | "") | Err(_) => false,
        Ok(other) => panic!("OSB_TEST_BREADTH is narrow or wide, not {other:?}"),
    }
}
