//! Uploads to a bucket in bad days.

use std::{sync::Arc, time::Duration};

use domain::ports::BlobStoreError;

use super::{
    BUCKET, Desk, assert_same, patient,
    scene::{IMPATIENT, PATIENT, Scene, large},
    send, until, upload,
};
use crate::faulty::Fault;

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
async fn a_lost_answer_of_a_store_that_refuses_conditions_is_no_other_s_object() {
    for (bytes, method, target) in [(b"artifact".to_vec(), "PUT", "/a"), (large(), "POST", "uploadId")] {
        let scene = Scene::new().await;
        scene
            .proxy
            .plan(1, method, target, Fault::Refuse(501, "NotImplemented"));
        scene.proxy.plan(1, method, target, Fault::LoseAnswer);
        let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{method}");
        assert_same(&scene.stored("a"), &bytes, method);
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
        async move { send(&patient(PATIENT), &scene.store(), "a", &source, size).await }
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
    // So that there is time to take the name, however soon it is tried again.
    let slow = Fault::Delay(Duration::from_millis(500));
    scene.proxy.plan(1, "PUT", "partNumber=2", slow);
    let bytes = large();
    let upload = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
    });
    until("parts to be sent", || scene.proxy.requests("PUT", "partNumber=2") == 1).await;
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
