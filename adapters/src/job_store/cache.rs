//! The settled jobs that were read or written last: clients poll the same one again and again.

use std::collections::VecDeque;

use domain::job::{Job, JobKey};

const MAX_JOBS: usize = 64;
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Keeps a few settled jobs, bounded in number and in bytes.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// The one that was not asked for the longest is first. The number is the length of its file.
    jobs: VecDeque<(JobKey, Job, u64)>,
    bytes: u64,
}

impl Cache {
    pub(super) fn get(&mut self, key: &JobKey) -> Option<Job> {
        let index = self.jobs.iter().position(|(known, ..)| known == key)?;
        let entry = self.jobs.remove(index)?;
        let job = entry.1.clone();
        self.jobs.push_back(entry);
        Some(job)
    }

    pub(super) fn put(&mut self, job: Job, bytes: u64) {
        self.forget(&job.key());
        self.bytes += bytes;
        self.jobs.push_back((job.key(), job, bytes));
        while self.jobs.len() > MAX_JOBS || self.bytes > MAX_BYTES {
            let Some((_, _, bytes)) = self.jobs.pop_front() else {
                return;
            };
            self.bytes -= bytes;
        }
    }

    pub(super) fn forget(&mut self, key: &JobKey) {
        if let Some(index) = self.jobs.iter().position(|(known, ..)| known == key)
            && let Some((_, _, bytes)) = self.jobs.remove(index)
        {
            self.bytes -= bytes;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
