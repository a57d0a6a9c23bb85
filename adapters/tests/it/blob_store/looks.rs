//! The look before the first job, where a store does not let us do everything.

use domain::ports::{BlobStore, Finding};

use super::{
    patient,
    scene::{PATIENT, Scene},
};
use crate::faulty::Fault;

const NAME: &str = "/osb-backup-agent-check-";

async fn findings(scene: &Scene) -> Vec<Finding> {
    patient(PATIENT).examine(&scene.store(), None).await
}

/// Subject and detail of all that is wrong.
fn bad(findings: &[Finding]) -> Vec<(&str, &str)> {
    let bad = findings.iter().filter(|finding| !finding.is_good());
    bad.map(|finding| (finding.subject.as_str(), finding.detail()))
        .collect()
}

fn is_clean(scene: &Scene) -> bool {
    let objects = scene.server.object(super::BUCKET, "");
    let is_empty = std::fs::read_dir(objects).unwrap().next().is_none();
    is_empty && scene.server.leftovers().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_that_a_name_is_free_could_not_back_up_either() {
    let scene = Scene::new().await;
    scene.proxy.plan(1, "HEAD", NAME, Fault::Answer(403, ""));
    let findings = findings(&scene).await;
    let bad = bad(&findings);
    assert!(matches!(bad[..], [("destination: free name", _)]), "{bad:?}");
    assert!(is_clean(&scene));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_remove_objects_has_rights_enough_and_is_told_what_stays() {
    // The second is how S3 tells of single objects.
    let of_one =
        "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
    for fault in [Fault::Refuse(403, "AccessDenied"), Fault::Document(of_one.to_owned())] {
        let scene = Scene::new().await;
        scene.proxy.plan(1, "POST", "delete", fault);
        let findings = findings(&scene).await;
        assert_eq!(bad(&findings), []);
        let delete = findings.last().unwrap();
        assert!(delete.detail().contains("remove osb-backup-agent-check-"), "{delete:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_came_although_nobody_said_so_is_removed() {
    let scene = Scene::new().await;
    scene.proxy.plan(1, "PUT", NAME, Fault::LoseAnswer);
    let findings = findings(&scene).await;
    let bad = bad(&findings);
    assert!(matches!(bad[..], [("destination: put", _)]), "{bad:?}");
    assert_eq!(scene.proxy.requests("POST", "delete"), 1);
    assert!(is_clean(&scene));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_leaves_no_upload_open() {
    let scene = Scene::new().await;
    scene
        .proxy
        .plan(1, "PUT", "partNumber", Fault::Refuse(403, "AccessDenied"));
    let findings = findings(&scene).await;
    let bad = bad(&findings);
    assert!(matches!(bad[..], [("destination: multipart and abort", _)]), "{bad:?}");
    assert!(is_clean(&scene));
}
