//! What a request may ask of an S3 store, on the wire.

use std::sync::Arc;

use domain::{
    ports::{BlobStore, BlobStoreError},
    request::{S3Checksum, S3Credentials, S3Encryption, S3Store, Store},
    secret::Secret,
};

use super::{
    assert_same, download, key, patient,
    scene::{IMPATIENT, PATIENT, Scene, large},
    upload,
};
use crate::{
    faulty::Fault,
    s3_server::{ACCESS_KEY, SECRET_KEY},
};

const TOKEN: &str = "the/session+token==";
const SSE: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CLASS: &str = "x-amz-storage-class";

fn with_token(bucket: S3Store) -> Store {
    Store::S3(S3Store {
        credentials: S3Credentials::Keys {
            key: Secret::new(ACCESS_KEY),
            secret: Secret::new(SECRET_KEY),
            token: Some(Secret::new(TOKEN)),
        },
        ..bucket
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_token_is_sent_and_signed_with_every_request() {
    let scene = Scene::new().await;
    let (store, blobs, bytes) = (with_token(scene.bucket()), patient(PATIENT), large());
    upload(&blobs, &store, "small", b"artifact").await.unwrap();
    upload(&blobs, &store, "large", &bytes).await.unwrap();
    assert_same(&download(&blobs, &store, "large").await.unwrap(), &bytes, "large");
    blobs.discard_upload(&store, &key("large"), &[]).await.unwrap();

    let requests = scene.proxy.all_requests();
    // Among them those that we sign ourselves: the look-up of the region, and of open uploads.
    for part in ["?location", "prefix=large&uploads=", "partNumber"] {
        assert!(
            requests.iter().any(|request| request.contains(part)),
            "{part}: {requests:?}"
        );
    }
    for method in ["GET", "HEAD", "PUT", "POST"] {
        let tokens = scene.proxy.headers(method, "", "x-amz-security-token");
        assert!(!tokens.is_empty(), "{method}");
        assert!(
            tokens.iter().all(|token| token.as_deref() == Some(TOKEN)),
            "{method} {tokens:?}"
        );
        for signature in scene.proxy.headers(method, "", "authorization") {
            let signature = signature.unwrap();
            assert!(signature.contains("x-amz-security-token"), "{method} {signature}");
        }
    }
}

#[tokio::test]
async fn without_a_session_no_token_is_sent() {
    let scene = Scene::new().await;
    upload(&patient(PATIENT), &scene.store(), "a", b"x").await.unwrap();
    let tokens = scene.proxy.headers("PUT", "", "x-amz-security-token");
    assert_eq!(tokens, [None]);
}

#[tokio::test]
async fn a_session_that_has_expired_is_told_and_not_tried_again() {
    for (code, hint) in [
        ("ExpiredToken", "it has expired"),
        ("InvalidToken", "does not belong to authKey"),
    ] {
        let scene = Scene::new().await;
        scene.proxy.plan(9, "GET", "", Fault::Refuse(400, code));
        scene.proxy.plan(9, "HEAD", "", Fault::Answer(400, ""));
        let store = with_token(S3Store {
            region: Some("us-east-1".to_owned()),
            ..scene.bucket()
        });
        let error = patient(PATIENT).find(&store, &key("a")).await.unwrap_err();
        assert!(matches!(error, BlobStoreError::Denied(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("check sessionToken") && text.contains(hint), "{text}");
        assert_eq!(scene.proxy.requests("HEAD", ""), 1, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_and_storage_class_are_asked_for_where_objects_are_made_and_nowhere_else() {
    let kms = |id: Option<&str>| {
        Some(S3Encryption::Kms {
            key_id: id.map(str::to_owned),
        })
    };
    for (encryption, class, expected) in [
        (None, None, [None, None, None]),
        (Some(S3Encryption::Aes256), None, [Some("AES256"), None, None]),
        (kms(None), Some("STANDARD"), [Some("aws:kms"), None, Some("STANDARD")]),
        (
            kms(Some("arn:aws:kms:x:1:key/2")),
            None,
            [Some("aws:kms"), Some("arn:aws:kms:x:1:key/2"), None],
        ),
        (None, Some("STANDARD"), [None, None, Some("STANDARD")]),
    ] {
        let scene = Scene::new().await;
        let what = format!("{encryption:?} {class:?}");
        let store = Store::S3(S3Store {
            encryption,
            storage_class: class.map(str::to_owned),
            ..scene.bucket()
        });
        let (blobs, bytes) = (patient(PATIENT), large());
        upload(&blobs, &store, "small", b"artifact").await.unwrap();
        upload(&blobs, &store, "large", &bytes).await.unwrap();
        assert_same(&download(&blobs, &store, "large").await.unwrap(), &bytes, &what);
        // One that fails is aborted.
        scene
            .proxy
            .plan(1, "PUT", "partNumber=2", Fault::Refuse(403, "AccessDenied"));
        upload(&blobs, &store, "other", &bytes).await.unwrap_err();

        let expected = expected.map(|value| value.map(str::to_owned));
        for (header, expected) in [SSE, KMS_KEY, CLASS].into_iter().zip(expected) {
            for (method, target) in [("PUT", "/small"), ("POST", "/large?uploads")] {
                let sent = scene.proxy.headers(method, target, header);
                assert_eq!(
                    sent,
                    std::slice::from_ref(&expected),
                    "{what} {method} {target} {header}"
                );
                let signature = scene.proxy.headers(method, target, "authorization").remove(0).unwrap();
                // The names of two of them begin alike.
                let is_signed =
                    signature.contains(&format!(";{header};")) || signature.contains(&format!(";{header},"));
                assert_eq!(is_signed, expected.is_some(), "{what} {header} {signature}");
            }
            for (method, target) in [
                ("PUT", "partNumber"),
                ("POST", "uploadId"),
                ("HEAD", ""),
                ("GET", ""),
                ("DELETE", ""),
            ] {
                let sent = scene.proxy.headers(method, target, header);
                assert!(
                    !sent.is_empty() && sent.iter().all(Option::is_none),
                    "{what} {method} {target} {sent:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_sent_with_objects_and_parts() {
    const ALGORITHM: &str = "x-amz-checksum-algorithm";
    let (sha256, crc) = ("x-amz-checksum-sha256", "x-amz-checksum-crc64nvme");
    for (checksum, name, header) in [
        (None, None, ""),
        (Some(S3Checksum::Sha256), Some("SHA256".to_owned()), sha256),
        (Some(S3Checksum::Crc64Nvme), Some("CRC64NVME".to_owned()), crc),
    ] {
        let scene = Scene::new().await;
        let store = Store::S3(S3Store {
            checksum,
            ..scene.bucket()
        });
        let (blobs, bytes) = (patient(PATIENT), large());
        upload(&blobs, &store, "small", b"artifact").await.unwrap();
        upload(&blobs, &store, "large", &bytes).await.unwrap();
        // The server compares what is sent along with what it got.
        assert_same(&scene.stored("large"), &bytes, header);
        assert_eq!(scene.proxy.headers("POST", "/large?uploads", ALGORITHM), [name]);
        for known in [sha256, crc] {
            for (target, count) in [("/small", 1), ("partNumber", 2)] {
                let sent = scene.proxy.headers("PUT", target, known);
                assert_eq!(sent.len(), count, "{target}");
                assert!(
                    sent.iter().all(|sum| sum.is_some() == (known == header)),
                    "{known} {target} {sent:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_says_of_parts_goes_into_the_document_that_completes_them() {
    for (checksum, header, element) in [
        (S3Checksum::Sha256, "x-amz-checksum-sha256", "ChecksumSHA256"),
        (S3Checksum::Crc64Nvme, "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME"),
    ] {
        let scene = Scene::new().await;
        scene.proxy.plan(1, "PUT", "partNumber=1", Fault::Add(header, "b25l"));
        scene.proxy.plan(1, "PUT", "partNumber=2", Fault::Add(header, "dHdv"));
        // The server is not asked: what counts is what it would get.
        scene
            .proxy
            .plan(1, "POST", "uploadId", Fault::Refuse(403, "AccessDenied"));
        let store = Store::S3(S3Store {
            checksum: Some(checksum),
            ..scene.bucket()
        });
        upload(&patient(IMPATIENT), &store, "a", &large()).await.unwrap_err();
        let bodies = scene.proxy.bodies();
        let document = bodies.iter().find(|body| body.contains("CompleteMultipartUpload"));
        let document = document.unwrap_or_else(|| panic!("{bodies:?}"));
        for (number, sum) in [(1, "b25l"), (2, "dHdv")] {
            assert!(
                document.contains(&format!("<{element}>{sum}</{element}>")),
                "{document}"
            );
            assert!(
                document.contains(&format!("<PartNumber>{number}</PartNumber>")),
                "{document}"
            );
        }
    }
}

#[tokio::test]
async fn a_store_that_knows_no_such_thing_is_told_of_with_what_to_leave_out() {
    for (code, hint) in [
        ("NotImplemented", "leave checksum, sse and storageClass out"),
        ("InvalidStorageClass", "check storageClass"),
        ("KMS.NotFoundException", "check sseKmsKeyId"),
    ] {
        let scene = Scene::new().await;
        scene.proxy.plan(
            9,
            "PUT",
            "",
            Fault::Refuse(if code == "NotImplemented" { 501 } else { 400 }, code),
        );
        let store = Store::S3(S3Store {
            encryption: Some(S3Encryption::Kms { key_id: None }),
            storage_class: Some("X".to_owned()),
            ..scene.bucket()
        });
        let blobs = Arc::new(patient(IMPATIENT));
        let text = upload(&blobs, &store, "a", b"x").await.unwrap_err().to_string();
        assert!(text.contains(hint), "{text}");
    }
}
