//! What clients see while jobs work, who waits for news, and the list of all jobs.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;

use super::{bench::key, control::Gated};
use crate::{
    artifact::{Expected, FileEntry, FileKind, ObjectKey, Sha256, Staging},
    job::{JobKey, JobView, StepProgress},
    plan::{JobKind, Phase, Step, Transfer},
    ports::{
        BlobStore, BlobStoreError, Finding, Halt, JobApi, JobQuery, LocalFile, MockWorkspace, Moved, PageQuery,
        Standing, Tally, Unobserved, UploadJournal,
    },
    request::Store,
    script::Directories,
    service::{JobService, Ports, ServiceSettings},
    testing::{FakeJobStore, GatedScriptRunner, ManualClock, ManualSpawner, block_on, request, shared},
};

const SIZE: u64 = 1000;

fn live(view: &JobView) -> &crate::job::Live {
    view.live.as_deref().expect("the job is not done with")
}

fn stdout(view: &JobView, phase: Phase) -> String {
    view.log(phase).map(|log| log.stdout.to_string()).unwrap_or_default()
}

#[test]
fn what_a_script_writes_is_seen_while_it_is_at_work() {
    for kind in JobKind::ALL {
        for phase in kind.phases() {
            let gated = Gated::new(|_| {});
            let key = gated.start(kind, "j");
            gated.reach(kind, "j", *phase);
            let view = gated.view(&key);
            assert_eq!(stdout(&view, *phase), phase.as_str());
            let progress = live(&view).progress.expect("a step is at work");
            assert_eq!((progress.step, progress.bytes_done), (Step::Script(*phase), None));
            gated.let_all_end(kind, "j");
            let view = gated.view(&key);
            assert_eq!(stdout(&view, *phase), phase.as_str());
            assert_eq!(view.live, None, "of a job that has ended nothing changes any more");
        }
    }
}

#[test]
fn those_that_wait_are_told_their_place() {
    let gated = Gated::new(|settings| settings.limits.at_work = 1);
    let keys: Vec<JobKey> = ["a", "b", "c"].map(|id| gated.start(JobKind::Backup, id)).to_vec();
    let positions = || -> Vec<Option<usize>> {
        let of = |key| gated.view(key).live.and_then(|live| live.queue_position);
        keys.iter().map(of).collect()
    };
    assert_eq!(positions(), [None, Some(1), Some(2)]);
    gated.let_all_end(JobKind::Backup, "a");
    assert_eq!(positions(), [None, None, Some(1)]);
}

#[test]
fn who_waits_for_news_gets_them_at_the_next_phase_and_at_the_end() {
    let gated = Gated::new(|_| {});
    let key = gated.start(JobKind::Backup, "j");
    let patience = Duration::from_secs(60);
    let mut context = Context::from_waker(Waker::noop());
    for phase in JobKind::Backup.phases() {
        let mut news = pin!(gated.service.find_changed(&key, patience));
        assert!(news.as_mut().poll(&mut context).is_pending(), "{phase}");
        let before = gated.view(&key).phase;
        gated.scripts.let_end("j", *phase);
        gated.spawner.run_until_stalled();
        let Poll::Ready(Ok(Some(view))) = news.as_mut().poll(&mut context) else {
            panic!("no news after {phase}");
        };
        assert!(view.phase != before || view.status.is_finished(), "{phase}");
    }
    let ended = block_on(gated.service.find_changed(&key, patience));
    assert!(ended.expect("readable").expect("known").status.is_finished());
}

#[test]
fn who_waits_in_vain_is_told_how_it_stands_when_patience_ends() {
    let gated = Gated::new(|_| {});
    let job = gated.start(JobKind::Backup, "j");
    let patience = Duration::from_secs(60);
    let mut context = Context::from_waker(Waker::noop());
    let mut news = pin!(gated.service.find_changed(&job, patience));
    assert!(news.as_mut().poll(&mut context).is_pending());
    gated.wait(patience / 2);
    assert!(news.as_mut().poll(&mut context).is_pending());
    gated.wait(patience / 2);
    assert!(matches!(news.as_mut().poll(&mut context), Poll::Ready(Ok(Some(_)))));
    let unknown = block_on(gated.service.find_changed(&key(JobKind::Restore, "j"), patience));
    assert!(unknown.expect("readable").is_none());
}

