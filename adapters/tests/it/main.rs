//! Adapters against the real thing: servers in this process, files, and the faults between them.
#![allow(clippy::unwrap_used)]

mod azurite;
mod blob_store;
mod chaos;
mod faulty;
mod garage;
mod gcs_shim;
mod s3_server;
mod swift;
