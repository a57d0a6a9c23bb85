//! What a bucket does in bad days, whatever is asked of it.

use std::time::Duration;

use domain::{
    artifact::ObjectKey,
    ports::{BlobStore, BlobStoreError, Halt},
    request::{S3Credentials, Store},
};

use super::{
    BUCKET, Desk, bucket_at, download,
    journal::Journal,
    key, local, patient,
    scene::{IMPATIENT, PATIENT, Scene},
    until, upload,
};
use crate::{
    faulty::Fault,
    s3_server::{ACCESS_KEY, SECRET_KEY},
};

#[tokio::test]
async fn the_prefix_is_part_of_the_key() {
    let scene = Scene::new().await;
    let desk = Desk::new();
    let source = desk.file("source", b"artifact");
    let key = ObjectKey::new("my prefix/é-", "a.tar.gz");
    let (blobs, halt) = (patient(PATIENT), Halt::default());
    let stored = blobs
        .upload(&scene.store(), &key, &local(&source), 8, Journal::new(), &halt)
        .await;
    assert_eq!(stored.map(|moved| moved.size_bytes), Ok(8));
    assert_eq!(scene.stored("my prefix/é-a.tar.gz"), b"artifact");
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_tried_again() {
    let scene = Scene::new().await;
    let mut bucket = scene.bucket();
    bucket.credentials = S3Credentials::keys(ACCESS_KEY, "wrong-secret");
    let store = Store::S3(bucket);
    let blobs = patient(PATIENT);
    for error in [
        blobs.find(&store, &key("a")).await.unwrap_err(),
        upload(&blobs, &store, "a", b"x").await.unwrap_err(),
        download(&blobs, &store, "a").await.unwrap_err(),
    ] {
        assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("403 SignatureDoesNotMatch"), "{text}");
        assert!(text.contains("check authSecret"), "{text}");
        assert!(!text.contains("wrong-secret") && !text.contains(SECRET_KEY), "{text}");
    }
    assert_eq!(scene.proxy.requests("HEAD", ""), 3);
}

#[tokio::test]
async fn a_missing_bucket_is_told() {
    let scene = Scene::new().await;
    let mut bucket = scene.bucket();
    bucket.bucket = "no-such".to_owned();
    let store = Store::S3(bucket);
    let blobs = patient(PATIENT);
    assert!(blobs.find(&store, &key("a")).await.unwrap().is_none());
    scene
        .proxy
        .plan(1, "PUT", "/no-such/", Fault::Refuse(404, "NoSuchBucket"));
    let error = upload(&blobs, &store, "a", b"x").await.unwrap_err();
    assert!(matches!(error, BlobStoreError::NotFound(_)), "{error:?}");
    assert!(
        error.to_string().contains("NoSuchBucket (as planned); check bucket"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_that_is_not_there_is_given_up_after_a_while() {
    let scene = Scene::new().await;
    scene.server.stop();
    let store = Store::S3(bucket_at(scene.server.endpoint()));
    until("the port to be closed", || {
        std::net::TcpStream::connect(scene.server.address()).is_err()
    })
    .await;

    let blobs = patient(IMPATIENT);
    let start = std::time::Instant::now();
    let error = upload(&blobs, &store, "a", b"x").await.unwrap_err();
    assert!(start.elapsed() >= IMPATIENT, "{:?}", start.elapsed());
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("Connection refused") && text.contains("given up after "),
        "{text}"
    );
    assert!(text.contains(&scene.server.endpoint()), "{text}");
}

#[tokio::test]
async fn a_store_that_is_silent_is_given_up_too() {
    let scene = Scene::new().await;
    scene.proxy.plan(usize::MAX, "HEAD", "", Fault::Stall);
    let blobs = patient(IMPATIENT).with_answer_timeout(Duration::from_millis(200));
    let error = blobs.find(&scene.store(), &key("a")).await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
    assert!(
        error.to_string().contains("no answer (nothing moved for 0.2 s)"),
        "{error}"
    );
    assert!(scene.proxy.requests("HEAD", "") >= 2);
}

#[tokio::test]
async fn https_to_a_port_of_plain_http_is_told() {
    let scene = Scene::new().await;
    let endpoint = scene.server.endpoint().replace("http:", "https:");
    let error = upload(&patient(PATIENT), &Store::S3(bucket_at(endpoint)), "a", b"x")
        .await
        .unwrap_err();
    let text = error.to_string();
    // A machine without certificates does not get that far, and must say so.
    assert!(
        text.contains("say so with http://") || text.contains("install the CA certificates"),
        "{text}"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let scene = Scene::new().await;
    scene.put_object("elsewhere", b"x");
    let elsewhere = format!("{}/{BUCKET}/elsewhere", scene.server.endpoint());
    let mut bucket = scene.bucket();
    // Its look-up would come first.
    bucket.region = Some("us-east-1".to_owned());
    let (blobs, store) = (patient(PATIENT), Store::S3(bucket));
    for (method, fault) in [
        ("HEAD", Fault::Redirect(elsewhere.clone())),
        ("PUT", Fault::Redirect(elsewhere)),
        ("PUT", Fault::Refuse(301, "PermanentRedirect")),
    ] {
        scene.proxy.plan(1, method, "/a", fault);
        let error = upload(&blobs, &store, "a", b"x").await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Other(_)), "{error:?}");
        assert!(error.to_string().contains("check region and endpoint"), "{error}");
    }
}

#[tokio::test]
async fn a_region_is_looked_up_once_and_a_named_one_not_at_all() {
    let scene = Scene::new().await;
    upload(&patient(PATIENT), &scene.store(), "a", b"x").await.unwrap();
    assert_eq!(scene.proxy.requests("GET", "location"), 1);

    let mut bucket = scene.bucket();
    bucket.region = Some("eu-central-1".to_owned());
    upload(&patient(PATIENT), &Store::S3(bucket), "b", b"x").await.unwrap();
    assert_eq!(scene.proxy.requests("GET", "location"), 1);
}

#[tokio::test]
async fn a_look_up_of_the_region_that_fails_does_no_harm() {
    let scene = Scene::new().await;
    for (index, fault) in [
        Fault::Refuse(403, "AccessDenied"),
        Fault::Answer(200, "<html>what?</html>"),
        Fault::CutBefore,
        Fault::Stall,
    ]
    .into_iter()
    .enumerate()
    {
        scene.proxy.plan(1, "GET", "location", fault.clone());
        let blobs = patient(PATIENT).with_answer_timeout(Duration::from_millis(500));
        let result = upload(&blobs, &scene.store(), &index.to_string(), b"x").await;
        assert_eq!(result, Ok(1), "{fault:?}");
    }
}
