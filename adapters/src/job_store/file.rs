//! Jobs in files.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    job::{ArtifactReport, Job, JobKey, JobView, PastJob},
    ports::{BackupQuery, JobPage, JobStore, JobStoreError, PageQuery},
};

use super::{
    cache::Cache,
    finished::{Finished, on_disk},
    home::{Home, Places},
    listing::{self, Listing},
    open::{self, OpenJob},
    problems::Problems,
    record::{file_name, key_of},
    writing::{advice, remove},
};

/// Where jobs are kept, and how many.
#[derive(Debug, Clone)]
pub struct FileJobStoreSettings {
    /// The agent's own directory; made if it is missing.
    pub directory: PathBuf,
    /// The key that requests are encrypted under; made if it is missing. None: in the directory.
    pub key_file: Option<PathBuf>,
    /// What all records may take together, in bytes.
    pub max_state_size: u64,
    /// Settled jobs are dropped after this.
    pub job_retention: Duration,
    /// Settled jobs that are kept.
    pub max_finished_jobs: usize,
}

impl FileJobStoreSettings {
    /// The usual bounds: 1 GiB, 30 days, 10,000 jobs.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            key_file: None,
            max_state_size: 1 << 30,
            job_retention: Duration::from_secs(30 * 24 * 3600),
            max_finished_jobs: 10_000,
        }
    }
}

/// Keeps jobs in files, one each, that outlive the agent.
///
/// What is written is on the disk when the call returns. Of settled jobs only what clients see of
/// those that were asked for last is held in memory.
#[derive(Debug)]
pub struct FileJobStore {
    shared: Arc<Shared>,
    counting: Option<JoinHandle<()>>,
}

impl Drop for FileJobStore {
    /// Once this returns, another may open the store.
    fn drop(&mut self) {
        if let Some(counting) = self.counting.take() {
            // It has said what was wrong.
            drop(counting.join());
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// Whoever writes holds this.
    disk: Mutex<Disk>,
    /// Only for moments, never while the disk is waited for.
    open: Mutex<HashMap<JobKey, OpenJob>>,
    cache: Mutex<Cache>,
    listing: Listing,
    problems: Problems,
    places: Places,
    max_state_size: u64,
}

#[derive(Debug)]
struct Disk {
    home: Home,
    finished: Finished,
    /// The directory vanished, and not all open jobs are in the new one yet.
    is_adrift: bool,
}

impl FileJobStore {
    /// Opens the store, or makes it.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used, another agent uses it, or the key is missing or wrong. Damaged
    /// records are no error: they are put aside, and told by [`JobStore::problems`].
    pub fn open(settings: FileJobStoreSettings) -> Result<Self, String> {
        let home = Home::enter(&settings)?;
        let problems = Problems::default();
        let known = problems.add_all_of(&home.places().damaged());
        known.map_err(|error| format!("cannot read {}: {error}", home.places().damaged().display()))?;
        let places = home.places();
        let open = open::load(&home, &problems)?;
        let finished = Finished::new(&settings);
        let shared = Arc::new(Shared {
            disk: Mutex::new(Disk {
                home,
                finished,
                is_adrift: false,
            }),
            open: Mutex::new(open.into_iter().map(|open| (open.job.key(), open)).collect()),
            cache: Mutex::default(),
            listing: Listing::default(),
            problems,
            places,
            max_state_size: settings.max_state_size,
        });
        // Thousands of files take their time, and nobody needs to wait for the sum.
        let to_count = Arc::clone(&shared);
        let counting = thread::spawn(move || {
            let open_bytes = to_count.open_bytes();
            let mut disk = to_count.disk();
            disk.finished.look();
            to_count.sweep(&mut disk, open_bytes);
        });
        Ok(Self {
            shared,
            counting: Some(counting),
        })
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, String> + Send + 'static,
    ) -> Result<T, JobStoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .unwrap_or_else(|error| Err(format!("work on the records broke off: {error}")))
            .map_err(JobStoreError)
    }
}

impl Shared {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<JobKey, OpenJob>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_bytes(&self) -> u64 {
        self.open().values().map(|open| on_disk(open.written_bytes)).sum()
    }

    /// Drops settled jobs that are too many or too old; says whether all is within its bounds then.
    fn sweep(&self, disk: &mut Disk, open_bytes: u64) -> bool {
        disk.finished.sweep(open_bytes, |name| {
            if let Some(key) = key_of(name) {
                self.cache().forget(&key);
                self.listing.forget(&key);
            }
        })
    }

    /// Makes sure that the directory is there, with all open jobs in it.
    fn come_home(&self, disk: &mut Disk) -> Result<(), String> {
        if !disk.is_adrift && disk.home.is_there() {
            return Ok(());
        }
        if !disk.is_adrift {
            let directory = disk.home.directory().display().to_string();
            tracing::error!(
                directory,
                "the state_directory has vanished under the agent; it is made again, with all jobs that are not done \
                 with, but finished ones are lost: see what removed it"
            );
            self.problems.add(format!(
                "the state_directory {directory} has vanished at {}; finished jobs are lost",
                chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ")
            ));
            disk.is_adrift = true;
            self.cache().clear();
            self.listing.clear();
        }
        disk.home.enter_again()?;
        let jobs: Vec<Job> = self.open().values().map(|open| open.job.clone()).collect();
        for job in jobs {
            let written = open::write(&disk.home, &job)?;
            self.open().insert(job.key(), written);
        }
        disk.finished.look();
        disk.is_adrift = false;
        Ok(())
    }

