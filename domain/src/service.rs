//! The service: admits jobs, queues them, and has each walk its plan.
//!
//! ```text
//!   JobApi ──→ JobService ──→ Registry (who waits, who is at work)
//!                  │ spawns
//!                  └──→ JobRun: record, perform through a port, record the outcome
//! ```

mod panics;
mod perform;
mod registry;
mod run;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    artifact::NamePattern,
    job::{Job, JobKey, JobView},
    plan::FailurePolicy,
    ports::{
        BlobStore, Clock, JobApi, JobStore, JobStoreError, RemoveError, ScriptRunner, Spawner, StartError, Workspace,
    },
    request::JobRequest,
    script::ScriptSettings,
};
use panics::catch_panic;
pub use registry::QueueLimits;
use registry::{Claims, Registry};

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
        for job in ready {
            let key = job.key();
            let course = run::course(self.clone(), job);
            self.inner.ports.spawner.spawn(&key, Box::pin(course));
        }
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
        inner.registry().admit(job.clone(), claims)?;
        let recorded = catch_panic(async {
            match inner.ports.jobs.find(&key).await? {
                Some(known) => Err(StartError::Duplicate(Box::new(known.view()))),
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
        if let Some(view) = self.inner.registry().recorded(key) {
            return Ok(Some(view));
        }
        let job = self.inner.ports.jobs.find(key).await?;
        Ok(job.map(|job| job.view()))
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, RemoveError> {
        let in_memory = self.inner.registry().view(key);
        match in_memory {
            Some(view) if !view.status.is_finished() => return Err(RemoveError::Unfinished(Box::new(view))),
            Some(_) | None => {}
        }
        let was_in_store = self.inner.ports.jobs.remove(key).await?;
        // A job whose end could not be recorded is still held in memory.
        let was_in_memory = self.inner.registry().forget_finished(key);
        Ok(was_in_store || was_in_memory)
    }
}

#[cfg(test)]
mod tests;
