//! Who begins when.

use std::sync::Arc;

use super::bench::key;
use crate::{
    artifact::{NamePattern, Sha256},
    job::{JobKey, JobStatus},
    plan::{JobKind, Phase},
    ports::{JobApi, MockBlobStore, MockWorkspace, Moved, StartError, Unobserved},
    service::{JobService, Ports, QueueLimits, ServiceSettings},
    testing::{
        FakeJobStore, GatedScriptRunner, ManualClock, ManualSpawner, block_on, prepared_restore, request_for_database,
        shared,
    },
};

/// A service whose scripts end only when they are let.
struct Queue {
    service: JobService,
    spawner: Arc<ManualSpawner>,
    scripts: Arc<GatedScriptRunner>,
}

impl Queue {
    fn new(limits: QueueLimits) -> Self {
        Self::with_pattern(limits, "seed")
    }

    fn with_pattern(limits: QueueLimits, pattern: &str) -> Self {
        let (spawner, scripts) = (shared::<ManualSpawner>(), shared::<GatedScriptRunner>());
        let mut blobs = MockBlobStore::new();
        blobs.expect_download().returning(|_, _, _, _, _, _| {
            let sha256 = Sha256::from([0; 32]);
            Ok(Moved { size_bytes: 1, sha256 })
        });
        blobs.expect_find().returning(|_, _| Ok(None));
        let mut workspace = MockWorkspace::new();
        workspace
            .expect_staging()
            .returning(|_, _| Ok(crate::artifact::Staging::default()));
        workspace.expect_check_restore().returning(|_| Ok(()));
        workspace.expect_free_bytes().returning(|_| Ok(None));
        workspace.expect_plan_restore().returning(|_| Ok(prepared_restore()));
        workspace
            .expect_prepare_restore()
            .returning(|_, planned| Ok(planned.clone()));
        workspace.expect_discard_restore().returning(|_, _| Ok(()));
        workspace.expect_place_restore().returning(|_, _| Ok(None));
        let ports = Ports {
            scripts: scripts.clone(),
            blobs: Arc::new(blobs),
            jobs: shared::<FakeJobStore>(),
            workspace: Arc::new(workspace),
            clock: shared::<ManualClock>(),
            spawner: spawner.clone(),
            observer: Arc::new(Unobserved),
        };
        let settings = ServiceSettings {
            limits,
            name_pattern: NamePattern::parse(pattern).expect("a pattern"),
            ..ServiceSettings::default()
        };
        Self {
            service: JobService::new(ports, settings),
            spawner,
            scripts,
        }
    }

    fn start(&self, kind: JobKind, id: &str, database: &str) -> Result<(), StartError> {
        let started = block_on(self.service.start(request_for_database(kind, id, database)));
        self.spawner.run_until_stalled();
        started
    }

    fn accept(&self, kind: JobKind, id: &str, database: &str) {
        self.start(kind, id, database).expect("the job is accepted");
    }

    /// Lets a job walk to its end.
    fn end(&self, kind: JobKind, id: &str) {
        for phase in kind.phases() {
            self.scripts.let_end(id, *phase);
        }
        self.spawner.run_until_stalled();
    }

    fn at_work(&self) -> Vec<String> {
        self.service.at_work().iter().map(|key| key.id.to_string()).collect()
    }

    fn status(&self, key: &JobKey) -> JobStatus {
        block_on(self.service.find(key))
            .expect("it can be read")
            .expect("it is known")
            .status
    }
}

fn limits(at_work: usize, waiting: usize, restores: usize) -> QueueLimits {
    QueueLimits {
        at_work,
        waiting,
        restores,
    }
}

#[test]
fn jobs_of_one_database_run_one_at_a_time_in_order_whatever_their_kind() {
    let queue = Queue::new(limits(10, 10, 10));
    queue.accept(JobKind::Backup, "a", "db");
    queue.accept(JobKind::Restore, "b", "db");
    queue.accept(JobKind::Backup, "c", "db");
    queue.accept(JobKind::Backup, "d", "other");
    assert_eq!(queue.at_work(), ["a", "d"]);
    queue.end(JobKind::Backup, "a");
    assert_eq!(queue.at_work(), ["b", "d"]);
    queue.end(JobKind::Restore, "b");
    assert_eq!(queue.at_work(), ["c", "d"]);
}

#[test]
fn backups_that_would_make_the_same_file_run_one_at_a_time() {
    for (pattern, at_work) in [
        ("{host}_{date}", vec!["a", "r"]),
        ("fixed", vec!["a", "r"]),
        ("{time}", vec!["a", "r"]),
        ("{database}", vec!["a", "b", "r"]),
        ("{id}", vec!["a", "b", "r"]),
    ] {
        let queue = Queue::with_pattern(limits(10, 10, 10), pattern);
        queue.accept(JobKind::Backup, "a", "db1");
        queue.accept(JobKind::Backup, "b", "db2");
        queue.accept(JobKind::Restore, "r", "db3");
        assert_eq!(queue.at_work(), at_work, "{pattern}");
        queue.end(JobKind::Backup, "a");
        assert!(queue.at_work().contains(&"b".to_owned()), "{pattern}");
    }
}

