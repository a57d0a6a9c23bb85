//! Fakes for tests that stand in the middle of things. For order, arguments and failures there are
//! the mocks of [`crate::ports`].

#![allow(clippy::unwrap_used, reason = "who finds a poisoned lock here has failed already")]

mod noticed;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    artifact::NamePattern,
    job::{ArtifactReport, ExitReason, Job, JobId, JobKey, LiveLog, PastJob},
    plan::{JobKind, Phase, Transfer},
    ports::{
        BackupQuery, Clock, Halt, JobFuture, JobPage, JobStore, JobStoreError, PageQuery, PreparedRestore,
        RestoreDirectory, ScriptError, ScriptOutcome, ScriptRunner, Spawner,
    },
    request::{AllowedEndpoints, DestinationDraft, Draft, Faults, JobRequest, RequestRules, ServiceDraft},
    script::ScriptCall,
    secret::Secret,
};
pub use noticed::Noticed;

/// Drives a future that needs no runtime.
///
/// # Panics
///
/// If the future waits for something that nobody in this thread will bring about.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// A clock that stands still until it is told to go on. It begins at 2018-11-06 17:05:39.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
    is_broken: AtomicBool,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            now_ms: AtomicI64::new(1_541_523_939_000),
            is_broken: AtomicBool::new(false),
        }
    }
}

