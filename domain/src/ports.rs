//! What the domain needs of the world (driven ports), and what the world may ask of it (the driving
//! port, [`JobApi`]).
//!
//! Signatures speak domain types and plain data. Each port says what is true after success and what
//! is unknown after failure.

mod audit_log;
mod blob_store;
mod clock;
mod finding;
mod halt;
mod job_api;
mod job_store;
mod listing;
mod local_file;
mod observer;
mod script_runner;
mod spawner;
mod tally;
mod workspace;

pub use audit_log::{Actor, AuditAction, AuditEntry, AuditLog, Claim};
pub use blob_store::{BlobStore, BlobStoreError, Moved, UploadJournal};
pub use clock::Clock;
pub use finding::{Finding, Verdict};
pub use halt::Halt;
pub use job_api::{CancelError, JobApi, RemoveError, StartError, UnlockError};
pub use job_store::{BackupQuery, JobStore, JobStoreError};
pub use listing::{JobPage, JobQuery, PageQuery, Place, Standing};
pub use local_file::LocalFile;
pub use observer::{Direction, Metrics, Observation, Observer, Unobserved};
pub use script_runner::{ScriptError, ScriptOutcome, ScriptRunner};
pub use spawner::{JobFuture, Spawner};
pub use tally::Tally;
pub use workspace::{PreparedRestore, RestoreDirectory, RestorePlace, WorkDirectory, Workspace, WorkspaceError};

#[cfg(any(test, feature = "test-doubles"))]
pub use {
    audit_log::MockAuditLog, blob_store::MockBlobStore, clock::MockClock, job_api::MockJobApi, job_store::MockJobStore,
    script_runner::MockScriptRunner, workspace::MockWorkspace,
};
