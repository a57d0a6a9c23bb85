//! The service: admits jobs, queues them, and has each walk its plan.
//!
//! ```text
//!   JobApi ──→ JobService ──→ Registry (who waits, who is at work)
//!                  │ spawns
//!                  └──→ JobRun: record, perform through a port, record the outcome
//!                           └──→ aftercare: an unlock that is owed, a record that is missing
//! ```

mod activity;
mod aftercare;
mod bell;
mod examine;
mod looks;
mod panics;
mod perform;
mod race;
mod recorder;
mod registry;
mod run;
mod stop;
mod times;
mod watched;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    artifact::NamePattern,
    job::{Job, JobEvent, JobKey, JobStatus, JobView, Settlement, StopReason},
    plan::{FailurePolicy, Step},
    ports::{
        BlobStore, CancelError, Clock, Finding, JobApi, JobFuture, JobPage, JobStore, JobStoreError, Observer,
        PageQuery, RemoveError, ScriptRunner, Spawner, StartError, UnlockError, Workspace,
    },
    request::JobRequest,
    script::ScriptSettings,
};
use panics::catch_panic;
pub use registry::QueueLimits;
use registry::{Cancelled, Claims, Ready, Refusal, Registry};
pub use times::TimeLimits;

/// What the domain needs of the world.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Runs scripts.
    pub scripts: Arc<dyn ScriptRunner>,
    /// Keeps artifacts.
    pub blobs: Arc<dyn BlobStore>,
    /// Keeps jobs.
    pub jobs: Arc<dyn JobStore>,
    /// Finds artifacts and places files to restore.
    pub workspace: Arc<dyn Workspace>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Lets jobs run.
    pub spawner: Arc<dyn Spawner>,
    /// Is told of what happens.
    pub observer: Arc<dyn Observer>,
}

/// The operator's choices, as far as the domain is concerned.
#[derive(Debug, Clone, Default)]
pub struct ServiceSettings {
    /// How many jobs may work and wait.
    pub limits: QueueLimits,
    /// What runs after a failure.
    pub policy: FailurePolicy,
    /// How artifacts are named.
    pub name_pattern: NamePattern,
    /// How scripts are called.
    pub scripts: ScriptSettings,
    /// How long things may take.
    pub times: TimeLimits,
    /// So much is to stay free in the directories, in bytes; otherwise no job begins.
    pub min_free_space: u64,
}

/// The agent's core. Cheap to clone; all clones are one service.
#[derive(Clone)]
pub struct JobService {
    inner: Arc<Inner>,
}

struct Inner {
    ports: Ports,
    settings: ServiceSettings,
    registry: Mutex<Registry>,
}

impl fmt::Debug for JobService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobService")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

impl JobService {
    /// A service without jobs.
    #[must_use]
    pub fn new(ports: Ports, settings: ServiceSettings) -> Self {
        let registry = Mutex::new(Registry::new(settings.limits));
        Self {
            inner: Arc::new(Inner {
                ports,
                settings,
                registry,
            }),
        }
    }

