//! What a backup *is*, and nothing of how it is done.
//!
//! ```text
//!           warp HTTP ─┐                                   ┌─ tokio processes (bash scripts)
//!    command line ─────┤→  JobApi ─ domain ─ driven ports →┼─ object_store (S3, directory)
//!    signals, start ───┘   (driving port)                  ├─ local directories, job store
//!                                                          └─ clock, spawner
//! ```
//!
//! Decisions are pure functions over enums; effects happen behind [`ports`]; the binary only plugs
//! things together. This crate knows no runtime, no HTTP, no files, no clock and no environment:
//! its `clippy.toml` bans the calls, its manifest the crates.
//!
//! # Vocabulary
//!
//! | word | meaning |
//! |---|---|
//! | [`Job`](job::Job) | one accepted request, a backup or a restore |
//! | [`Phase`](plan::Phase) | what clients see and what a script is named after |
//! | [`Step`](plan::Step) | what the runner does; a phase has one or more |
//! | [`plan`] | the ordered steps of a kind of job, and what still runs after a failure |
//! | [`JobEvent`](job::JobEvent), [`JobStatus`](job::JobStatus) | an entry of a job's log, and the state derived from it |
//! | artifact | the file that a backup script makes |
//! | [`Destination`](request::Destination), [`ObjectKey`](artifact::ObjectKey) | where the artifact goes |
//! | [`JobView`](job::JobView) | a read-only snapshot of a job |
//!
//! *Remove* a job is not *clean up* files is not *cancel* a run.
//!
//! # Where to read on
//!
//! One backup, from the request to the end: [`request`] checks it, [`service`] admits and queues
//! it, the runner walks the [`plan`], [`script`] says what each script gets, [`artifact`] names the
//! file, and [`job`] alone decides what may follow what.

pub mod artifact;
pub mod job;
pub mod plan;
pub mod ports;
pub mod request;
pub mod script;
pub mod secret;
pub mod service;
#[cfg(any(test, feature = "test-doubles"))]
pub mod testing;
