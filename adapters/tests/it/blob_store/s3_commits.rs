//! Objects that appear, or do not, while the store's word of it is lost, late or nonsense.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{ports::BlobStoreError, request::Store};
use tokio::sync::Semaphore;

use super::{
    BUCKET, assert_same, bucket_at, patient,
    scene::{IMPATIENT, PATIENT, Scene, large},
    until, upload,
};
use crate::faulty::Fault;

const ERROR: &str = "<Error><Code>InternalError</Code></Error>";
/// The requests that make an object visible, of a small and of a large one.
const SMALL: (&str, &str) = ("PUT", "/a");
const LARGE: (&str, &str) = ("POST", "uploadId");

fn bytes_of(commit: (&str, &str)) -> Vec<u8> {
    if commit == SMALL { b"artifact".to_vec() } else { large() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_store_made_and_did_not_own_to_is_found() {
    for ((method, target), fault) in [
        (SMALL, Fault::AnswerAfter(500, ERROR)),
        (SMALL, Fault::Conceal("etag")),
        (LARGE, Fault::AnswerAfter(500, ERROR)),
        (LARGE, Fault::AnswerAfter(200, ERROR)),
        (LARGE, Fault::AnswerAfter(200, "<html>")),
        (LARGE, Fault::AnswerAfter(200, "")),
    ] {
        let (scene, what) = (Scene::new().await, format!("{method} {fault:?}"));
        let bytes = bytes_of((method, target));
        scene.proxy.plan(1, method, target, fault);
        let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{what}");
        assert_same(&scene.stored("a"), &bytes, &what);
        until(&what, || scene.server.leftovers().is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_one_length_that_came_in_between_is_another_s() {
    for (commit, takes_conditions) in [(SMALL, true), (LARGE, true), (SMALL, false), (LARGE, false)] {
        let (method, target) = commit;
        let (scene, what) = (Arc::new(Scene::new().await), format!("{method} {takes_conditions}"));
        let (bytes, allowed) = (bytes_of(commit), Arc::new(Semaphore::new(0)));
        let mut other = bytes.clone();
        other.reverse();
        if !takes_conditions {
            scene
                .proxy
                .plan(1, method, target, Fault::Refuse(501, "NotImplemented"));
        }
        scene
            .proxy
            .plan(1, method, target, Fault::AwaitCut(Arc::clone(&allowed)));
        let mine = tokio::spawn({
            let scene = Arc::clone(&scene);
            async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
        });
        let tries = if takes_conditions { 1 } else { 2 };
        until("the first try", || scene.proxy.requests(method, target) == tries).await;
        let direct = Store::S3(bucket_at(scene.server.endpoint()));
        upload(&patient(PATIENT), &direct, "a", &other).await.unwrap();
        allowed.add_permits(1);
        let error = mine.await.unwrap().unwrap_err();
        assert!(matches!(error, BlobStoreError::AlreadyExists(_)), "{what}: {error:?}");
        assert_same(&scene.stored("a"), &other, &what);
        assert_eq!(scene.server.leftovers(), [""; 0], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_no_marks_is_judged_by_the_length() {
    for (method, target) in [SMALL, LARGE] {
        let (scene, bytes) = (Scene::new().await, bytes_of((method, target)));
        let forgets = Fault::Conceal("x-amz-meta-osb-upload");
        scene.proxy.plan(usize::MAX, "HEAD", "/a", forgets);
        scene.proxy.plan(1, method, target, Fault::LoseAnswer);
        let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_looked_at_is_not_said_to_be_another_s() {
    for (method, target) in [SMALL, LARGE] {
        let (scene, bytes) = (Arc::new(Scene::new().await), bytes_of((method, target)));
        let allowed = Arc::new(Semaphore::new(0));
        scene.proxy.plan(1, method, target, Fault::LoseAnswer);
        scene.proxy.plan(1, method, target, Fault::Await(Arc::clone(&allowed)));
        let mine = tokio::spawn({
            let (scene, bytes) = (Arc::clone(&scene), bytes.clone());
            async move { upload(&patient(IMPATIENT), &scene.store(), "a", &bytes).await }
        });
        until("the second try", || scene.proxy.requests(method, target) == 2).await;
        scene.proxy.plan(usize::MAX, "HEAD", "/a", Fault::Refuse(503, ""));
        allowed.add_permits(1);
        let error = mine.await.unwrap().unwrap_err();
        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{method}: {error:?}");
        assert_same(&scene.stored("a"), &bytes, method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_uploads_of_one_name_at_once_one_wins() {
    for (method, target) in [SMALL, LARGE] {
        let scene = Arc::new(Scene::new().await);
        let (blobs, allowed) = (Arc::new(patient(PATIENT)), Arc::new(Semaphore::new(0)));
        scene.proxy.plan(2, method, target, Fault::Await(Arc::clone(&allowed)));
        let mut bytes = [bytes_of((method, target)), bytes_of((method, target))];
        bytes[1].reverse();
        let uploads = bytes.clone().map(|bytes| {
            let (scene, blobs) = (Arc::clone(&scene), Arc::clone(&blobs));
            tokio::spawn(async move { upload(&blobs, &scene.store(), "a", &bytes).await })
        });
        until("both to come to their ends", || {
            scene.proxy.requests(method, target) == 2
        })
        .await;
        // The server of the tests looks and then writes, so they come one after the other.
        allowed.add_permits(1);
        until("one to win", || scene.server.object(BUCKET, "a").exists()).await;
        allowed.add_permits(1);
        let [one, two] = uploads;
        let results = [one.await.unwrap(), two.await.unwrap()];
        let winner = usize::from(results[0].is_err());
        assert_eq!(results[winner], Ok(bytes[winner].len() as u64), "{method}");
        let loser = &results[1 - winner];
        assert!(
            matches!(loser, Err(BlobStoreError::AlreadyExists(_))),
            "{method}: {loser:?}"
        );
        assert_same(&scene.stored("a"), &bytes[winner], method);
        assert_eq!(scene.server.leftovers(), [""; 0], "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_without_a_name_of_its_own_is_sent_again() {
    let bytes = large();
    let nameless = || Fault::Add("etag", "\"\"");
    let scene = Scene::new().await;
    scene.proxy.plan(1, "PUT", "partNumber=2", nameless());
    let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
    assert_eq!(stored, Ok(bytes.len() as u64));
    assert_eq!(scene.proxy.requests("PUT", "partNumber=2"), 2);

    scene.proxy.plan(usize::MAX, "PUT", "partNumber=2", nameless());
    let error = upload(&patient(IMPATIENT), &scene.store(), "b", &bytes)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("an empty ETag"), "{error}");
    assert!(!scene.server.object(BUCKET, "b").exists());
    assert_eq!(scene.server.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_store_that_says_how_long_it_is_busy_is_left_alone_so_long() {
    let (scene, start) = (Scene::new().await, Instant::now());
    scene.proxy.plan(1, "PUT", "/a", Fault::Busy("1"));
    let stored = upload(&patient(PATIENT), &scene.store(), "a", b"artifact").await;
    assert_eq!(stored, Ok(8));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());

    // But not for longer than there is patience.
    let start = Instant::now();
    scene.proxy.plan(usize::MAX, "PUT", "/b", Fault::Busy("3600"));
    let error = upload(&patient(IMPATIENT), &scene.store(), "b", b"artifact")
        .await
        .unwrap_err();
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
    assert!(start.elapsed() < PATIENT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_wrong_clock_and_expired_credentials_are_told_and_not_tried_for_ever() {
    for (status, code, hint, most_tries) in [
        (403, "RequestTimeTooSkewed", "check this machine's clock", 1),
        // With this status stores refuse conditions too, so it is tried once without.
        (400, "ExpiredToken", "it has expired", 2),
    ] {
        let (scene, start) = (Scene::new().await, Instant::now());
        scene.proxy.plan(usize::MAX, "PUT", "/a", Fault::Refuse(status, code));
        let error = upload(&patient(PATIENT), &scene.store(), "a", b"x").await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
        assert!(error.to_string().contains(hint), "{error}");
        assert!(scene.proxy.requests("PUT", "/a") <= most_tries, "{code}");
        assert!(start.elapsed() < PATIENT, "{code}");
    }
}
