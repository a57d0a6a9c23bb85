//! What holds for Azure alone, against Azurite.

use domain::{
    artifact::Expected,
    ports::{BlobStore, BlobStoreError, Halt, Tally},
    request::{AzureCredential, Store},
    secret::Secret,
};

use super::{
    Desk, assert_same, download, key, local, noise, patient,
    scene::{IMPATIENT, PATIENT, large},
    upload,
};
use crate::{
    azurite::Azurite,
    faulty::{Fault, FaultyProxy},
};

const LATER: &str = "2099-01-01T00:00:00Z";

/// A proxy before Azurite, and the container as it is seen through it. Signatures do not know the host.
async fn behind_a_proxy(azurite: &Azurite) -> (FaultyProxy, Store) {
    let (_, rest) = azurite.endpoint().split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let proxy = FaultyProxy::start(authority.parse().unwrap()).await;
    let mut store = azurite.store();
    store.endpoint = Some(format!("{}/{path}", proxy.endpoint()));
    (proxy, Store::Azure(store))
}

fn with_token(azurite: &Azurite, token: &str) -> Store {
    let mut store = azurite.store();
    store.credential = AzureCredential::SasToken(Secret::new(token));
    Store::Azure(store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_read_and_write_is_enough() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    let store = with_token(&azurite, &azurite.token("rw", LATER));
    for (name, bytes) in [("small", b"artifact".to_vec()), ("large", large())] {
        upload(&patient(PATIENT), &store, name, &bytes).await.unwrap();
        assert_same(&azurite.stored(name).await.unwrap(), &bytes, name);
        let only_read = with_token(&azurite, &azurite.token("r", LATER));
        assert_same(
            &download(&patient(PATIENT), &only_read, name).await.unwrap(),
            &bytes,
            name,
        );
    }
}

#[tokio::test]
async fn a_blob_that_came_after_the_last_look_is_not_replaced() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    for (name, bytes) in [("small", b"artifact".to_vec()), ("large", large())] {
        for credential in ["key", "token"] {
            azurite.put(name, b"the first").await;
            let (proxy, mut store) = behind_a_proxy(&azurite).await;
            if let (Store::Azure(store), "token") = (&mut store, credential) {
                store.credential = AzureCredential::SasToken(Secret::new(azurite.token("rw", LATER)));
            }
            proxy.plan(99, "HEAD", "", Fault::Answer(404, ""));
            let error = upload(&patient(PATIENT), &store, name, &bytes).await.unwrap_err();
            assert!(
                matches!(error, BlobStoreError::AlreadyExists(_)),
                "{name} {credential}: {error:?}"
            );
            assert_eq!(azurite.stored(name).await.unwrap(), b"the first", "{name} {credential}");
        }
    }
}

#[tokio::test]
async fn of_two_uploads_of_one_name_one_is_whole_and_the_other_is_told() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    let (store, blobs) = (Store::Azure(azurite.store()), patient(PATIENT));
    let (one, mut other) = (large(), large());
    other.reverse();
    let results = tokio::join!(upload(&blobs, &store, "a", &one), upload(&blobs, &store, "a", &other));
    let stored = azurite.stored("a").await.unwrap();
    match results {
        (Ok(_), Err(BlobStoreError::AlreadyExists(_))) => assert_same(&stored, &one, "the first won"),
        (Err(BlobStoreError::AlreadyExists(_)), Ok(_)) => assert_same(&stored, &other, "the second won"),
        results => panic!("{results:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_do_not_fail_an_upload() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    let bytes = large();
    for (index, (method, target, fault)) in [
        ("HEAD", "", Fault::Refuse(503, "ServerBusy")),
        ("PUT", "comp=block&", Fault::Refuse(500, "OperationTimedOut")),
        ("PUT", "comp=block&", Fault::CutBefore),
        ("PUT", "comp=block&", Fault::LoseAnswer),
        ("PUT", "comp=blocklist", Fault::Refuse(503, "ServerBusy")),
        ("PUT", "comp=blocklist", Fault::CutBefore),
        ("PUT", "comp=blocklist", Fault::LoseAnswer),
    ]
    .into_iter()
    .enumerate()
    {
        let (proxy, store) = behind_a_proxy(&azurite).await;
        let (what, name) = (format!("{method} {target} {fault:?}"), index.to_string());
        proxy.plan(1, method, target, fault);
        let stored = upload(&patient(PATIENT), &store, &name, &bytes).await;
        assert_eq!(stored, Ok(bytes.len() as u64), "{what}");
        assert_same(&azurite.stored(&name).await.unwrap(), &bytes, &what);
    }
}

#[tokio::test]
async fn an_upload_that_came_to_nothing_leaves_nothing_that_can_be_seen() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    let (proxy, store) = behind_a_proxy(&azurite).await;
    proxy.plan(99, "PUT", "comp=blocklist", Fault::Refuse(403, "AuthorizationFailure"));
    let blobs = patient(PATIENT);
    assert!(upload(&blobs, &store, "a", &large()).await.is_err());
    assert!(azurite.stored("a").await.is_none());
    assert_eq!(
        blobs
            .discard_upload(&store, &key("a"), &["".to_owned(), "x".to_owned()])
            .await,
        Ok(())
    );
    assert!(azurite.stored("a").await.is_none());
    // Its blocks are in nobody's way. (For one that is sent in one piece they are in Azurite's.)
    let (store, other) = (Store::Azure(azurite.store()), noise(large().len() + 1));
    upload(&blobs, &store, "a", &other).await.unwrap();
    assert_same(&azurite.stored("a").await.unwrap(), &other, "the second upload");
}

