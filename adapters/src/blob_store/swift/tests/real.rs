//! Against the Swift and Keystone that `.ci/swift-start` starts; `OSB_TEST_SWIFT_FACTS` is the path of
//! the file `facts` that it writes.

use std::{collections::BTreeMap, io::Write, time::Duration};

use bytes::Bytes;
use domain::{artifact::ObjectKey, request::SwiftStore, secret::Secret};
use futures_util::TryStreamExt;
use hyper::Method;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use uuid::Uuid;

use super::{
    super::{Swift, ask::Ask, listing::Depth},
    PATIENCE, path,
};
use crate::blob_store::failure::Failure;
use crate::blob_store::network::Network;

const VARIABLE: &str = "OSB_TEST_SWIFT_FACTS";
const KEY: &str = "dir/a b%20#+~?&=ü😀.tar.gz";

/// How to reach the servers.
#[derive(Debug)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    /// None, and that aloud, where no servers were started.
    fn read() -> Option<Self> {
        let Some(file) = std::env::var_os(VARIABLE) else {
            let required = std::env::var("OSB_TEST_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
            assert!(!required, "Swift must not be left out here, but {VARIABLE} is not set");
            // Past the test runner, which keeps what passing tests print to itself.
            let _ = writeln!(
                std::io::stderr(),
                "LEFT OUT: Swift: {VARIABLE} is not set; see .ci/swift-start"
            );
            return None;
        };
        let text = std::fs::read_to_string(file).expect("the facts can be read");
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Some(Self(
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is among the facts"))
    }

    fn keystone(&self) -> SwiftStore {
        SwiftStore {
            auth_url: self.get("SWIFT_AUTH_URL").to_owned(),
            domain: self.get("SWIFT_DOMAIN").to_owned(),
            container_name: format!("test-{}", Uuid::new_v4()),
            project_name: self.get("SWIFT_PROJECT").to_owned(),
            region: Some("RegionOne".to_owned()),
            username: self.get("SWIFT_USER").to_owned(),
            password: Secret::new(self.get("SWIFT_PASSWORD")),
        }
    }

    fn v1(&self) -> SwiftStore {
        SwiftStore {
            auth_url: self.get("SWIFT_V1_AUTH_URL").to_owned(),
            ..self.keystone()
        }
    }

    /// As much as makes more than one segment necessary, with an end that is no whole one.
    fn large(&self) -> Bytes {
        let size: usize = self.get("SWIFT_MAX_FILE_SIZE").parse().expect("it is a number");
        (0..size * 2 + 12_345).map(|index| (index % 251) as u8).collect()
    }
}

/// A new container, by either way to log in.
async fn containers(facts: &Facts) -> Vec<Swift> {
    let mut all = Vec::new();
    for store in [facts.keystone(), facts.v1()] {
        let swift = Swift::connect(&store, PATIENCE, &Network::default())
            .await
            .expect("the login is right");
        let make = Ask::new(Method::PUT, swift.account().container(swift.container()));
        swift.execute(&make).await.expect("a container can be made");
        all.push(swift);
    }
    all
}

/// Removes a test's containers, which must be empty by now.
async fn remove(swift: &Swift) {
    for container in [swift.container().to_owned(), swift.segments()] {
        let remove = Ask::new(Method::DELETE, swift.account().container(&container));
        match swift.execute(&remove).await {
            Err(fault) if !fault.is_missing() => panic!("{container}: {fault:?}"),
            Ok(_) | Err(_) => {}
        }
    }
}

async fn segments(swift: &Swift) -> usize {
    swift
        .entries(&swift.segments(), "", Depth::All)
        .await
        .expect("they can be listed")
        .len()
}

async fn put_parts(swift: &Swift, key: &Path, id: &str, content: &Bytes, size: usize) -> Vec<PartId> {
    let mut parts = Vec::new();
    for (index, start) in (0..content.len()).step_by(size).enumerate() {
        let part = content.slice(start..content.len().min(start + size));
        parts.push(
            swift
                .put_part(key, &id.to_owned(), index, part.into())
                .await
                .expect("it is taken"),
        );
    }
    parts
}

async fn upload(swift: &Swift, key: &Path, content: &Bytes) -> String {
    let size = usize::try_from(swift.limits().await.unwrap().max_part_bytes).unwrap();
    let id = swift.create_multipart(key).await.unwrap();
    let parts = put_parts(swift, key, &id, content, size).await;
    swift.complete_multipart(key, &id, parts).await.unwrap();
    id
}

#[tokio::test]
async fn one_byte_and_none_come_back_and_are_not_replaced() {
    let Some(facts) = Facts::read() else { return };
    for swift in containers(&facts).await {
        for (key, content) in [(KEY, "x"), ("empty", "")] {
            let key = path(key);
            let put = swift
                .put_opts(&key, content.into(), PutMode::Create.into())
                .await
                .unwrap();
            let answer = swift.get(&key).await.unwrap();
            assert_eq!(answer.meta.e_tag, put.e_tag);
            assert_eq!(answer.bytes().await.unwrap(), content);
            let again = swift.put_opts(&key, "y".into(), PutMode::Create.into()).await;
            assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        }
        let found: Vec<_> = swift.list(None).try_collect().await.unwrap();
        let names: Vec<&str> = found.iter().map(|meta| meta.location.as_ref()).collect();
        assert_eq!(names, [KEY, "empty"]);
        assert_eq!(
            swift.list_with_delimiter(None).await.unwrap().common_prefixes,
            [path("dir")]
        );
        for meta in found {
            swift.delete(&meta.location).await.unwrap();
        }
        let gone = swift.head(&path(KEY)).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
        remove(&swift).await;
    }
}

#[tokio::test]
async fn an_object_in_segments_is_one_object_and_goes_without_a_rest() {
    let Some(facts) = Facts::read() else { return };
    let content = facts.large();
    for swift in containers(&facts).await {
        let key = path(KEY);
        let bounds = swift.limits().await.unwrap();
        assert_eq!(bounds.max_part_bytes.to_string(), facts.get("SWIFT_MAX_FILE_SIZE"));
        assert_eq!((bounds.max_parts, bounds.min_part_bytes), (1000, 1));
        let too_large = swift
            .put_opts(&key, content.clone().into(), PutMode::Create.into())
            .await;
        assert!(too_large.is_err());

        upload(&swift, &key, &content).await;
        assert_eq!(segments(&swift).await, 3);
        let answer = swift.get(&key).await.unwrap();
        let etag = answer.meta.e_tag.clone().unwrap();
        assert_eq!(answer.meta.size, content.len() as u64);
        assert_eq!(answer.bytes().await.unwrap(), content);
        assert_eq!(swift.head(&key).await.unwrap().size, content.len() as u64);
        let found: Vec<_> = swift.list(None).try_collect().await.unwrap();
        assert_eq!(
            (found[0].size, found[0].e_tag.as_ref()),
            (content.len() as u64, Some(&etag))
        );

        let edge = bounds.max_part_bytes;
        for range in [
            GetRange::Bounded(edge - 10..edge + 10),
            GetRange::Bounded(0..1),
            GetRange::Offset(edge * 2 + 12_344),
            GetRange::Bounded(5..edge * 2 + 7),
        ] {
            let options = GetOptions::new()
                .with_range(Some(range.clone()))
                .with_if_match(Some(etag.clone()));
            let answer = swift.get_opts(&key, options).await.unwrap();
            let wanted = range.as_range(content.len() as u64).unwrap();
            assert_eq!(
                (answer.range.clone(), answer.meta.size),
                (wanted.clone(), content.len() as u64)
            );
            let wanted = usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap();
            assert!(answer.bytes().await.unwrap() == content[wanted], "{range:?}");
        }
        let other = swift
            .get_opts(&key, GetOptions::new().with_if_match(Some("other")))
            .await;
        assert!(matches!(other, Err(Error::Precondition { .. })), "{other:?}");
        let beyond = GetOptions::new().with_range(Some(GetRange::Offset(content.len() as u64)));
        let failure = Failure::from(swift.get_opts(&key, beyond).await.unwrap_err());
        assert_eq!(failure.answer().unwrap().status, 416);

        swift.delete(&key).await.unwrap();
        assert_eq!(segments(&swift).await, 0);
        remove(&swift).await;
    }
}

#[tokio::test]
async fn an_upload_to_a_name_that_is_taken_is_refused_and_leaves_nothing_when_aborted() {
    let Some(facts) = Facts::read() else { return };
    for swift in containers(&facts).await {
        let (key, named) = (path(KEY), ObjectKey::new("", KEY));
        let first = upload(&swift, &key, &Bytes::from_static(b"the first")).await;
        let id = swift.create_multipart(&key).await.unwrap();
        let parts = put_parts(&swift, &key, &id, &Bytes::from_static(b"the second"), 4).await;
        let taken = swift.complete_multipart(&key, &id, parts).await;
        assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
        assert_eq!(swift.leftovers(&named).await.unwrap(), std::slice::from_ref(&id));

        let refused = swift.abort_multipart(&key, &first).await;
        assert!(
            matches!(refused, Err(Error::NotFound { .. })),
            "it is the object: {refused:?}"
        );
        swift.abort_multipart(&key, &id).await.unwrap();
        swift.abort_multipart(&key, &id).await.unwrap();
        assert_eq!(swift.leftovers(&named).await.unwrap(), [""; 0]);
        assert_eq!(segments(&swift).await, 1, "those of the object are there");
        assert_eq!(swift.get(&key).await.unwrap().bytes().await.unwrap(), "the first");
        swift.delete(&key).await.unwrap();
        assert_eq!(segments(&swift).await, 0);
        remove(&swift).await;
    }
}

#[tokio::test]
async fn a_manifest_whose_segments_do_not_fit_is_refused_with_the_reason() {
    let Some(facts) = Facts::read() else { return };
    for swift in containers(&facts).await {
        let key = path(KEY);
        let id = swift.create_multipart(&key).await.unwrap();
        let mut parts = put_parts(&swift, &key, &id, &Bytes::from_static(b"content"), 7).await;
        parts.push(PartId {
            content_id: "7-00000000000000000000000000000000".to_owned(),
        });
        let failure = Failure::from(swift.complete_multipart(&key, &id, parts).await.unwrap_err());
        assert!(failure.to_string().contains("404 Not Found"), "{failure}");
        swift.abort_multipart(&key, &id).await.unwrap();
        assert_eq!(segments(&swift).await, 0);
        remove(&swift).await;
    }
}

#[tokio::test]
async fn a_token_that_no_server_knows_any_more_is_renewed_in_the_middle() {
    let Some(facts) = Facts::read() else { return };
    let content = facts.large();
    for swift in containers(&facts).await {
        let key = path(KEY);
        let id = swift.create_multipart(&key).await.unwrap();
        let size = usize::try_from(swift.limits().await.unwrap().max_part_bytes).unwrap();
        let mut parts = Vec::new();
        for (index, start) in (0..content.len()).step_by(size).enumerate() {
            swift.0.session.spoil_token().await;
            let part = content.slice(start..content.len().min(start + size));
            parts.push(swift.put_part(&key, &id, index, part.into()).await.unwrap());
        }
        swift.0.session.spoil_token().await;
        swift.complete_multipart(&key, &id, parts).await.unwrap();
        swift.0.session.spoil_token().await;
        assert_eq!(swift.get(&key).await.unwrap().bytes().await.unwrap(), content);
        swift.0.session.spoil_token().await;
        swift.delete(&key).await.unwrap();
        assert_eq!(segments(&swift).await, 0);
        remove(&swift).await;
    }
}

/// Only where `.ci/swift-start` was told to make tokens that do not live long.
#[tokio::test]
async fn a_token_whose_time_is_up_is_renewed() {
    let Some(facts) = Facts::read() else { return };
    let seconds: u64 = facts.get("SWIFT_TOKEN_SECONDS").parse().expect("it is a number");
    if seconds > 30 {
        let _ = writeln!(
            std::io::stderr(),
            "LEFT OUT: tokens that expire: SWIFT_TOKEN_SECONDS is {seconds}"
        );
        return;
    }
    for swift in containers(&facts).await {
        let key = path(KEY);
        swift.0.session.never_renew_early().await;
        // There is nothing else to wait for: the server's clock must go on.
        tokio::time::sleep(Duration::from_secs(seconds + 2)).await;
        swift.put_opts(&key, "x".into(), PutMode::Create.into()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(seconds + 2)).await;
        swift.delete(&key).await.unwrap();
        remove(&swift).await;
    }
}

#[tokio::test]
async fn wrong_credentials_and_missing_containers_say_what_to_check() {
    let Some(facts) = Facts::read() else { return };
    for store in [facts.keystone(), facts.v1()] {
        let wrong = SwiftStore {
            password: Secret::new("a-wrong-password"),
            ..store.clone()
        };
        let text = Swift::connect(&wrong, PATIENCE, &Network::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("401") && text.contains("check username, password"),
            "{text}"
        );

        // Nobody has made this container.
        let swift = Swift::connect(&store, PATIENCE, &Network::default()).await.unwrap();
        let put = swift
            .put_opts(&path(KEY), "x".into(), PutMode::Create.into())
            .await
            .map(drop);
        let begun = swift.create_multipart(&path(KEY)).await.map(drop);
        for missing in [put, begun] {
            let text = Failure::from(missing.unwrap_err()).to_string();
            assert!(text.contains("there is no container \"test-"), "{text}");
        }
        assert_eq!(swift.leftovers(&ObjectKey::new("", KEY)).await.unwrap(), [""; 0]);
    }
    let wrong_project = SwiftStore {
        project_name: "nowhere".to_owned(),
        ..facts.keystone()
    };
    let text = Swift::connect(&wrong_project, PATIENCE, &Network::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("check username, password, project_name"), "{text}");
    let mut nowhere = facts.keystone();
    nowhere.region = Some("Nowhere".to_owned());
    let text = Swift::connect(&nowhere, PATIENCE, &Network::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(text.contains("but in \"RegionOne\""), "{text}");

    // A user of the project who may not use its containers.
    let reader = SwiftStore {
        username: facts.get("SWIFT_READER").to_owned(),
        password: Secret::new(facts.get("SWIFT_READER_PASSWORD")),
        ..facts.keystone()
    };
    let swift = Swift::connect(&reader, PATIENCE, &Network::default()).await.unwrap();
    let refused = swift.put_opts(&path(KEY), "x".into(), PutMode::Create.into()).await;
    assert!(matches!(refused, Err(Error::PermissionDenied { .. })), "{refused:?}");
}
