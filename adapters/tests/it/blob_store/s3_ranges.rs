//! Large objects, which are fetched in ranges, from stores that send something else.

use std::{fs, sync::Arc};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    artifact::Expected,
    ports::{BlobStore, BlobStoreError, Halt, Tally},
};
use tokio::sync::Semaphore;

use super::{
    BUCKET, Desk, MIB, assert_same, download, key, local, noise, patient,
    scene::{PATIENT, Scene},
    sha256, until,
};
use crate::faulty::Fault;

/// In two ranges.
const LENGTH: usize = 20 * MIB;

async fn scene_with(bytes: &[u8]) -> Scene {
    let scene = Scene::new().await;
    scene.put_object("a", bytes);
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_seen_by_the_digest_that_is_expected() {
    let bytes = noise(LENGTH);
    let scene = scene_with(&bytes).await;
    scene.proxy.plan(1, "GET", "/a", Fault::Flip(MIB));
    let (desk, halt) = (Desk::new(), Halt::default());
    let target = desk.file("target", b"");
    let expected = Expected {
        size_bytes: Some(LENGTH as u64),
        sha256: Some(sha256(&bytes)),
    };
    let result = patient(PATIENT)
        .download(
            &scene.store(),
            &key("a"),
            &local(&target),
            expected,
            &halt,
            &Tally::default(),
        )
        .await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("not the backup that was asked for"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_expected_digest_a_flipped_bit_is_seen_by_none_but_the_digest_that_is_told() {
    let bytes = noise(LENGTH);
    let scene = scene_with(&bytes).await;
    scene.proxy.plan(1, "GET", "/a", Fault::Flip(MIB));
    // That the digest is the file's is checked in there.
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_ne!(sha256(&back), sha256(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_between_two_ranges_is_not_taken_for_one() {
    let bytes = noise(2 * LENGTH);
    let scene = Arc::new(scene_with(&bytes[..LENGTH]).await);
    let allowed = Arc::new(Semaphore::new(0));
    let wait = || Fault::Await(Arc::clone(&allowed));
    scene.proxy.plan(1, "GET", "/a", Fault::Add("x-first", "1"));
    scene.proxy.plan(usize::MAX, "GET", "/a", wait());
    let download = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { download(&patient(PATIENT), &scene.store(), "a").await }
    });
    until("both ranges to be asked for", || scene.proxy.requests("GET", "/a") == 2).await;
    // Another object of the same length; the old one's bytes stay with whoever reads them.
    scene.put_object("b", &bytes[LENGTH..]);
    fs::rename(scene.server.object(BUCKET, "b"), scene.server.object(BUCKET, "a")).unwrap();
    allowed.add_permits(1_000);
    let error = download.await.unwrap().unwrap_err();
    assert!(matches!(error, BlobStoreError::Other(_)), "{error:?}");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_sends_all_of_a_large_object_for_each_range_is_read_in_one_stream() {
    let bytes = noise(LENGTH);
    let scene = scene_with(&bytes).await;
    let whole = Fault::Whole(bytes.clone().into());
    scene.proxy.plan(usize::MAX, "GET", "/a", whole);
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "in one stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_sends_another_range_is_read_in_one_stream() {
    let bytes = noise(LENGTH);
    let scene = scene_with(&bytes).await;
    let other = Fault::Add("content-range", "bytes 1-16777216/20971520");
    scene.proxy.plan(usize::MAX, "GET", "/a", other);
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "in one stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_unless_memory_was_waited_for() {
    let bytes = noise(LENGTH);
    for (memory, kept) in [(32 * MIB, [true, true]), (2 * MIB, [true, false])] {
        let scene = scene_with(&bytes).await;
        let store = ObjectBlobStore::new(TransferSettings {
            memory_bytes: memory as u64,
            ..TransferSettings::default()
        });
        let back = download(&store, &scene.store(), "a").await.unwrap();
        assert_same(&back, &bytes, "with much memory or little");
        let told = scene.proxy.headers("GET", "/a", "connection");
        let expected = kept.map(|is_kept| (!is_kept).then(|| "close".to_owned()));
        assert_eq!(told, expected, "{memory} bytes");
    }
}
