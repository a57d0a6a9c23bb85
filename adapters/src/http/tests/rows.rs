use domain::ports::{CancelError, JobStoreError, RemoveError, StartError};

use super::*;

#[tokio::test]
async fn status_is_told() {
    let response = call(willing(), "GET", "/status", "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(json(&response)["message"], "Client is running");
}

#[tokio::test]
async fn without_the_right_credentials_every_path_is_401() {
    for authorization in [None, Some("Basic YWRtaW46d3Jvbmc="), Some("Bearer x"), Some("")] {
        for (method, path) in [
            ("GET", "/status"),
            ("POST", "/backup"),
            ("GET", "/backup/j"),
            ("DELETE", "/restore"),
            ("GET", "/nowhere"),
            ("PATCH", "/status"),
        ] {
            let context = context_with(MockJobApi::new(), HttpLimits::default());
            let mut request = warp::test::request().method(method).path(path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let response = request.reply(&routes(&context)).await;
            assert_eq!(response.status(), 401, "{method} {path} {authorization:?}");
            assert_eq!(
                header(&response, "www-authenticate"),
                "Basic realm=\"osb-backup-agent\""
            );
            assert_eq!(json(&response)["message"], "Unauthorized.");
        }
    }
}

#[tokio::test]
async fn unknown_paths_are_404_and_other_methods_405_with_what_is_allowed() {
    for (method, path, status, allow) in [
        ("GET", "/", 404, ""),
        ("GET", "/nope", 404, ""),
        ("GET", "//status", 404, ""),
        ("GET", "/status/", 404, ""),
        ("GET", "/backup/a/b", 404, ""),
        ("POST", "/backups", 404, ""),
        ("POST", "/status", 405, "GET, HEAD"),
        ("GET", "/backup", 405, "POST, DELETE"),
        ("PUT", "/backup", 405, "POST, DELETE"),
        ("OPTIONS", "/backup", 405, "POST, DELETE"),
        ("POST", "/restore", 405, "PUT, DELETE"),
        ("GET", "/restore", 405, "PUT, DELETE"),
        ("DELETE", "/backup/j", 405, "GET, HEAD"),
        ("POST", "/restore/j", 405, "GET, HEAD"),
        ("GET", "/backup/j/cancel", 405, "POST"),
        ("DELETE", "/restore/j/cancel", 405, "POST"),
        ("POST", "/backup/a/b/cancel", 404, ""),
        ("POST", "/backup/j/cancel/", 404, ""),
    ] {
        let response = call(willing(), method, path, "").await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(header(&response, "allow"), allow, "{method} {path}");
        let body = json(&response);
        for member in ["message", "state", "error_message"] {
            assert!(body[member].is_string(), "{method} {path} {member}");
        }
    }
}

#[tokio::test]
async fn a_good_trigger_is_201_without_a_body_and_says_where_to_look() {
    for kind in JobKind::ALL {
        let (method, path) = trigger(kind);
        let response = call(willing(), method, path, good_body(kind).to_string()).await;
        assert_eq!(response.status(), 201);
        assert!(response.body().is_empty());
        assert_eq!(header(&response, "location"), format!("{path}/j"));
        assert_eq!(header(&response, "content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_refused_start_tells_why() {
    for kind in JobKind::ALL {
        let refusals = [
            (StartError::Duplicate(Box::new(view(kind))), 409),
            (StartError::Full { running: 1, waiting: 2 }, 429),
            (StartError::Stopping, 503),
            (StartError::Store(JobStoreError("the disk is full".to_owned())), 507),
        ];
        for (refusal, status) in refusals {
            let mut api = MockJobApi::new();
            api.expect_takes_jobs().returning(|| true);
            api.expect_find().returning(|_| Ok(None));
            api.expect_start().return_once(|_| Err(refusal));
            let (method, path) = trigger(kind);
            let response = call(api, method, path, good_body(kind).to_string()).await;
            assert_eq!(response.status(), status);
            let body = json(&response);
            if status == 409 {
                assert_eq!(body["status"], "RUNNING");
            } else {
                assert_eq!(body["message"], "Failed to start a new job.");
                assert!(!body["error_message"].as_str().unwrap().is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_known_id_is_409_before_its_members_are_looked_at() {
    for kind in JobKind::ALL {
        let mut api = MockJobApi::new();
        api.expect_takes_jobs().returning(|| true);
        api.expect_find().returning(move |_| Ok(Some(view(kind))));
        let (method, path) = trigger(kind);
        let response = call(api, method, path, r#"{"id":"j"}"#).await;
        assert_eq!(response.status(), 409);
        assert_eq!(json(&response)["state"], "queued");
    }
}

#[tokio::test]
async fn a_stopping_agent_refuses_before_it_looks_at_the_body() {
    let mut api = MockJobApi::new();
    api.expect_takes_jobs().returning(|| false);
    let response = call(api, "POST", "/backup", "no json").await;
    assert_eq!(response.status(), 503);
    assert!(!header(&response, "retry-after").is_empty());
}

#[tokio::test]
async fn polling_answers_200_400_404_and_500() {
    for (path, status) in [
        ("/backup/j", 200),
        ("/backup/%6A", 200),
        ("/backup/unknown", 404),
        ("/backup/", 400),
        ("/backup/-x", 400),
        ("/backup/a%2Fb", 400),
        ("/backup/%ff", 400),
        ("/backup/broken", 500),
    ] {
        let mut api = MockJobApi::new();
        api.expect_find().returning(|key| match key.id.as_str() {
            "j" => Ok(Some(view(key.kind))),
            "broken" => Err(JobStoreError("unreadable".to_owned())),
            _ => Ok(None),
        });
        let response = call(api, "GET", path, "").await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.body().is_empty(), matches!(status, 400 | 404), "{path}");
    }
}

#[tokio::test]
async fn head_works_where_get_does() {
    for (path, status) in [
        ("/status", 200),
        ("/backup/j", 200),
        ("/restore/j", 200),
        ("/backup", 405),
    ] {
        let mut api = MockJobApi::new();
        api.expect_find().returning(|key| Ok(Some(view(key.kind))));
        api.expect_problems().returning(Vec::new);
        assert_eq!(call(api, "HEAD", path, "").await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn removing_answers_200_400_409_410_and_500() {
    for kind in JobKind::ALL {
        for (body, status) in [
            (r#"{"id":"j"}"#, 200),
            (r#"{"ID":"j","more":[1]}"#, 200),
            (r#"{"id":"gone"}"#, 410),
            (r#"{"id":"running"}"#, 409),
            (r#"{"id":"broken"}"#, 500),
            (r#"{"id":""}"#, 400),
            (r#"{"id":7}"#, 400),
            (r#"{"id":"../x"}"#, 400),
            ("{}", 400),
            ("", 400),
            ("no json", 400),
        ] {
            let mut api = MockJobApi::new();
            api.expect_remove().returning(|key| match key.id.as_str() {
                "j" => Ok(true),
                "gone" => Ok(false),
                "running" => Err(RemoveError::Unfinished(Box::new(view(key.kind)))),
                _ => Err(RemoveError::Store(JobStoreError("read-only".to_owned()))),
            });
            let response = call(api, "DELETE", &format!("/{kind}"), body).await;
            assert_eq!(response.status(), status, "{body}");
            assert_eq!(response.body().is_empty(), matches!(status, 200 | 400 | 410), "{body}");
        }
    }
}

#[tokio::test]
async fn cancelling_answers_202_400_404_409_and_500() {
    for kind in JobKind::ALL {
        for (id, status) in [
            ("j", 202),
            ("%6A", 202),
            ("ended", 409),
            ("unknown", 404),
            ("broken", 500),
            ("-x", 400),
            ("", 400),
            ("a%2Fb", 400),
        ] {
            let mut api = MockJobApi::new();
            api.expect_cancel().returning(|key| match key.id.as_str() {
                "j" => Ok(view(key.kind)),
                "ended" => Err(CancelError::Ended(Box::new(view(key.kind)))),
                "broken" => Err(CancelError::Store(JobStoreError("read-only".to_owned()))),
                _ => Err(CancelError::Unknown),
            });
            let response = call(api, "POST", &format!("/{kind}/{id}/cancel"), "").await;
            assert_eq!(response.status(), status, "{id}");
            assert_eq!(response.body().is_empty(), matches!(status, 400 | 404), "{id}");
        }
    }
}

#[tokio::test]
async fn problems_are_told_by_status() {
    let mut api = MockJobApi::new();
    api.expect_problems()
        .returning(|| vec!["a record is damaged".to_owned()]);
    let response = call(api, "GET", "/status", "").await;
    assert_eq!(json(&response)["problems"][0], "a record is damaged");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let limit = HttpLimits::default().body_bytes;
    for (length, status) in [(limit, 400), (limit + 1, 413)] {
        for method in ["POST", "DELETE"] {
            let response = call(willing(), method, "/backup", vec![b' '; length]).await;
            assert_eq!(response.status(), status, "{method} {length}");
        }
    }
}

#[tokio::test]
async fn the_content_type_of_a_request_says_nothing() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let context = context_with(willing(), HttpLimits::default());
        let response = warp::test::request()
            .method("POST")
            .path("/backup")
            .header("authorization", authorization())
            .header("content-type", content_type)
            .body(good_body(JobKind::Backup).to_string())
            .reply(&routes(&context))
            .await;
        assert_eq!(response.status(), 201, "{content_type}");
    }
}
