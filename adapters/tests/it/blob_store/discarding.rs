//! What uploads that were cut off have left is removed by others.

use std::fs;

use domain::ports::{BlobStore, Halt};

use super::{
    Desk, Place, hidden_files,
    journal::Journal,
    key, local, patient,
    scene::{PATIENT, Scene, large},
};
use crate::faulty::Fault;

/// Leaves an open upload behind, and returns its id.
async fn leave_open(scene: &Scene, name: &str) -> String {
    let (desk, bytes, journal) = (Desk::new(), large(), Journal::new());
    let source = desk.file("source", &bytes);
    scene
        .proxy
        .plan(1, "PUT", "partNumber=2", Fault::Refuse(403, "AccessDenied"));
    scene
        .proxy
        .plan(1, "DELETE", "uploadId", Fault::Refuse(403, "AccessDenied"));
    let (blobs, halt) = (patient(PATIENT), Halt::default());
    let sent = blobs
        .upload(
            &scene.store(),
            &key(name),
            &local(&source),
            bytes.len() as u64,
            journal.clone(),
            &halt,
        )
        .await;
    assert!(sent.is_err());
    journal.names().remove(0)
}

fn listing(uploads: &[(&str, &str)]) -> Fault {
    let one = |(name, id): &(&str, &str)| format!("<Upload><Key>{name}</Key><UploadId>{id}</UploadId></Upload>");
    let all: String = uploads.iter().map(one).collect();
    Fault::Document(format!(
        "<ListMultipartUploadsResult>{all}</ListMultipartUploadsResult>"
    ))
}

fn belongs_to(id: &str) -> impl Fn(&String) -> bool {
    move |name| name.contains(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn known_uploads_are_aborted_though_the_store_lists_none() {
    // With all that a signature may trip over.
    for name in ["a", "a b+c/é&=%20~*'(d).tar.gz"] {
        let scene = Scene::new().await;
        let id = leave_open(&scene, name).await;
        assert!(scene.server.leftovers().iter().any(belongs_to(&id)));
        for round in 0..2 {
            if round > 0 {
                // The server of the tests has a word of its own for what is not there.
                scene
                    .proxy
                    .plan(1, "DELETE", "uploadId", Fault::Refuse(404, "NoSuchUpload"));
            }
            // It says that it does not know the listing, once the signature is right.
            let known = std::slice::from_ref(&id);
            let result = patient(PATIENT).discard_upload(&scene.store(), &key(name), known).await;
            assert_eq!(result, Ok(()), "{name}, {round}");
            assert_eq!(scene.server.leftovers(), [""; 0], "{name}");
        }
        assert_eq!(scene.proxy.requests("GET", "uploads"), 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_uploads_of_the_very_key_are_found_and_no_others() {
    let scene = Scene::new().await;
    let (mine, longer) = (leave_open(&scene, "a").await, leave_open(&scene, "a.tar").await);
    scene
        .proxy
        .plan(1, "GET", "uploads", listing(&[("a", &mine), ("a.tar", &longer)]));
    let result = patient(PATIENT).discard_upload(&scene.store(), &key("a"), &[]).await;
    assert_eq!(result, Ok(()));
    assert_eq!(scene.proxy.requests("GET", "prefix=a"), 1);
    let left = scene.server.leftovers();
    assert!(!left.iter().any(belongs_to(&mine)), "{left:?}");
    assert!(left.iter().any(belongs_to(&longer)), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_told_of_and_the_rest_is_done() {
    let scene = Scene::new().await;
    let (first, second) = (leave_open(&scene, "a").await, leave_open(&scene, "a").await);
    scene
        .proxy
        .plan(1, "DELETE", &first, Fault::Refuse(403, "AccessDenied"));
    let known = [String::new(), first.clone(), second.clone()];
    let error = patient(PATIENT)
        .discard_upload(&scene.store(), &key("a"), &known)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("clean-up after an upload of \"a\""),
        "{error}"
    );
    let left = scene.server.leftovers();
    assert!(
        left.iter().any(belongs_to(&first)) && !left.iter().any(belongs_to(&second)),
        "{left:?}"
    );

    scene
        .proxy
        .plan(1, "GET", "uploads", Fault::Refuse(403, "AccessDenied"));
    let error = patient(PATIENT)
        .discard_upload(&scene.store(), &key("a"), &[])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("list and abort unfinished uploads"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_never_removed() {
    let scene = Scene::new().await;
    scene.put_object("a", b"artifact");
    scene
        .proxy
        .plan(1, "GET", "uploads", listing(&[("a", ""), ("a", "no-such")]));
    let _ = patient(PATIENT)
        .discard_upload(&scene.store(), &key("a"), &[String::new()])
        .await;
    assert_eq!(scene.stored("a"), b"artifact");
    assert_eq!(scene.proxy.requests("DELETE", "uploadId=&"), 0);
}

#[tokio::test]
async fn hidden_files_are_removed_by_their_names_and_nothing_else_is() {
    let place = Place::directory();
    let [one, two, other] = [1, 2, 3].map(|number| format!(".unfinished-00000000-0000-4000-8000-00000000000{number}"));
    fs::write(place.object(&format!("{one}#1")), "staged").unwrap();
    fs::write(place.object(&two), "whole").unwrap();
    fs::hard_link(place.object(&two), place.object("a")).unwrap();
    fs::write(place.object(&other), "of another upload").unwrap();
    let known = [one, two];
    for _ in 0..2 {
        assert_eq!(
            place.blobs.discard_upload(&place.store, &key("a"), &known).await,
            Ok(())
        );
        assert_eq!(hidden_files(&place.objects), [other.as_str()]);
    }
    assert_eq!(fs::read(place.object("a")).unwrap(), b"whole");

    for name in [
        "a",
        "",
        "..",
        ".unfinished-",
        ".unfinished-x",
        "../a",
        &format!("x/{other}"),
        &format!("{other}#1"),
    ] {
        let known = [name.to_owned()];
        let result = place.blobs.discard_upload(&place.store, &key("a"), &known).await;
        assert!(result.unwrap_err().to_string().contains("left alone"), "{name}");
    }
    assert_eq!(hidden_files(&place.objects), [other.as_str()]);
    assert!(place.object("a").exists());
}
