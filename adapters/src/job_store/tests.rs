use std::sync::Arc;

use domain::{
    job::{Job, JobEvent, JobId, JobKey, ScriptLog},
    plan::{FailurePolicy, JobKind, Phase, Step, Transfer},
    ports::JobStore,
    testing::request,
};

use super::{memory::MAX_LOG_BYTES, *};

fn job(id: &str) -> Job {
    let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    Job::accepted(
        request(JobKind::Backup, id, Transfer::ByAgent),
        FailurePolicy::default(),
        at,
    )
}

fn finished(id: &str) -> Job {
    finished_with_log(id, 0)
}

/// A job whose lock script wrote so much.
fn finished_with_log(id: &str, bytes: usize) -> Job {
    let at = chrono::DateTime::from_timestamp(1, 0).unwrap();
    let mut job = job(id);
    job.apply(JobEvent::Started { artifact_name: None }, at).unwrap();
    while let Some(step) = job.status().next_step() {
        job.apply(JobEvent::StepStarted { step }, at).unwrap();
        let mut report = domain::job::StepReport::default();
        if step == Step::Script(Phase::PreBackupLock) {
            report.log = Some(ScriptLog {
                stdout: "x".repeat(bytes).into(),
                stderr: "".into(),
            });
        }
        job.apply(JobEvent::StepSucceeded { step, report }, at).unwrap();
    }
    job.apply(JobEvent::Finished { note: None }, at).unwrap();
    job
}

fn key(id: &str) -> JobKey {
    JobKey::new(JobKind::Backup, JobId::parse(id).unwrap())
}

/// What holds for every job store.
async fn conforms(store: &dyn JobStore) {
    assert!(store.find(&key("a")).await.unwrap().is_none());
    assert!(!store.remove(&key("a")).await.unwrap());
    store.insert(&job("a")).await.unwrap();
    assert!(!store.find(&key("a")).await.unwrap().unwrap().status().is_finished());
    store.update(&finished("a")).await.unwrap();
    assert!(store.find(&key("a")).await.unwrap().unwrap().status().is_finished());
    let ended = store.ended(1).await.unwrap();
    assert_eq!(ended, [domain::job::PastJob::of(&finished("a")).unwrap()]);
    store.check().await.unwrap();
    let other_kind = JobKey::new(JobKind::Restore, JobId::parse("a").unwrap());
    assert!(store.find(&other_kind).await.unwrap().is_none());
    assert!(store.remove(&key("a")).await.unwrap());
    assert!(store.find(&key("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn every_store_keeps_what_it_is_given() {
    conforms(&MemoryJobStore::new(10)).await;
    conforms(&LoggedJobStore::new(Arc::new(MemoryJobStore::new(10)))).await;
    conforms(&domain::testing::FakeJobStore::default()).await;
}

#[tokio::test]
async fn beyond_the_bound_the_oldest_finished_jobs_go_and_no_unfinished_one() {
    let store = MemoryJobStore::new(2);
    store.insert(&job("unfinished")).await.unwrap();
    for id in ["a", "b", "c"] {
        store.insert(&job(id)).await.unwrap();
        store.update(&finished(id)).await.unwrap();
    }
    for (id, is_known) in [("unfinished", true), ("a", false), ("b", true), ("c", true)] {
        assert_eq!(store.find(&key(id)).await.unwrap().is_some(), is_known, "{id}");
    }
}

#[tokio::test]
async fn a_removed_job_does_not_count_and_its_id_can_come_again() {
    let store = MemoryJobStore::new(2);
    for id in ["a", "b"] {
        store.update(&finished(id)).await.unwrap();
    }
    assert!(store.remove(&key("a")).await.unwrap());
    // The same id again, at work, while another one ends.
    store.insert(&job("a")).await.unwrap();
    store.update(&finished("c")).await.unwrap();
    for id in ["a", "b", "c"] {
        assert!(store.find(&key(id)).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn logs_of_finished_jobs_are_bounded_all_together() {
    let store = MemoryJobStore::new(1000);
    let count = 30;
    for n in 0..count {
        store
            .update(&finished_with_log(&format!("j{n}"), MAX_LOG_BYTES / 10))
            .await
            .unwrap();
    }
    for n in 0..count {
        let is_known = store.find(&key(&format!("j{n}"))).await.unwrap().is_some();
        assert_eq!(is_known, n >= count - 10, "{n}");
    }
    store
        .update(&finished_with_log("huge", MAX_LOG_BYTES + 1))
        .await
        .unwrap();
    assert!(store.find(&key("huge")).await.unwrap().is_some());
}

mod damage;
mod ended;
mod files;
mod listing;
mod strangers;
mod views;