#[test]
fn a_job_that_is_cancelled_in_the_queue_is_news() {
    let gated = Gated::new(|settings| settings.limits.at_work = 1);
    gated.start(JobKind::Backup, "a");
    let waiting = gated.start(JobKind::Backup, "b");
    let mut context = Context::from_waker(Waker::noop());
    let mut news = pin!(gated.service.find_changed(&waiting, Duration::from_secs(60)));
    assert!(news.as_mut().poll(&mut context).is_pending());
    block_on(gated.service.cancel(&waiting)).expect("it waits");
    let Poll::Ready(Ok(Some(view))) = news.as_mut().poll(&mut context) else {
        panic!("no news of the end");
    };
    assert!(view.status.is_finished());
}

#[test]
fn the_list_has_jobs_at_work_and_done_with_newest_first_and_without_logs() {
    let gated = Gated::new(|settings| settings.limits.at_work = 1);
    for id in ["a", "b", "c"] {
        gated.start(JobKind::Backup, id);
        gated.wait(Duration::from_secs(1));
    }
    gated.let_all_end(JobKind::Backup, "a");
    let list = |jobs: JobQuery, most| {
        let after = None;
        block_on(gated.service.list(PageQuery { jobs, after, most })).expect("readable")
    };
    let ids = |jobs: JobQuery, most| -> Vec<String> {
        let page = list(jobs, most);
        page.jobs.iter().map(|view| view.key.id.to_string()).collect()
    };
    assert_eq!(ids(JobQuery::default(), 10), ["c", "b", "a"]);
    assert_eq!(ids(JobQuery::default(), 2), ["c", "b"]);
    let running = JobQuery {
        standing: Some(Standing::Running),
        ..JobQuery::default()
    };
    assert_eq!(ids(running, 10), ["c", "b"]);
    let page = list(JobQuery::default(), 10);
    assert!(page.jobs.iter().all(|view| view.logs.is_empty()));
    assert_eq!(live(&page.jobs[0]).queue_position, Some(1));
}

/// A store that takes half of what it is sent, and the rest when it is let.
#[derive(Debug, Default)]
struct SlowStore(AtomicBool);

