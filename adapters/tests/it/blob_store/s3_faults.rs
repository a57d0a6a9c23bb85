//! What a bucket does in bad days.

use std::{fs, sync::Arc, time::Duration};

use adapters::blob_store::PART_BYTES;
use domain::{
    artifact::ObjectKey,
    ports::{BlobStore, BlobStoreError},
    request::{S3Store, Store},
    secret::Secret,
};

use super::{BUCKET, Desk, MIB, assert_same, bucket_at, download, key, noise, patient, until, upload};
use crate::{
    faulty::{Fault, FaultyProxy},
    s3_server::{S3Server, SECRET_KEY},
};

/// Long enough that faults that pass do.
const PATIENT: Duration = Duration::from_secs(20);
/// Short enough to wait for the end.
const IMPATIENT: Duration = Duration::from_millis(300);

/// A server behind a proxy.
struct Scene {
    server: S3Server,
    proxy: FaultyProxy,
}

impl Scene {
    async fn new() -> Self {
        let server = S3Server::start().await;
        server.create_bucket(BUCKET);
        let proxy = FaultyProxy::start(server.address()).await;
        Self { server, proxy }
    }

    fn bucket(&self) -> S3Store {
        bucket_at(self.proxy.endpoint())
    }

    fn store(&self) -> Store {
        Store::S3(self.bucket())
    }

    fn put_object(&self, name: &str, bytes: &[u8]) {
        fs::write(self.server.object(BUCKET, name), bytes).unwrap();
    }

    fn stored(&self, name: &str) -> Vec<u8> {
        fs::read(self.server.object(BUCKET, name)).unwrap()
    }
}

/// A part and a little.
fn large() -> Vec<u8> {
    noise(usize::try_from(PART_BYTES).unwrap() + 99)
}

