//! Uploads in parts, against a fake store.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use domain::artifact::ObjectKey;
use object_store::{
    Error,
    multipart::{MultipartStore, PartId},
};
use serde_json::{Value, json};

use super::{
    super::Swift,
    connect,
    fake::{Fake, Reply, Seen},
    path,
};
use crate::blob_store::failure::Failure;

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

/// What a store has, and how it is set up.
#[derive(Debug, Default)]
struct Store {
    segments: Mutex<BTreeSet<String>>,
    /// The segments that the object `k` is made of.
    manifest: Vec<String>,
    has_bulk_delete: bool,
    /// It says that it removed them.
    keeps_all: bool,
}

impl Store {
    fn with(segments: &[String]) -> Self {
        Self {
            segments: Mutex::new(segments.iter().cloned().collect()),
            ..Self::default()
        }
    }

    fn left(&self) -> Vec<String> {
        self.segments.lock().unwrap().iter().cloned().collect()
    }

    fn remove(&self, name: &str) {
        if !self.keeps_all {
            self.segments.lock().unwrap().remove(name);
        }
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let (method, url) = seen.line.split_once(' ').unwrap_or_default();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        match (method, path, query) {
            ("GET", "/info", _) if self.has_bulk_delete => {
                Reply::json(200, &json!({"bulk_delete": {"max_deletes_per_request": 2}}))
            }
            ("GET", "/info", _) => Reply::new(404, ""),
            ("GET", "/v1/AUTH_a/c_segments", query) => Reply::json(200, &self.page(query)),
            ("GET", "/v1/AUTH_a/c/k", "multipart-manifest=get") if self.manifest.is_empty() => Reply::new(404, ""),
            ("GET", "/v1/AUTH_a/c/k", "multipart-manifest=get") => {
                let lines: Vec<Value> = self
                    .manifest
                    .iter()
                    .map(|name| json!({"name": format!("/c_segments/{name}")}))
                    .collect();
                Reply::json(200, &json!(lines)).with("x-static-large-object", "True")
            }
            ("DELETE", path, "") => {
                self.remove(
                    path.strip_prefix("/v1/AUTH_a/c_segments/")
                        .expect("only segments are removed"),
                );
                Reply::new(204, "")
            }
            ("POST", "/v1/AUTH_a", "bulk-delete") => {
                assert!(seen.text().lines().count() <= 2, "{}", seen.text());
                for line in seen.text().lines() {
                    self.remove(line.strip_prefix("/c_segments/").expect("only segments are removed"));
                }
                Reply::json(200, &json!({"Response Status": "200 OK", "Errors": []}))
            }
            other => panic!("{other:?}"),
        }
    }

    /// One entry, so that every list has pages.
    fn page(&self, query: &str) -> Value {
        let value = |name: &str| {
            let pair = query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name))
                .unwrap_or_default();
            percent_encoding::percent_decode_str(pair)
                .decode_utf8()
                .unwrap()
                .into_owned()
        };
        let (prefix, marker) = (value("prefix="), value("marker="));
        let cut = |name: &String| match name[prefix.len()..].split_once('/') {
            Some((start, _)) if query.contains("delimiter") => json!({"subdir": format!("{prefix}{start}/")}),
            Some(_) | None => json!({"name": name, "bytes": 1, "hash": "", "last_modified": ""}),
        };
        let segments = self.segments.lock().unwrap();
        let entries = segments.iter().filter(|name| name.starts_with(&prefix)).map(cut);
        let name = |entry: &Value| entry["subdir"].as_str().or(entry["name"].as_str()).unwrap().to_owned();
        json!(entries.filter(|entry| name(entry) > marker).take(1).collect::<Vec<_>>())
    }
}

async fn serve(store: Store) -> (Arc<Store>, Fake, Swift) {
    let store = Arc::new(store);
    let shared = Arc::clone(&store);
    let fake = Fake::with_keystone(move |seen, _| shared.answer(seen)).await;
    let swift = connect(&fake).await;
    (store, fake, swift)
}

fn segments(id: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("k/{id}/{number:08}")).collect()
}

