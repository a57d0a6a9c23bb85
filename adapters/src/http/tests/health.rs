//! Who is told what of the agent's health, and what not.

use super::*;

const PATH: &str = "/var/lib/secret-place";

/// A core that has this many things to complain about.
fn troubled(count: usize) -> MockJobApi {
    let mut api = willing();
    api.expect_shortcomings()
        .returning(move || vec![format!("cannot make files in {PATH}"); count]);
    api.expect_unsettled().returning(|| vec![view(JobKind::Backup)]);
    api
}

async fn asked(
    api: MockJobApi,
    path: &str,
    authorization: Option<&str>,
    metrics_without_auth: bool,
) -> Response<Bytes> {
    let mut context = context_with(api, HttpLimits::default());
    Arc::get_mut(&mut context).unwrap().metrics_without_auth = metrics_without_auth;
    let mut request = warp::test::request().path(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.reply(&routes(&context)).await
}

const WRONG: &str = "Basic bm90OnJpZ2h0";

#[tokio::test]
async fn who_is_let_in_where() {
    let right = authorization();
    for (path, is_open, none, wrong) in [
        ("/healthz", false, 200, 200),
        ("/readyz", false, 200, 401),
        ("/metrics", false, 401, 401),
        ("/metrics", true, 200, 401),
        ("/status", true, 401, 401),
        ("/openapi.json", true, 401, 401),
        ("/nothing", true, 401, 401),
        ("/healthz/", true, 401, 401),
        ("/backup/j", true, 401, 401),
    ] {
        for (authorization, expected) in [(None, none), (Some(WRONG), wrong)] {
            let response = asked(troubled(0), path, authorization, is_open).await;
            assert_eq!(response.status(), expected, "{path} {is_open} {authorization:?}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            asked(troubled(0), path, Some(&right), false).await.status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_stranger_learns_no_facts() {
    let health = asked(troubled(1), "/healthz", None, false).await;
    assert_eq!(json(&health)["message"], "The agent is alive.");
    let ready = asked(troubled(1), "/readyz", None, false).await;
    assert_eq!(ready.status(), 503);
    assert_eq!(json(&ready)["problems"], serde_json::json!([]));
    assert!(!String::from_utf8_lossy(ready.body()).contains(PATH));
    assert_eq!(header(&ready, "retry-after"), "10");
}

#[tokio::test]
async fn who_has_credentials_is_told_all_that_is_wrong() {
    let response = asked(troubled(2), "/readyz", Some(&authorization()), false).await;
    assert_eq!(response.status(), 503);
    let problems = json(&response)["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2));
    assert!(
        problems[0].as_str().is_some_and(|text| text.contains(PATH)),
        "{problems}"
    );
    let response = asked(troubled(0), "/readyz", Some(&authorization()), false).await;
    assert_eq!(
        (response.status().as_u16(), &json(&response)["problems"]),
        (200, &serde_json::json!([]))
    );
}

#[tokio::test]
async fn metrics_are_text_of_what_there_is_now() {
    let response = asked(troubled(0), "/metrics", Some(&authorization()), false).await;
    assert_eq!(
        header(&response, "content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(response.body().as_ref(), b"unsettled 1\nproblems 0\n");
}
