//! What clients see of jobs, at work and done with.

use std::time::Duration;

use super::{JobService, race::unless};
use crate::{
    job::{JobKey, JobView},
    ports::{JobPage, JobStoreError, PageQuery},
};

impl JobService {
    /// A snapshot of a job: from memory as long as it is not done with.
    pub(super) async fn look(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        let seen = self.inner.registry().seen(key);
        match seen {
            // With what is true at this moment, so only jobs that are not done with ask for the time.
            Some(seen) => Ok(Some(seen.with_live_log(self.inner.ports.clock.now()))),
            None => self.inner.ports.jobs.view(key).await,
        }
    }

    /// Waits until clients see another state of a job, or for so long; not at all for one that has
    /// ended.
    pub(super) async fn wait_for_change(&self, key: &JobKey, patience: Duration) {
        let change = self.inner.registry().next_change(key);
        if let Some(change) = change {
            unless(change, self.inner.ports.clock.sleep(patience)).await;
        }
    }

    /// A part of the list of all jobs.
    pub(super) async fn page(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        let now = self.inner.ports.clock.now();
        let most = wanted.most;
        // Before the store is asked: one that ends meanwhile is then known twice, and not to nobody.
        let seen = self.inner.registry().all_seen();
        let mut unsettled: Vec<JobView> = seen.into_iter().map(|seen| seen.at(now)).collect();
        unsettled.retain(|view| wanted.takes(view));
        let settled = self.inner.ports.jobs.settled(wanted).await?;
        Ok(settled.with(unsettled, most))
    }
}
