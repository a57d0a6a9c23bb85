//! Transfers that are told to stop, or in which nothing moves; and what is written down before.

use std::{sync::Arc, time::Duration};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    artifact::Expected,
    ports::{BlobStore, BlobStoreError, Halt, Tally},
};
use tokio::time::Instant;

use super::{
    BUCKET, Desk, MIB, Place, hidden_files,
    journal::Journal,
    key, local, noise, patient,
    scene::{PATIENT, Scene, large},
    until, upload,
};
use crate::faulty::Fault;

/// An upload of a large file in a task, halted when it meets the fault.
async fn halted_at(
    scene: &Arc<Scene>,
    method: &'static str,
    target: &str,
    fault: Fault,
) -> Result<u64, BlobStoreError> {
    scene.proxy.plan(1, method, target, fault);
    let (desk, halt, bytes) = (Desk::new(), Halt::default(), large());
    let source = desk.file("source", &bytes);
    let upload = tokio::spawn({
        let (scene, halt) = (Arc::clone(scene), halt.clone());
        async move {
            let (blobs, store, name) = (patient(PATIENT), scene.store(), key("a"));
            blobs
                .upload(
                    &store,
                    &name,
                    &local(&source),
                    bytes.len() as u64,
                    Journal::new(),
                    &halt,
                )
                .await
        }
    });
    until("the upload to come that far", || {
        scene.proxy.requests(method, target) > 0
    })
    .await;
    if method == "POST" {
        // The server may do as it was asked first.
        let is_done = || match target {
            "uploads" => !scene.server.leftovers().is_empty(),
            _ => scene.server.object(BUCKET, "a").exists(),
        };
        until("the server to do it", is_done).await;
    }
    halt.fire();
    upload.await.unwrap().map(|moved| moved.size_bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_upload_has_left_nothing_when_it_returns() {
    for (method, target, fault) in [
        ("HEAD", "/a", None),
        ("POST", "uploads", Some(Fault::Delay(Duration::from_millis(300)))),
        ("PUT", "partNumber=2", Some(Fault::Stall)),
    ] {
        let scene = Arc::new(Scene::new().await);
        let what = format!("{method} {target}");
        let error = halted_at(&scene, method, target, fault.unwrap_or(Fault::Stall)).await;
        if method == "HEAD" {
            // It is looked up only when all parts are there.
            assert_eq!(scene.proxy.requests("PUT", "partNumber"), 2);
        }
        let error = error.unwrap_err();
        assert!(matches!(error, BlobStoreError::Other(_)), "{what}: {error:?}");
        assert!(error.to_string().contains("told to stop"), "{what}: {error}");
        assert_eq!(scene.server.leftovers(), [""; 0], "{what}");
        assert!(!scene.server.object(BUCKET, "a").exists(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_became_visible_after_all_is_a_success() {
    for delay in [Duration::from_millis(300), Duration::from_secs(3600)] {
        let scene = Arc::new(Scene::new().await);
        let stored = halted_at(&scene, "POST", "uploadId", Fault::Delay(delay)).await;
        assert_eq!(stored, Ok(large().len() as u64), "{delay:?}");
        assert!(scene.server.object(BUCKET, "a").exists());
        assert_eq!(scene.server.leftovers(), [""; 0], "{delay:?}");
    }
}

#[tokio::test]
async fn what_was_halted_before_is_not_begun() {
    let halt = Halt::default();
    halt.fire();
    for place in Place::all().await {
        let desk = Desk::new();
        let (source, target) = (desk.file("source", b"artifact"), desk.file("target", b""));
        let (name, journal) = (key("a"), Journal::new());
        let sent = place
            .blobs
            .upload(&place.store, &name, &local(&source), 8, journal.clone(), &halt)
            .await;
        assert!(sent.unwrap_err().to_string().contains("told to stop"), "{}", place.name);
        let received = place
            .blobs
            .download(
                &place.store,
                &name,
                &local(&target),
                Expected::default(),
                &halt,
                &Tally::default(),
            )
            .await;
        assert!(
            received.unwrap_err().to_string().contains("told to stop"),
            "{}",
            place.name
        );
        assert!(
            place.stored("a").await.is_none() && journal.names().is_empty(),
            "{}",
            place.name
        );
    }
}

#[tokio::test]
async fn a_halted_download_returns_and_leaves_the_file_to_its_owner() {
    let scene = Arc::new(Scene::new().await);
    scene.put_object("a", &noise(MIB));
    scene.proxy.plan(1, "GET", "/a", Fault::CutBody(1000));
    scene.proxy.plan(1, "GET", "/a", Fault::Stall);
    let (desk, halt) = (Desk::new(), Halt::default());
    let target = desk.file("target", b"");
    let download = tokio::spawn({
        let (scene, target, halt) = (Arc::clone(&scene), target.clone(), halt.clone());
        async move {
            patient(PATIENT)
                .download(
                    &scene.store(),
                    &key("a"),
                    &local(&target),
                    Expected::default(),
                    &halt,
                    &Tally::default(),
                )
                .await
        }
    });
    until("the download to stall", || scene.proxy.requests("GET", "/a") == 2).await;
    halt.fire();
    let error = download.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("told to stop"), "{error}");
    assert!(target.exists());
}

#[tokio::test]
async fn a_halted_copy_has_left_nothing_when_it_returns() {
    let place = Place::directory();
    let (desk, halt) = (Desk::new(), Halt::default());
    let source = desk.file("source", &[7; 8 * MIB]);
    // It is told as soon as the name is known: the file is made, but nothing more is done.
    let journal = Journal::that({
        let halt = halt.clone();
        move |_| {
            halt.fire();
            Ok(())
        }
    });
    let (name, size) = (key("a"), 8 * MIB as u64);
    let sent = place
        .blobs
        .upload(&place.store, &name, &local(&source), size, journal, &halt)
        .await;
    assert!(sent.unwrap_err().to_string().contains("told to stop"));
    assert_eq!(hidden_files(&place.objects), [""; 0]);

    let (halt, objects) = (Halt::default(), place.objects.clone());
    let when_it_is_there = async {
        until("the hidden file", || !hidden_files(&objects).is_empty()).await;
        halt.fire();
    };
    let (source, journal) = (local(&source), Journal::new());
    let upload = place.blobs.upload(&place.store, &name, &source, size, journal, &halt);
    let (sent, ()) = tokio::join!(upload, when_it_is_there);
    assert_eq!(sent.is_ok(), place.object("a").exists());
    assert_eq!(hidden_files(&place.objects), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_written_down_before_anything_is_sent() {
    let scene = Arc::new(Scene::new().await);
    let (desk, bytes, halt) = (Desk::new(), large(), Halt::default());
    let source = desk.file("source", &bytes);
    for refuses in [true, false] {
        let journal = Journal::that({
            let scene = Arc::clone(&scene);
            move |_| {
                assert_eq!(scene.server.leftovers().len(), 1, "it is open");
                assert_eq!(scene.proxy.requests("PUT", ""), 0, "no part was sent");
                if refuses {
                    Err("the disk is full".to_owned())
                } else {
                    Ok(())
                }
            }
        });
        let (blobs, store, name) = (patient(PATIENT), scene.store(), key("a"));
        let sent = blobs
            .upload(
                &store,
                &name,
                &local(&source),
                bytes.len() as u64,
                journal.clone(),
                &halt,
            )
            .await;
        assert_eq!(journal.names().len(), 1);
        assert_eq!(scene.server.leftovers(), [""; 0]);
        match sent {
            Ok(_) => assert!(!refuses),
            Err(error) => {
                assert!(refuses && matches!(error, BlobStoreError::Local(_)), "{error:?}");
                assert!(error.to_string().contains("the disk is full"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_hidden_file_is_written_down_before_it_is_there() {
    let place = Place::directory();
    let desk = Desk::new();
    let source = desk.file("source", b"artifact");
    for refuses in [true, false] {
        let journal = Journal::that({
            let objects = place.objects.clone();
            move |name| {
                assert!(name.starts_with(".unfinished-"), "{name}");
                assert_eq!(hidden_files(&objects), [""; 0]);
                if refuses {
                    Err("the disk is full".to_owned())
                } else {
                    Ok(())
                }
            }
        });
        let halt = Halt::default();
        let sent = place
            .blobs
            .upload(&place.store, &key("a"), &local(&source), 8, journal, &halt)
            .await;
        assert_eq!(sent.is_err(), refuses, "{sent:?}");
        assert_eq!(place.object("a").exists(), !refuses);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_nothing_is_given_up_though_it_is_tried_again() {
    let blobs = ObjectBlobStore::new(TransferSettings {
        retry_timeout: Duration::from_secs(60),
        stall_timeout: Duration::from_millis(400),
        ..TransferSettings::default()
    });
    let scene = Scene::new().await;
    scene.put_object("b", b"artifact");
    scene.proxy.plan(usize::MAX, "PUT", "partNumber=2", Fault::Stall);
    scene.proxy.plan(usize::MAX, "GET", "/b", Fault::Stall);
    let start = Instant::now();
    for error in [
        upload(&blobs, &scene.store(), "a", &large()).await.unwrap_err(),
        super::download(&blobs, &scene.store(), "b").await.unwrap_err(),
    ] {
        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("no byte was moved for 400ms (transfer_stall_timeout); check"),
            "{text}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(scene.server.leftovers(), [""; 0]);
}
