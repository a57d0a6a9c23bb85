//! Jobs in files: that they come back as they were, and what of them is on the disk.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use domain::{
    job::{JobKey, JobView},
    plan::Order,
    secret::Secret,
    testing::draft,
};

use super::*;

pub(super) fn settings(place: &Path) -> FileJobStoreSettings {
    FileJobStoreSettings::of(&place.join("state"))
}

pub(super) fn store(place: &Path) -> FileJobStore {
    FileJobStore::open(settings(place)).unwrap()
}

/// What clients and the next agent can tell of a job.
pub(super) fn all_of(job: &Job) -> String {
    let JobView { key, .. } = job.view();
    format!(
        "{key} {:?} {:?} {:?} {:?}",
        job.view(),
        job.policy(),
        job.transfer(),
        job.events()
    )
}

/// Requests of every shape.
fn requests() -> Vec<domain::request::JobRequest> {
    let mut all = Vec::new();
    for kind in JobKind::ALL {
        for transfer in [Transfer::ByAgent, Transfer::ByScripts] {
            all.push(request(kind, "j", transfer));
        }
        for shape in ["FILE", "SWIFT", "virtual", "session", "ambient"] {
            let mut draft = draft(kind, "j");
            draft.skip_storage = Some(shape == "SWIFT");
            let destination = &mut draft.destination;
            match shape {
                "FILE" => {
                    destination.kind = Some("FILE".to_owned());
                    destination.path = Some("/a/ü".to_owned());
                    destination.filename_prefix = None;
                }
                "SWIFT" => {
                    destination.kind = Some("SWIFT".to_owned());
                    destination.auth_url = Some("https://keystone.example.org/v3".to_owned());
                    for member in [
                        &mut destination.domain,
                        &mut destination.container_name,
                        &mut destination.project_name,
                    ] {
                        *member = Some("member".to_owned());
                    }
                    destination.username = Some("swift-user".to_owned());
                    destination.password = Some(Secret::new("swift-SECRET"));
                }
                "session" => {
                    destination.session_token = Some(Secret::new("token-SECRET"));
                    destination.sse = Some("aws:kms".to_owned());
                    destination.storage_class = Some("STANDARD_IA".to_owned());
                    destination.checksum = Some("sha256".to_owned());
                }
                "ambient" => (destination.auth_key, destination.auth_secret) = (None, None),
                _ => {
                    destination.endpoint = Some("http://s3.example.org".to_owned());
                    destination.path_style = Some(false);
                    destination.region = None;
                }
            }
            let rules = domain::request::RequestRules {
                ambient_buckets: Some(vec!["bucket".to_owned()]),
                ..domain::testing::open_rules()
            };
            all.push(draft.check(&rules, domain::request::Faults::default()).unwrap());
        }
    }
    all
}

fn bytes_below(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        match entry.metadata().unwrap().is_dir() {
            true => all.push_str(&bytes_below(&entry.path())),
            false => all.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap())),
        }
    }
    all
}

#[tokio::test]
async fn it_is_a_job_store() {
    let place = tempfile::tempdir().unwrap();
    conforms(&store(place.path())).await;
}

#[tokio::test]
async fn every_request_comes_back_with_its_secrets_which_are_not_on_the_disk_in_clear() {
    for order in Order::ALL {
        for request in requests() {
            let place = tempfile::tempdir().unwrap();
            let policy = FailurePolicy {
                order,
                ..FailurePolicy::default()
            };
            let at = chrono::DateTime::from_timestamp(1_541_523_939, 123_456_789).unwrap();
            let job = Job::accepted(request.clone(), policy, at);
            store(place.path()).insert(&job).await.unwrap();
            let text = bytes_below(place.path());
            assert!(text.contains("host") && !text.contains("SECRET"), "{text}");
            let again = store(place.path()).unsettled().await.unwrap();
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].request(), &request);
            assert_eq!(all_of(&again[0]), all_of(&job));
        }
    }
}

