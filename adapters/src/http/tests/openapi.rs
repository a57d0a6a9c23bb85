//! The document against the answers that routes give.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use domain::ports::{CancelError, JobStoreError, RemoveError, StartError};
use futures_util::FutureExt;
use warp::http::{Method, StatusCode};

use super::{still::Still, *};
use crate::http::{
    openapi,
    operation::{Holds, Operation, Takes},
    route::Routes,
};

/// How many cores there were.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// A core that answers as an id says.
fn capricious() -> MockJobApi {
    let mut api = MockJobApi::new();
    api.expect_takes_jobs().returning(|| true);
    api.expect_problems().returning(Vec::new);
    api.expect_unsettled().returning(Vec::new);
    api.expect_examine().returning(|_| Vec::new());
    // Now this, now that.
    let turn = TURN.fetch_add(1, Ordering::SeqCst);
    api.expect_shortcomings()
        .returning(move || vec!["there is no script".to_owned(); turn % 2]);
    let broken = || JobStoreError("the disk is full".to_owned());
    api.expect_find().returning(move |key| match key.id.as_str() {
        "known" => Ok(Some(view(key.kind))),
        "broken" => Err(broken()),
        _ => Ok(None),
    });
    api.expect_list().returning(|_| Ok(domain::ports::JobPage::default()));
    api.expect_start().returning(move |request| match request.id.as_str() {
        "full" => Err(StartError::Full { running: 1, waiting: 1 }),
        "stopping" => Err(StartError::Stopping),
        "unrecorded" => Err(StartError::Store(broken())),
        _ => Ok(()),
    });
    api.expect_remove().returning(move |key| match key.id.as_str() {
        "known" => Ok(true),
        "unfinished" => Err(RemoveError::Unfinished(Box::new(view(key.kind)))),
        "broken" => Err(RemoveError::Store(broken())),
        _ => Ok(false),
    });
    api.expect_cancel().returning(move |key| match key.id.as_str() {
        "known" => Ok(view(key.kind)),
        "ended" => Err(CancelError::Ended(Box::new(view(key.kind)))),
        "broken" => Err(CancelError::Store(broken())),
        _ => Err(CancelError::Unknown),
    });
    api
}

/// What a second one is told while the first is at work.
async fn while_another_looks(operation: &Operation) -> Response<Bytes> {
    let routes = routes(&context_of(Arc::new(Still::default()), HttpLimits::default()));
    let ask = || {
        let request = warp::test::request().method(operation.method.as_str());
        let request = request.path(&operation.path).header("authorization", authorization());
        request.body(good_body(JobKind::Backup).to_string()).reply(&routes)
    };
    let mut first = Box::pin(ask());
    assert!(first.as_mut().now_or_never().is_none());
    tokio::task::yield_now().await;
    ask().await
}

/// Everything that may become of calls of this operation.
async fn answers_of(operation: &Operation) -> Vec<Response<Bytes>> {
    let ids = [
        "known",
        "unknown",
        "broken",
        "full",
        "stopping",
        "unrecorded",
        "unfinished",
        "ended",
        "-",
    ];
    let mut answers = Vec::new();
    for id in ids {
        let body = match operation.takes {
            Takes::Nothing | Takes::Query(_) => String::new(),
            Takes::Id => serde_json::json!({"id": id}).to_string(),
            Takes::AnyTrigger => {
                let mut body = good_body(JobKind::Backup);
                body["id"] = id.into();
                body.to_string()
            }
            Takes::Trigger(kind) => {
                let mut body = good_body(kind);
                body["id"] = id.into();
                body.to_string()
            }
        };
        let path = operation.path.replace("{id}", id);
        answers.push(call(capricious(), operation.method.as_str(), &path, body).await);
    }
    if let Takes::Query(parameters) = operation.takes {
        for parameter in parameters {
            let path = operation.path.replace("{id}", "known");
            let path = format!("{path}?{}=%00", parameter.name);
            answers.push(call(capricious(), operation.method.as_str(), &path, "").await);
        }
    }
    if operation.takes.is_body() {
        let long = vec![b' '; HttpLimits::default().body_bytes + 1];
        answers.push(call(capricious(), operation.method.as_str(), &operation.path, long).await);
    }
    if operation.takes == Takes::AnyTrigger {
        answers.push(while_another_looks(operation).await);
    }
    let context = context_with(capricious(), HttpLimits::default());
    let stranger = warp::test::request()
        .method(operation.method.as_str())
        .path(&operation.path);
    answers.push(stranger.reply(&routes(&context)).await);
    let liar = warp::test::request()
        .method(operation.method.as_str())
        .path(&operation.path)
        .header("authorization", "Basic bm90OnJpZ2h0");
    answers.push(liar.reply(&routes(&context)).await);
    answers
}

