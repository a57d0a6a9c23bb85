//! Which ids a job may have.

use serde_json::{Value, json};

use crate::{
    harness::{Agent, Body, Kind, backup, file_store, start},
    request_members::assert_refused,
};

#[test]
fn ids_of_the_known_clients_and_all_others_of_the_alphabet_are_taken() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "4");
    });
    let store = file_store(&agent.place);
    let longest = "x".repeat(128);
    let ids = [
        "a",
        "_",
        "7",
        "778f038c-e1c5-11e8-9f32-f2801f1b9fd1",
        "6b03c025a7986c17af69ab8c0",
        "A.b_c-d~e",
        "a..b",
        "a.",
        "_-",
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-~",
        longest.as_str(),
    ];
    for id in ids {
        // The database is another name, as not every id may be one.
        let body = backup(id, &store).with("/backup/database", format!("db-{id}").replace('~', "-"));
        let body = if id.len() > 100 {
            body.with("/backup/database", "long")
        } else {
            body
        };
        agent.accept(Kind::Backup, &body);
        assert!(agent.job(Kind::Backup, id)["message"].is_string(), "{id}");
    }
    for id in ids {
        assert_eq!(agent.finished(Kind::Backup, id)["status"], "SUCCEEDED", "{id}");
        assert_eq!(agent.remove(Kind::Backup, id).status, 200, "{id}");
    }
}

#[test]
fn any_other_id_is_400_and_named() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    let too_long = "x".repeat(129);
    for kind in Kind::ALL {
        for id in [
            "",
            "-a",
            ".a",
            "~a",
            ".",
            "..",
            "../escape",
            "/abs",
            "a/b",
            "a\\b",
            "a b",
            " a",
            "a ",
            "a\n",
            "a\0b",
            "a%20b",
            "a?b",
            "a#b",
            "a;b",
            "a:b",
            "a$b",
            "a\"b",
            "ümlaut",
            "a\u{fffd}",
            too_long.as_str(),
        ] {
            assert_refused(&agent, kind, &start(kind, id, &store), &["id"]);
        }
        for id in [Value::Null, json!(5), json!(true), json!(["a"]), json!({"id": "a"})] {
            assert_refused(&agent, kind, &start(kind, "x", &store).with("/id", id), &["id"]);
        }
        assert_refused(&agent, kind, &start(kind, "x", &store).without("/id"), &["id"]);
    }
}
