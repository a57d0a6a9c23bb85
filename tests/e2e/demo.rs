//! The demo: the first command that a person tries.

use crate::harness::{AUTH_KEY, AUTH_SECRET, Environment, Place, S3Server, processes_with, run_agent, wait_until};

#[test]
fn the_demo_backs_up_destroys_and_restores_and_says_so() {
    let place = Place::without_scripts();
    let output = run_agent(&["demo"], &environment(&place), place.root());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for word in [
        "pre-backup-lock",
        "post-backup-unlock",
        "pre-restore-lock",
        "post-restore-unlock",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert_nothing_runs(&place);
}

#[test]
fn the_demo_does_the_same_against_a_real_store() {
    let (place, store) = (Place::without_scripts(), S3Server::start());
    let mut environment = environment(&place);
    environment
        .set("AWS_ACCESS_KEY_ID", AUTH_KEY)
        .set("AWS_SECRET_ACCESS_KEY", AUTH_SECRET);
    let arguments = ["demo", "--endpoint", &store.endpoint(), "--bucket", "bucket"];
    let output = run_agent(&arguments, &environment, place.root());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(store.keys().len(), 1, "{:?}", store.keys());
    let said = format!("{output:?}");
    assert!(!said.contains(AUTH_SECRET), "{said}");
    assert_nothing_runs(&place);
}

#[test]
fn a_demo_against_a_store_that_refuses_is_no_success() {
    let (place, store) = (Place::without_scripts(), S3Server::start());
    let mut environment = environment(&place);
    environment
        .set("AWS_ACCESS_KEY_ID", AUTH_KEY)
        .set("AWS_SECRET_ACCESS_KEY", "wrong");
    let arguments = ["demo", "--endpoint", &store.endpoint(), "--bucket", "bucket"];
    let output = run_agent(&arguments, &environment, place.root());
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(store.keys(), [""; 0]);
    assert_nothing_runs(&place);
}

fn environment(place: &Place) -> Environment {
    let mut environment = Environment::default();
    environment.set("E2E_PLACE", place.root()).set("TMPDIR", place.root());
    environment
}

#[track_caller]
fn assert_nothing_runs(place: &Place) {
    let mark = format!("E2E_PLACE={}", place.root().display());
    wait_until("the demo leaves no process", || processes_with(&mark).is_empty());
}