#[tokio::test]
async fn every_event_survives_a_restart_wherever_it_comes() {
    for kind in JobKind::ALL {
        for order in Order::ALL {
            for broken in kind.plan(Transfer::ByAgent, order) {
                let place = tempfile::tempdir().unwrap();
                let mut kept = store(place.path());
                let policy = FailurePolicy {
                    order,
                    ..FailurePolicy::default()
                };
                let at = |n: usize| chrono::DateTime::from_timestamp(i64::try_from(n).unwrap(), 7).unwrap();
                let mut job = Job::accepted(request(kind, "j", Transfer::ByAgent), policy, at(0));
                kept.insert(&job).await.unwrap();
                // Every event that can happen, happens: of two that exclude each other, the one of the row.
                let mut count = 0;
                while !job.is_settled() {
                    let step = job.status().next_step().or(match job.status() {
                        domain::job::JobStatus::Running { step, .. } => Some(*step),
                        _ => None,
                    });
                    let step = step.unwrap_or(Step::Prepare);
                    let is_broken = step == *broken;
                    let wanted = JobEvent::samples(step).into_iter().filter(|event| match event {
                        JobEvent::StepSucceeded { .. } => !is_broken,
                        JobEvent::StepFailed { .. } => is_broken,
                        JobEvent::Stopped { .. } | JobEvent::Abandoned { .. } | JobEvent::Interrupted => false,
                        JobEvent::ObjectNamed { .. } => job.transfer().object.is_none(),
                        JobEvent::UploadOpened { .. } => job.transfer().uploads.is_empty(),
                        JobEvent::RestorePrepared { .. } => job.transfer().restore.is_none(),
                        _ => true,
                    });
                    let next = wanted
                        .into_iter()
                        .find(|event| job.clone().apply(event.clone(), at(1)).is_ok());
                    job.apply(next.expect("something follows"), at(count)).unwrap();
                    count += 1;
                    kept.update(&job).await.unwrap();
                    drop(kept);
                    kept = store(place.path());
                    let found = kept.find(&job.key()).await.unwrap().expect("it is known");
                    assert_eq!(all_of(&found), all_of(&job), "{kind} {broken} {count}");
                    assert_eq!(found.is_settled(), job.is_settled());
                }
                let text = bytes_below(&place.path().join("state/finished"));
                assert!(!text.contains("sealed") && !text.contains("SECRET"), "{text}");
                assert_eq!(fs::read_dir(place.path().join("state/open")).unwrap().count(), 0);
            }
        }
    }
}

#[tokio::test]
async fn ends_from_outside_survive_a_restart() {
    for index in 0..JobEvent::samples(Step::Prepare).len() {
        let place = tempfile::tempdir().unwrap();
        let at = chrono::DateTime::from_timestamp(1, 0).unwrap();
        let mut job = job("j");
        let kept = store(place.path());
        kept.insert(&job).await.unwrap();
        let event = JobEvent::samples(Step::Prepare).remove(index);
        if job.apply(event.clone(), at).is_err() {
            continue;
        }
        kept.update(&job).await.unwrap();
        drop(kept);
        let found = store(place.path())
            .find(&job.key())
            .await
            .unwrap()
            .expect("it is known");
        assert_eq!(all_of(&found), all_of(&job), "{event:?}");
    }
}

#[tokio::test]
async fn only_one_may_use_the_directory() {
    let place = tempfile::tempdir().unwrap();
    let first = store(place.path());
    let refused = FileJobStore::open(settings(place.path())).unwrap_err();
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    drop(first);
    store(place.path());
}

#[tokio::test]
async fn everything_is_for_the_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.insert(&job("open")).await.unwrap();
    kept.insert(&job("done")).await.unwrap();
    kept.update(&finished("done")).await.unwrap();
    let mut paths = vec![place.path().join("state")];
    let mut files = 0;
    while let Some(path) = paths.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(
            mode,
            if metadata.is_dir() { 0o700 } else { 0o600 },
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()));
        } else {
            files += 1;
        }
    }
    assert_eq!(files, 4, "lock, key, and two records");
}

