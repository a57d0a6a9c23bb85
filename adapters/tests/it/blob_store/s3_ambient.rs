//! The agent's own credentials, from a service like that of a container.

use std::{net::SocketAddr, path::Path, time::Duration};

use adapters::blob_store::{AmbientCredentials, ObjectBlobStore, TransferSettings};
use chrono::{SecondsFormat, TimeDelta, Utc};
use domain::{
    ports::{BlobStore, BlobStoreError},
    request::{S3Credentials, S3Store, Store},
    secret::Secret,
};

use super::{
    BUCKET, Desk, assert_same, download, key,
    scene::{IMPATIENT, PATIENT, Scene, large},
    upload,
};
use crate::{
    faulty::{Fault, FaultyProxy},
    s3_server::{ACCESS_KEY, SECRET_KEY},
};

/// What stands for the cloud: a service that gives out credentials.
struct Source {
    service: FaultyProxy,
    desk: Desk,
}

impl Source {
    async fn new() -> Self {
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let desk = Desk::new();
        desk.file("token", b"may-ask");
        Self {
            service: FaultyProxy::start(nobody).await,
            desk,
        }
    }

    /// The next so many who ask get these.
    fn gives(&self, times: usize, token: &str, lasting: TimeDelta) {
        let expiration = (Utc::now() + lasting).to_rfc3339_opts(SecondsFormat::Secs, true);
        let document = format!(
            r#"{{"AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}", "Token": "{token}",
                "Expiration": "{expiration}"}}"#
        );
        self.service
            .plan(times, "GET", "/credentials", Fault::Document(document));
    }

    fn asked(&self) -> usize {
        self.service.requests("GET", "/credentials")
    }

    fn blobs(&self, retry_timeout: Duration, buckets: &[&str]) -> ObjectBlobStore {
        let url = format!("{}/credentials", self.service.endpoint());
        ObjectBlobStore::new(TransferSettings {
            retry_timeout,
            ambient: Some(AmbientCredentials {
                variables: vec![
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Secret::new(url)),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&self.desk.path("token"))),
                ],
                buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
            }),
            ..TransferSettings::default()
        })
    }
}

fn text(path: &Path) -> Secret {
    Secret::new(path.to_str().unwrap())
}

fn ambient(scene: &Scene) -> Store {
    Store::S3(S3Store {
        credentials: S3Credentials::Ambient,
        ..scene.bucket()
    })
}

fn tokens(scene: &Scene, method: &str) -> Vec<String> {
    let tokens = scene.proxy.headers(method, "", "x-amz-security-token");
    tokens.into_iter().map(Option::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_fetched_once_for_all_transfers_and_sign_every_request() {
    let (scene, source) = (Scene::new().await, Source::new().await);
    source.gives(9, "of-the-role", TimeDelta::hours(6));
    let (store, blobs, bytes) = (ambient(&scene), source.blobs(PATIENT, &[BUCKET]), large());
    upload(&blobs, &store, "small", b"artifact").await.unwrap();
    upload(&blobs, &store, "large", &bytes).await.unwrap();
    assert_same(&download(&blobs, &store, "large").await.unwrap(), &bytes, "large");
    blobs.discard_upload(&store, &key("large"), &[]).await.unwrap();
    assert_eq!(source.asked(), 1);
    let allowed = source.service.headers("GET", "/credentials", "authorization");
    assert_eq!(allowed, [Some("may-ask".to_owned())]);
    for method in ["GET", "HEAD", "PUT", "POST"] {
        let tokens = tokens(&scene, method);
        assert!(
            !tokens.is_empty() && tokens.iter().all(|token| token == "of-the-role"),
            "{tokens:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_expire_under_way_are_fetched_again_even_if_that_fails_at_first() {
    let (scene, source) = (Scene::new().await, Source::new().await);
    // So short a life is over at once, as far as those who sign are concerned.
    source.gives(1, "first", TimeDelta::zero());
    source
        .service
        .plan(2, "GET", "/credentials", Fault::Answer(500, "not now"));
    source.gives(1, "second", TimeDelta::hours(6));
    let (store, blobs, bytes) = (ambient(&scene), source.blobs(PATIENT, &[BUCKET]), large());
    upload(&blobs, &store, "large", &bytes).await.unwrap();
    assert_same(&scene.stored("large"), &bytes, "large");
    assert_eq!(source.asked(), 4);
    assert!(tokens(&scene, "PUT").iter().all(|token| token == "second"));
}

#[tokio::test]
async fn a_source_that_has_none_is_not_taken_for_a_store_without_the_object() {
    for (status, body) in [(404, ""), (403, ""), (200, "no document"), (200, "{}")] {
        let (scene, source) = (Scene::new().await, Source::new().await);
        source
            .service
            .plan(99, "GET", "/credentials", Fault::Answer(status, body));
        let blobs = source.blobs(IMPATIENT, &[BUCKET]);
        let error = blobs.find(&ambient(&scene), &key("a")).await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Denied(_)), "{status} {error:?}");
        let text = error.to_string();
        assert!(text.contains("the agent's own credentials could not be had"), "{text}");
        assert!(text.contains("AWS_* variables") && !text.contains("authKey"), "{text}");
        assert_eq!(scene.proxy.all_requests(), [""; 0], "{status}");
    }
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_asked_again_until_patience_is_at_an_end() {
    let (scene, source) = (Scene::new().await, Source::new().await);
    source.service.plan(99, "GET", "/credentials", Fault::CutBefore);
    let error = source
        .blobs(IMPATIENT, &[BUCKET])
        .find(&ambient(&scene), &key("a"))
        .await
        .unwrap_err();
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
    assert!(source.asked() > 1);
}

#[tokio::test]
async fn a_bucket_that_is_not_listed_any_more_gets_none() {
    let (scene, source) = (Scene::new().await, Source::new().await);
    source.gives(9, "x", TimeDelta::hours(6));
    for blobs in [
        source.blobs(PATIENT, &["another"]),
        ObjectBlobStore::new(TransferSettings::default()),
    ] {
        let error = upload(&blobs, &ambient(&scene), "a", b"x").await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
    }
    assert_eq!((source.asked(), scene.proxy.all_requests().len()), (0, 0));
}