#[tokio::test]
async fn an_upload_is_segments_and_a_manifest() {
    let fake = Fake::with_keystone(|seen, _| match seen.line.split_once(' ').unwrap_or_default() {
        ("HEAD", "/v1/AUTH_a/c") => Reply::new(204, "").with("x-storage-policy", "gold"),
        ("HEAD", "/v1/AUTH_a/c_segments") => Reply::new(404, ""),
        _ => Reply::new(201, "").with("etag", format!("\"{}-sum\"", seen.text().len())),
    })
    .await;
    let swift = connect(&fake).await;
    let key = path("a/ü");
    let id = swift.create_multipart(&key).await.unwrap();
    assert_ne!(swift.create_multipart(&key).await.unwrap(), id);
    let parts = [
        swift.put_part(&key, &id, 0, "one".into()).await.unwrap(),
        swift.put_part(&key, &id, 1, "three".into()).await.unwrap(),
    ];
    swift.complete_multipart(&key, &id, parts.into()).await.unwrap();

    let lines = fake.lines();
    let segment = |number| format!("PUT /v1/AUTH_a/c_segments/a/%C3%BC/{id}/{number}");
    assert_eq!(
        lines,
        [
            "HEAD /v1/AUTH_a/c",
            "HEAD /v1/AUTH_a/c_segments",
            "PUT /v1/AUTH_a/c_segments",
            &segment("00000000"),
            &segment("00000001"),
            "HEAD /v1/AUTH_a/c_segments",
            "PUT /v1/AUTH_a/c/a/%C3%BC?multipart-manifest=put",
        ]
    );
    let seen = fake.seen();
    assert_eq!(seen[3].header("x-storage-policy"), "gold");
    assert_eq!(seen[4].header("etag"), "f97c5d29941bfb1b2fdab0874906ab82");
    assert_eq!(seen[7].header("if-none-match"), "*");
    let manifest: Value = serde_json::from_slice(&seen[7].body).unwrap();
    let line = |number: &str, etag: &str, size: u64| json!({"path": format!("/c_segments/a/ü/{id}/{number}"), "etag": etag, "size_bytes": size});
    assert_eq!(
        manifest,
        json!([line("00000000", "3-sum", 3), line("00000001", "5-sum", 5)])
    );
}

