//! The list of settled jobs, from files and from memory.

use std::fs;

use chrono::{DateTime, Utc};
use domain::{
    job::{Failure, FailureCause, StepReport},
    ports::{JobPage, JobQuery, PageQuery, Place, Standing},
    testing::request_for_database,
};

use super::{
    files::{settings, store},
    *,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

/// A job of a database, accepted at a time, that has failed if it says so.
fn settled(kind: JobKind, id: &str, database: &str, second: i64, fails: bool) -> Job {
    let request = request_for_database(kind, id, database);
    let mut job = Job::accepted(request, FailurePolicy::default(), at(second));
    job.apply(JobEvent::Started { artifact_name: None }, at(second))
        .unwrap();
    while let Some(step) = job.status().next_step() {
        job.apply(JobEvent::StepStarted { step }, at(second)).unwrap();
        let report = StepReport {
            log: (step == Step::Script(Phase::PreBackupLock)).then(|| ScriptLog {
                stdout: "x".repeat(1000).into(),
                stderr: "".into(),
            }),
            ..StepReport::default()
        };
        let event = if fails && step == Step::Prepare {
            let cause = FailureCause::NotStarted("no script".to_owned());
            let failure = Failure { step, cause };
            JobEvent::StepFailed { step, failure, report }
        } else {
            JobEvent::StepSucceeded { step, report }
        };
        job.apply(event, at(second)).unwrap();
    }
    job.apply(JobEvent::Finished { note: None }, at(second + 1)).unwrap();
    job
}

fn backup(id: &str, second: i64) -> Job {
    settled(JobKind::Backup, id, "db", second, false)
}

fn ids(page: &JobPage) -> Vec<&str> {
    page.jobs.iter().map(|view| view.key.id.as_str()).collect()
}

/// All pages of this length, one after another.
async fn all(store: &dyn JobStore, jobs: &JobQuery, most: usize) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let jobs = jobs.clone();
        let page = store.settled(PageQuery { jobs, after, most }).await.unwrap();
        assert!(page.jobs.len() <= most);
        assert!(page.jobs.iter().all(|view| view.logs.is_empty()));
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

async fn everything(store: &dyn JobStore) -> Vec<String> {
    all(store, &JobQuery::default(), 100).await
}

/// What holds for every job store.
async fn lists(store: &dyn JobStore) {
    assert!(everything(store).await.is_empty());
    // Settled in another order than they were accepted in.
    for job in [
        settled(JobKind::Backup, "b", "two", 2, true),
        settled(JobKind::Backup, "a", "one", 1, false),
        settled(JobKind::Restore, "a", "one", 3, false),
        settled(JobKind::Backup, "d", "one", 3, false),
    ] {
        store.update(&job).await.unwrap();
    }
    store.insert(&job("unsettled")).await.unwrap();
    let whole = everything(store).await;
    // Of two that were accepted at once the restore comes first.
    assert_eq!(whole, ["a", "d", "b", "a"]);
    for most in 1..6 {
        assert_eq!(all(store, &JobQuery::default(), most).await, whole, "{most}");
    }
    let none = JobQuery::default();
    for (query, expected) in [
        (
            JobQuery {
                kind: Some(JobKind::Backup),
                ..none.clone()
            },
            &["d", "b", "a"][..],
        ),
        (
            JobQuery {
                standing: Some(Standing::Failed),
                ..none.clone()
            },
            &["b"],
        ),
        (
            JobQuery {
                standing: Some(Standing::Running),
                ..none.clone()
            },
            &[],
        ),
        (
            JobQuery {
                database: Some("one".to_owned()),
                ..none.clone()
            },
            &["a", "d", "a"],
        ),
        (
            JobQuery {
                since: Some(at(2)),
                until: Some(at(3)),
                ..none.clone()
            },
            &["b"],
        ),
    ] {
        for most in [1, 10] {
            assert_eq!(all(store, &query, most).await, expected, "{query:?} by {most}");
        }
    }
    assert!(store.remove(&key("d")).await.unwrap());
    assert_eq!(everything(store).await, ["a", "b", "a"]);
    store.update(&backup("new", 9)).await.unwrap();
    assert_eq!(everything(store).await, ["new", "a", "b", "a"]);
}

#[tokio::test]
async fn every_store_lists_what_is_settled() {
    let place = tempfile::tempdir().unwrap();
    lists(&store(place.path())).await;
    lists(&LoggedJobStore::new(Arc::new(MemoryJobStore::new(10)))).await;
    lists(&domain::testing::FakeJobStore::default()).await;
}

#[tokio::test]
async fn the_list_is_the_same_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    for (id, second) in [("b", 2), ("a", 1), ("c", 3)] {
        kept.update(&backup(id, second)).await.unwrap();
    }
    drop(kept);
    let kept = store(place.path());
    assert_eq!(everything(&kept).await, ["c", "b", "a"]);
}