#[tokio::test]
async fn the_oldest_finished_ones_go_and_none_that_is_open() {
    for (max_count, max_bytes, retention, expected) in [
        (3, 1 << 30, Duration::from_secs(3600), 3),
        (100, 6 * 4096, Duration::from_secs(3600), 5),
        (100, 1 << 30, Duration::ZERO, 0),
    ] {
        let place = tempfile::tempdir().unwrap();
        let kept = FileJobStore::open(FileJobStoreSettings {
            max_finished_jobs: max_count,
            max_state_size: max_bytes,
            job_retention: retention,
            ..settings(place.path())
        })
        .unwrap();
        kept.insert(&job("open")).await.unwrap();
        for n in 0..10 {
            kept.insert(&job(&format!("j{n}"))).await.unwrap();
            kept.update(&finished(&format!("j{n}"))).await.unwrap();
        }
        let mut known = Vec::new();
        for n in 0..10 {
            if kept.find(&key(&format!("j{n}"))).await.unwrap().is_some() {
                known.push(n);
            }
        }
        assert_eq!(
            known,
            (10 - expected..10).collect::<Vec<_>>(),
            "{max_count} {max_bytes} {retention:?}"
        );
        assert!(kept.find(&key("open")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn where_nothing_can_be_dropped_new_jobs_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let kept = FileJobStore::open(FileJobStoreSettings {
        max_state_size: 4096,
        ..settings(place.path())
    })
    .unwrap();
    let mut refused = None;
    for n in 0..3 {
        refused = kept.insert(&job(&format!("j{n}"))).await.err();
    }
    let refused = refused.expect("it is full").to_string();
    assert!(refused.contains("max_state_size"), "{refused}");
    assert_eq!(
        kept.find(&key("j2")).await.unwrap().map(|job| job.key()),
        None::<JobKey>
    );
}

#[tokio::test]
async fn a_key_that_is_missing_or_wrong_stops_the_agent_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    store(place.path()).insert(&job("j")).await.unwrap();
    let key_file = place.path().join("state/key");
    let key = fs::read(&key_file).unwrap();
    for content in [None, Some("nonsense")] {
        match content {
            Some(content) => fs::write(&key_file, content).unwrap(),
            None => fs::remove_file(&key_file).unwrap(),
        }
        let refused = FileJobStore::open(settings(place.path())).unwrap_err();
        assert!(refused.contains("key file"), "{refused}");
        fs::write(&key_file, &key).unwrap();
    }
    assert_eq!(store(place.path()).unsettled().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_bound_that_nothing_can_satisfy_holds_nobody_up() {
    let place = tempfile::tempdir().unwrap();
    let bounds = FileJobStoreSettings {
        max_finished_jobs: 1,
        ..settings(place.path())
    };
    drop(FileJobStore::open(bounds.clone()).unwrap());
    // Nobody can remove these as files, whoever he is.
    for name in ["backup.x", "backup.y", "backup.z"] {
        fs::create_dir(place.path().join("state/finished").join(name)).unwrap();
    }
    let kept = FileJobStore::open(bounds).unwrap();
    let mut open = job("j");
    open.apply(JobEvent::Started { artifact_name: None }, open.accepted_at())
        .unwrap();
    let update = tokio::time::timeout(Duration::from_secs(20), kept.update(&open));
    update.await.expect("it does not hang").unwrap();
}

#[tokio::test]
async fn an_id_that_is_used_again_is_as_young_as_its_new_job() {
    let place = tempfile::tempdir().unwrap();
    let bounds = FileJobStoreSettings {
        max_finished_jobs: 3,
        ..settings(place.path())
    };
    let kept = FileJobStore::open(bounds).unwrap();
    let run = async |id: &str| {
        kept.insert(&job(id)).await.unwrap();
        kept.update(&finished(id)).await.unwrap();
    };
    // With the fourth the oldest goes, and the others are remembered as the next to go.
    for id in ["a", "b", "c", "d"] {
        run(id).await;
    }
    assert!(kept.remove(&key("b")).await.unwrap());
    run("b").await;
    run("e").await;
    assert!(kept.find(&key("b")).await.unwrap().is_some(), "c is older");
    assert!(kept.find(&key("c")).await.unwrap().is_none());
}