#[tokio::test]
async fn every_answer_that_is_told_is_given_and_no_other() {
    for operation in all().operations() {
        let mut given = BTreeSet::new();
        for answer in answers_of(operation).await {
            let told = operation.all_answers();
            let told = told.iter().find(|told| told.status == answer.status());
            let told = told.unwrap_or_else(|| panic!("{} answers {}", operation.name, answer.status()));
            assert_eq!(
                answer.body().is_empty(),
                told.holds == Holds::Nothing,
                "{} {}",
                operation.name,
                told.status
            );
            if let Some((name, _)) = openapi::header_of(told.status) {
                assert!(!header(&answer, name).is_empty(), "{} {}", operation.name, told.status);
            }
            given.insert(answer.status());
        }
        let mut told: BTreeSet<StatusCode> = operation.all_answers().iter().map(|answer| answer.status).collect();
        // Tests of real sockets show this one.
        told.remove(&StatusCode::REQUEST_TIMEOUT);
        if !operation.path.contains("backup") && !operation.path.contains("restore") {
            // What needs no records fails by a panic alone, which tests of real sockets show.
            told.remove(&StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(given, told, "{}", operation.name);
    }
}

#[tokio::test]
async fn the_document_is_told_with_every_route_and_code() {
    let document = json(&call(capricious(), "GET", "/openapi.json", "").await);
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let mut count = 0;
    for operation in all().operations() {
        let told = &paths[&operation.path][operation.method.as_str().to_ascii_lowercase()];
        for answer in operation.all_answers() {
            let told = &told["responses"][answer.status.as_str()];
            assert!(told["description"].is_string(), "{} {}", operation.name, answer.status);
        }
        assert_eq!(told["requestBody"].is_object(), operation.takes.is_body());
        if let Takes::Query(parameters) = operation.takes {
            for parameter in parameters {
                let all = told["parameters"].as_array().unwrap();
                assert!(
                    all.iter().any(|told| told["name"] == parameter.name),
                    "{}",
                    parameter.name
                );
            }
        }
        assert_eq!(
            paths[&operation.path].get("head").is_some(),
            operation.method == Method::GET
        );
        count += 1;
    }
    assert_eq!(count, 15, "the routes of the README");
    let text = document.to_string();
    for (_, after) in text
        .match_indices("\"$ref\":\"#/components/schemas/")
        .map(|(at, found)| (at, &text[at + found.len()..]))
    {
        let name = after.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name} is referred to"
        );
    }
}

#[tokio::test]
async fn a_route_that_is_added_is_told() {
    let mut routes = Routes::default();
    openapi::add_to(&mut routes);
    let operation = Operation {
        path: "/new".to_owned(),
        ..routes.operations().next().unwrap().clone()
    };
    routes.add(operation, |_| async { reply::unknown_path() });
    let document = openapi::document(&routes, &open_rules(), false);
    assert!(document["paths"]["/new"]["get"].is_object());
}

#[tokio::test]
#[should_panic(expected = "which its operation does not tell")]
async fn an_answer_that_is_not_told_is_found_by_every_test_that_gets_it() {
    let context = context_with(capricious(), HttpLimits::default());
    let mut routes = Routes::default();
    openapi::add_to(&mut routes);
    let operation = Operation {
        path: "/new".to_owned(),
        ..routes.operations().next().unwrap().clone()
    };
    routes.add(operation, |_| async { reply::empty(StatusCode::IM_A_TEAPOT) });
    let filter = routes.into_filter(&context);
    let known = warp::test::request().header("authorization", authorization());
    known.path("/new").reply(&filter).await;
}