    fn insert(&self, job: &Job) -> Result<(), String> {
        let mut disk = self.disk();
        self.come_home(&mut disk)?;
        let key = job.key();
        let is_known = self.open().contains_key(&key) || disk.home.places().finished().join(file_name(&key)).exists();
        if is_known {
            return Err(format!("there is a record of {key} already"));
        }
        if !self.sweep(&mut disk, self.open_bytes()) {
            return Err(format!(
                "the records in {} take more than max_state_size ({} bytes), and none of them is of a finished job; \
                 set it higher",
                disk.home.directory().display(),
                self.max_state_size
            ));
        }
        let open = open::write(&disk.home, job)?;
        self.open().insert(key, open);
        Ok(())
    }

    fn update(&self, job: &Job) -> Result<(), String> {
        let mut disk = self.disk();
        self.come_home(&mut disk)?;
        let key = job.key();
        if job.is_settled() {
            let was_there = disk.home.places().finished().join(file_name(&key)).exists();
            let length = open::settle(&disk.home, job)?;
            let view = job.view();
            self.listing.add(&view);
            self.cache().replace(view);
            self.open().remove(&key);
            if !was_there {
                disk.finished.added(length);
            }
            self.sweep(&mut disk, self.open_bytes());
            return Ok(());
        }
        let known = self.open().get(&key).cloned();
        let open = match known {
            Some(known) => open::append(&disk.home, &known, job)?,
            None => open::write(&disk.home, job)?,
        };
        self.open().insert(key, open);
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let mut disk = self.disk();
        self.come_home(&mut disk)?;
        disk.home.places().check()
    }

    fn find(&self, key: &JobKey) -> Result<Option<Job>, String> {
        // Without the lock of those who write: who polls does not wait for them.
        open::read_finished(&self.places, &self.problems, key)
    }

    fn view(&self, key: &JobKey) -> Result<Option<JobView>, String> {
        let as_of = self.cache().changes();
        let view = self.find(key)?.map(|job| job.view());
        if let Some(view) = &view {
            self.cache().put(view.clone(), as_of);
        }
        Ok(view)
    }

    fn page(&self, wanted: &PageQuery) -> Result<JobPage, String> {
        let directory = self.places.finished();
        self.listing.page(&directory, wanted, |key| {
            let cached = self.cache().get(key);
            match cached {
                Some(view) => Ok(Some(JobView::clone(&view))),
                // Not put there: who reads the list must not push out what clients poll.
                None => listing::read(&directory, key),
            }
        })
    }

    fn remove(&self, key: &JobKey) -> Result<bool, String> {
        let mut disk = self.disk();
        self.come_home(&mut disk)?;
        let (directory, name) = (disk.home.places().finished(), file_name(key));
        let length = std::fs::metadata(directory.join(&name)).map_or(0, |found| found.len());
        let removed = remove(&directory, &name);
        // Whatever was said: the file may be gone.
        self.cache().forget(key);
        self.listing.forget(key);
        let removed =
            removed.map_err(|error| format!("cannot remove the record of {key}: {error}{}", advice(&error)))?;
        if removed {
            disk.finished.removed(&directory.join(&name), length);
        }
        Ok(removed)
    }
}

#[async_trait]
impl JobStore for FileJobStore {
    async fn insert(&self, job: &Job) -> Result<(), JobStoreError> {
        let job = job.clone();
        self.work(move |shared| shared.insert(&job)).await
    }

    async fn update(&self, job: &Job) -> Result<(), JobStoreError> {
        let job = job.clone();
        self.work(move |shared| shared.update(&job)).await
    }

    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError> {
        if let Some(open) = self.shared.open().get(key) {
            return Ok(Some(open.job.clone()));
        }
        let key = key.clone();
        self.work(move |shared| shared.find(&key)).await
    }

    async fn view(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        if let Some(open) = self.shared.open().get(key) {
            return Ok(Some(open.job.view()));
        }
        let cached = self.shared.cache().get(key);
        if let Some(view) = cached {
            return Ok(Some(JobView::clone(&view)));
        }
        let key = key.clone();
        self.work(move |shared| shared.view(&key)).await
    }

    async fn newest_backup(&self, wanted: BackupQuery) -> Result<Option<ArtifactReport>, JobStoreError> {
        // One whose unlock is owed has ended all the same.
        let open: Vec<Job> = self.shared.open().values().map(|open| open.job.clone()).collect();
        let open = open
            .iter()
            .filter_map(|job| Some((job.accepted_at(), wanted.answer(job)?)));
        if let Some((_, artifact)) = open.max_by_key(|(at, _)| *at) {
            return Ok(Some(artifact));
        }
        self.work(move |shared| super::finished::newest_backup(&shared.places.finished(), &wanted))
            .await
    }

    async fn settled(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        self.work(move |shared| shared.page(&wanted)).await
    }

    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError> {
        let mut jobs: Vec<Job> = self.shared.open().values().map(|open| open.job.clone()).collect();
        jobs.sort_by_key(|job| (job.accepted_at(), job.key()));
        Ok(jobs)
    }

    async fn ended(&self, at_most: usize) -> Result<Vec<PastJob>, JobStoreError> {
        // Of those that owe an unlock the end is in an open record.
        let mut ended: Vec<PastJob> = self
            .shared
            .open()
            .values()
            .filter_map(|open| PastJob::of(&open.job))
            .collect();
        let finished = self.work(move |shared| super::finished::ended(&shared.places.finished(), at_most));
        ended.extend(finished.await?);
        ended.sort_by_key(|job| std::cmp::Reverse(job.ended_at));
        ended.truncate(at_most);
        Ok(ended)
    }

    async fn check(&self) -> Result<(), JobStoreError> {
        self.work(Shared::check).await
    }

    fn problems(&self) -> Vec<String> {
        self.shared.problems.texts()
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        let key = key.clone();
        self.work(move |shared| shared.remove(&key)).await
    }
}