#[tokio::test]
async fn containers_that_are_missing_or_may_not_be_made_are_told_of() {
    for (own, segments, made, told) in [
        (404, 404, 201, Some("there is no container \"c\"")),
        (
            204,
            404,
            403,
            Some("container \"c_segments\", and username may neither see nor make one"),
        ),
        (204, 403, 403, Some("may neither see nor make")),
        (403, 404, 201, None),
        (204, 204, 500, None),
        (204, 404, 202, None),
    ] {
        let fake = Fake::with_keystone(move |seen, _| {
            Reply::new(
                match seen.line.as_str() {
                    "HEAD /v1/AUTH_a/c" => own,
                    "HEAD /v1/AUTH_a/c_segments" => segments,
                    "PUT /v1/AUTH_a/c_segments" => made,
                    other => panic!("{other}"),
                },
                "",
            )
        })
        .await;
        let swift = connect(&fake).await;
        let created = swift
            .create_multipart(&path("k"))
            .await
            .map_err(|error| Failure::from(error).to_string());
        match (created, told) {
            (Ok(_), None) => {}
            (Err(text), Some(told)) => assert!(text.contains(told), "{text}"),
            other => panic!("{own} {segments} {made}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_manifest_under_a_name_that_is_taken_is_refused() {
    let fake = Fake::with_keystone(|seen, _| match seen.line.starts_with("HEAD") {
        true => Reply::new(204, ""),
        false => Reply::new(412, "<html>"),
    })
    .await;
    let swift = connect(&fake).await;
    let part = |id: &str| {
        vec![PartId {
            content_id: id.to_owned(),
        }]
    };
    let taken = swift
        .complete_multipart(&path("k"), &ONE.to_owned(), part("3-abc"))
        .await;
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
    let senseless = swift.complete_multipart(&path("k"), &ONE.to_owned(), part("abc")).await;
    assert!(senseless.unwrap_err().to_string().contains("is the id of no part"));
    assert_eq!(fake.lines().len(), 2);
}

#[tokio::test]
async fn a_token_is_checked_before_the_manifest_for_which_swift_would_not_say_so() {
    let fake = Fake::with_keystone(
        |seen, _| match (seen.line.starts_with("HEAD"), seen.header("x-auth-token")) {
            (true, "test-token-1") => Reply::new(401, ""),
            (false, "test-token-1") => Reply::new(400, "Errors:\n/c_segments/k, 401 Unauthorized"),
            (true, _) => Reply::new(403, ""),
            (false, _) => Reply::new(201, ""),
        },
    )
    .await;
    let swift = connect(&fake).await;
    let part = PartId {
        content_id: "3-abc".to_owned(),
    };
    swift
        .complete_multipart(&path("k"), &ONE.to_owned(), vec![part])
        .await
        .unwrap();
    assert_eq!((fake.logins(), fake.lines().len()), (2, 3));
}

#[tokio::test]
async fn an_abort_leaves_nothing_of_the_upload_and_all_of_others() {
    for has_bulk_delete in [true, false] {
        let mut all = segments(ONE, 5);
        let others = [
            segments(TWO, 1),
            vec![format!("k/{ONE}/{TWO}/00000000"), format!("k/{ONE}/00000000.txt")],
        ]
        .concat();
        all.extend(others.clone());
        let (store, _fake, swift) = serve(Store {
            has_bulk_delete,
            ..Store::with(&all)
        })
        .await;
        swift.abort_multipart(&path("k"), &ONE.to_owned()).await.unwrap();
        let mut others = others;
        others.sort();
        assert_eq!(store.left(), others, "{has_bulk_delete}");
    }
}

#[tokio::test]
async fn an_abort_after_the_completion_destroys_nothing() {
    let (store, fake, swift) = serve(Store {
        manifest: segments(ONE, 2),
        ..Store::with(&segments(ONE, 2))
    })
    .await;
    let aborted = swift.abort_multipart(&path("k"), &ONE.to_owned()).await;
    assert!(matches!(aborted, Err(Error::NotFound { .. })), "{aborted:?}");
    assert_eq!(store.left().len(), 2);
    assert!(!fake.lines().iter().any(|line| line.starts_with("DELETE")));
}

#[tokio::test]
async fn segments_that_do_not_go_are_told_of() {
    let (_store, _fake, swift) = serve(Store {
        keeps_all: true,
        ..Store::with(&segments(ONE, 1))
    })
    .await;
    let failure = Failure::from(swift.abort_multipart(&path("k"), &ONE.to_owned()).await.unwrap_err());
    assert!(
        failure.is_transient() && failure.to_string().contains("parts are still in container"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_id_that_is_none_of_ours_aborts_nothing() {
    let (_store, fake, swift) = serve(Store::with(&segments(ONE, 1))).await;
    for id in [
        "",
        "..",
        "1",
        "00000000-0000-0000-0000-000000000000",
        &ONE.replace("-", ""),
    ] {
        let aborted = swift.abort_multipart(&path("k"), &id.to_owned()).await;
        assert!(matches!(aborted, Err(Error::NotFound { .. })), "{id}: {aborted:?}");
    }
    assert_eq!(fake.lines(), [""; 0]);
}

#[tokio::test]
async fn leftovers_are_uploads_of_this_very_key_that_no_object_is_made_of() {
    let others = [
        "k/notes/00000000".to_owned(),
        format!("k2/{ONE}/00000000"),
        format!("k/x/{ONE}/00000000"),
    ];
    let all = [segments(ONE, 2), segments(TWO, 1), others.to_vec()].concat();
    let key = ObjectKey::new("", "k");
    let (_store, _fake, swift) = serve(Store::with(&all)).await;
    assert_eq!(swift.leftovers(&key).await.unwrap(), [ONE, TWO]);

    let (_store, _fake, swift) = serve(Store {
        manifest: segments(TWO, 1),
        ..Store::with(&all)
    })
    .await;
    assert_eq!(swift.leftovers(&key).await.unwrap(), [ONE]);
}

#[tokio::test]
async fn leftovers_are_not_told_of_where_the_manifest_makes_no_sense() {
    let store = Store::with(&segments(ONE, 1));
    let fake = Fake::with_keystone(move |seen, _| match seen.line.contains("multipart-manifest=get") {
        true => Reply::new(200, "[{\"na").with("x-static-large-object", "true"),
        false => store.answer(seen),
    })
    .await;
    let swift = connect(&fake).await;
    let text = swift.leftovers(&ObjectKey::new("", "k")).await.unwrap_err().to_string();
    assert!(text.contains("so nothing was removed"), "{text}");
    assert!(swift.abort_multipart(&path("k"), &ONE.to_owned()).await.is_err());
    assert!(!fake.lines().iter().any(|line| line.starts_with("DELETE")));
}

#[tokio::test]
async fn without_a_container_for_segments_nothing_is_left() {
    let fake = Fake::with_keystone(|_, _| Reply::new(404, "")).await;
    let swift = connect(&fake).await;
    assert_eq!(swift.leftovers(&ObjectKey::new("", "k")).await.unwrap(), [""; 0]);
    swift.abort_multipart(&path("k"), &ONE.to_owned()).await.unwrap();
}
