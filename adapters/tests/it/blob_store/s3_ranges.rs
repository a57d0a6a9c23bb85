//! Large objects, which are fetched in ranges, from stores that send something else.

use std::{fs, sync::Arc, time::Duration};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    artifact::Expected,
    ports::{BlobStore, BlobStoreError, Halt, Tally},
};
use futures_util::future::join_all;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    BUCKET, Desk, MIB, assert_same, download, key, local, noise, patient,
    scene::{PATIENT, Scene},
    sha256, until, upload,
};
use crate::faulty::Fault;

/// In two ranges.
const LENGTH: usize = 5 * MIB;
/// Should anything wait for ever.
const LONGEST: Duration = Duration::from_secs(60);

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
    let other = Fault::Add("content-range", "bytes 1-4194304/5242880");
    scene.proxy.plan(usize::MAX, "GET", "/a", other);
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "in one stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_come_out_of_order_are_put_in_order() {
    let bytes = noise(11 * MIB);
    let scene = scene_with(&bytes).await;
    let allowed = Arc::new(Semaphore::new(0));
    scene.proxy.plan(1, "GET", "/a", Fault::Await(Arc::clone(&allowed)));
    let (desk, tally) = (Desk::new(), Tally::default());
    let target = desk.file("target", b"");
    let download = tokio::spawn({
        let (store, target, tally) = (scene.store(), local(&target), tally.clone());
        async move {
            let (expected, halt) = (Expected::default(), Halt::default());
            patient(PATIENT)
                .download(&store, &key("a"), &target, expected, &halt, &tally)
                .await
        }
    });
    // All but the one that is held back, which is of 4 MiB or the rest.
    until("the others to come", || tally.done() >= Some(7 * MIB as u64)).await;
    allowed.add_permits(1);
    let moved = download.await.unwrap().unwrap();
    assert_same(&fs::read(&target).unwrap(), &bytes, "in order");
    assert_eq!(moved.sha256, sha256(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_downloads_that_share_little_memory_all_end() {
    let bytes = noise(13 * MIB);
    let scene = scene_with(&bytes).await;
    // Of each range, one fits, or two, or five.
    for memory in [5, 10, 25] {
        let store = ObjectBlobStore::new(TransferSettings {
            memory_bytes: memory * MIB as u64,
            ..TransferSettings::default()
        });
        let place = scene.store();
        let before = scene.proxy.requests("GET", "/a");
        let downloads = (0..6).map(|_| download(&store, &place, "a"));
        let all = timeout(LONGEST, join_all(downloads)).await;
        for back in all.expect("none waits for ever") {
            assert_same(&back.unwrap(), &bytes, &format!("with {memory} MiB"));
        }
        // One that is kept for a range that has to wait for memory holds what it has read meanwhile.
        let told = scene.proxy.headers("GET", "/a", "connection");
        let told = &told[before..];
        assert!(told.contains(&Some("close".to_owned())), "with {memory} MiB: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_breaks_off_goes_on_where_it_was() {
    let bytes = noise(LENGTH);
    let scene = scene_with(&bytes).await;
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(MIB as u64 / 2));
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "resumed");
    let asked = scene.proxy.headers("GET", "/a", "range");
    assert_eq!(asked.len(), 3, "{asked:?}");
    let again = asked[2].as_deref().unwrap_or_default();
    assert!(
        !again.starts_with("bytes=0-") && !again.starts_with("bytes=4194304-"),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_download_keeps_its_connections() {
    let bytes = noise(40 * MIB);
    let scene = scene_with(&bytes).await;
    let back = download(&patient(PATIENT), &scene.store(), "a").await.unwrap();
    assert_same(&back, &bytes, "in ten ranges");
    assert_eq!(scene.proxy.headers("GET", "/a", "connection"), vec![None; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_from_a_silent_store_leaves_memory_to_others() {
    for memory in [16, 32] {
        let scene = scene_with(&noise(40 * MIB)).await;
        scene.proxy.plan(usize::MAX, "GET", "/a", Fault::Stall);
        let store = ObjectBlobStore::new(TransferSettings {
            memory_bytes: memory * MIB as u64,
            ..TransferSettings::default()
        });
        let place = scene.store();
        let mut silent = Box::pin(download(&store, &place, "a"));
        let others = async {
            until("the store to be asked", || scene.proxy.requests("GET", "/a") > 0).await;
            upload(&store, &place, "b", &noise(20 * MIB)).await
        };
        let others = timeout(LONGEST, others);
        tokio::select! {
            back = &mut silent => panic!("nothing was sent: {back:?}"),
            sent = others => sent.expect("it has some memory").unwrap(),
        };
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_memory_of_those_that_stall_stalls_too() {
    let scene = scene_with(&noise(40 * MIB)).await;
    scene.proxy.plan(usize::MAX, "GET", "/a", Fault::Stall);
    for (memory, count) in [(16, 1), (16, 2), (32, 2), (32, 3)] {
        let store = ObjectBlobStore::new(TransferSettings {
            retry_timeout: Duration::from_secs(600),
            stall_timeout: Duration::from_millis(400),
            memory_bytes: memory * MIB as u64,
            ..TransferSettings::default()
        });
        let place = scene.store();
        let downloads = (0..count).map(|_| download(&store, &place, "a"));
        for back in timeout(LONGEST, join_all(downloads)).await.expect("all end") {
            let text = back.unwrap_err().to_string();
            assert!(text.contains("transfer_stall_timeout"), "{text}");
        }
    }
}
