//! Nobody says whether the job was accepted: how it can be found out.

use nix::sys::signal::Signal;

use super::{assert_code, environment, fake::Taciturn, running::Running, said};
use crate::harness::{Place, run_agent, wait_for};

const WITHOUT_ID: [&str; 7] = ["backup", "--host", "h", "--database", "d", "--type", "FILE"];

/// What has to be said of a job that may be there.
fn words(id: &str, url: &str) -> [String; 2] {
    [
        format!("it is not known whether backup {id} was accepted"),
        format!("look again: osb-backup-agent status backup {id} --wait --url {url}"),
    ]
}

#[test]
fn who_gets_no_answer_is_told_the_id_that_was_made_up() {
    let place = Place::without_scripts();
    for answer in ["", "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"] {
        let agent = Taciturn::start(Some(answer));
        let url = agent.url();
        let output = run_agent(
            &[&WITHOUT_ID[..], &["--url", &url]].concat(),
            &environment(),
            place.root(),
        );
        let id = agent.id().expect("it was asked");
        for part in words(&id, &url) {
            assert_code(&output, 3, &part);
        }
    }
    // Nobody can have accepted it here.
    let arguments = [&WITHOUT_ID[..], &["--url", "http://127.0.0.1:1"]].concat();
    let output = run_agent(&arguments, &environment(), place.root());
    assert!(!said(&output).contains("not known"), "{}", said(&output));
}

#[test]
fn an_interruption_before_the_answer_says_how_to_look() {
    let place = Place::without_scripts();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let agent = Taciturn::start(None);
        let mut client = Running::start_at(&agent.url(), place.root(), &WITHOUT_ID);
        let id = wait_for("the request is there", || agent.id());
        client.signal(signal);
        assert_eq!(client.code(), Some(code), "{}", client.said());
        client.wait_until_it_says("interrupted");
        for part in words(&id, &agent.url()) {
            client.wait_until_it_says(&part);
        }
    }
}
