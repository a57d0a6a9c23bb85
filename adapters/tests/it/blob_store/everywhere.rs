//! What holds for every kind of store.

use std::{fs, os::unix::fs::MetadataExt};

use adapters::blob_store::PART_BYTES;
use domain::{
    artifact::{Expected, ObjectKey},
    ports::{BlobStore, BlobStoreError, Finding, Halt, Tally},
    request::Store,
};

use super::{
    Desk, MIB, Place, assert_same, download, journal::Journal, key, local, noise, send, sha256, until, upload,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_keeps_every_bit() {
    let part = usize::try_from(PART_BYTES).unwrap();
    let mut sizes = vec![0, 1, part - 1, part, part + 1, 3 * part + 17];
    sizes.extend(large_size());
    for place in Place::all().await {
        for &size in &sizes {
            let what = format!("{} bytes, {}", size, place.name);
            let (name, bytes) = (format!("of {size}.tar.gz"), noise(size));
            let stored = upload(&place.blobs, &place.store, &name, &bytes).await.unwrap();
            assert_eq!(stored, size as u64, "{what}");
            assert_same(&place.stored(&name).await.unwrap(), &bytes, &what);
            let back = download(&place.blobs, &place.store, &name).await.unwrap();
            assert_same(&back, &bytes, &what);
        }
        assert_eq!(place.leftovers().await, [""; 0], "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_before_the_first_job_finds_nothing_wrong_and_leaves_nothing() {
    for place in Place::all().await {
        let look = async |object| place.blobs.examine(&place.store, object).await;
        let bad = |findings: Vec<Finding>| {
            findings
                .into_iter()
                .filter(|finding| !finding.is_good())
                .collect::<Vec<_>>()
        };
        let findings = look(None).await;
        let made = findings.iter().find(|finding| finding.subject.ends_with(": put"));
        if let Some(made) = made {
            assert!(place.stored(made.detail()).await.is_none(), "{}: {made:?}", place.name);
        } else {
            assert_eq!(fs::read_dir(&place.objects).unwrap().count(), 0, "{}", place.name);
        }
        assert_eq!(place.leftovers().await, [""; 0], "{}", place.name);
        assert!(!findings.is_empty());
        assert_eq!(bad(findings), [], "{}", place.name);

        let missing = bad(look(Some(key("a"))).await);
        assert_eq!(missing.len(), 1, "{}: there is no such object: {missing:?}", place.name);
        upload(&place.blobs, &place.store, "a", b"artifact").await.unwrap();
        assert_eq!(bad(look(Some(key("a"))).await), [], "{}", place.name);
    }
}

/// For a run that may take long, `OSB_TEST_LARGE_MIB` names one more size.
fn large_size() -> Option<usize> {
    let mib = std::env::var("OSB_TEST_LARGE_MIB").ok()?;
    Some(mib.parse::<usize>().expect("OSB_TEST_LARGE_MIB is a number") * MIB)
}

#[tokio::test]
async fn a_file_that_grew_is_not_sent() {
    for place in Place::all().await {
        let desk = Desk::new();
        let source = desk.file("source", b"artifact, and more that came later");
        let error = send(&place.blobs, &place.store, "a", &source, 8).await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Local(_)), "{}: {error:?}", place.name);
        assert!(place.stored("a").await.is_none(), "{}", place.name);
    }
}

#[tokio::test]
async fn a_file_that_is_a_link_is_not_sent() {
    for place in Place::all().await {
        let desk = Desk::new();
        desk.file("target", b"artifact");
        let link = desk.path("source");
        std::os::unix::fs::symlink(desk.path("target"), &link).unwrap();
        let error = send(&place.blobs, &place.store, "a", &link, 8).await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Local(_)), "{}: {error:?}", place.name);
    }
}

#[tokio::test]
async fn an_object_is_found_once_it_is_there() {
    for place in Place::all().await {
        assert!(
            place.blobs.find(&place.store, &key("a")).await.unwrap().is_none(),
            "{}",
            place.name
        );
        upload(&place.blobs, &place.store, "a", b"artifact").await.unwrap();
        assert!(
            place.blobs.find(&place.store, &key("a")).await.unwrap().is_some(),
            "{}",
            place.name
        );
    }
}

