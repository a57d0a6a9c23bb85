//! Downloads from a bucket in bad days.

use std::time::Duration;

use domain::ports::BlobStoreError;

use super::{
    MIB, assert_same, download, noise, patient,
    scene::{IMPATIENT, PATIENT, Scene},
};
use crate::faulty::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_was() {
    let scene = Scene::new().await;
    // Short enough to come in one stream.
    let bytes = noise(4 * MIB);
    let (some, most) = (3 * MIB as u64 / 2, 3 * MIB as u64);
    scene.put_object("a", &bytes);
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(some));
    scene.proxy.plan(1, "GET", "/a", Fault::Refuse(503, "SlowDown"));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBefore);
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(some));
    // What was cut off is a little more than was let through. Begun anew, this one would not reach the end.
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(most));
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
async fn an_answer_that_lies_about_its_length_is_asked_for_again() {
    for length in ["7", "9"] {
        let scene = Scene::new().await;
        scene.put_object("a", b"artifact");
        scene.proxy.plan(1, "GET", "/a", Fault::Length(length));
        let back = download(&patient(PATIENT), &scene.store(), "a").await;
        assert_eq!(back.unwrap(), b"artifact", "{length}");
        assert_eq!(scene.proxy.requests("GET", "/a"), 2, "{length}");
    }
}
