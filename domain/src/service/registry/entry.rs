//! What the registry knows of one job, and what it answers.

use chrono::DateTime;

use super::super::{activity::Activity, bell::Bell, stop::StopRequest};
use crate::{
    artifact::NamePattern,
    job::{Job, JobView},
    plan::JobKind,
    ports::{Halt, StartError},
    request::JobRequest,
};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) claims: Claims,
    pub(super) stage: Stage,
    pub(super) stop: StopRequest,
    /// Fires when it is recorded, or could not be.
    pub(super) recorded: Halt,
    /// Rings when clients see another state of the job.
    pub(super) bell: Bell,
    /// What can be seen of the step at work.
    pub(super) activity: Activity,
}

/// A job that was not admitted.
pub(in crate::service) enum Refusal {
    /// Another of its id is being recorded at this moment: when this fires, it is known whether the id
    /// is free.
    Undecided(Halt),
    /// For good.
    Final(StartError),
}

/// A job whose turn it is.
#[derive(Debug)]
pub(in crate::service) struct Ready {
    pub(in crate::service) job: Job,
    pub(in crate::service) stop: StopRequest,
}

/// What no two jobs at work may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) struct Claims {
    /// Host and database.
    pub(super) database: (String, String),
    /// The artifact's name, whatever the date: a pattern may leave host or database out, and then two
    /// databases have one file. None for a restore.
    pub(super) artifact: Option<String>,
}

impl Claims {
    pub(in crate::service) fn of(request: &JobRequest, pattern: &NamePattern) -> Self {
        let (host, database) = (&request.service.host, &request.service.database);
        let name = || {
            pattern
                .name(host, database, &request.id, DateTime::UNIX_EPOCH)
                .file_name()
        };
        Self {
            database: (host.clone(), database.clone()),
            artifact: (request.kind() == JobKind::Backup).then(name),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has its place in the queue, but must neither begin nor be seen yet.
    BeingRecorded,
    Waiting,
    AtWork,
    /// It was cancelled before its turn, and its end is being recorded.
    BeingEnded,
    /// At its end, but it could not be recorded or owes an unlock: shown from here.
    Ended,
    /// The same, and somebody is about to unlock its service.
    BeingUnlocked,
}

impl Stage {
    pub(super) fn is_at_end(self) -> bool {
        match self {
            Self::Ended | Self::BeingUnlocked => true,
            Self::BeingRecorded | Self::Waiting | Self::AtWork | Self::BeingEnded => false,
        }
    }
}

/// What a wish to cancel has met.
pub(in crate::service) enum Cancelled {
    /// The job did not work yet; it is held, so that its end can be recorded.
    BeforeItsTurn(Box<Job>),
    /// The job will end.
    AtWork(Box<JobView>),
    /// The job has ended, but owes an unlock.
    OwesUnlock(Box<Job>),
    /// There is nothing to be cancelled.
    TooLate(Box<JobView>),
    /// There is no such job here.
    Unknown,
}
