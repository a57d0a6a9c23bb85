//! Tokens whose time is up, in the middle of things.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use hyper::Method;
use tokio::sync::Barrier;

use super::{
    super::Swift,
    PATIENCE, connect,
    fake::{Fake, Reply, token},
    store,
};
use crate::blob_store::failure::Failure;
use crate::blob_store::network::Network;

const REQUESTS: usize = 8;

#[tokio::test]
async fn all_requests_whose_token_is_refused_share_one_renewal() {
    // Answers come when all requests are there, so that all of them went out with the old token.
    let together = Arc::new(Barrier::new(REQUESTS));
    let fake = Fake::with_keystone(move |seen, _| match seen.header("x-auth-token") {
        "test-token-1" => Reply::new(401, "").after(&together),
        "test-token-2" => Reply::new(204, seen.text()),
        other => panic!("{other} was not given"),
    })
    .await;
    let swift = connect(&fake).await;
    let ask = swift.object(Method::PUT, "k").with_body("body".to_owned());
    for answer in join_all((0..REQUESTS).map(|_| swift.execute(&ask))).await {
        assert_eq!(answer.unwrap().status(), 204);
    }
    assert_eq!(fake.logins(), 2);
    let bodies: Vec<_> = fake
        .seen()
        .into_iter()
        .filter(|seen| seen.line.starts_with("PUT"))
        .collect();
    assert_eq!(bodies.len(), 2 * REQUESTS);
    assert!(
        bodies.iter().all(|seen| seen.text() == "body"),
        "it is sent whole the second time"
    );
}

#[tokio::test]
async fn all_requests_whose_token_is_refused_share_a_renewal_that_fails() {
    let together = Arc::new(Barrier::new(REQUESTS));
    let logins = AtomicUsize::new(0);
    let fake = Fake::start(move |seen, url| {
        if seen.line.starts_with("POST") {
            return match logins.fetch_add(1, Ordering::SeqCst) {
                0 => token("token-1", url, 3600),
                _ => Reply::new(401, "locked out"),
            };
        }
        Reply::new(401, "").after(&together)
    })
    .await;
    let swift = connect(&fake).await;
    let ask = swift.object(Method::GET, "k");
    let requests = (0..REQUESTS).map(|_| swift.execute(&ask));
    for answer in join_all(requests).await {
        let failure = Failure::from(answer.unwrap_err().of_object("k"));
        let answer = failure.answer().expect("it is a refusal");
        assert_eq!(answer.status, 401);
        assert!(failure.to_string().contains("locked out"), "{failure}");
    }
    assert_eq!(fake.logins(), 2);
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_a_denial() {
    let fake = Fake::with_keystone(|_, _| Reply::new(401, "")).await;
    let swift = connect(&fake).await;
    let fault = swift.execute(&swift.object(Method::GET, "k")).await.unwrap_err();
    assert_eq!(fault.status(), Some(401));
    assert_eq!((fake.logins(), fake.lines().len()), (2, 2));
    assert!(!Failure::from(fault).is_transient());
}

#[tokio::test]
async fn a_token_is_renewed_before_its_time_is_up() {
    // The time of this one is up at once; nobody refuses it, however.
    let logins = AtomicUsize::new(0);
    let fake = Fake::start(move |seen, url| {
        if !seen.line.starts_with("POST") {
            return Reply::new(204, "");
        }
        match logins.fetch_add(1, Ordering::SeqCst) {
            0 => token("token-1", url, 0),
            _ => token("token-2", url, 3600),
        }
    })
    .await;
    let swift = connect(&fake).await;
    for _ in 0..3 {
        swift.execute(&swift.object(Method::GET, "k")).await.unwrap();
    }
    let seen = fake.seen();
    let tokens: Vec<&str> = seen.iter().map(|seen| seen.header("x-auth-token")).collect();
    assert_eq!(tokens, ["", "", "token-2", "token-2", "token-2"]);
}

#[tokio::test]
async fn a_renewal_ahead_of_time_that_fails_hinders_nobody() {
    let logins = AtomicUsize::new(0);
    let fake = Fake::start(move |seen, url| {
        if !seen.line.starts_with("POST") {
            return Reply::new(204, "");
        }
        match logins.fetch_add(1, Ordering::SeqCst) {
            0 => token("token-1", url, 0),
            _ => Reply::new(503, ""),
        }
    })
    .await;
    let swift = connect(&fake).await;
    for _ in 0..3 {
        swift.execute(&swift.object(Method::GET, "k")).await.unwrap();
    }
    assert_eq!(fake.logins(), 2, "and it is not tried again at once");
}

#[tokio::test]
async fn v1_is_asked_for_a_token_that_is_new() {
    let fake = Fake::start(|seen, url| match seen.header("x-auth-token") {
        "spoilt-token" => Reply::new(401, ""),
        "" => Reply::new(200, "")
            .with("x-storage-url", format!("{url}/v1/TEMP_a"))
            .with("x-auth-token", "the-token"),
        _ => Reply::new(204, ""),
    })
    .await;
    let swift = Swift::connect(&store(fake.url("/auth/v1.0")), PATIENCE, &Network::default())
        .await
        .unwrap();
    swift.0.session.spoil_token().await;
    swift.execute(&swift.object(Method::GET, "k")).await.unwrap();
    let seen = fake.seen();
    let lines: Vec<(&str, &str)> = seen
        .iter()
        .map(|seen| (seen.header("x-auth-new-token"), seen.header("x-auth-token")))
        .collect();
    assert_eq!(
        lines,
        [("true", ""), ("", "spoilt-token"), ("true", ""), ("", "the-token")]
    );
}
