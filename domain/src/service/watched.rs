//! What the service tells those who watch: what happens, and whether it is ready for more.

use super::JobService;
use crate::{
    job::Job,
    plan::JobKind,
    ports::{JobApi, JobStoreError, Observation, WorkDirectory},
};

/// So many of the jobs that have ended are looked at when an agent starts: of older ones nobody would
/// be alarmed any more, and each is a file to be read.
const REMEMBERED: usize = 2_000;

impl JobService {
    /// Tells of jobs that ended before this agent was started, so that what is told of each database
    /// does not begin with nothing. It takes its time where there are many: nobody need wait for it.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    pub async fn remember(&self) -> Result<(), JobStoreError> {
        let ports = &self.inner.ports;
        for job in ports.jobs.ended(REMEMBERED).await? {
            ports.observer.observe(Observation::JobRemembered(job));
        }
        Ok(())
    }

    /// Tells what the last event of a job means.
    pub(super) fn tell(&self, job: &Job) {
        for observation in job.observations() {
            self.inner.ports.observer.observe(observation);
        }
    }

    pub(super) fn tell_of_failed_unlock(&self, kind: JobKind) {
        self.inner.ports.observer.observe(Observation::UnlockFailed { kind });
    }

    pub(super) async fn all_shortcomings(&self) -> Vec<String> {
        let ports = &self.inner.ports;
        let mut found = Vec::new();
        if !self.takes_jobs() {
            found.push("the agent is stopping and takes no new jobs".to_owned());
        }
        for directory in [WorkDirectory::Backup, WorkDirectory::Restore] {
            found.extend(self.shortcoming_of(directory).await);
        }
        for kind in JobKind::ALL {
            let scripts = ports.scripts.check(kind.phases()).await;
            found.extend(scripts.err().map(|error| error.to_string()));
        }
        let records = ports.jobs.check().await;
        found.extend(records.err().map(|error| error.0));
        found
    }

    pub(super) async fn shortcoming_of(&self, directory: WorkDirectory) -> Option<String> {
        let workspace = &self.inner.ports.workspace;
        if let Err(error) = workspace.check_writable(directory).await {
            return Some(error.0);
        }
        let least = self.inner.settings.min_free_space;
        match workspace.free_bytes(directory).await {
            Ok(Some(free)) if free < least => Some(format!(
                "only {free} bytes are free in {directory}, and min_free_space wants {least}; make room there"
            )),
            Ok(_) => None,
            Err(error) => Some(error.0),
        }
    }
}
