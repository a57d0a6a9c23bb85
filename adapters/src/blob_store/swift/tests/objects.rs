//! Single objects and lists, against scripted answers.

use futures_util::TryStreamExt;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, UpdateVersion,
};
use serde_json::json;

use super::{
    super::{Swift, info::Bounds},
    connect,
    fake::{Fake, Reply},
    path,
};
use crate::blob_store::failure::Failure;

const MODIFIED: &str = "Mon, 23 Nov 2026 10:11:12 GMT";

async fn answered(reply: Reply) -> (Fake, Swift) {
    let fake = Fake::with_keystone(move |_, _| reply.clone()).await;
    let swift = connect(&fake).await;
    (fake, swift)
}

#[tokio::test]
async fn a_put_that_creates_says_so_and_is_told_what_is_taken() {
    let (fake, swift) = answered(Reply::new(201, "").with("etag", "abc")).await;
    let put = swift
        .put_opts(&path("a b/ü#"), "hello".into(), PutMode::Create.into())
        .await
        .unwrap();
    assert_eq!(put.e_tag.as_deref(), Some("abc"));
    swift
        .put_opts(&path("k"), "".into(), PutMode::Overwrite.into())
        .await
        .unwrap();
    let seen = fake.seen();
    assert_eq!(seen[1].line, "PUT /v1/AUTH_a/c/a%20b/%C3%BC%23");
    assert_eq!(seen[1].header("if-none-match"), "*");
    assert_eq!(seen[1].header("etag"), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!((seen[1].text(), seen[1].header("content-length")), ("hello", "5"));
    assert_eq!(
        (seen[2].header("if-none-match"), seen[2].header("content-length")),
        ("", "0")
    );

    let (_fake, swift) = answered(Reply::new(412, "<html>")).await;
    let taken = swift.put_opts(&path("k"), "x".into(), PutMode::Create.into()).await;
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
    let update = PutMode::Update(UpdateVersion {
        e_tag: None,
        version: None,
    });
    let refused = swift.put_opts(&path("k"), "x".into(), update.into()).await;
    assert!(matches!(refused, Err(Error::NotSupported { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_put_without_a_container_says_what_to_check() {
    let (_fake, swift) = answered(Reply::new(404, "<html>")).await;
    let missing = swift.put_opts(&path("k"), "x".into(), PutMode::Create.into()).await;
    let text = Failure::from(missing.unwrap_err()).to_string();
    assert!(
        text.contains("there is no container \"c\" in this account; check container_name"),
        "{text}"
    );
}

#[tokio::test]
async fn a_body_that_was_damaged_on_the_way_may_be_sent_again() {
    let (_fake, swift) = answered(Reply::new(422, "<html>")).await;
    let damaged = swift.put_opts(&path("k"), "x".into(), PutMode::Create.into()).await;
    assert!(Failure::from(damaged.unwrap_err()).is_transient());
}

#[tokio::test]
async fn each_condition_of_a_get_is_sent_and_each_answer_understood() {
    let part = Reply::new(206, "bcd")
        .with("content-range", "bytes 1-3/10")
        .with("etag", "\"quoted\"")
        .with("last-modified", MODIFIED);
    let (fake, swift) = answered(part).await;
    let options = GetOptions::new()
        .with_range(Some(GetRange::Bounded(1..4)))
        .with_if_match(Some("quoted"));
    let answer = swift.get_opts(&path("k"), options).await.unwrap();
    assert_eq!((answer.meta.size, answer.range.clone()), (10, 1..4));
    assert_eq!(answer.meta.e_tag.as_deref(), Some("quoted"));
    assert_eq!(answer.meta.last_modified.to_rfc3339(), "2026-11-23T10:11:12+00:00");
    assert_eq!(answer.bytes().await.unwrap(), "bcd");
    let seen = fake.seen();
    assert_eq!(
        (seen[1].header("range"), seen[1].header("if-match")),
        ("bytes=1-3", "\"quoted\"")
    );

    let all_else = GetOptions::new().with_range(Some(GetRange::Offset(1)));
    let error = swift.get_opts(&path("k"), all_else).await.unwrap_err();
    assert_eq!(fake.seen()[2].header("range"), "bytes=1-");
    // The same answer is not one to this.
    assert!(error.to_string().contains("another range"), "{error}");

    for (status, fits) in [
        (
            304,
            (|error| matches!(error, Error::NotModified { .. })) as fn(&Error) -> bool,
        ),
        (401, |error| matches!(error, Error::Unauthenticated { .. })),
        (403, |error| matches!(error, Error::PermissionDenied { .. })),
        (404, |error| matches!(error, Error::NotFound { .. })),
        (412, |error| matches!(error, Error::Precondition { .. })),
        (416, |error| matches!(error, Error::Generic { .. })),
        (503, |error| matches!(error, Error::Generic { .. })),
    ] {
        let (_fake, swift) = answered(Reply::new(status, "")).await;
        let error = swift.get(&path("k")).await.unwrap_err();
        assert!(fits(&error), "{status}: {error:?}");
        let failure = Failure::from(error);
        assert_eq!(failure.answer().map(|answer| answer.status), Some(status));
    }
}

#[tokio::test]
async fn answers_to_a_get_that_make_no_sense_are_refused() {
    let whole = || Reply::new(200, "abc").with("etag", "e");
    for (reply, range, what) in [
        (whole(), None, "last-modified"),
        (whole().with("last-modified", "yesterday"), None, "last-modified"),
        (
            whole().with("last-modified", MODIFIED),
            Some(GetRange::Offset(1)),
            "all of it came",
        ),
        (
            Reply::new(206, "a").with("last-modified", MODIFIED),
            Some(GetRange::Offset(1)),
            "Content-Range",
        ),
    ] {
        let (_fake, swift) = answered(reply).await;
        let error = swift
            .get_opts(&path("k"), GetOptions::new().with_range(range))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_needed_says_that_it_is_not_there() {
    let (fake, swift) = answered(Reply::new(200, "")).await;
    let copied = swift.copy_opts(&path("a"), &path("b"), CopyOptions::default()).await;
    assert!(matches!(copied, Err(Error::NotImplemented { .. })), "{copied:?}");
    let begun = swift
        .put_multipart_opts(&path("a"), PutMultipartOptions::default())
        .await;
    assert!(matches!(begun, Err(Error::NotImplemented { .. })));
    assert_eq!(fake.lines(), [""; 0]);
}

fn entry(name: &str) -> serde_json::Value {
    json!({"name": name, "bytes": 3, "hash": "h", "last_modified": "2026-11-23T10:11:12.123456"})
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let fake = Fake::with_keystone(|seen, _| {
        let page = match seen.line.split_once("marker=") {
            None => json!([entry("d/a b"), entry("d/ü")]),
            Some((_, "d%2F%C3%BC")) => json!([entry("d/ü/😀#%20")]),
            Some((_, "d%2F%C3%BC%2F%F0%9F%98%80%23%2520")) => json!([]),
            Some((_, other)) => panic!("{other}"),
        };
        Reply::json(200, &page)
    })
    .await;
    let swift = connect(&fake).await;
    let found: Vec<_> = swift.list(Some(&path("d"))).try_collect().await.unwrap();
    let names: Vec<&str> = found.iter().map(|meta| meta.location.as_ref()).collect();
    assert_eq!(names, ["d/a b", "d/ü", "d/ü/😀#%20"]);
    assert_eq!(found[0].last_modified.to_rfc3339(), "2026-11-23T10:11:12.123456+00:00");
    assert_eq!(fake.lines()[0], "GET /v1/AUTH_a/c?format=json&limit=1000&prefix=d%2F");
}

#[tokio::test]
async fn a_list_with_a_delimiter_has_prefixes() {
    let page = json!([entry("a"), {"subdir": "d/"}]);
    let fake = Fake::with_keystone(move |seen, _| match seen.line.contains("marker=d%2F") {
        true => Reply::new(204, ""),
        false => Reply::json(200, &page),
    })
    .await;
    let swift = connect(&fake).await;
    let found = swift.list_with_delimiter(None).await.unwrap();
    assert_eq!(found.common_prefixes, [path("d")]);
    assert_eq!(found.objects.len(), 1);
    assert!(fake.lines()[0].ends_with("prefix=&delimiter=%2F"), "{:?}", fake.lines());
}

#[tokio::test]
async fn a_list_that_makes_no_sense_or_no_end_is_refused() {
    let same = json!([entry("a")]).to_string();
    for (body, what) in [
        (same.as_str(), "round in circles"),
        ("[{\"name\": 1}]", "makes no sense"),
        ("<html>", "makes no sense"),
    ] {
        let (_fake, swift) = answered(Reply::new(200, body)).await;
        let error = swift.list(None).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn bounds_are_the_usual_ones_where_the_store_shows_none() {
    let told = json!({"swift": {"max_file_size": 500}});
    for (reply, largest) in [
        (Reply::json(200, &told), 500),
        (Reply::new(404, ""), Bounds::default().max_object_bytes),
        (Reply::new(401, ""), Bounds::default().max_object_bytes),
        (Reply::new(200, "<html>"), Bounds::default().max_part_bytes),
    ] {
        let (fake, swift) = answered(reply).await;
        for _ in 0..2 {
            assert_eq!(swift.limits().await.unwrap().max_object_bytes, largest);
        }
        let seen = fake.seen();
        assert_eq!((seen[1].line.as_str(), seen.len()), ("GET /info", 2));
        assert_eq!(seen[1].header("x-auth-token"), "", "it is for everybody");
    }
    let (_fake, swift) = answered(Reply::new(503, "")).await;
    assert!(swift.limits().await.unwrap_err().is_transient());
}

#[tokio::test]
async fn an_object_in_segments_is_deleted_with_them_and_errors_inside_a_200_are_seen() {
    let fake = Fake::with_keystone(|seen, _| match seen.line.split_once(' ').unwrap_or_default() {
        ("HEAD", "/v1/AUTH_a/c/plain") => Reply::new(200, ""),
        ("HEAD", "/v1/AUTH_a/c/gone") => Reply::new(404, ""),
        ("HEAD", _) => Reply::new(200, "").with("x-static-large-object", "True"),
        ("DELETE", "/v1/AUTH_a/c/plain") => Reply::new(204, ""),
        ("DELETE", "/v1/AUTH_a/c/large?multipart-manifest=delete") => {
            Reply::new(200, "  {\"Response Status\": \"200 OK\", \"Errors\": []}")
        }
        ("DELETE", "/v1/AUTH_a/c/stuck?multipart-manifest=delete") => Reply::json(
            200,
            &json!({"Response Status": "400 Bad Request", "Errors": [["/c_segments/stuck/1", "403 Forbidden"]]}),
        ),
        other => panic!("{other:?}"),
    })
    .await;
    let swift = connect(&fake).await;
    swift.delete(&path("plain")).await.unwrap();
    swift.delete(&path("large")).await.unwrap();
    let stuck = swift.delete(&path("stuck")).await.unwrap_err();
    assert!(matches!(stuck, Error::PermissionDenied { .. }), "{stuck:?}");
    assert!(stuck.to_string().contains("/c_segments/stuck/1"), "{stuck}");
    let gone = swift.delete(&path("gone")).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone:?}");
}
