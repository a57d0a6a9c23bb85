//! Who waits and who is at work.

mod entry;
mod looks;

use std::collections::{HashMap, HashSet};

pub(super) use entry::{Cancelled, Claims, Ready, Refusal};
use entry::{Entry, Stage};

use super::{activity::Activity, bell::Bell, stop::StopRequest};
use crate::{
    job::{Job, JobKey, JobStatus, StopReason},
    plan::JobKind,
    ports::{Halt, StartError, UnlockError},
};

/// How many jobs may work and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Jobs at work at a time, of both kinds.
    pub at_work: usize,
    /// Accepted jobs that wait.
    pub waiting: usize,
    /// Restores at work at a time: their unlock script cannot tell for which it is.
    pub restores: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            at_work: 10,
            waiting: 100,
            restores: 1,
        }
    }
}

/// The unfinished jobs, in order of arrival, and the names of objects that they are writing.
#[derive(Debug)]
pub(super) struct Registry {
    limits: QueueLimits,
    is_stopping: bool,
    jobs: Vec<Entry>,
    object_names: HashMap<JobKey, HashSet<String>>,
}

impl Registry {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            is_stopping: false,
            jobs: Vec::new(),
            object_names: HashMap::new(),
        }
    }

    /// Takes the job's id and its place in the queue, if both are free. It begins only after
    /// [`Registry::enqueue`].
    pub(super) fn admit(&mut self, job: Job, claims: Claims) -> Result<(), Refusal> {
        if self.is_stopping {
            return Err(Refusal::Final(StartError::Stopping));
        }
        if let Some(known) = self.find(&job.key()) {
            return Err(match known.stage {
                Stage::BeingRecorded => Refusal::Undecided(known.recorded.clone()),
                Stage::Waiting | Stage::AtWork | Stage::BeingEnded | Stage::Ended | Stage::BeingUnlocked => {
                    Refusal::Final(StartError::Duplicate(Box::new(known.job.view())))
                }
            });
        }
        self.add(job, claims, Stage::Waiting);
        let ready = self.ready();
        let can_begin_at_once = ready.contains(&(self.jobs.len() - 1));
        let running = self.count(Stage::AtWork);
        let ended = self.jobs.iter().filter(|entry| entry.stage.is_at_end()).count();
        // Those that are ready begin as soon as they are recorded: they hold no place.
        let waiting = self.jobs.len() - running - ended - ready.len();
        let newest = self.jobs.last_mut().expect("a job was just added");
        newest.stage = Stage::BeingRecorded;
        if !can_begin_at_once && waiting > self.limits.waiting {
            self.jobs.pop();
            return Err(Refusal::Final(StartError::Full {
                running,
                waiting: waiting - 1,
            }));
        }
        Ok(())
    }

    /// Takes in a job that an earlier agent knew: as waiting, at work, or ended.
    pub(super) fn readmit(&mut self, job: Job, claims: Claims) -> StopRequest {
        let stage = match job.status() {
            JobStatus::Queued => Stage::Waiting,
            JobStatus::Between { .. } | JobStatus::Running { .. } => Stage::AtWork,
            JobStatus::Succeeded | JobStatus::Failed { .. } => Stage::Ended,
        };
        self.add(job, claims, stage)
    }

    fn add(&mut self, job: Job, claims: Claims, stage: Stage) -> StopRequest {
        let stop = StopRequest::default();
        self.jobs.push(Entry {
            job,
            claims,
            stage,
            stop: stop.clone(),
            recorded: Halt::default(),
            bell: Bell::default(),
            activity: Activity::default(),
        });
        stop
    }

    /// From now on no job is admitted, and none begins.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Lets an admitted job begin when its turn comes.
    pub(super) fn enqueue(&mut self, key: &JobKey) {
        if let Some(entry) = self.entry(key) {
            entry.stage = Stage::Waiting;
            entry.recorded.fire();
        }
    }

    /// Marks the waiting jobs whose turn it is as being at work, and returns them.
    pub(super) fn take_ready(&mut self) -> Vec<Ready> {
        if self.is_stopping {
            return Vec::new();
        }
        let ready = self.ready();
        let mut taken = Vec::new();
        for index in ready {
            let entry = &mut self.jobs[index];
            if entry.stage == Stage::Waiting {
                entry.stage = Stage::AtWork;
                taken.push(Ready {
                    job: entry.job.clone(),
                    stop: entry.stop.clone(),
                });
            }
        }
        taken
    }

    /// The places of the jobs that do not work yet but could: in order of arrival, as long as there
    /// is room, no earlier job has the same database or artifact, and restores are not too many.
    fn ready(&self) -> Vec<usize> {
        let mut room = self.limits.at_work;
        let mut room_for_restores = self.limits.restores;
        for entry in self.jobs.iter().filter(|entry| entry.stage == Stage::AtWork) {
            room = room.saturating_sub(1);
            if entry.job.kind() == JobKind::Restore {
                room_for_restores = room_for_restores.saturating_sub(1);
            }
        }
        let mut databases = HashSet::new();
        let mut artifacts = HashSet::new();
        let mut claim = |claims: &'_ Claims| {
            let is_first = databases.insert(claims.database.clone());
            let artifact = claims.artifact.clone();
            is_first & artifact.is_none_or(|artifact| artifacts.insert(artifact))
        };
        for entry in &self.jobs {
            let owes_unlock = entry.stage.is_at_end() && entry.job.owes_unlock();
            if entry.stage == Stage::AtWork || owes_unlock {
                claim(&entry.claims);
            }
            // A restore's unlock script is not told for which restore it is.
            if owes_unlock && entry.job.kind() == JobKind::Restore {
                room_for_restores = 0;
            }
        }
        let mut ready = Vec::new();
        for (index, entry) in self.jobs.iter().enumerate() {
            match entry.stage {
                Stage::AtWork | Stage::BeingEnded | Stage::Ended | Stage::BeingUnlocked => continue,
                Stage::BeingRecorded | Stage::Waiting => {}
            }
            // A job that must wait still claims its database: no later one may overtake it there.
            let is_first = claim(&entry.claims);
            let is_restore = entry.job.kind() == JobKind::Restore;
            if !is_first || room == 0 || (is_restore && room_for_restores == 0) {
                continue;
            }
            room -= 1;
            if is_restore {
                room_for_restores -= 1;
            }
            ready.push(index);
        }
        ready
    }

    /// Shows clients a new state of a job at work.
    pub(super) fn publish(&mut self, job: &Job) {
        if let Some(entry) = self.entry(&job.key()) {
            entry.replace(job);
        }
    }

    /// Drops a job, and the names that it held.
    pub(super) fn forget(&mut self, key: &JobKey) {
        if let Some(entry) = self.find(key) {
            entry.recorded.fire();
            entry.leave();
        }
        self.jobs.retain(|entry| entry.job.key() != *key);
        self.object_names.remove(key);
    }

    /// Ends a job. It is shown from here as long as the store does not know of its end, or an unlock
    /// is owed.
    pub(super) fn end(&mut self, job: &Job, is_written: bool) {
        let key = job.key();
        if is_written && job.is_settled() {
            return self.forget(&key);
        }
        self.object_names.remove(&key);
        if let Some(entry) = self.entry(&key) {
            entry.replace(job);
            entry.stage = Stage::Ended;
        }
    }

    /// The job as it stands here, if it is at its end.
    pub(super) fn ended(&self, key: &JobKey) -> Option<Job> {
        let entry = self.find(key).filter(|entry| entry.stage.is_at_end());
        entry.map(|entry| entry.job.clone())
    }

    /// Any job as it stands here.
    pub(super) fn job(&self, key: &JobKey) -> Option<Job> {
        self.find(key).map(|entry| entry.job.clone())
    }

    /// The ended jobs that owe an unlock, of the same kind, host and database as this one.
    pub(super) fn owing_like(&self, job: &Job) -> Vec<Job> {
        let database = |of: &Job| {
            (
                of.kind(),
                of.request().service.host.clone(),
                of.request().service.database.clone(),
            )
        };
        let is_alike = |entry: &&Entry| {
            entry.stage.is_at_end() && entry.job.owes_unlock() && database(&entry.job) == database(job)
        };
        let alike = self.jobs.iter().filter(is_alike).map(|entry| entry.job.clone());
        alike.filter(|other| other.key() != job.key()).collect()
    }

    /// Keeps everybody else from unlocking for this job, until [`Registry::unlock_failed`] or its end.
    pub(super) fn begin_unlock(&mut self, key: &JobKey) -> Result<Ready, UnlockError> {
        let Some(entry) = self.entry(key) else {
            return Err(UnlockError::Unknown);
        };
        match entry.stage {
            Stage::BeingUnlocked => Err(UnlockError::AtWork),
            Stage::Ended if entry.job.owes_unlock() => {
                entry.stage = Stage::BeingUnlocked;
                // That of the job's course came to its end with it.
                entry.stop = StopRequest::default();
                Ok(Ready {
                    job: entry.job.clone(),
                    stop: entry.stop.clone(),
                })
            }
            Stage::Ended | Stage::BeingRecorded | Stage::Waiting | Stage::AtWork | Stage::BeingEnded => {
                Err(UnlockError::NotOwed(Box::new(entry.job.view())))
            }
        }
    }

    pub(super) fn unlock_failed(&mut self, key: &JobKey) {
        if let Some(entry) = self.entry(key)
            && entry.stage == Stage::BeingUnlocked
        {
            entry.stage = Stage::Ended;
        }
    }

    /// Asks a job to end.
    pub(super) fn cancel(&mut self, key: &JobKey) -> Cancelled {
        let Some(entry) = self.entry(key) else {
            return Cancelled::Unknown;
        };
        match entry.stage {
            Stage::BeingRecorded => Cancelled::Unknown,
            Stage::Waiting => {
                entry.stage = Stage::BeingEnded;
                Cancelled::BeforeItsTurn(Box::new(entry.job.clone()))
            }
            Stage::AtWork if entry.stop.ask(StopReason::Cancelled) => Cancelled::AtWork(Box::new(entry.job.view())),
            Stage::Ended if entry.job.owes_unlock() => Cancelled::OwesUnlock(Box::new(entry.job.clone())),
            // Its database is free only when the script has ended: it may release what a later job holds.
            Stage::BeingUnlocked if entry.stop.ask(StopReason::Cancelled) => {
                Cancelled::AtWork(Box::new(entry.job.view()))
            }
            Stage::AtWork | Stage::BeingEnded | Stage::Ended | Stage::BeingUnlocked => {
                Cancelled::TooLate(Box::new(entry.job.view()))
            }
        }
    }

    /// Lets a job wait again whose end could not be recorded.
    pub(super) fn wait_again(&mut self, key: &JobKey) {
        if let Some(entry) = self.entry(key)
            && entry.stage == Stage::BeingEnded
        {
            entry.stage = Stage::Waiting;
        }
    }

    /// Asks all jobs at work to end, as the agent is about to.
    pub(super) fn interrupt(&self) {
        for entry in self.jobs.iter().filter(|entry| entry.stage == Stage::AtWork) {
            entry.stop.ask(StopReason::AgentStopping);
            entry.stop.hurry().fire();
        }
    }

    /// Holds the name of an object for a job until the job ends; false if another job holds it.
    pub(super) fn hold_object_name(&mut self, key: &JobKey, name: &str) -> bool {
        let is_held = self
            .object_names
            .iter()
            .any(|(holder, names)| holder != key && names.contains(name));
        if !is_held {
            self.object_names
                .entry(key.clone())
                .or_default()
                .insert(name.to_owned());
        }
        !is_held
    }

    fn find(&self, key: &JobKey) -> Option<&Entry> {
        self.jobs
            .iter()
            .find(|entry| entry.job.kind() == key.kind && entry.job.request().id == key.id)
    }

    pub(super) fn at_work(&self) -> Vec<JobKey> {
        self.keys_of(Stage::AtWork)
    }

    pub(super) fn waiting(&self) -> Vec<JobKey> {
        self.keys_of(Stage::Waiting)
    }

    fn keys_of(&self, stage: Stage) -> Vec<JobKey> {
        self.jobs
            .iter()
            .filter(|entry| entry.stage == stage)
            .map(|entry| entry.job.key())
            .collect()
    }

    fn count(&self, stage: Stage) -> usize {
        self.jobs.iter().filter(|entry| entry.stage == stage).count()
    }

    fn entry(&mut self, key: &JobKey) -> Option<&mut Entry> {
        self.jobs.iter_mut().find(|entry| entry.job.key() == *key)
    }
}
