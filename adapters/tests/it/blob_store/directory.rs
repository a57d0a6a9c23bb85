//! What holds for directories.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    ports::{BlobStore, BlobStoreError},
    request::{FileStore, Store},
};

use super::{Desk, Place, download, hidden_files, key, send, upload};

fn allowing(root: &Path) -> ObjectBlobStore {
    ObjectBlobStore::new(TransferSettings {
        allowed_file_roots: vec![root.to_owned()],
        ..TransferSettings::default()
    })
}

fn at(path: &Path) -> Store {
    Store::File(FileStore { path: path.to_owned() })
}

#[tokio::test]
async fn only_directories_below_the_roots_are_used() {
    let desk = Desk::new();
    for name in ["allowed/inner", "allowed-not", "elsewhere"] {
        fs::create_dir_all(desk.path(name)).unwrap();
    }
    desk.file("allowed/file", b"");
    symlink(desk.path("elsewhere"), desk.path("allowed/leads-out")).unwrap();
    symlink("inner", desk.path("allowed/stays-in")).unwrap();
    symlink(desk.path("allowed"), desk.path("leads-in")).unwrap();
    fs::create_dir(desk.path("elsewhere/inner")).unwrap();
    let blobs = allowing(&desk.path("allowed"));

    for name in ["allowed", "allowed/inner", "allowed/./inner/"] {
        upload(&blobs, &at(&desk.path(name)), name.replace('/', "-").as_str(), b"x")
            .await
            .unwrap();
    }
    // What the operator has named may be a link.
    for name in ["leads-in", "leads-in/inner"] {
        let blobs = allowing(&desk.path("leads-in"));
        upload(&blobs, &at(&desk.path(name)), name.replace('/', "-").as_str(), b"x")
            .await
            .unwrap();
    }
    // And so it may, though another that is allowed leads there.
    let both = ObjectBlobStore::new(TransferSettings {
        allowed_file_roots: vec![desk.path("allowed"), desk.path("allowed/leads-out")],
        ..TransferSettings::default()
    });
    let store = at(&desk.path("allowed/leads-out/inner"));
    assert_eq!(both.find(&store, &key("a")).await, Ok(None));
    for (name, is_missing, said) in [
        ("elsewhere", false, "not below a directory that the agent may use"),
        ("allowed-not", false, "not below"),
        ("leads-in", false, "not below"),
        ("allowed/leads-out", false, "allowed/leads-out is a symbolic link"),
        ("allowed/leads-out/inner", false, "allowed/leads-out is a symbolic link"),
        ("allowed/stays-in", false, "allowed/stays-in is a symbolic link"),
        ("allowed/../elsewhere", false, "not below"),
        ("allowed/file", true, "not a directory"),
        ("allowed/missing", true, "create it or mount it"),
    ] {
        let store = at(&desk.path(name));
        for error in [
            upload(&blobs, &store, "a", b"x").await.unwrap_err(),
            download(&blobs, &store, "a").await.unwrap_err(),
            blobs.find(&store, &key("a")).await.unwrap_err(),
        ] {
            assert_eq!(
                matches!(error, BlobStoreError::NotFound(_)),
                is_missing,
                "{name}: {error:?}"
            );
            assert_eq!(
                matches!(error, BlobStoreError::Denied(_)),
                !is_missing,
                "{name}: {error:?}"
            );
            assert!(error.to_string().contains(said), "{name}: {error}");
        }
    }
    assert_eq!(fs::read_dir(desk.path("elsewhere")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(desk.path("elsewhere/inner")).unwrap().count(), 0);
}

#[tokio::test]
async fn without_roots_no_directory_is_used() {
    let desk = Desk::new();
    let blobs = ObjectBlobStore::new(TransferSettings::default());
    let error = upload(&blobs, &at(desk.0.path()), "a", b"x").await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn a_name_is_taken_by_whatever_has_it() {
    let place = Place::directory();
    fs::create_dir(place.object("directory")).unwrap();
    symlink("nowhere", place.object("dangling")).unwrap();
    for name in ["directory", "dangling"] {
        assert!(
            place.blobs.find(&place.store, &key(name)).await.unwrap().is_some(),
            "{name}"
        );
        let error = upload(&place.blobs, &place.store, name, b"x").await.unwrap_err();
        assert!(matches!(error, BlobStoreError::AlreadyExists(_)), "{name}: {error:?}");
    }
    assert_eq!(place.leftovers().await, [""; 0]);
    assert!(!place.object("nowhere").exists());
}

#[tokio::test]
async fn an_object_that_is_a_link_is_not_followed() {
    let place = Place::directory();
    let desk = Desk::new();
    symlink(desk.file("secret", b"x"), place.object("link")).unwrap();
    let error = download(&place.blobs, &place.store, "link").await.unwrap_err();
    assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn an_object_is_its_owners_alone() {
    let desk = Desk::new();
    let blobs = allowing(&desk.path(""));
    upload(&blobs, &at(&desk.path("")), "a", b"x").await.unwrap();
    let mode = fs::metadata(desk.path("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let place = Place::directory();
    let desk = Desk::new();
    let source = desk.file("source", &[7; 8 * super::MIB]);
    {
        let upload = send(&place.blobs, &place.store, "a", &source, 8 * super::MIB as u64);
        tokio::pin!(upload);
        // A few steps, and it has begun to write.
        while hidden_files(&place.objects).is_empty() {
            assert!(
                futures_util::poll!(upload.as_mut()).is_pending(),
                "it must not be done yet"
            );
            tokio::task::yield_now().await;
        }
    }
    super::until("the hidden file to vanish", || hidden_files(&place.objects).is_empty()).await;
    assert!(!place.object("a").exists());
}
