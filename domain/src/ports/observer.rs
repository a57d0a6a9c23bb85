use std::{fmt, time::Duration};

use crate::{
    job::{JobView, PastJob},
    plan::{JobKind, Phase},
    request::StoreKind,
};

/// Is told of what somebody may want to count or to measure.
///
/// It neither fails nor waits: whoever tells it has other things to do.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Takes note of something that has just happened.
    fn observe(&self, observation: Observation);
}

/// Something that has happened, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A job has come to its end.
    JobEnded {
        /// What it was.
        job: PastJob,
        /// From its acceptance to its end.
        took: Duration,
        /// How long each of its phases was at work.
        phases: Vec<(Phase, Duration)>,
    },
    /// A job has ended before this agent was started.
    JobRemembered(PastJob),
    /// A lock was released.
    LockReleased {
        /// The kind of job that held it.
        kind: JobKind,
        /// From the start of the lock script.
        held: Duration,
    },
    /// One run of an unlock script did not succeed; others may follow.
    UnlockFailed {
        /// The kind of job that it ran for.
        kind: JobKind,
    },
    /// A part of a file was taken by a store, or came from one.
    Moved {
        /// Which way.
        direction: Direction,
        /// What kind of store.
        store: StoreKind,
        /// How much.
        bytes: u64,
    },
    /// A request to a store has failed in a way that may pass, and is made again.
    Retried {
        /// For what.
        direction: Direction,
        /// What kind of store.
        store: StoreKind,
    },
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// To the store.
    Upload,
    /// From the store.
    Download,
}

impl Direction {
    /// Both, for tables.
    pub const ALL: [Self; 2] = [Self::Upload, Self::Download];

    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

/// Forgets at once what it is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _: Observation) {}
}

/// Tells what was observed, in the words of those who watch.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// All numbers. Those that are true only now are taken from these jobs, which are all that are not
    /// done with, and from the number of problems that somebody should see to.
    fn exposition(&self, unsettled: &[JobView], problems: usize) -> String;
}
