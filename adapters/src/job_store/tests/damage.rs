//! Records that were cut off, changed, or taken away.

use std::fs;

use super::{
    files::{all_of, settings, store},
    *,
};

/// A job with some events, as its record.
async fn recorded(place: &std::path::Path) -> (Job, Vec<u8>) {
    let kept = store(place);
    let mut job = job("j");
    kept.insert(&job).await.unwrap();
    let at = chrono::DateTime::from_timestamp(1, 0).unwrap();
    job.apply(JobEvent::Started { artifact_name: None }, at).unwrap();
    kept.update(&job).await.unwrap();
    job.apply(JobEvent::StepStarted { step: Step::Prepare }, at).unwrap();
    kept.update(&job).await.unwrap();
    let bytes = fs::read(place.join("state/open/backup.j")).unwrap();
    (job, bytes)
}

#[tokio::test]
async fn a_write_that_was_cut_off_anywhere_is_as_if_it_had_not_begun() {
    let place = tempfile::tempdir().unwrap();
    let (job, bytes) = recorded(place.path()).await;
    let last_line = bytes[..bytes.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let mut before = None;
    for length in last_line..bytes.len() - 1 {
        fs::write(place.path().join("state/open/backup.j"), &bytes[..length]).unwrap();
        let kept = store(place.path());
        let found = kept.find(&key("j")).await.unwrap().expect("it is known");
        assert_eq!(found.events().len(), job.events().len() - 1, "{length}");
        let text = all_of(&found);
        assert_eq!(*before.get_or_insert(text.clone()), text);
        assert!(kept.problems().is_empty(), "{:?}", kept.problems());
        // It goes on from there, and nothing of the torn line stays.
        kept.update(&job).await.unwrap();
        drop(kept);
        let again = store(place.path()).find(&key("j")).await.unwrap().expect("it is known");
        assert_eq!(all_of(&again), all_of(&job), "{length}");
    }
}

#[tokio::test]
async fn a_changed_byte_is_found_and_the_record_kept_aside() {
    let place = tempfile::tempdir().unwrap();
    let (_, bytes) = recorded(place.path()).await;
    let path = place.path().join("state/open/backup.j");
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x01;
        fs::write(&path, &changed).unwrap();
        let kept = store(place.path());
        assert!(kept.find(&key("j")).await.unwrap().is_none(), "byte {index}");
        let problems = kept.problems();
        assert!(problems[0].contains("backup.j"), "{problems:?}");
        drop(kept);
        let aside: Vec<_> = fs::read_dir(place.path().join("state/damaged"))
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(aside.len(), 1, "byte {index}");
        assert_eq!(fs::read(aside[0].path()).unwrap(), changed);
        // It is told of as long as it lies there.
        assert_eq!(store(place.path()).problems().len(), 1);
        fs::remove_file(aside[0].path()).unwrap();
        assert!(store(place.path()).problems().is_empty());
    }
}

#[tokio::test]
async fn a_finished_record_that_is_damaged_is_an_error_and_kept_aside() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("j")).await.unwrap();
    kept.update(&finished("j")).await.unwrap();
    drop(kept);
    let path = place.path().join("state/finished/backup.j");
    let bytes = fs::read(&path).unwrap();
    for changed in [&bytes[..bytes.len() / 2], &bytes[..bytes.len() - 1], b""] {
        fs::write(&path, changed).unwrap();
        let kept = store(place.path());
        let error = kept.find(&key("j")).await.unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(kept.find(&key("j")).await.unwrap().map(|job| job.key()), None);
        assert!(!kept.problems().is_empty());
    }
}

#[tokio::test]
async fn of_a_job_that_is_both_open_and_finished_the_finished_one_counts() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("j")).await.unwrap();
    let open = fs::read(place.path().join("state/open/backup.j")).unwrap();
    kept.update(&finished("j")).await.unwrap();
    drop(kept);
    fs::write(place.path().join("state/open/backup.j"), open).unwrap();
    let kept = store(place.path());
    assert!(kept.unsettled().await.unwrap().is_empty());
    assert!(kept.find(&key("j")).await.unwrap().expect("it is known").is_settled());
}

#[tokio::test]
async fn a_job_that_is_not_settled_is_not_removed() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("j")).await.unwrap();
    assert!(!kept.remove(&key("j")).await.unwrap());
    assert!(kept.find(&key("j")).await.unwrap().is_some());
    assert!(kept.insert(&job("j")).await.is_err(), "it is known already");
}

#[tokio::test]
async fn a_directory_that_vanishes_is_made_again_with_all_that_is_open() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    for id in ["a", "b"] {
        kept.insert(&job(id)).await.unwrap();
    }
    fs::remove_dir_all(place.path().join("state")).unwrap();
    kept.insert(&job("c")).await.unwrap();
    assert!(kept.problems()[0].contains("vanished"), "{:?}", kept.problems());
    assert!(
        FileJobStore::open(settings(place.path())).is_err(),
        "it is locked again"
    );
    drop(kept);
    assert_eq!(store(place.path()).unsettled().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error_that_names_it_and_passes() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("j")).await.unwrap();
    // A directory where the file is to go: nobody can write there, whoever he is.
    let blocked = place.path().join("state/finished/.tmp-backup.j");
    fs::create_dir(&blocked).unwrap();
    let error = kept.update(&finished("j")).await.unwrap_err().to_string();
    assert!(error.contains("backup/j"), "{error}");
    assert!(!kept.find(&key("j")).await.unwrap().expect("it is known").is_settled());
    fs::remove_dir(&blocked).unwrap();
    kept.update(&finished("j")).await.unwrap();
    assert!(kept.find(&key("j")).await.unwrap().expect("it is known").is_settled());
}
