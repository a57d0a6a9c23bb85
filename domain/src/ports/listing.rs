use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use crate::{
    job::{JobKey, JobStatus, JobView, Outcome},
    plan::JobKind,
};

/// Which jobs are wanted. What is none is not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Backups or restores.
    pub kind: Option<JobKind>,
    /// As they stand now.
    pub standing: Option<Standing>,
    /// As they ended.
    pub outcome: Option<Outcome>,
    /// Of this database, on whatever host.
    pub database: Option<String>,
    /// Accepted then or later.
    pub since: Option<DateTime<Utc>>,
    /// Accepted before.
    pub until: Option<DateTime<Utc>>,
}

/// Where a job stands, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It waits or works.
    Running,
    /// Every phase succeeded.
    Succeeded,
    /// Something failed.
    Failed,
}

impl Standing {
    /// All of them, for tables.
    pub const ALL: [Self; 3] = [Self::Running, Self::Succeeded, Self::Failed];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

impl From<&JobStatus> for Standing {
    fn from(status: &JobStatus) -> Self {
        match status {
            JobStatus::Queued | JobStatus::Between { .. } | JobStatus::Running { .. } => Self::Running,
            JobStatus::Succeeded => Self::Succeeded,
            JobStatus::Failed { .. } => Self::Failed,
        }
    }
}

/// A job's place in the list of all: it keeps it from its beginning to its end, so that nobody who reads
/// page after page misses one, or sees one twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was accepted. Later ones come first.
    pub accepted_at: DateTime<Utc>,
    /// Of two that were accepted at once, one must come first.
    pub key: JobKey,
}

impl Place {
    /// That of a job.
    #[must_use]
    pub fn of(view: &JobView) -> Self {
        Self {
            accepted_at: view.accepted_at,
            key: view.key.clone(),
        }
    }
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Which jobs.
    pub jobs: JobQuery,
    /// Only those behind this place; none: from the newest on.
    pub after: Option<Place>,
    /// At most so many; more than none.
    pub most: usize,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs, newest first, without their logs.
    pub jobs: Vec<JobView>,
    /// Behind this place there may be more; none: there are none.
    pub next: Option<Place>,
}

impl JobQuery {
    /// Whether a job of this place may be wanted, as far as its place tells.
    #[must_use]
    pub fn takes_place(&self, place: &Place) -> bool {
        self.kind.is_none_or(|kind| place.key.kind == kind)
            && self.since.is_none_or(|since| place.accepted_at >= since)
            && self.until.is_none_or(|until| place.accepted_at < until)
    }

    /// Whether a job is wanted.
    #[must_use]
    pub fn takes(&self, view: &JobView) -> bool {
        self.takes_place(&Place::of(view))
            && self
                .standing
                .is_none_or(|standing| Standing::from(&view.status) == standing)
            && self
                .outcome
                .is_none_or(|outcome| view.status.outcome() == Some(outcome))
            && self.database.as_ref().is_none_or(|database| view.database == *database)
    }
}

impl PageQuery {
    /// Whether a job is wanted, and not on an earlier page.
    #[must_use]
    pub fn takes(&self, view: &JobView) -> bool {
        self.after.as_ref().is_none_or(|after| Place::of(view) < *after) && self.jobs.takes(view)
    }

    /// The page, of whoever has all jobs at hand.
    #[must_use]
    pub fn page_of(&self, all: impl IntoIterator<Item = JobView>) -> JobPage {
        let jobs = all.into_iter().filter(|view| self.takes(view)).collect();
        JobPage { jobs, next: None }.cut(self.most)
    }
}

impl JobPage {
    /// Puts jobs into it that are known from elsewhere, as far as they belong on it.
    #[must_use]
    pub fn with(mut self, others: Vec<JobView>, most: usize) -> Self {
        // Those further behind come on later pages.
        let is_within = |view: &JobView| self.next.as_ref().is_none_or(|next| Place::of(view) > *next);
        // One that has just ended is known twice.
        let is_new = |view: &JobView| self.jobs.iter().all(|known| known.key != view.key);
        let others: Vec<JobView> = others
            .into_iter()
            .filter(|view| is_within(view) && is_new(view))
            .collect();
        self.jobs.extend(others);
        self.cut(most)
    }

    /// In order, at most so many, and without logs.
    fn cut(mut self, most: usize) -> Self {
        self.jobs.sort_by_cached_key(|view| Reverse(Place::of(view)));
        if self.jobs.len() > most {
            self.jobs.truncate(most);
            self.next = self.jobs.last().map(Place::of);
        }
        for view in &mut self.jobs {
            view.logs.clear();
        }
        self
    }
}

#[cfg(test)]
mod tests;
