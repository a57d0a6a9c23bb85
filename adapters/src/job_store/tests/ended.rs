//! What is left to tell of jobs that have ended.

use std::fs;

use domain::job::PastJob;

use super::{
    files::{settings, store},
    *,
};

#[tokio::test]
async fn it_is_told_by_the_next_agent_too_and_of_no_more_than_were_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let expected = PastJob::of(&finished("a")).unwrap();
    {
        let store = store(place.path());
        for id in ["a", "b", "c"] {
            store.insert(&job(id)).await.unwrap();
            store.update(&finished(id)).await.unwrap();
        }
        store.insert(&job("unfinished")).await.unwrap();
    }
    let store = FileJobStore::open(settings(place.path())).unwrap();
    assert_eq!(store.ended(100).await.unwrap(), vec![expected.clone(); 3]);
    assert_eq!(store.ended(2).await.unwrap(), vec![expected; 2]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_passed_over() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    for id in ["a", "b"] {
        store.insert(&job(id)).await.unwrap();
        store.update(&finished(id)).await.unwrap();
    }
    fs::write(place.path().join("state/finished/backup.a"), "nonsense").unwrap();
    fs::write(place.path().join("state/finished/strange"), "nonsense").unwrap();
    assert_eq!(store.ended(100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_to_says_so_and_one_that_has_vanished_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let open = place.path().join("state/open");
    store.check().await.unwrap();
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0, "nothing is left behind");
    fs::remove_dir(&open).unwrap();
    fs::write(&open, "in the way").unwrap();
    let problem = store.check().await.unwrap_err().to_string();
    assert!(problem.contains("state"), "{problem}");
    fs::remove_file(&open).unwrap();
    store.check().await.unwrap();
}