#[tokio::test]
async fn refusals_say_what_to_check_and_repeat_no_secret() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    let wrong_key = "d3Jvbmcga2V5IHRoYXQgaXMgbG9uZyBlbm91Z2g=";
    let keyed = |change: &dyn Fn(&mut domain::request::AzureStore)| {
        let mut store = azurite.store();
        change(&mut store);
        Store::Azure(store)
    };
    // Azurite says AuthorizationFailure where Azure says AuthenticationFailed.
    let good = azurite.token("rw", LATER);
    let foreign = good.replace("sig=", "sig=AAAA");
    let rows = [
        (
            keyed(&|store| store.credential = AzureCredential::AccountKey(Secret::new(wrong_key))),
            ["403 Auth", "check accountKey"],
        ),
        (with_token(&azurite, &foreign), ["403 Auth", "check sasToken"]),
        (
            with_token(&azurite, &azurite.token("rw", "2020-01-01T00:00:00Z")),
            ["403 Auth", "check sasToken"],
        ),
        (
            with_token(&azurite, &azurite.token("r", LATER)),
            ["AuthorizationPermissionMismatch", "rw for a backup"],
        ),
        (
            keyed(&|store| store.container = "no-such-container".to_owned()),
            ["ContainerNotFound", "check account, container and endpoint"],
        ),
    ];
    for (store, said) in rows {
        let error = upload(&patient(IMPATIENT), &store, "a", b"artifact").await.unwrap_err();
        let text = format!("{error} {error:?}");
        for part in said {
            assert!(text.contains(part), "{part}: {text}");
        }
        for secret in ["sig=", "sv=", wrong_key, azurite.key()] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    assert!(azurite.stored("a").await.is_none());
}

#[tokio::test]
async fn no_failure_shows_the_address_with_its_token() {
    let Some(azurite) = Azurite::container().await else {
        return;
    };
    azurite.put("a", b"artifact").await;
    let token = azurite.token("rw", LATER);
    let signature = token.rsplit_once("sig=").unwrap().1;
    for fault in [
        Fault::CutBefore,
        Fault::LoseAnswer,
        Fault::CutBody(0),
        Fault::Redirect(format!("http://127.0.0.1:1/?{token}")),
        Fault::Conceal("content-length"),
        Fault::Conceal("last-modified"),
        Fault::Conceal("etag"),
        Fault::Refuse(500, "InternalError"),
        Fault::Answer(
            400,
            format!("<Error><Code>No</Code><Message>{signature} {token}</Message></Error>").leak(),
        ),
    ] {
        let (proxy, mut store) = behind_a_proxy(&azurite).await;
        if let Store::Azure(store) = &mut store {
            store.credential = AzureCredential::SasToken(Secret::new(&*token));
        }
        for method in ["HEAD", "GET", "PUT"] {
            proxy.plan(999, method, "", fault.clone());
        }
        let (desk, halt, blobs) = (Desk::new(), Halt::default(), patient(IMPATIENT));
        let target = desk.file("target", b"");
        let name = key("a");
        let fetched = blobs
            .download(
                &store,
                &name,
                &local(&target),
                Expected::default(),
                &halt,
                &Tally::default(),
            )
            .await;
        let results = [
            fetched.map(|_| ()),
            blobs.find(&store, &name).await.map(|_| ()),
            upload(&blobs, &store, "b", b"artifact").await.map(|_| ()),
            upload(&blobs, &store, "c", &large()).await.map(|_| ()),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("sig=") && !text.contains(signature), "{fault:?}: {text}");
        }
    }
}
