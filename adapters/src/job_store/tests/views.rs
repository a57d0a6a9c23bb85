//! What clients see of jobs in files, while others write and remove them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{files::store, *};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_removed_is_not_shown_again_however_many_ask_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let kept = Arc::new(store(place.path()));
    let stop = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (kept, stop) = (Arc::clone(&kept), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    kept.view(&key("j")).await.unwrap();
                    // An answer from memory never waits, and the test must be able to end.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 1..100 {
        kept.insert(&job("j")).await.unwrap();
        kept.update(&finished_with_log("j", round)).await.unwrap();
        for _ in 0..3 {
            let view = kept.view(&key("j")).await.unwrap().expect("it is known");
            let log = view.log(Phase::PreBackupLock).expect("it has run");
            assert_eq!(log.stdout.len(), round);
        }
        assert!(kept.remove(&key("j")).await.unwrap());
        for _ in 0..3 {
            assert!(kept.view(&key("j")).await.unwrap().is_none(), "{round}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
}

#[tokio::test]
async fn what_clients_see_is_the_same_from_memory_and_from_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("open")).await.unwrap();
    kept.insert(&job("done")).await.unwrap();
    kept.update(&finished_with_log("done", 7)).await.unwrap();
    let see = async |kept: &FileJobStore| {
        let mut seen = Vec::new();
        // Of the second time one comes from memory.
        for id in ["open", "done", "done", "none"] {
            seen.push(format!("{:?}", kept.view(&key(id)).await.unwrap()));
        }
        seen
    };
    let written = see(&kept).await;
    drop(kept);
    assert_eq!(see(&store(place.path())).await, written);
    assert_eq!(written[3], "None");
}
