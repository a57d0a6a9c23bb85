//! Events as they are written.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    artifact::ArtifactName,
    job::{ArtifactReport, ExitReason, Failure, FailureCause, JobEvent, ScriptLog, Settlement, StepReport, StopReason},
    ports::{PreparedRestore, RestoreDirectory},
};
use serde::{Deserialize, Serialize};

use super::{step_from_text, step_to_text};

/// [`JobEvent`]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum StoredEvent {
    Started {
        artifact_stem: Option<String>,
    },
    StepStarted {
        step: String,
    },
    ObjectNamed {
        filename: String,
    },
    UploadOpened {
        upload_id: String,
    },
    RestorePrepared {
        download: StoredPath,
        file: Option<(u64, u64)>,
        directory: StoredDirectory,
    },
    StepSucceeded {
        step: String,
        report: StoredReport,
    },
    StepFailed {
        step: String,
        failed_step: String,
        cause: StoredCause,
        report: StoredReport,
    },
    Stopped {
        step: String,
        reason: StoredStop,
    },
    Interrupted,
    Abandoned {
        reason: String,
    },
    Finished {
        note: Option<String>,
    },
    UnlockSettled {
        how: StoredSettlement,
        log: Option<StoredLog>,
    },
}

/// A path, as text if it is text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(in super::super) enum StoredPath {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for StoredPath {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<StoredPath> for PathBuf {
    fn from(path: StoredPath) -> Self {
        match path {
            StoredPath::Text(text) => text.into(),
            StoredPath::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// [`StepReport`]
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct StoredReport {
    log: Option<StoredLog>,
    artifact: Option<StoredArtifact>,
    note: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct StoredLog {
    stdout: String,
    stderr: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredArtifact {
    filename: String,
    size_bytes: u64,
    #[serde(default)]
    sha256: Option<String>,
}

/// [`FailureCause`]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum StoredCause {
    Exited(i32),
    Signaled(i32),
    NotStarted(String),
    Error(String),
    TimedOut(Duration),
    LockedTooLong(Duration),
    Stopped(StoredStop),
    Interrupted,
}

/// [`StopReason`]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum StoredStop {
    Cancelled,
    AgentStopping,
}

/// [`Settlement`]
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum StoredSettlement {
    Released,
    ReleasedByAnother,
    GivenUp,
}

/// [`RestoreDirectory`]
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum StoredDirectory {
    WasThere,
    Planned,
    Made((u64, u64)),
}

impl From<RestoreDirectory> for StoredDirectory {
    fn from(directory: RestoreDirectory) -> Self {
        match directory {
            RestoreDirectory::WasThere => Self::WasThere,
            RestoreDirectory::Planned => Self::Planned,
            RestoreDirectory::Made(identity) => Self::Made(identity),
        }
    }
}

impl From<StoredDirectory> for RestoreDirectory {
    fn from(directory: StoredDirectory) -> Self {
        match directory {
            StoredDirectory::WasThere => Self::WasThere,
            StoredDirectory::Planned => Self::Planned,
            StoredDirectory::Made(identity) => Self::Made(identity),
        }
    }
}

impl From<&JobEvent> for StoredEvent {
    fn from(event: &JobEvent) -> Self {
        match event {
            JobEvent::Started { artifact_name } => Self::Started {
                artifact_stem: artifact_name.as_ref().map(|name| name.stem().to_owned()),
            },
            JobEvent::StepStarted { step } => Self::StepStarted {
                step: step_to_text(*step),
            },
            JobEvent::ObjectNamed { filename } => Self::ObjectNamed {
                filename: filename.clone(),
            },
            JobEvent::UploadOpened { upload_id } => Self::UploadOpened {
                upload_id: upload_id.clone(),
            },
            JobEvent::RestorePrepared {
                prepared:
                    PreparedRestore {
                        download,
                        file,
                        directory,
                    },
            } => Self::RestorePrepared {
                download: download.as_path().into(),
                file: *file,
                directory: (*directory).into(),
            },
            JobEvent::StepSucceeded { step, report } => Self::StepSucceeded {
                step: step_to_text(*step),
                report: report.into(),
            },
            JobEvent::StepFailed { step, failure, report } => Self::StepFailed {
                step: step_to_text(*step),
                failed_step: step_to_text(failure.step),
                cause: (&failure.cause).into(),
                report: report.into(),
            },
            JobEvent::Stopped { step, reason } => Self::Stopped {
                step: step_to_text(*step),
                reason: (*reason).into(),
            },
            JobEvent::Interrupted => Self::Interrupted,
            JobEvent::Abandoned { reason } => Self::Abandoned { reason: reason.clone() },
            JobEvent::Finished { note } => Self::Finished { note: note.clone() },
            JobEvent::UnlockSettled { how, log } => Self::UnlockSettled {
                how: match how {
                    Settlement::Released => StoredSettlement::Released,
                    Settlement::ReleasedByAnother => StoredSettlement::ReleasedByAnother,
                    Settlement::GivenUp => StoredSettlement::GivenUp,
                },
                log: log.as_ref().map(StoredLog::from),
            },
        }
    }
}

impl TryFrom<StoredEvent> for JobEvent {
    type Error = String;

    fn try_from(event: StoredEvent) -> Result<Self, String> {
        Ok(match event {
            StoredEvent::Started { artifact_stem } => Self::Started {
                artifact_name: artifact_stem.map(ArtifactName::from_stem),
            },
            StoredEvent::StepStarted { step } => Self::StepStarted {
                step: step_from_text(&step)?,
            },
            StoredEvent::ObjectNamed { filename } => Self::ObjectNamed { filename },
            StoredEvent::UploadOpened { upload_id } => Self::UploadOpened { upload_id },
            StoredEvent::RestorePrepared {
                download,
                file,
                directory,
            } => Self::RestorePrepared {
                prepared: PreparedRestore {
                    download: download.into(),
                    file,
                    directory: directory.into(),
                },
            },
            StoredEvent::StepSucceeded { step, report } => Self::StepSucceeded {
                step: step_from_text(&step)?,
                report: report.into(),
            },
            StoredEvent::StepFailed {
                step,
                failed_step,
                cause,
                report,
            } => Self::StepFailed {
                step: step_from_text(&step)?,
                failure: Failure {
                    step: step_from_text(&failed_step)?,
                    cause: cause.into(),
                },
                report: report.into(),
            },
            StoredEvent::Stopped { step, reason } => Self::Stopped {
                step: step_from_text(&step)?,
                reason: reason.into(),
            },
            StoredEvent::Interrupted => Self::Interrupted,
            StoredEvent::Abandoned { reason } => Self::Abandoned { reason },
            StoredEvent::Finished { note } => Self::Finished { note },
            StoredEvent::UnlockSettled { how, log } => Self::UnlockSettled {
                how: match how {
                    StoredSettlement::Released => Settlement::Released,
                    StoredSettlement::ReleasedByAnother => Settlement::ReleasedByAnother,
                    StoredSettlement::GivenUp => Settlement::GivenUp,
                },
                log: log.map(ScriptLog::from),
            },
        })
    }
}

impl From<&StepReport> for StoredReport {
    fn from(report: &StepReport) -> Self {
        let StepReport { log, artifact, note } = report;
        Self {
            log: log.as_ref().map(StoredLog::from),
            artifact: artifact.as_ref().map(|artifact| StoredArtifact {
                filename: artifact.filename.clone(),
                size_bytes: artifact.size_bytes,
                sha256: artifact.sha256.map(|sha256| sha256.to_string()),
            }),
            note: note.clone(),
        }
    }
}

impl From<StoredReport> for StepReport {
    fn from(report: StoredReport) -> Self {
        Self {
            log: report.log.map(ScriptLog::from),
            artifact: report.artifact.map(|artifact| {
                Box::new(ArtifactReport {
                    filename: artifact.filename,
                    size_bytes: artifact.size_bytes,
                    sha256: artifact.sha256.and_then(|sha256| sha256.parse().ok()),
                })
            }),
            note: report.note,
        }
    }
}

impl From<&ScriptLog> for StoredLog {
    fn from(log: &ScriptLog) -> Self {
        Self {
            stdout: log.stdout.to_string(),
            stderr: log.stderr.to_string(),
        }
    }
}

impl From<StoredLog> for ScriptLog {
    fn from(log: StoredLog) -> Self {
        Self {
            stdout: log.stdout.into(),
            stderr: log.stderr.into(),
        }
    }
}

impl From<&FailureCause> for StoredCause {
    fn from(cause: &FailureCause) -> Self {
        match cause {
            FailureCause::Exit(ExitReason::Exited(code)) => Self::Exited(*code),
            FailureCause::Exit(ExitReason::Signaled(signal)) => Self::Signaled(*signal),
            FailureCause::NotStarted(reason) => Self::NotStarted(reason.clone()),
            FailureCause::Error(reason) => Self::Error(reason.clone()),
            FailureCause::TimedOut(limit) => Self::TimedOut(*limit),
            FailureCause::LockedTooLong(limit) => Self::LockedTooLong(*limit),
            FailureCause::Stopped(reason) => Self::Stopped((*reason).into()),
            FailureCause::Interrupted => Self::Interrupted,
        }
    }
}

impl From<StoredCause> for FailureCause {
    fn from(cause: StoredCause) -> Self {
        match cause {
            StoredCause::Exited(code) => Self::Exit(ExitReason::Exited(code)),
            StoredCause::Signaled(signal) => Self::Exit(ExitReason::Signaled(signal)),
            StoredCause::NotStarted(reason) => Self::NotStarted(reason),
            StoredCause::Error(reason) => Self::Error(reason),
            StoredCause::TimedOut(limit) => Self::TimedOut(limit),
            StoredCause::LockedTooLong(limit) => Self::LockedTooLong(limit),
            StoredCause::Stopped(reason) => Self::Stopped(reason.into()),
            StoredCause::Interrupted => Self::Interrupted,
        }
    }
}

impl From<StopReason> for StoredStop {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Cancelled => Self::Cancelled,
            StopReason::AgentStopping => Self::AgentStopping,
        }
    }
}

impl From<StoredStop> for StopReason {
    fn from(reason: StoredStop) -> Self {
        match reason {
            StoredStop::Cancelled => Self::Cancelled,
            StoredStop::AgentStopping => Self::AgentStopping,
        }
    }
}