impl ManualClock {
    /// Moves the hands.
    pub fn advance(&self, by: TimeDelta) {
        self.now_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// The next who asks for the time brings about a panic.
    pub fn break_once(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    async fn sleep(&self, duration: Duration) {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let end_ms = self.now_ms.load(Ordering::SeqCst).saturating_add(duration_ms);
        poll_fn(|_| match self.now_ms.load(Ordering::SeqCst) >= end_ms {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    fn now(&self) -> DateTime<Utc> {
        assert!(!self.is_broken.swap(false, Ordering::SeqCst), "the clock is broken");
        DateTime::from_timestamp_millis(self.now_ms.load(Ordering::SeqCst)).expect("a time")
    }
}

/// Keeps what was spawned until it is told to go on.
#[derive(Default)]
pub struct ManualSpawner(Mutex<Vec<(JobKey, JobFuture)>>);

impl fmt::Debug for ManualSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManualSpawner")
    }
}

impl Spawner for ManualSpawner {
    fn spawn(&self, key: &JobKey, future: JobFuture) {
        self.0.lock().unwrap().push((key.clone(), future));
    }
}

impl ManualSpawner {
    /// Drives everything, and what it spawns in turn, until all has ended or waits.
    pub fn run_until_stalled(&self) {
        loop {
            // Taken out of the lock: a job that ends spawns the next.
            let tasks = std::mem::take(&mut *self.0.lock().unwrap());
            let count = tasks.len();
            let mut pending = Vec::new();
            for (key, mut future) in tasks {
                if future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
                {
                    pending.push((key, future));
                }
            }
            let mut all = self.0.lock().unwrap();
            let has_ended = pending.len() < count;
            let has_new = !all.is_empty();
            pending.append(&mut all);
            *all = pending;
            if !has_ended && !has_new {
                return;
            }
        }
    }

    /// The jobs that were spawned and have not ended, in order.
    pub fn unfinished(&self) -> Vec<JobKey> {
        self.0.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }
}

/// Scripts that succeed, each only once it is let through. Each writes its phase at once.
#[derive(Debug, Default)]
pub struct GatedScriptRunner {
    calls: Mutex<Vec<(String, Phase)>>,
    passes: Mutex<VecDeque<(String, Phase)>>,
}

impl GatedScriptRunner {
    /// Lets the script of a phase of a job end.
    pub fn let_end(&self, id: &str, phase: Phase) {
        self.passes.lock().unwrap().push_back((id.to_owned(), phase));
    }

    /// The scripts that were started, in order, as `<id> <phase>`.
    pub fn started(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(id, phase)| format!("{id} {phase}")).collect()
    }
}

#[async_trait]
impl ScriptRunner for GatedScriptRunner {
    async fn check(&self, _: &[Phase]) -> Result<(), ScriptError> {
        Ok(())
    }

    async fn check_interpreter(&self) -> Result<String, ScriptError> {
        Ok("/bin/bash".to_owned())
    }

    async fn end_leftover(&self, _: &JobKey) -> Result<(), ScriptError> {
        Ok(())
    }

    async fn run(&self, call: &ScriptCall, halt: &Halt, live: &LiveLog) -> Result<ScriptOutcome, ScriptError> {
        let pass = (call.job.id.to_string(), call.phase);
        live.stdout.push(call.phase.as_str().as_bytes());
        self.calls.lock().unwrap().push(pass.clone());
        let was_halted = poll_fn(|_| {
            let mut passes = self.passes.lock().unwrap();
            match passes.iter().position(|known| *known == pass) {
                Some(index) => {
                    passes.remove(index);
                    Poll::Ready(false)
                }
                None if halt.is_fired() => Poll::Ready(true),
                None => Poll::Pending,
            }
        })
        .await;
        let exit = if was_halted {
            ExitReason::Signaled(15)
        } else {
            ExitReason::Exited(0)
        };
        Ok(ScriptOutcome {
            exit,
            log: live.so_far(),
            was_halted,
        })
    }
}

/// A job store that can be told to fail, and that remembers every write.
#[derive(Debug, Default)]
pub struct FakeJobStore {
    jobs: Mutex<HashMap<JobKey, Job>>,
    writes: Mutex<Vec<Job>>,
    fails: AtomicBool,
    holds: Arc<AtomicBool>,
}

/// Holds what waits for it until it is opened.
#[derive(Debug)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets all through. Who waits must be polled again.
    pub fn open(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl FakeJobStore {
    /// From now on new jobs wait at a gate before they are written.
    pub fn hold_inserts(&self) -> Gate {
        self.holds.store(true, Ordering::SeqCst);
        Gate(Arc::clone(&self.holds))
    }

    /// From now on every write fails, or none does.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Every job as it was written, in order.
    pub fn writes(&self) -> Vec<Job> {
        self.writes.lock().unwrap().clone()
    }

    fn write(&self, job: &Job) -> Result<(), JobStoreError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(JobStoreError("the disk is full".to_owned()));
        }
        self.writes.lock().unwrap().push(job.clone());
        self.jobs.lock().unwrap().insert(job.key(), job.clone());
        Ok(())
    }
}

#[async_trait]
impl JobStore for FakeJobStore {
    async fn insert(&self, job: &Job) -> Result<(), JobStoreError> {
        poll_fn(|_| match self.holds.load(Ordering::SeqCst) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
        self.write(job)
    }

    async fn update(&self, job: &Job) -> Result<(), JobStoreError> {
        self.write(job)
    }

    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError> {
        Ok(self.jobs.lock().unwrap().get(key).cloned())
    }

    async fn newest_backup(&self, wanted: BackupQuery) -> Result<Option<ArtifactReport>, JobStoreError> {
        let jobs = self.jobs.lock().unwrap();
        let newest = jobs
            .values()
            .filter(|job| wanted.answer(job).is_some())
            .max_by_key(|job| job.accepted_at());
        Ok(newest.and_then(|job| wanted.answer(job)))
    }

    async fn settled(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        let jobs = self.jobs.lock().unwrap();
        let settled = jobs.values().filter(|job| job.is_settled());
        Ok(wanted.page_of(settled.map(Job::view)))
    }

    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError> {
        let jobs = self.jobs.lock().unwrap();
        let mut unsettled: Vec<Job> = jobs.values().filter(|job| !job.is_settled()).cloned().collect();
        unsettled.sort_by_key(|job| (job.accepted_at(), job.key()));
        Ok(unsettled)
    }

    async fn ended(&self, at_most: usize) -> Result<Vec<PastJob>, JobStoreError> {
        let jobs = self.jobs.lock().unwrap();
        let mut ended: Vec<PastJob> = jobs.values().filter_map(PastJob::of).collect();
        ended.sort_by_key(|job| std::cmp::Reverse(job.ended_at));
        ended.truncate(at_most);
        Ok(ended)
    }

    async fn check(&self) -> Result<(), JobStoreError> {
        match self.fails.load(Ordering::SeqCst) {
            true => Err(JobStoreError("the disk is full".to_owned())),
            false => Ok(()),
        }
    }

    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        let mut jobs = self.jobs.lock().unwrap();
        let is_settled = jobs.get(key).is_some_and(Job::is_settled);
        Ok(is_settled && jobs.remove(key).is_some())
    }
}

/// Rules that allow everything.
#[must_use]
pub fn open_rules() -> RequestRules {
    RequestRules {
        default_s3_endpoint: None,
        ambient_buckets: None,
        allowed_endpoints: AllowedEndpoints::default(),
        allowed_file_roots: vec!["/".into()],
        skip_storage: false,
        name_pattern: NamePattern::default(),
        agent_variables: vec!["client_password"],
    }
}

/// A draft without faults, with an S3 destination.
#[must_use]
pub fn draft(kind: JobKind, id: &str) -> Draft {
    let text = |text: &str| Some(text.to_owned());
    Draft {
        kind,
        id: JobId::parse(id).expect("an id"),
        destination: DestinationDraft {
            kind: text("S3"),
            bucket: text("bucket"),
            region: text("eu-central-1"),
            auth_key: Some(Secret::new("key-SECRET")),
            auth_secret: Some(Secret::new("secret-SECRET")),
            filename: (kind == JobKind::Restore).then(|| "h_2018_11_06_db.tar.gz".to_owned()),
            filename_prefix: text("prefix/"),
            ..DestinationDraft::default()
        },
        service: ServiceDraft {
            host: text("host"),
            user: text("user"),
            password: Some(Secret::new("password-SECRET")),
            database: text("db"),
            parameters: vec![("retries".to_owned(), Secret::new("2"))],
        },
        compression: Some(true),
        encryption_key: Some(Secret::new("encryption-SECRET")),
        skip_storage: None,
    }
}

/// A checked request.
#[must_use]
pub fn request(kind: JobKind, id: &str, transfer: Transfer) -> JobRequest {
    let mut draft = draft(kind, id);
    draft.skip_storage = Some(transfer == Transfer::ByScripts);
    draft.check(&open_rules(), Faults::default()).expect("no faults")
}

/// A checked request for a database of one's own.
#[must_use]
pub fn request_for_database(kind: JobKind, id: &str, database: &str) -> JobRequest {
    let mut draft = draft(kind, id);
    draft.service.database = Some(database.to_owned());
    draft.check(&open_rules(), Faults::default()).expect("no faults")
}

/// Shares a fake with the service.
#[must_use]
pub fn shared<T: Default>() -> Arc<T> {
    Arc::new(T::default())
}

/// What is made for a restore's file.
#[must_use]
pub fn prepared_restore() -> PreparedRestore {
    PreparedRestore {
        download: "/r/j/.part".into(),
        file: Some((1, 2)),
        directory: RestoreDirectory::Made((1, 3)),
    }
}