#[tokio::test]
async fn an_object_is_never_replaced() {
    for place in Place::all().await {
        place.put("a", b"the first").await;
        for size in [9, usize::try_from(PART_BYTES).unwrap() + 1] {
            let error = upload(&place.blobs, &place.store, "a", &noise(size)).await.unwrap_err();
            assert!(
                matches!(error, BlobStoreError::AlreadyExists(_)),
                "{}: {error:?}",
                place.name
            );
            assert_eq!(place.stored("a").await.unwrap(), b"the first", "{}", place.name);
        }
        assert_eq!(place.leftovers().await, [""; 0], "{}", place.name);
    }
}

#[tokio::test]
async fn a_missing_object_is_named() {
    for place in Place::all().await {
        let error = download(&place.blobs, &place.store, "no such.tar.gz")
            .await
            .unwrap_err();
        assert!(
            matches!(error, BlobStoreError::NotFound(_)),
            "{}: {error:?}",
            place.name
        );
        assert!(
            error.to_string().contains("\"no such.tar.gz\""),
            "{}: {error}",
            place.name
        );
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_became_shorter_is_a_local_fault() {
    let part = usize::try_from(PART_BYTES).unwrap();
    for place in Place::all().await {
        let desk = Desk::new();
        let short = desk.file("short", &noise(part + 5));
        for (source, size, said) in [
            (desk.path("missing"), 8, "No such file"),
            (desk.0.path().to_owned(), 8, "not a regular file"),
            (short.clone(), part + 6, "changed while it was read"),
            (short, 3 * part, "changed while it was read"),
        ] {
            let error = send(&place.blobs, &place.store, "a", &source, size as u64)
                .await
                .unwrap_err();
            assert!(matches!(error, BlobStoreError::Local(_)), "{}: {error:?}", place.name);
            let path = source.to_str().unwrap();
            assert!(
                error.to_string().contains(said) && error.to_string().contains(path),
                "{}: {error}",
                place.name
            );
        }
        assert!(place.stored("a").await.is_none(), "{}", place.name);
        assert_eq!(place.leftovers().await, [""; 0], "{}", place.name);
    }
}

#[tokio::test]
async fn keys_are_kept_character_by_character() {
    for place in Place::all().await {
        for name in [
            "a b+c.tar.gz",
            "é~%20%2F#?&=.tar.gz",
            "{x}[y]*'\"\\:;@!$,()|^`<>",
            "#1a",
            "ends with #",
            "ends with #1",
        ] {
            upload(&place.blobs, &place.store, name, name.as_bytes()).await.unwrap();
            let back = download(&place.blobs, &place.store, name).await.unwrap();
            assert_eq!(back, name.as_bytes(), "{}", place.name);
            assert_eq!(place.stored(name).await.unwrap(), name.as_bytes(), "{}", place.name);
            assert!(
                place.blobs.find(&place.store, &key(name)).await.unwrap().is_some(),
                "{}: {name}",
                place.name
            );
        }
    }
}

#[tokio::test]
async fn a_download_goes_into_the_file_that_was_made_for_it_and_nowhere_else() {
    for place in Place::all().await {
        upload(&place.blobs, &place.store, "a", b"artifact").await.unwrap();
        let (desk, halt, name) = (Desk::new(), Halt::default(), key("a"));

        let target = desk.file("made", b"longer than the artifact");
        let before = fs::metadata(&target).unwrap().ino();
        let length = place
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
        assert_eq!(length.map(|moved| moved.size_bytes), Ok(8), "{}", place.name);
        assert_eq!(fs::read(&target).unwrap(), b"artifact", "{}", place.name);
        assert_eq!(fs::metadata(&target).unwrap().ino(), before, "{}", place.name);

        let other = desk.file("other", b"precious");
        std::os::unix::fs::symlink(&other, desk.path("link")).unwrap();
        nix::unistd::mkfifo(&desk.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for target in ["missing", "link", "fifo"] {
            let target = desk.path(target);
            let result = place
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
            let error = result.unwrap_err();
            assert!(matches!(error, BlobStoreError::Local(_)), "{}: {error:?}", place.name);
        }
        assert!(!desk.path("missing").exists(), "{}", place.name);
        assert_eq!(fs::read(&other).unwrap(), b"precious", "{}", place.name);
    }
}

#[tokio::test]
async fn a_prefix_may_be_deep_and_hold_what_it_wants() {
    for mut place in Place::all().await {
        let prefix = "a/b c/é~%20#+?/😀/of-";
        match &mut place.store {
            Store::S3(s3) => s3.prefix = prefix.to_owned(),
            Store::Gcs(gcs) => gcs.prefix = prefix.to_owned(),
            Store::Azure(azure) => azure.prefix = prefix.to_owned(),
            // These have none.
            Store::Swift(_) | Store::File(_) => continue,
        }
        let key = ObjectKey::new(place.store.prefix(), "x.tar.gz");
        assert_eq!(key.as_str(), format!("{prefix}x.tar.gz"));
        let (desk, halt) = (Desk::new(), Halt::default());
        let source = desk.file("source", b"artifact");
        let (blobs, store) = (&place.blobs, &place.store);
        let sent = blobs
            .upload(store, &key, &local(&source), 8, Journal::new(), &halt)
            .await;
        assert_eq!(sent.map(|moved| moved.size_bytes), Ok(8), "{}", place.name);
        assert_eq!(
            place.stored(key.as_str()).await.as_deref(),
            Some(b"artifact".as_slice()),
            "{}",
            place.name
        );
        let target = desk.file("target", b"");
        let got = blobs
            .download(
                store,
                &key,
                &local(&target),
                Expected::default(),
                &halt,
                &Tally::default(),
            )
            .await;
        assert_eq!(got.map(|moved| moved.size_bytes), Ok(8), "{}", place.name);
    }
}

#[tokio::test]
async fn what_is_downloaded_must_be_as_expected() {
    for place in Place::all().await {
        upload(&place.blobs, &place.store, "a", b"artifact").await.unwrap();
        let (desk, halt) = (Desk::new(), Halt::default());
        let right = Expected {
            size_bytes: Some(8),
            sha256: Some(sha256(b"artifact")),
        };
        let of_other = Expected {
            sha256: Some(sha256(b"other")),
            ..right
        };
        let longer = Expected {
            size_bytes: Some(9),
            ..right
        };
        for (expected, is_fine) in [(right, true), (of_other, false), (longer, false)] {
            let target = desk.file("target", b"");
            let got = place
                .blobs
                .download(
                    &place.store,
                    &key("a"),
                    &local(&target),
                    expected,
                    &halt,
                    &Tally::default(),
                )
                .await;
            assert_eq!(got.is_ok(), is_fine, "{}: {got:?}", place.name);
            if let Err(error) = got {
                assert!(error.to_string().contains("expected"), "{}: {error}", place.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_told_to_stop_leaves_nothing() {
    for place in Place::all().await {
        let (desk, halt, bytes) = (Desk::new(), Halt::default(), noise(60 * 1024 * 1024));
        let source = local(&desk.file("source", &bytes));
        let (size, journal) = (bytes.len() as u64, Journal::new());
        let name = key("a");
        let upload = place
            .blobs
            .upload(&place.store, &name, &source, size, journal.clone(), &halt);
        let stop = async {
            // Azure's uploads have no names.
            until("the upload to be open", || !journal.names().is_empty()).await;
            halt.fire();
        };
        let (sent, ()) = tokio::join!(upload, stop);
        let stored = place.stored("a").await;
        // It may have been too late: then it is whole.
        assert_eq!(sent.is_ok(), stored.is_some(), "{}: {sent:?}", place.name);
        assert!(stored.is_none_or(|stored| stored == bytes), "{}", place.name);
        assert_eq!(place.leftovers().await, [""; 0], "{}", place.name);
    }
}