    /// Takes over the jobs that an earlier agent has left: those that waited wait again, those that were
    /// at work are brought to their end, and unlocks that are owed are tried. To be called once, before
    /// the first request; the work itself goes on beside everything else.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn recover(&self) -> Result<(), JobStoreError> {
        let jobs = self.inner.ports.jobs.unsettled().await?;
        let pattern = &self.inner.settings.name_pattern;
        let mut courses: Vec<(JobKey, JobFuture)> = Vec::new();
        for job in jobs {
            let (key, service) = (job.key(), self.clone());
            let claims = Claims::of(job.request(), pattern);
            let stop = self.inner.registry().readmit(job.clone(), claims);
            match job.status() {
                JobStatus::Queued => {}
                JobStatus::Between { .. } | JobStatus::Running { .. } => {
                    courses.push((key, Box::pin(run::recovery(service, job, stop))));
                }
                JobStatus::Succeeded | JobStatus::Failed { .. } => {
                    courses.push((
                        key.clone(),
                        Box::pin(async move { service.look_after_at_once(&key).await }),
                    ));
                }
            }
        }
        for (key, course) in courses {
            self.inner.ports.spawner.spawn(&key, course);
        }
        self.begin_what_can_begin();
        Ok(())
    }

    /// Takes over one job that an earlier agent has left, when no agent runs. If it was at work it is
    /// brought to its end beside everything else, and none of the others is touched.
    ///
    /// # Errors
    ///
    /// If the store could not be read, or what an earlier agent left at work could not be ended.
    pub async fn recover_only(&self, key: &JobKey) -> Result<(), JobStoreError> {
        self.stop_taking_jobs();
        let jobs = self.inner.ports.jobs.unsettled().await?;
        for job in jobs.into_iter().filter(|job| job.key() == *key) {
            let claims = Claims::of(job.request(), &self.inner.settings.name_pattern);
            let stop = self.inner.registry().readmit(job.clone(), claims);
            match job.status() {
                JobStatus::Queued => {}
                JobStatus::Between { .. } | JobStatus::Running { .. } => {
                    let course = run::recovery(self.clone(), job, stop);
                    self.inner.ports.spawner.spawn(key, Box::pin(course));
                }
                // The dead agent's unlock script may still be at work.
                JobStatus::Succeeded | JobStatus::Failed { .. } => {
                    let ended = self.inner.ports.scripts.end_leftover(key).await;
                    ended.map_err(|error| JobStoreError(error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// Asks all jobs at work to end: what works towards the backup or restore is ended at once, and
    /// what is owed has little time. Who calls this waits until nothing is at work any more, or leaves
    /// the rest to the next agent.
    pub fn interrupt(&self) {
        self.inner.registry().interrupt();
    }

    /// Takes no new jobs from now on, and begins none that waits. Jobs at work go on.
    pub fn stop_taking_jobs(&self) {
        self.inner.registry().stop();
    }

    /// The jobs at work.
    #[must_use]
    pub fn at_work(&self) -> Vec<JobKey> {
        self.inner.registry().at_work()
    }

    /// The accepted jobs that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> Vec<JobKey> {
        self.inner.registry().waiting()
    }

    /// Begins every waiting job whose turn it is.
    fn begin_what_can_begin(&self) {
        // The lock is released before anything is spawned: a spawner may run the job at once.
        let ready = self.inner.registry().take_ready();
        for Ready { job, stop } in ready {
            let key = job.key();
            let course = run::course(self.clone(), job, stop);
            self.inner.ports.spawner.spawn(&key, Box::pin(course));
        }
    }
}

impl JobService {
    /// Ends a job that has not begun.
    async fn end_in_queue(&self, mut job: Job) -> Result<JobView, CancelError> {
        let now = self.inner.ports.clock.now();
        let stopped = JobEvent::Stopped {
            step: Step::Prepare,
            reason: StopReason::Cancelled,
        };
        for event in [stopped, JobEvent::Finished { note: None }] {
            job.apply(event, now).expect("a job that waits can be ended");
        }
        if let Err(error) = self.write(&job).await {
            self.inner.registry().wait_again(&job.key());
            self.begin_what_can_begin();
            return Err(CancelError::Store(error));
        }
        self.inner.registry().end(&job, true);
        self.tell(&job);
        self.begin_what_can_begin();
        Ok(job.view())
    }
}

impl Inner {
    /// The registry. Nothing that can panic half-way changes it, so a poisoned lock is still good.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobApi for JobService {
    fn takes_jobs(&self) -> bool {
        !self.inner.registry().is_stopping()
    }

    async fn start(&self, request: JobRequest) -> Result<(), StartError> {
        let inner = &self.inner;
        let job = Job::accepted(request, inner.settings.policy, inner.ports.clock.now());
        let key = job.key();
        // The id is taken in the registry first, so that of two requests at once one is refused.
        let claims = Claims::of(job.request(), &inner.settings.name_pattern);
        loop {
            let refusal = inner.registry().admit(job.clone(), claims.clone());
            match refusal {
                Ok(()) => break,
                Err(Refusal::Undecided(recorded)) => recorded.fired().await,
                Err(Refusal::Final(error)) => return Err(error),
            }
        }
        let recorded = catch_panic(async {
            match inner.ports.jobs.view(&key).await? {
                Some(known) => Err(StartError::Duplicate(Box::new(known))),
                None => Ok(inner.ports.jobs.insert(&job).await?),
            }
        })
        .await
        .unwrap_or_else(|panic| Err(StartError::Store(JobStoreError(panic))));
        if let Err(error) = recorded {
            inner.registry().forget(&key);
            // What waited behind it may have become ready.
            self.begin_what_can_begin();
            return Err(error);
        }
        inner.registry().enqueue(&key);
        self.begin_what_can_begin();
        Ok(())
    }

    async fn find(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        self.look(key).await
    }

    async fn find_changed(&self, key: &JobKey, patience: Duration) -> Result<Option<JobView>, JobStoreError> {
        self.wait_for_change(key, patience).await;
        self.look(key).await
    }

    async fn list(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        self.page(wanted).await
    }

    async fn cancel(&self, key: &JobKey) -> Result<JobView, CancelError> {
        let cancelled = self.inner.registry().cancel(key);
        match cancelled {
            Cancelled::AtWork(view) => Ok(*view),
            Cancelled::BeforeItsTurn(job) => self.end_in_queue(*job).await,
            Cancelled::OwesUnlock(job) => Ok(self.settle(&job, Settlement::GivenUp, None).await.view()),
            Cancelled::TooLate(view) => Err(CancelError::Ended(view)),
            Cancelled::Unknown => match self.inner.ports.jobs.view(key).await? {
                Some(view) => Err(CancelError::Ended(Box::new(view))),
                None => Err(CancelError::Unknown),
            },
        }
    }

    async fn unlock(&self, key: &JobKey) -> Result<JobView, UnlockError> {
        match self.unlock_now(key).await {
            Err(UnlockError::Unknown) => match self.inner.ports.jobs.view(key).await {
                Ok(Some(view)) => Err(UnlockError::NotOwed(Box::new(view))),
                Ok(None) => Err(UnlockError::Unknown),
                Err(error) => Err(UnlockError::Failed(error.to_string())),
            },
            other => other,
        }
    }

    fn unsettled(&self) -> Vec<JobView> {
        self.inner.registry().unsettled()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.inner.ports.jobs.problems();
        let views = self.unsettled();
        let owing = views.iter().filter(|view| view.owes_unlock);
        problems.extend(owing.map(|view| format!("the lock of {} was not released", view.key)));
        problems
    }

    async fn shortcomings(&self) -> Vec<String> {
        self.all_shortcomings().await
    }

    async fn examine(&self, request: Option<JobRequest>) -> Vec<Finding> {
        self.examine_all(request).await
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, RemoveError> {
        let in_memory = self.inner.registry().job(key);
        if let Some(job) = in_memory {
            if !job.is_settled() {
                return Err(RemoveError::Unfinished(Box::new(job.view())));
            }
            // Its end could not be written before; only what the store knows to have ended is removed.
            self.inner.ports.jobs.update(&job).await?;
            self.inner.registry().forget(key);
            self.inner.ports.jobs.remove(key).await?;
            return Ok(true);
        }
        Ok(self.inner.ports.jobs.remove(key).await?)
    }
}

#[cfg(test)]
mod tests;
