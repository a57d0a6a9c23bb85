//! Who waits and who is at work.

use std::collections::{HashMap, HashSet};

use chrono::DateTime;

use crate::{
    artifact::NamePattern,
    job::{Job, JobKey, JobView},
    plan::JobKind,
    ports::StartError,
    request::JobRequest,
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

#[derive(Debug)]
struct Entry {
    job: Job,
    claims: Claims,
    stage: Stage,
}

/// What no two jobs at work may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    /// Host and database.
    database: (String, String),
    /// The artifact's name, whatever the date: a pattern may leave host or database out, and then two
    /// databases have one file. None for a restore.
    artifact: Option<String>,
}

impl Claims {
    pub(super) fn of(request: &JobRequest, pattern: &NamePattern) -> Self {
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
enum Stage {
    /// It has its place in the queue, but must neither begin nor be seen yet.
    BeingRecorded,
    Waiting,
    AtWork,
    /// At its end, which could not be recorded: shown from here.
    Ended,
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
    pub(super) fn admit(&mut self, job: Job, claims: Claims) -> Result<(), StartError> {
        if self.is_stopping {
            return Err(StartError::Stopping);
        }
        if let Some(view) = self.view(&job.key()) {
            return Err(StartError::Duplicate(Box::new(view)));
        }
        self.jobs.push(Entry {
            job,
            claims,
            stage: Stage::Waiting,
        });
        let ready = self.ready();
        let can_begin_at_once = ready.contains(&(self.jobs.len() - 1));
        let running = self.count(Stage::AtWork);
        let ended = self.count(Stage::Ended);
        // Those that are ready begin as soon as they are recorded: they hold no place.
        let waiting = self.jobs.len() - running - ended - ready.len();
        let newest = self.jobs.last_mut().expect("a job was just added");
        newest.stage = Stage::BeingRecorded;
        if !can_begin_at_once && waiting > self.limits.waiting {
            self.jobs.pop();
            return Err(StartError::Full {
                running,
                waiting: waiting - 1,
            });
        }
        Ok(())
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
        }
    }

    /// Marks the waiting jobs whose turn it is as being at work, and returns them.
    pub(super) fn take_ready(&mut self) -> Vec<Job> {
        if self.is_stopping {
            return Vec::new();
        }
        let ready = self.ready();
        let mut taken = Vec::new();
        for index in ready {
            let entry = &mut self.jobs[index];
            if entry.stage == Stage::Waiting {
                entry.stage = Stage::AtWork;
                taken.push(entry.job.clone());
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
        for entry in self.jobs.iter().filter(|entry| entry.stage == Stage::AtWork) {
            claim(&entry.claims);
        }
        let mut ready = Vec::new();
        for (index, entry) in self.jobs.iter().enumerate() {
            match entry.stage {
                Stage::AtWork | Stage::Ended => continue,
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
            entry.job = job.clone();
        }
    }

    /// Drops a job, and the names that it held.
    pub(super) fn forget(&mut self, key: &JobKey) {
        self.jobs.retain(|entry| entry.job.key() != *key);
        self.object_names.remove(key);
    }

    /// Ends a job that the store could not be told of: it holds nothing any more, but is shown.
    pub(super) fn retire(&mut self, key: &JobKey) {
        self.object_names.remove(key);
        if let Some(entry) = self.entry(key) {
            entry.stage = Stage::Ended;
        }
    }

    /// Ends a job whose course broke off, as failed, and shows it from here.
    pub(super) fn abandon(&mut self, key: &JobKey, reason: &str) {
        if let Some(entry) = self.entry(key) {
            entry.job.abandon(reason);
        }
        self.retire(key);
    }

    /// Drops a job that was retired, and says whether it was there.
    pub(super) fn forget_finished(&mut self, key: &JobKey) -> bool {
        let is_retired = self.entry(key).is_some_and(|entry| entry.stage == Stage::Ended);
        if is_retired {
            self.forget(key);
        }
        is_retired
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

    /// The job that has this key, recorded or not.
    pub(super) fn view(&self, key: &JobKey) -> Option<JobView> {
        self.find(key).map(|entry| entry.job.view())
    }

    /// The job as clients may see it: not before it is recorded.
    pub(super) fn recorded(&self, key: &JobKey) -> Option<JobView> {
        let entry = self.find(key)?;
        (entry.stage != Stage::BeingRecorded).then(|| entry.job.view())
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
