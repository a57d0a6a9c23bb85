//! The service as a whole, against doubles of its ports.

mod bench;
mod control;
mod examine;
mod failures;
mod integrity;
mod looks;
mod model;
mod queue;
mod records;
mod takeover;
mod transfers;
mod watched;
