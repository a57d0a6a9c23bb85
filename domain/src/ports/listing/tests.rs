use super::*;
use crate::{
    job::{Job, JobId},
    plan::{FailurePolicy, Transfer},
    testing::request,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("a time")
}

fn view(kind: JobKind, id: &str, second: i64) -> JobView {
    Job::accepted(
        request(kind, id, Transfer::ByAgent),
        FailurePolicy::default(),
        at(second),
    )
    .view()
}

fn ended(kind: JobKind, id: &str, second: i64, status: JobStatus) -> JobView {
    JobView {
        status,
        ..view(kind, id, second)
    }
}

fn ids(page: &JobPage) -> Vec<&str> {
    page.jobs.iter().map(|view| view.key.id.as_str()).collect()
}

fn of(jobs: JobQuery, most: usize) -> PageQuery {
    PageQuery {
        jobs,
        after: None,
        most,
    }
}

/// All pages, one after another.
fn pages(all: &[JobView], mut query: PageQuery) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let page = query.page_of(all.to_vec());
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return seen,
        }
    }
}

#[test]
fn filters_take_what_they_say() {
    let failed = JobStatus::Failed { failures: Vec::new() };
    let all = [
        view(JobKind::Backup, "waits", 1),
        ended(JobKind::Backup, "good", 2, JobStatus::Succeeded),
        ended(JobKind::Restore, "bad", 3, failed),
    ];
    let none = JobQuery::default();
    for (query, expected) in [
        (none.clone(), &["bad", "good", "waits"][..]),
        (
            JobQuery {
                kind: Some(JobKind::Backup),
                ..none.clone()
            },
            &["good", "waits"],
        ),
        (
            JobQuery {
                standing: Some(Standing::Running),
                ..none.clone()
            },
            &["waits"],
        ),
        (
            JobQuery {
                standing: Some(Standing::Failed),
                ..none.clone()
            },
            &["bad"],
        ),
        (
            JobQuery {
                outcome: Some(Outcome::Succeeded),
                ..none.clone()
            },
            &["good"],
        ),
        (
            JobQuery {
                database: Some("db".to_owned()),
                ..none.clone()
            },
            &["bad", "good", "waits"],
        ),
        (
            JobQuery {
                database: Some("DB".to_owned()),
                ..none.clone()
            },
            &[],
        ),
        (
            JobQuery {
                since: Some(at(2)),
                until: Some(at(3)),
                ..none
            },
            &["good"],
        ),
    ] {
        assert_eq!(ids(&of(query.clone(), 10).page_of(all.to_vec())), expected, "{query:?}");
    }
}

#[test]
fn pages_hold_every_job_once_however_long_they_are() {
    // Some were accepted at once, and a backup and a restore may have one id.
    let mut all = vec![view(JobKind::Restore, "j3", 1)];
    all.extend((0..10).map(|n| view(JobKind::Backup, &format!("j{n}"), n / 3)));
    let whole = pages(&all, of(JobQuery::default(), 100));
    assert_eq!(whole.len(), 11);
    for most in 1..12 {
        assert_eq!(pages(&all, of(JobQuery::default(), most)), whole, "{most}");
    }
}

#[test]
fn a_list_that_is_read_while_jobs_come_and_go_misses_none_that_stay() {
    let mut all: Vec<_> = (0..6).map(|n| view(JobKind::Backup, &format!("j{n}"), n)).collect();
    let mut query = of(JobQuery::default(), 2);
    let first = query.page_of(all.clone());
    assert_eq!(ids(&first), ["j5", "j4"]);
    query.after = first.next;
    // One comes, the one at the cursor goes, and one that was seen ends.
    all.push(view(JobKind::Backup, "new", 9));
    all.retain(|view| view.key.id.as_str() != "j4");
    all[4].status = JobStatus::Succeeded;
    assert_eq!(pages(&all, query), ["j3", "j2", "j1", "j0"]);
}

#[test]
fn what_is_known_from_elsewhere_comes_in_its_place_and_once() {
    let place = |id: &str, second| Place {
        accepted_at: at(second),
        key: JobKey::new(JobKind::Backup, JobId::parse(id).expect("an id")),
    };
    let stored = || JobPage {
        jobs: vec![
            ended(JobKind::Backup, "j8", 8, JobStatus::Succeeded),
            ended(JobKind::Backup, "j6", 6, JobStatus::Succeeded),
        ],
        next: Some(place("j4", 4)),
    };
    let others = || {
        let of = |(id, second)| view(JobKind::Backup, id, second);
        // The second has ended since it was looked at, the last belongs on a later page.
        [("j9", 9), ("j8", 8), ("j5", 5), ("j3", 3)].map(of).to_vec()
    };
    let page = stored().with(others(), 10);
    assert_eq!(ids(&page), ["j9", "j8", "j6", "j5"]);
    assert_eq!(page.jobs[1].status, JobStatus::Succeeded);
    assert_eq!(page.next, Some(place("j4", 4)));
    let page = stored().with(others(), 3);
    assert_eq!((ids(&page).len(), page.next.clone()), (3, Some(place("j6", 6))));
}