#[tokio::test]
async fn what_is_gone_from_the_disk_is_not_listed_and_the_rest_is() {
    let place = tempfile::tempdir().unwrap();
    let kept = FileJobStore::open(FileJobStoreSettings {
        max_finished_jobs: 3,
        ..settings(place.path())
    })
    .unwrap();
    assert!(everything(&kept).await.is_empty());
    for (second, id) in (0..).zip(["a", "b", "c", "d", "e"]) {
        kept.update(&backup(id, second)).await.unwrap();
    }
    // The oldest made room, as always when there are too many.
    let listed = everything(&kept).await;
    assert_eq!(listed.len(), 3, "{listed:?}");
    let finished = settings(place.path()).directory.join("finished");
    fs::remove_file(finished.join(format!("backup.{}", listed[0]))).unwrap();
    fs::write(finished.join(format!("backup.{}", listed[1])), "damaged").unwrap();
    // They are still in memory, where clients find them: ask a store that has read nothing yet.
    drop(kept);
    assert_eq!(everything(&store(place.path())).await, listed[2..]);
}

#[tokio::test]
async fn an_id_that_comes_again_is_listed_once_at_its_new_place() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    kept.update(&backup("again", 1)).await.unwrap();
    kept.update(&backup("other", 2)).await.unwrap();
    assert_eq!(everything(&kept).await, ["other", "again"]);
    assert!(kept.remove(&key("again")).await.unwrap());
    kept.update(&backup("again", 3)).await.unwrap();
    assert_eq!(everything(&kept).await, ["again", "other"]);
}

#[tokio::test]
async fn a_page_that_finds_little_ends_all_the_same_and_says_where_to_go_on() {
    let place = tempfile::tempdir().unwrap();
    let kept = store(place.path());
    let finished = settings(place.path()).directory.join("finished");
    let write = |job: &Job| {
        let record = record::encode(job, record::Form::Finished).unwrap();
        fs::write(finished.join(record::file_name(&job.key())), record).unwrap();
    };
    // Beneath all others.
    write(&settled(JobKind::Backup, "rare", "rare", 0, false));
    for second in 1..=1005 {
        write(&backup(&format!("j{second}"), second));
    }
    let rare = JobQuery {
        database: Some("rare".to_owned()),
        ..JobQuery::default()
    };
    let (jobs, most) = (rare.clone(), 10);
    let first = kept
        .settled(PageQuery {
            jobs,
            after: None,
            most,
        })
        .await
        .unwrap();
    assert!(first.jobs.is_empty());
    let next: Place = first.next.expect("there is more to look at");
    assert_eq!(next.accepted_at, at(6), "a thousand records were read");
    assert_eq!(all(&kept, &rare, 10).await, ["rare"]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_for_a_moment_is_not_lost_to_the_list() {
    for is_known in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let kept = store(place.path());
        for (id, second) in [("a", 1), ("b", 2)] {
            kept.update(&backup(id, second)).await.unwrap();
        }
        // What is in memory need not be read.
        drop(kept);
        let kept = store(place.path());
        let no_such_job = PageQuery {
            jobs: JobQuery {
                since: Some(at(100)),
                ..JobQuery::default()
            },
            after: None,
            most: 1,
        };
        if is_known {
            assert!(kept.settled(no_such_job).await.unwrap().jobs.is_empty());
        }
        let record = settings(place.path()).directory.join("finished/backup.a");
        let aside = place.path().join("aside");
        fs::rename(&record, &aside).unwrap();
        // There is something, but it cannot be read.
        fs::create_dir(&record).unwrap();
        let whole = PageQuery {
            jobs: JobQuery::default(),
            after: None,
            most: 100,
        };
        let error = kept.settled(whole).await.unwrap_err();
        assert!(error.to_string().contains("backup.a"), "{error}");
        fs::remove_dir(&record).unwrap();
        fs::rename(&aside, &record).unwrap();
        assert_eq!(everything(&kept).await, ["b", "a"], "{is_known}");
    }
}
