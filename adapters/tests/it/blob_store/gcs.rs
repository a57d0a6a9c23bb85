//! What holds for Google Cloud Storage alone, against a shim that has its shape.

use std::{fs, sync::Arc};

use domain::{
    ports::{BlobStore, BlobStoreError},
    request::{GcsStore, Store},
    secret::Secret,
};
use tokio::sync::Semaphore;

use super::{
    BUCKET, assert_same, key, patient,
    scene::{IMPATIENT, PATIENT, large},
    until, upload,
};
use crate::{
    faulty::{Fault, FaultyProxy},
    gcs_shim::{GcsShim, PRIVATE_KEY, store_at},
};

struct Scene {
    shim: GcsShim,
    proxy: FaultyProxy,
}

impl Scene {
    async fn new() -> Self {
        let shim = GcsShim::start().await;
        shim.server.create_bucket(BUCKET);
        let proxy = FaultyProxy::start(shim.address()).await;
        Self { shim, proxy }
    }

    fn bucket(&self) -> GcsStore {
        store_at(self.proxy.endpoint(), BUCKET)
    }

    fn store(&self) -> Store {
        Store::Gcs(self.bucket())
    }

    fn stored(&self, name: &str) -> Vec<u8> {
        fs::read(self.shim.server.object(BUCKET, name)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_do_not_fail_an_upload() {
    let bytes = large();
    for (method, target, fault) in [
        ("HEAD", "", Fault::Refuse(503, "ServiceUnavailable")),
        ("POST", "uploads", Fault::Refuse(500, "InternalError")),
        ("PUT", "partNumber=2", Fault::Refuse(429, "SlowDown")),
        ("PUT", "partNumber=1", Fault::CutBefore),
        ("PUT", "partNumber=2", Fault::LoseAnswer),
        ("POST", "uploadId", Fault::Refuse(503, "ServiceUnavailable")),
        ("POST", "uploadId", Fault::LoseAnswer),
    ] {
        let scene = Scene::new().await;
        let what = format!("{method} {target} {fault:?}");
        scene.proxy.plan(1, method, target, fault);
        let stored = upload(&patient(PATIENT), &scene.store(), "a", &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{what}");
        assert_same(&scene.stored("a"), &bytes, &what);
    }
}

#[tokio::test]
async fn an_object_that_came_after_the_last_look_is_not_replaced() {
    for bytes in [b"artifact".to_vec(), large()] {
        let scene = Scene::new().await;
        fs::write(scene.shim.server.object(BUCKET, "a"), b"the first").unwrap();
        scene.proxy.plan(99, "HEAD", "", Fault::Answer(404, ""));
        let error = upload(&patient(PATIENT), &scene.store(), "a", &bytes)
            .await
            .unwrap_err();
        assert!(
            matches!(error, BlobStoreError::AlreadyExists(_)),
            "{}: {error:?}",
            bytes.len()
        );
        assert_eq!(scene.stored("a"), b"the first");
        assert_eq!(scene.shim.server.leftovers(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_one_length_that_came_in_between_is_another_s() {
    for (method, target, bytes) in [("PUT", "/a", b"artifact".to_vec()), ("POST", "uploadId", large())] {
        let (scene, allowed) = (Arc::new(Scene::new().await), Arc::new(Semaphore::new(0)));
        let mut other = bytes.clone();
        other.reverse();
        scene
            .proxy
            .plan(1, method, target, Fault::AwaitCut(Arc::clone(&allowed)));
        let mine = tokio::spawn({
            let scene = Arc::clone(&scene);
            async move { upload(&patient(PATIENT), &scene.store(), "a", &bytes).await }
        });
        until("the first try", || scene.proxy.requests(method, target) == 1).await;
        let direct = Store::Gcs(store_at(scene.shim.endpoint(), BUCKET));
        upload(&patient(PATIENT), &direct, "a", &other).await.unwrap();
        allowed.add_permits(1);
        let error = mine.await.unwrap().unwrap_err();
        assert!(matches!(error, BlobStoreError::AlreadyExists(_)), "{method}: {error:?}");
        assert_same(&scene.stored("a"), &other, method);
    }
}

#[tokio::test]
async fn known_and_listed_uploads_are_aborted() {
    let scene = Scene::new().await;
    scene
        .proxy
        .plan(1, "PUT", "partNumber=2", Fault::Refuse(403, "AccessDenied"));
    scene
        .proxy
        .plan(1, "DELETE", "uploadId", Fault::Refuse(403, "AccessDenied"));
    let blobs = patient(PATIENT);
    let name = "a b+c/é&=%20~*'(d).tar.gz";
    assert!(upload(&blobs, &scene.store(), name, &large()).await.is_err());
    let left = scene.shim.server.leftovers();
    let id = left
        .iter()
        .find_map(|file| file.strip_prefix(".upload-")?.strip_suffix(".json"));
    let id = id.unwrap_or_else(|| panic!("{left:?}")).to_owned();
    let escaped = name.replace('&', "&amp;");
    let listing = format!(
        "<ListMultipartUploadsResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\
         <Upload><Key>{escaped}</Key><UploadId>{id}</UploadId></Upload></ListMultipartUploadsResult>"
    );
    scene.proxy.plan(1, "GET", "uploads=", Fault::Document(listing));
    assert_eq!(blobs.discard_upload(&scene.store(), &key(name), &[]).await, Ok(()));
    assert_eq!(scene.shim.server.leftovers(), [""; 0]);
}

#[tokio::test]
async fn refusals_say_what_to_check_and_repeat_no_secret() {
    let scene = Scene::new().await;
    let mut foreign = scene.bucket();
    foreign.service_account.client_email = "other@project.iam.gserviceaccount.com".to_owned();
    let mut no_key = scene.bucket();
    no_key.service_account.private_key = Secret::new(PRIVATE_KEY.replace("MII", "AAA"));
    for (bucket, said) in [
        (foreign, ["401 AuthenticationRequired", "check serviceAccountKey"]),
        (no_key, ["private_key", "RSA"]),
    ] {
        let store = Store::Gcs(bucket);
        let error = upload(&patient(IMPATIENT), &store, "a", b"artifact").await.unwrap_err();
        let text = format!("{error} {error:?}");
        for part in said {
            assert!(text.contains(part), "{part}: {text}");
        }
        for line in PRIVATE_KEY.lines() {
            assert!(!text.contains(line), "{text}");
        }
        assert!(!text.contains("Bearer"), "{text}");
    }
}
