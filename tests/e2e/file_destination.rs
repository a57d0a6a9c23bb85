//! A directory as a destination: which ones requests may use.

use serde_json::json;

use crate::{
    harness::{Agent, Kind, Place, backup, file_store},
    request_members::assert_refused,
};

#[test]
fn a_directory_is_a_destination_only_below_the_roots_that_are_allowed() {
    let agent = Agent::start(|_| {});
    let place = &agent.place;
    std::fs::create_dir(place.path("outside")).expect("a directory can be made");
    std::fs::create_dir(place.path("store-evil")).expect("a directory can be made");
    let store = place.store();
    let shown = store.display();
    for path in [
        "/".to_owned(),
        "/tmp".to_owned(),
        place.path("outside").display().to_string(),
        place.path("store-evil").display().to_string(),
        format!("{shown}/../outside"),
        format!("{shown}/objects/../../outside"),
        "objects".to_owned(),
        "store/objects".to_owned(),
        "../store/objects".to_owned(),
        String::new(),
    ] {
        let body = backup("x", &json!({"type": "FILE", "path": path}));
        assert_refused(&agent, Kind::Backup, &body, &["destination.path"]);
    }
    assert_refused(
        &agent,
        Kind::Backup,
        &backup("x", &json!({"type": "FILE"})),
        &["destination.path"],
    );
}

#[test]
fn a_link_below_an_allowed_root_leads_nowhere_else() {
    let agent = Agent::start(|_| {});
    let outside = agent.place.path("outside");
    std::fs::create_dir(&outside).expect("a directory can be made");
    std::os::unix::fs::symlink(&outside, agent.place.store().join("link")).expect("a link can be made");
    let body = backup(
        "job",
        &json!({"type": "FILE", "path": agent.place.store().join("link")}),
    );
    if agent.request(Kind::Backup, &body).status == 201 {
        assert_eq!(agent.finished(Kind::Backup, "job")["status"], "FAILED");
    }
    assert_eq!(
        std::fs::read_dir(&outside).expect("it is there").count(),
        0,
        "nothing was written outside"
    );
}

#[test]
fn without_allowed_roots_the_type_file_is_refused() {
    let agent = Agent::start(|env| {
        env.unset("allowed_file_roots");
    });
    assert_refused(
        &agent,
        Kind::Backup,
        &backup("x", &file_store(&agent.place)),
        &["destination.type"],
    );
}

#[test]
fn several_roots_may_be_allowed() {
    let place = Place::new();
    let roots = format!("{}:{}", place.backup().display(), place.store().display());
    let agent = Agent::start_in(place, |env| {
        env.set("allowed_file_roots", roots);
    });
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
}

#[test]
fn a_directory_that_is_not_there_is_not_made_up() {
    let agent = Agent::start(|_| {});
    let gone = agent.place.store().join("not-there");
    let body = backup("job", &json!({"type": "FILE", "path": gone}));
    let response = agent.request(Kind::Backup, &body);
    if response.status == 201 {
        assert_eq!(
            agent.finished(Kind::Backup, "job")["status"],
            "FAILED",
            "the directory must exist"
        );
    } else {
        assert_eq!(response.status, 400);
    }
    assert!(!gone.exists(), "it may be a mount that is not there now");
}
