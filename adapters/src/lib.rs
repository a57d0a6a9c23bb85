//! One module per technology, each implementing or calling a port of the domain. They do not know
//! each other, nor who puts them together. What they share is how they reach files, in `beneath`.

pub mod audit;
mod beneath;
pub mod blob_store;
pub mod control;
pub mod http;
pub mod job_store;
pub mod metrics;
pub mod process;
pub mod system;
pub mod workspace;
