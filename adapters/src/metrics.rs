//! Numbers for Prometheus: kept here, and told in its text format.
//!
//! Names and units are those of Prometheus' conventions: base units, `_total` for what only grows. What
//! callers choose, hosts and databases, makes only so many labels.

mod databases;
mod families;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use domain::{
    job::{JobStatus, JobView, Outcome, PastJob},
    plan::JobKind,
    ports::{Metrics, Observation, Observer},
};

use self::{databases::Databases, families::Families};

/// Counts what it is told, for as long as the agent runs.
#[derive(Debug)]
pub struct PrometheusMetrics {
    families: Families,
    /// Held while anything about databases is changed or told.
    databases: Mutex<Databases>,
}

impl Default for PrometheusMetrics {
    fn default() -> Self {
        Self {
            families: Families::new(),
            databases: Mutex::default(),
        }
    }
}

impl PrometheusMetrics {
    /// What is known of databases is put in place entry by entry, so a poisoned lock is still good.
    fn databases(&self) -> MutexGuard<'_, Databases> {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of a job's database until there is news.
    fn keep(&self, job: &PastJob) {
        let mut databases = self.databases();
        let (host, database) = databases.labels(&job.host, &job.database);
        let ended_at = seconds(job.ended_at);
        let latest = match job.outcome {
            Outcome::Succeeded => Some(&self.families.last_success),
            Outcome::Failed | Outcome::Interrupted => Some(&self.families.last_failure),
            Outcome::Cancelled => None,
        };
        if let Some(latest) = latest {
            let latest = latest.with_label_values(&[job.kind.as_str(), &host, &database]);
            // Those that are remembered may be told when there is a newer one already.
            latest.set(latest.get().max(ended_at));
        }
        if let Some(bytes) = job.artifact_bytes
            && databases.is_newest_artifact(&host, &database, job.ended_at)
        {
            let artifact = self.families.last_artifact.with_label_values(&[&host, &database]);
            artifact.set(as_float(bytes));
        }
    }

    /// Counts the jobs that are not done with.
    fn count(&self, unsettled: &[JobView], databases: &mut Databases) {
        let families = &self.families;
        families.lock_since.reset();
        for kind in JobKind::ALL {
            let of_kind = || unsettled.iter().filter(|view| view.key.kind == kind);
            let count =
                |is_meant: fn(&JobView) -> bool| as_float(of_kind().filter(|view| is_meant(view)).count() as u64);
            for (family, count) in [
                (&families.queued, count(is_queued)),
                (&families.running, count(is_running)),
                (&families.owed, count(|view| view.owes_unlock)),
                (&families.locks, count(|view| view.locked_since.is_some())),
            ] {
                family.with_label_values(&[kind.as_str()]).set(count);
            }
            for view in of_kind() {
                let Some(since) = view.locked_since else { continue };
                let (host, database) = databases.labels(&view.host, &view.database);
                let oldest = families
                    .lock_since
                    .with_label_values(&[kind.as_str(), &host, &database]);
                let is_first = oldest.get() == 0.0;
                oldest.set(if is_first {
                    seconds(since)
                } else {
                    oldest.get().min(seconds(since))
                });
            }
        }
    }
}

impl Observer for PrometheusMetrics {
    fn observe(&self, observation: Observation) {
        let families = &self.families;
        match observation {
            Observation::JobEnded { job, took, phases } => {
                let labels = [job.kind.as_str(), job.outcome.as_str()];
                families.jobs.with_label_values(&labels).inc();
                families.job_time.with_label_values(&labels).observe(took.as_secs_f64());
                for (phase, took) in phases {
                    let times = families.phase_time.with_label_values(&[phase.as_str()]);
                    times.observe(took.as_secs_f64());
                }
                self.keep(&job);
            }
            Observation::JobRemembered(job) => self.keep(&job),
            Observation::LockReleased { kind, held } => {
                let times = families.lock_time.with_label_values(&[kind.as_str()]);
                times.observe(held.as_secs_f64());
            }
            Observation::UnlockFailed { kind } => families.unlock_failures.with_label_values(&[kind.as_str()]).inc(),
            Observation::Moved {
                direction,
                store,
                bytes,
            } => {
                let moved = families.moved.with_label_values(&[direction.as_str(), store.as_str()]);
                moved.inc_by(bytes);
            }
            Observation::Retried { direction, store } => {
                let retries = families
                    .retries
                    .with_label_values(&[direction.as_str(), store.as_str()]);
                retries.inc();
            }
        }
    }
}

impl Metrics for PrometheusMetrics {
    fn exposition(&self, unsettled: &[JobView], problems: usize) -> String {
        // Held to the end, so that of two who ask at once neither sees half of the other's count.
        let mut databases = self.databases();
        self.count(unsettled, &mut databases);
        self.families.problems.set(as_float(problems as u64));
        self.families.text().unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be told");
            String::new()
        })
    }
}

fn is_queued(view: &JobView) -> bool {
    matches!(view.status, JobStatus::Queued)
}

fn is_running(view: &JobView) -> bool {
    matches!(view.status, JobStatus::Between { .. } | JobStatus::Running { .. })
}

/// Seconds since 1970, as Prometheus wants them.
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

/// Beyond 2^53 a float is near enough: nobody counts single bytes there.
fn as_float(number: u64) -> f64 {
    number as f64
}