impl SlowStore {
    async fn transfer(&self, tally: Tally) -> Result<Moved, BlobStoreError> {
        tally.expect(SIZE);
        tally.add(SIZE / 2);
        poll_fn(|_| match self.0.load(Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        Ok(Moved {
            size_bytes: SIZE,
            sha256: Sha256::from([7; 32]),
        })
    }
}

#[async_trait]
impl BlobStore for SlowStore {
    async fn find(&self, _: &Store, _: &ObjectKey) -> Result<Option<u64>, BlobStoreError> {
        Ok(None)
    }

    async fn upload(
        &self,
        _: &Store,
        _: &ObjectKey,
        _: &LocalFile,
        _: u64,
        journal: Arc<dyn UploadJournal>,
        _: &Halt,
    ) -> Result<Moved, BlobStoreError> {
        self.transfer(journal.tally()).await
    }

    async fn examine(&self, _: &Store, _: Option<ObjectKey>) -> Vec<Finding> {
        Vec::new()
    }

    async fn discard_upload(&self, _: &Store, _: &ObjectKey, _: &[String]) -> Result<(), BlobStoreError> {
        Ok(())
    }

    async fn download(
        &self,
        _: &Store,
        _: &ObjectKey,
        _: &LocalFile,
        _: Expected,
        _: &Halt,
        tally: &Tally,
    ) -> Result<Moved, BlobStoreError> {
        self.transfer(tally.clone()).await
    }
}

/// A service with a slow store, whose artifact has `SIZE` bytes as long as it is looked at.
struct Slow {
    service: JobService,
    spawner: Arc<ManualSpawner>,
    scripts: Arc<GatedScriptRunner>,
    clock: Arc<ManualClock>,
    store: Arc<SlowStore>,
}

impl Slow {
    fn new() -> Self {
        let (spawner, scripts, clock) = (
            shared::<ManualSpawner>(),
            shared::<GatedScriptRunner>(),
            shared::<ManualClock>(),
        );
        let store = shared::<SlowStore>();
        let mut workspace = MockWorkspace::new();
        let has_begun = AtomicBool::new(false);
        workspace.expect_staging().returning(move |_, name| {
            // At first nothing is there.
            if !has_begun.swap(true, Ordering::SeqCst) {
                return Ok(Staging::default());
            }
            let entry = FileEntry {
                name: name.file_name(),
                kind: FileKind::Regular,
                size_bytes: SIZE,
                identity: (1, 1),
                modified_ns: 1,
            };
            Ok(Staging {
                named: Some(entry),
                own_directory: None,
            })
        });
        workspace.expect_free_bytes().returning(|_| Ok(None));
        let mut settings = ServiceSettings::default();
        settings.scripts.directories = Directories {
            backup: Some("/b".into()),
            restore: Some("/r".into()),
        };
        let ports = Ports {
            scripts: scripts.clone(),
            blobs: store.clone(),
            jobs: shared::<FakeJobStore>(),
            workspace: Arc::new(workspace),
            clock: clock.clone(),
            spawner: spawner.clone(),
            observer: Arc::new(Unobserved),
        };
        Self {
            service: JobService::new(ports, settings),
            spawner,
            scripts,
            clock,
            store,
        }
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.spawner.run_until_stalled();
    }

    fn view(&self) -> JobView {
        let found = block_on(self.service.find(&key(JobKind::Backup, "j")));
        found.expect("readable").expect("known")
    }

    fn progress(&self) -> StepProgress {
        live(&self.view()).progress.expect("a step is at work")
    }
}

#[test]
fn a_backup_tells_how_long_its_artifact_is_and_how_far_its_upload_has_come() {
    let slow = Slow::new();
    block_on(slow.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("it is accepted");
    slow.scripts.let_end("j", Phase::PreBackupLock);
    slow.scripts.let_end("j", Phase::PreBackupCheck);
    slow.spawner.run_until_stalled();
    // Nobody has looked yet.
    assert_eq!(slow.progress().bytes_done, None);
    slow.wait(5);
    let progress = slow.progress();
    assert_eq!((progress.bytes_done, progress.bytes_total), (Some(SIZE), None));
    assert_eq!(progress.pace.eta_seconds, None, "nobody knows how long it gets");

    slow.scripts.let_end("j", Phase::Backup);
    slow.spawner.run_until_stalled();
    let progress = slow.progress();
    assert_eq!(progress.step, Step::Upload);
    assert_eq!(
        (progress.bytes_done, progress.bytes_total),
        (Some(SIZE / 2), Some(SIZE))
    );
    assert_eq!(progress.pace.bytes_per_second, None, "it has only begun");
    slow.wait(10);
    let pace = slow.progress().pace;
    assert_eq!(
        (pace.bytes_per_second, pace.eta_seconds),
        (Some(SIZE / 2 / 10), Some(10))
    );
    // Now nothing moves any more.
    for _ in 0..40 {
        slow.wait(2);
    }
    let pace = slow.progress().pace;
    assert_eq!((pace.bytes_per_second, pace.eta_seconds), (Some(0), None));

    slow.store.0.store(true, Ordering::SeqCst);
    slow.scripts.let_end("j", Phase::BackupCleanup);
    slow.scripts.let_end("j", Phase::PostBackupUnlock);
    slow.spawner.run_until_stalled();
    assert!(slow.view().status.is_finished());
    assert_eq!(slow.view().live, None);
}
