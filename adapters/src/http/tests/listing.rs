use domain::{
    job::{JobId, JobKey},
    ports::{JobPage, JobStoreError, PageQuery, Place, Standing},
};

use super::*;

fn listing(answer: impl Fn(PageQuery) -> Result<JobPage, JobStoreError> + Send + Sync + 'static) -> MockJobApi {
    let mut api = MockJobApi::new();
    api.expect_list().returning(answer);
    api
}

#[tokio::test]
async fn jobs_are_listed_with_what_is_known_of_each_and_the_way_on() {
    let place = Place {
        accepted_at: chrono::DateTime::from_timestamp(7, 0).unwrap(),
        key: JobKey::new(JobKind::Backup, JobId::parse("j").unwrap()),
    };
    let api = listing(move |wanted| {
        assert_eq!((wanted.most, wanted.jobs.standing), (7, Some(Standing::Running)));
        Ok(JobPage {
            jobs: JobKind::ALL.map(view).to_vec(),
            next: Some(place.clone()),
        })
    });
    let answer = call(api, "GET", "/jobs?limit=7&status=RUNNING", "").await;
    assert_eq!(answer.status(), 200);
    let body = json(&answer);
    for (index, kind) in JobKind::ALL.into_iter().enumerate() {
        let row = &body["jobs"][index];
        for (member, value) in [
            ("kind", kind.as_str()),
            ("id", "j"),
            ("host", "host"),
            ("database", "db"),
            ("status", "RUNNING"),
            ("state", "queued"),
            ("start_time", "2018-11-06T17:05:39+00:00"),
            ("end_time", ""),
        ] {
            assert_eq!(row[member], value, "{kind} {member}");
        }
        for member in [
            "outcome",
            "error_message",
            "filename",
            "progress",
            "lock_held_ms",
            "backup_log",
        ] {
            assert!(
                row.get(member).is_none(),
                "{member} is not known, or not told here: {row}"
            );
        }
        assert!(!row.to_string().contains("SECRET"), "{row}");
    }
    // What was given leads on.
    let next = body["next"].as_str().unwrap().to_owned();
    let api = listing(|wanted| {
        assert_eq!(wanted.after.map(|place| place.key.id.to_string()), Some("j".to_owned()));
        Ok(JobPage::default())
    });
    let answer = call(api, "GET", &format!("/jobs?cursor={next}"), "").await;
    assert_eq!(json(&answer), serde_json::json!({"jobs": []}));
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_400_and_the_core_is_not_asked() {
    for query in [
        "databse=x",
        "status=DONE",
        "limit=0",
        "limit=x",
        "since=now",
        "cursor=x",
        "kind=",
    ] {
        let answer = call(MockJobApi::new(), "GET", &format!("/jobs?{query}"), "").await;
        assert_eq!(answer.status(), 400, "{query}");
        let text = json(&answer)["error_message"].as_str().unwrap().to_owned();
        let name = query.split('=').next().unwrap();
        assert!(text.contains(name), "{query}: {text}");
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_500() {
    let api = listing(|_| Err(JobStoreError("the disk is gone".to_owned())));
    let answer = call(api, "GET", "/jobs", "").await;
    assert_eq!(answer.status(), 500);
    assert_eq!(json(&answer)["error_message"], "the disk is gone");
}
