use domain::{
    job::{JobEvent, JobId},
    plan::{FailurePolicy, JobKind, Transfer},
    testing::request,
};

use super::*;

fn job(id: &str) -> Job {
    let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
    Job::accepted(
        request(JobKind::Backup, id, Transfer::ByAgent),
        FailurePolicy::default(),
        at,
    )
}

fn finished(id: &str) -> Job {
    let at = chrono::DateTime::from_timestamp(1, 0).unwrap();
    let mut job = job(id);
    job.apply(JobEvent::Started { artifact_name: None }, at).unwrap();
    while let Some(step) = job.status().next_step() {
        job.apply(JobEvent::StepStarted { step }, at).unwrap();
        let report = domain::job::StepReport::default();
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
    store.update(&finished("c")).await.unwrap();
    store.insert(&job("a")).await.unwrap();
    for id in ["a", "b", "c"] {
        assert!(store.find(&key(id)).await.unwrap().is_some(), "{id}");
    }
}
