//! What the registry shows of its jobs.

use chrono::{DateTime, Utc};

use super::{
    Registry,
    entry::{Entry, Stage},
};
use crate::{
    job::{Job, JobKey, JobStatus, JobView, Live},
    plan::Step,
    service::{activity::Activity, bell::NextRing},
};

/// A job as it is here, and where to look for what goes on at this moment.
#[derive(Debug)]
pub(in crate::service) struct Seen {
    view: JobView,
    activity: Activity,
    queue_position: Option<usize>,
}

impl Seen {
    /// The job with what is true at this moment alone.
    pub(in crate::service) fn at(self, now: DateTime<Utc>) -> JobView {
        let Self {
            mut view,
            activity,
            queue_position,
        } = self;
        let at_work = at_work(&view.status);
        if !view.status.is_finished() {
            view.live = Some(Box::new(Live {
                as_of: now,
                queue_position,
                progress: at_work.and_then(|step| activity.progress(step, now)),
            }));
        }
        view
    }

    /// The same, with what the script at work has written so far.
    pub(in crate::service) fn with_live_log(self, now: DateTime<Utc>) -> JobView {
        let activity = self.activity.clone();
        let mut view = self.at(now);
        if let Some(step @ Step::Script(phase)) = at_work(&view.status)
            && let Some(live) = activity.live_of(step)
        {
            view.logs.retain(|(of, _)| *of != phase);
            view.logs.push((phase, live.so_far()));
        }
        view
    }
}

fn at_work(status: &JobStatus) -> Option<Step> {
    match status {
        JobStatus::Running { step, .. } => Some(*step),
        JobStatus::Queued | JobStatus::Between { .. } | JobStatus::Succeeded | JobStatus::Failed { .. } => None,
    }
}

impl Registry {
    /// All jobs that are not done with, in order of arrival.
    pub(in crate::service) fn unsettled(&self) -> Vec<JobView> {
        self.recorded_ones().map(|entry| entry.job.view()).collect()
    }

    /// The same, with where to look.
    pub(in crate::service) fn all_seen(&self) -> Vec<Seen> {
        self.recorded_ones().map(|entry| self.see(entry)).collect()
    }

    /// The job as clients may see it: not before it is recorded.
    pub(in crate::service) fn seen(&self, key: &JobKey) -> Option<Seen> {
        let entry = self.find(key)?;
        (entry.stage != Stage::BeingRecorded).then(|| self.see(entry))
    }

    /// Waits for the next change of an unfinished job's state; none if there is no such job here.
    pub(in crate::service) fn next_change(&self, key: &JobKey) -> Option<NextRing> {
        let entry = self.find(key)?;
        let is_awaited = entry.stage != Stage::BeingRecorded && !entry.job.status().is_finished();
        is_awaited.then(|| entry.bell.next_ring())
    }

    /// What is at work for a job.
    pub(in crate::service) fn activity(&self, key: &JobKey) -> Activity {
        self.find(key).map(|entry| entry.activity.clone()).unwrap_or_default()
    }

    fn recorded_ones(&self) -> impl Iterator<Item = &Entry> {
        self.jobs.iter().filter(|entry| entry.stage != Stage::BeingRecorded)
    }

    fn see(&self, entry: &Entry) -> Seen {
        Seen {
            view: entry.job.view(),
            activity: entry.activity.clone(),
            queue_position: self.queue_position(entry),
        }
    }

    /// The place of a job that waits, the first being 1.
    fn queue_position(&self, entry: &Entry) -> Option<usize> {
        if entry.stage != Stage::Waiting {
            return None;
        }
        let waiting = self
            .jobs
            .iter()
            .filter(|other| matches!(other.stage, Stage::BeingRecorded | Stage::Waiting));
        let (kind, id) = (entry.job.kind(), &entry.job.request().id);
        let mut waiting = waiting.map(|other| &other.job);
        let position = waiting.position(|job| job.kind() == kind && job.request().id == *id);
        position.map(|before| before + 1)
    }
}

impl Entry {
    /// Puts another state of the job in place, and rings if clients see another than before.
    pub(super) fn replace(&mut self, job: &Job) {
        let was = std::mem::replace(&mut self.job, job.clone());
        if was.state() != self.job.state() {
            self.bell.ring();
        }
    }

    /// Tells those who wait for news that there are none to come from here.
    pub(super) fn leave(&self) {
        self.bell.ring();
    }
}