#[tokio::test]
async fn the_prefix_is_part_of_the_key() {
    let scene = Scene::new().await;
    let desk = Desk::new();
    let source = desk.file("source", b"artifact");
    let key = ObjectKey::new("my prefix/é-", "a.tar.gz");
    patient(PATIENT).upload(&scene.store(), &key, &source, 8).await.unwrap();
    assert_eq!(scene.stored("my prefix/é-a.tar.gz"), b"artifact");
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_tried_again() {
    let scene = Scene::new().await;
    let mut bucket = scene.bucket();
    bucket.auth_secret = Secret::new("wrong-secret");
    let store = Store::S3(bucket);
    let blobs = patient(PATIENT);
    for error in [
        blobs.exists(&store, &key("a")).await.unwrap_err(),
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
    assert!(!blobs.exists(&store, &key("a")).await.unwrap());
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
    let error = blobs.exists(&scene.store(), &key("a")).await.unwrap_err();
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

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_do_not_fail_an_upload() {
    let bytes = large();
    for (method, target, fault) in [
        ("HEAD", "", Fault::Refuse(503, "SlowDown")),
        ("POST", "uploads", Fault::Refuse(500, "InternalError")),
        ("POST", "uploads", Fault::CutBefore),
        ("PUT", "partNumber=2", Fault::Refuse(503, "SlowDown")),
        ("PUT", "partNumber=1", Fault::Refuse(400, "RequestTimeout")),
        ("PUT", "partNumber=2", Fault::CutBefore),
        ("PUT", "partNumber=2", Fault::LoseAnswer),
        ("POST", "uploadId", Fault::Refuse(503, "SlowDown")),
        ("POST", "uploadId", Fault::Refuse(200, "InternalError")),
        ("POST", "uploadId", Fault::CutBefore),
        ("POST", "uploadId", Fault::LoseAnswer),
    ] {
        let scene = Scene::new().await;
        let what = format!("{method} {target} {fault:?}");
        let times = if matches!(fault, Fault::LoseAnswer) { 1 } else { 2 };
        scene.proxy.plan(times, method, target, fault);
        let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{what}");
        assert_same(&scene.stored("a"), &bytes, &what);
        assert_eq!(scene.proxy.requests("DELETE", ""), 0, "{what}");
    }
}

#[tokio::test]
async fn a_small_upload_whose_answer_was_lost_is_done_again() {
    let scene = Scene::new().await;
    scene.proxy.plan(1, "PUT", "/a", Fault::LoseAnswer);
    let stored = upload(&patient(PATIENT), &scene.store(), "a", b"artifact").await;
    assert_eq!(stored, Ok(8));
    assert_eq!(scene.proxy.requests("PUT", "/a"), 2);
}

#[tokio::test]
async fn a_store_that_refuses_conditions_gets_a_small_object_without() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument")] {
        let scene = Scene::new().await;
        scene.proxy.plan(1, "PUT", "/a", Fault::Refuse(status, code));
        let stored = upload(&patient(PATIENT), &scene.store(), "a", b"artifact").await;
        assert_eq!(stored, Ok(8), "{code}");
        assert_eq!(scene.proxy.requests("PUT", "/a"), 2, "{code}");
    }
}

#[tokio::test]
async fn what_a_store_says_is_taken_is_not_replaced() {
    for (bytes, method, target) in [(b"artifact".to_vec(), "PUT", "/a"), (large(), "POST", "uploadId")] {
        let scene = Scene::new().await;
        scene
            .proxy
            .plan(1, method, target, Fault::Refuse(412, "PreconditionFailed"));
        let error = upload(&patient(PATIENT), &scene.store(), "a", &bytes)
            .await
            .unwrap_err();
        assert!(matches!(error, BlobStoreError::AlreadyExists(_)), "{method}: {error:?}");
        assert_eq!(scene.server.leftovers(), [""; 0], "{method}");
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_not_shown_as_an_object() {
    let bytes = large();
    let scene = Arc::new(Scene::new().await);
    let desk = Desk::new();
    let source = desk.file("source", &bytes);
    let slow = Fault::Delay(Duration::from_millis(500));
    scene.proxy.plan(1, "PUT", "partNumber=2", slow);
    let upload = tokio::spawn({
        let (scene, source, size) = (Arc::clone(&scene), source.clone(), bytes.len() as u64);
        async move { patient(PATIENT).upload(&scene.store(), &key("a"), &source, size).await }
    });
    until("parts to be sent", || scene.proxy.requests("PUT", "partNumber=2") == 1).await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&source).unwrap();
    std::io::Write::write_all(&mut file, b"and more").unwrap();
    let error = upload.await.unwrap().unwrap_err();
    assert!(matches!(error, BlobStoreError::Local(_)), "{error:?}");
    assert!(!scene.server.object(BUCKET, "a").exists());
    assert_eq!(scene.server.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_conflict_that_passes_does_not_fail_a_small_upload() {
    let scene = Scene::new().await;
    scene
        .proxy
        .plan(1, "PUT", "/a", Fault::Refuse(409, "ConditionalRequestConflict"));
    let stored = upload(&patient(PATIENT), &scene.store(), "a", b"artifact").await;
    assert_eq!(stored, Ok(8));
}

#[tokio::test]
async fn a_passing_400_does_not_drop_the_condition() {
    let scene = Scene::new().await;
    scene.proxy.plan(1, "PUT", "/a", Fault::Refuse(400, "RequestTimeout"));
    scene
        .proxy
        .plan(1, "PUT", "/a", Fault::Refuse(412, "PreconditionFailed"));
    let error = upload(&patient(PATIENT), &scene.store(), "a", b"artifact")
        .await
        .unwrap_err();
    assert!(!scene.server.object(BUCKET, "a").exists(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_upload_leaves_no_parts() {
    let bytes = large();
    for (method, target, fault) in [
        ("PUT", "partNumber=2", Fault::Refuse(403, "AccessDenied")),
        ("PUT", "partNumber=2", Fault::Refuse(503, "SlowDown")),
        ("POST", "uploadId", Fault::Refuse(400, "InvalidPart")),
        ("POST", "uploadId", Fault::CutBefore),
    ] {
        let scene = Scene::new().await;
        let what = format!("{method} {target} {fault:?}");
        scene.proxy.plan(usize::MAX, method, target, fault);
        let error = upload(&patient(IMPATIENT), &scene.store(), "a", &bytes)
            .await
            .unwrap_err();
        until(&what, || scene.server.leftovers().is_empty()).await;
        assert!(!scene.server.object(BUCKET, "a").exists(), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_name_taken_during_the_upload_is_not_replaced() {
    let scene = Arc::new(Scene::new().await);
    scene.proxy.plan(1, "POST", "uploads", Fault::Refuse(503, "SlowDown"));
    let bytes = large();
    let upload = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
    });
    until("the upload to begin", || scene.proxy.requests("POST", "uploads") == 1).await;
    scene.put_object("a", b"somebody else's");
    let error = upload.await.unwrap().unwrap_err();
    assert!(matches!(error, BlobStoreError::AlreadyExists(_)), "{error:?}");
    assert_eq!(scene.stored("a"), b"somebody else's");
    assert_eq!(scene.server.leftovers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_upload_leaves_no_parts() {
    let scene = Arc::new(Scene::new().await);
    scene.proxy.plan(1, "PUT", "partNumber=2", Fault::Stall);
    let bytes = large();
    let upload = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
    });
    until("the other part to arrive", || {
        let is_part = |name: &String| name.ends_with("part-1");
        scene.server.leftovers().iter().any(is_part) && scene.proxy.requests("PUT", "partNumber=2") == 1
    })
    .await;
    upload.abort();
    until("the parts to vanish", || scene.server.leftovers().is_empty()).await;
    assert!(!scene.server.object(BUCKET, "a").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cancelled_while_it_is_created_leaves_nothing() {
    let scene = Arc::new(Scene::new().await);
    let bytes = large();
    // The server has created it by the time that its answer is held up.
    scene
        .proxy
        .plan(1, "POST", "uploads", Fault::Delay(Duration::from_millis(200)));
    let upload = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
    });
    until("the upload to be created", || !scene.server.leftovers().is_empty()).await;
    upload.abort();
    until("the upload to be aborted", || {
        scene.proxy.requests("DELETE", "uploadId") > 0
    })
    .await;
    until("the upload to vanish", || scene.server.leftovers().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_was() {
    let scene = Scene::new().await;
    let bytes = noise(5 * MIB);
    scene.put_object("a", &bytes);
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(2 * MIB as u64));
    scene.proxy.plan(1, "GET", "/a", Fault::Refuse(503, "SlowDown"));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBefore);
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(2 * MIB as u64));
    // What was cut off is a little more than was let through. Begun anew, this one would not reach the end.
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(4 * MIB as u64));
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "resumed");
    assert_eq!(scene.proxy.requests("GET", "/a"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_without_a_tag_begins_anew() {
    let scene = Scene::new().await;
    let bytes = noise(3 * MIB);
    scene.put_object("a", &bytes);
    scene.proxy.plan(1, "HEAD", "/a", Fault::Conceal("etag"));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(2 * MIB as u64));
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "begun anew");
}

#[tokio::test]
async fn a_download_that_always_breaks_at_the_same_place_ends() {
    let scene = Scene::new().await;
    scene.put_object("a", &noise(3 * MIB));
    scene.proxy.plan(1, "HEAD", "/a", Fault::Conceal("etag"));
    scene.proxy.plan(usize::MAX, "GET", "/a", Fault::CutBody(MIB as u64));
    let error = download(&patient(IMPATIENT), &scene.store(), "a").await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_download_that_stalls_goes_on() {
    let scene = Scene::new().await;
    scene.put_object("a", b"artifact");
    scene.proxy.plan(1, "GET", "/a", Fault::Stall);
    let blobs = patient(PATIENT).with_answer_timeout(Duration::from_millis(300));
    assert_eq!(download(&blobs, &scene.store(), "a").await.unwrap(), b"artifact");
}

#[tokio::test]
async fn an_object_that_changes_during_the_download_is_told() {
    let scene = Scene::new().await;
    scene.put_object("a", &noise(MIB));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(1000));
    scene
        .proxy
        .plan(1, "GET", "/a", Fault::Refuse(412, "PreconditionFailed"));
    let error = download(&patient(PATIENT), &scene.store(), "a").await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Other(_)), "{error:?}");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_download_leaves_no_file() {
    let scene = Arc::new(Scene::new().await);
    scene.put_object("a", &noise(MIB));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(1000));
    scene.proxy.plan(1, "GET", "/a", Fault::Stall);
    let desk = Desk::new();
    let target = desk.path("target");
    let download = tokio::spawn({
        let (scene, target) = (Arc::clone(&scene), target.clone());
        async move { patient(PATIENT).download(&scene.store(), &key("a"), &target).await }
    });
    until("the download to stall", || scene.proxy.requests("GET", "/a") == 2).await;
    assert!(target.exists());
    download.abort();
    until("the file to vanish", || !target.exists()).await;
}