#[test]
fn a_waiting_job_is_queued_and_begins_no_script() {
    let queue = Queue::new(limits(1, 10, 1));
    queue.accept(JobKind::Backup, "a", "db");
    queue.accept(JobKind::Backup, "b", "db2");
    assert_eq!(queue.status(&key(JobKind::Backup, "b")), JobStatus::Queued);
    assert_eq!(queue.scripts.started(), [format!("a {}", Phase::PreBackupLock)]);
}

#[test]
fn no_more_jobs_work_than_may_and_room_is_given_on_in_order() {
    let queue = Queue::new(limits(2, 10, 10));
    for id in ["a", "b", "c", "d"] {
        queue.accept(JobKind::Backup, id, id);
    }
    assert_eq!(queue.at_work(), ["a", "b"]);
    queue.end(JobKind::Backup, "b");
    assert_eq!(queue.at_work(), ["a", "c"]);
    queue.end(JobKind::Backup, "a");
    assert_eq!(queue.at_work(), ["c", "d"]);
}

#[test]
fn restores_have_a_bound_of_their_own_that_holds_no_backup_up() {
    let queue = Queue::new(limits(10, 10, 1));
    queue.accept(JobKind::Restore, "a", "db1");
    queue.accept(JobKind::Restore, "b", "db2");
    queue.accept(JobKind::Backup, "c", "db3");
    assert_eq!(queue.at_work(), ["a", "c"]);
    queue.end(JobKind::Restore, "a");
    assert_eq!(queue.at_work(), ["b", "c"]);
}

#[test]
fn a_job_behind_a_waiting_one_of_its_database_does_not_overtake_it() {
    let queue = Queue::new(limits(10, 10, 1));
    queue.accept(JobKind::Restore, "a", "db1");
    queue.accept(JobKind::Restore, "b", "db2");
    queue.accept(JobKind::Backup, "c", "db2");
    assert_eq!(queue.at_work(), ["a"]);
}

#[test]
fn beyond_the_queue_a_job_is_refused_and_its_id_stays_free() {
    let queue = Queue::new(limits(1, 2, 1));
    for id in ["a", "b", "c"] {
        queue.accept(JobKind::Backup, id, id);
    }
    let refused = queue.start(JobKind::Backup, "d", "d");
    assert!(
        matches!(refused, Err(StartError::Full { running: 1, waiting: 2 })),
        "{refused:?}"
    );
    queue.end(JobKind::Backup, "a");
    queue.accept(JobKind::Backup, "d", "d");
}

#[test]
fn without_a_queue_a_job_begins_at_once_or_is_refused() {
    let queue = Queue::new(limits(2, 0, 1));
    queue.accept(JobKind::Backup, "a", "db");
    for (kind, id, database) in [
        (JobKind::Backup, "same-database", "db"),
        (JobKind::Restore, "same-too", "db"),
    ] {
        let refused = queue.start(kind, id, database);
        assert!(matches!(refused, Err(StartError::Full { .. })), "{id}: {refused:?}");
    }
    queue.accept(JobKind::Backup, "b", "db2");
    assert!(queue.start(JobKind::Backup, "c", "db3").is_err());
    queue.end(JobKind::Backup, "a");
    queue.accept(JobKind::Restore, "d", "db");
}

#[test]
fn an_id_is_taken_once_for_each_kind() {
    let queue = Queue::new(limits(10, 10, 1));
    queue.accept(JobKind::Backup, "a", "db");
    queue.accept(JobKind::Restore, "a", "db");
    for kind in JobKind::ALL {
        let refused = queue.start(kind, "a", "elsewhere");
        assert!(matches!(refused, Err(StartError::Duplicate(_))), "{kind}: {refused:?}");
    }
}

#[test]
fn a_stopping_agent_takes_no_job_and_begins_none_but_ends_those_at_work() {
    let queue = Queue::new(limits(1, 10, 1));
    queue.accept(JobKind::Backup, "a", "db");
    queue.accept(JobKind::Backup, "b", "db2");
    queue.service.stop_taking_jobs();
    assert!(matches!(
        queue.start(JobKind::Backup, "c", "db3"),
        Err(StartError::Stopping)
    ));
    queue.end(JobKind::Backup, "a");
    assert!(queue.status(&key(JobKind::Backup, "a")).is_finished());
    assert!(queue.at_work().is_empty());
    assert_eq!(queue.status(&key(JobKind::Backup, "b")), JobStatus::Queued);
}

#[test]
fn two_jobs_never_write_the_same_object() {
    let queue = Queue::new(limits(10, 10, 10));
    let mut registry = queue.service.inner.registry();
    let (a, b) = (key(JobKind::Backup, "a"), key(JobKind::Backup, "b"));
    assert!(registry.hold_object_name(&a, "x"));
    assert!(registry.hold_object_name(&a, "x"), "one's own name is no other's");
    assert!(!registry.hold_object_name(&b, "x"));
    registry.forget(&a);
    assert!(registry.hold_object_name(&b, "x"));
}
