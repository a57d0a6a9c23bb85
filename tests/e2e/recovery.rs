//! What becomes of jobs when the agent is killed, at every point, and started again.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{
    Agent, Body, Fault, Kind, S3Server, backup, file_store, processes_with, send_signal, start, wait_until, wide,
};

/// The phases whose scripts must have been started if the agent died in that of `phase`.
fn expected(kind: Kind, phase: &str) -> Vec<&'static str> {
    let phases = kind.phases();
    let at = phases.iter().position(|known| *known == phase).expect("of this kind");
    let mut expected = phases[..=at].to_vec();
    // A cleanup that was at work runs again.
    if phase != kind.unlock() {
        expected.push(kind.cleanup());
    }
    expected.push(kind.unlock());
    expected
}

#[test]
fn an_agent_killed_in_any_script_unlocks_when_it_is_started_again() {
    for kind in Kind::ALL {
        for phase in kind.phases() {
            let mut agent = Agent::start(|_| {});
            agent.place.write("store/objects/object", "content");
            agent.place.hold(kind, "job", phase);
            agent.accept(kind, &start(kind, "job", &file_store(&agent.place)));
            agent.place.wait_held(kind, "job", phase);
            agent.die();
            // It would go on, were it not ended before the unlock.
            let run = run_marks(&agent);
            assert_eq!(run.len(), 1, "{phase}: {run:?}");
            agent.start_again();
            let first = agent.job(kind, "job");
            let at_once = first["status"] == "RUNNING" || first["outcome"] == "interrupted";
            assert!(at_once, "{phase}: {first}");
            // An interrupted cleanup or unlock runs again, and must not be held this time.
            agent.place.release(kind, "job", phase);
            let job = agent.finished(kind, "job");
            assert_eq!(job["status"], "FAILED", "{phase}: {job}");
            assert_eq!(job["outcome"], "interrupted", "{phase}: {job}");
            assert_eq!(job["lock_released"], true, "{phase}: {job}");
            let message = job["error_message"].as_str().unwrap_or_default();
            assert!(
                message.contains(&format!("{phase}: interrupted by a restart of the agent")),
                "{message}"
            );
            assert_eq!(agent.place.ran(kind, "job"), expected(kind, phase), "{phase}");
            let told = agent.place.environment(kind, "job", kind.unlock());
            assert_eq!(told["BACKUP_AGENT_LOCK"], "unknown", "{phase}");
            assert!(run_marks(&agent).is_empty(), "{phase}: nothing of the scripts lives");
            let restored = std::fs::read_dir(agent.place.restore()).expect("it is there").count();
            assert_eq!(restored, 0, "{phase}: the file to restore is removed");
        }
    }
}

/// The distinct run marks of all scripts that live.
fn run_marks(agent: &Agent) -> Vec<i32> {
    let mark = format!("E2E_PLACE={}", agent.place.root().display());
    let scripts = processes_with("BACKUP_AGENT_RUN=");
    let of_place = processes_with(&mark);
    let own = agent.place.scripts();
    let mut leaders: Vec<i32> = scripts
        .into_iter()
        .filter(|id| of_place.contains(id) && is_running(*id, &own.display().to_string()))
        .collect();
    leaders.sort_unstable();
    leaders
}

fn is_running(id: i32, text: &str) -> bool {
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&arguments).contains(text)
}

#[test]
fn nothing_of_an_interrupted_script_lives_once_unlock_runs_however_it_hid() {
    // A new session and an empty environment, as `su -` makes them; one also loses its leader.
    for (case, work, kills_leader) in [
        (
            "in a session of its own",
            "env -i setsid sleep 1000 & echo $! >\"$trace/worker\"; wait",
            false,
        ),
        (
            "that ignores TERM",
            "trap '' TERM; echo $$ >\"$trace/worker\"; while :; do sleep 1; done",
            false,
        ),
        (
            "without its leader",
            "env -i setsid sleep 1000 & echo $! >\"$trace/worker\"; wait",
            true,
        ),
    ] {
        let mut agent = Agent::start(|_| {});
        agent
            .place
            .script("backup", &format!("echo $$ >\"$trace/leader\"; {work}"));
        agent.place.script(
            "post-backup-unlock",
            "if kill -0 \"$(cat \"$trace/worker\")\" 2>/dev/null; then echo alive; else echo gone; fi",
        );
        agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
        let worker = agent.place.path("trace/worker");
        wait_until("the worker works", || {
            std::fs::read_to_string(&worker).is_ok_and(|text| text.ends_with('\n'))
        });
        agent.die();
        if kills_leader {
            let leader = std::fs::read_to_string(agent.place.path("trace/leader")).expect("it is there");
            send_signal(leader.trim().parse().expect("a number"), Signal::SIGKILL);
        }
        agent.start_again();
        let job = agent.finished(Kind::Backup, "job");
        assert_eq!(job["post_backup_unlock_log"], "gone\n", "a worker {case}: {job}");
        assert_eq!(job["lock_released"], true, "{case}");
    }
}

#[test]
fn what_an_earlier_script_left_behind_on_purpose_lives_until_the_unlock() {
    let mut agent = Agent::start(|_| {});
    agent
        .place
        .script("pre-backup-lock", "sleep 1000 & echo $! >\"$trace/holder\"");
    agent.place.script(
        "post-backup-unlock",
        "if kill \"$(cat \"$trace/holder\")\"; then echo held; else echo lost; fi",
    );
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.die_and_start_again();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["post_backup_unlock_log"], "held\n", "{job}");
}

#[test]
fn an_upload_that_was_cut_off_leaves_no_parts() {
    let store = S3Server::start();
    let mut agent = Agent::start(|_| {});
    agent
        .place
        .script("backup", "head -c 160000000 /dev/zero >\"$BACKUP_AGENT_FILE\"");
    agent.accept(Kind::Backup, &backup("job", &store.destination()));
    wait_until("a part is in the store", || !store.leftovers().is_empty());
    store.fault("PUT", 100, Fault::Hold);
    agent.die();
    assert!(!store.leftovers().is_empty(), "the test must cut an upload off");
    store.release();
    agent.start_again();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["outcome"], "interrupted", "{job}");
    assert_eq!(store.leftovers(), Vec::<String>::new(), "no upload is open");
    assert!(store.keys().is_empty(), "{:?}", store.keys());
}

#[test]
fn a_download_that_was_cut_off_leaves_nothing() {
    let store = S3Server::start();
    store.put("object", &vec![7; 8 << 20]);
    let mut agent = Agent::start(|_| {});
    store.hold_after(3 << 20);
    agent.accept(Kind::Restore, &start(Kind::Restore, "job", &store.destination()));
    store.wait_until_silent();
    let restore = agent.place.restore();
    let half = || std::fs::read_dir(&restore).expect("it is there").count();
    wait_until("a part of the file is there", || half() > 0);
    agent.die();
    assert!(half() > 0, "the test must cut a download off");
    store.release();
    agent.start_again();
    let job = agent.finished(Kind::Restore, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("interrupted"), &json!(true)),
        "{job}"
    );
    assert_eq!(
        agent.place.ran(Kind::Restore, "job"),
        expected(Kind::Restore, "pre-restore-lock")
    );
    assert_eq!(half(), 0, "what was downloaded is removed");
    agent.succeed(Kind::Restore, &start(Kind::Restore, "again", &store.destination()));
}

#[test]
fn finished_jobs_and_waiting_ones_outlive_the_agent() {
    let mut agent = Agent::start(|env| {
        env.set("max_job_number", "1");
    });
    agent.place.write("store/objects/object", "content");
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("good", &store));
    agent.succeed(Kind::Restore, &start(Kind::Restore, "good", &store));
    let bad = backup("bad", &store).with("/backup/parameters", json!([{"FAIL_backup": "exit 3"}]));
    agent.fail(Kind::Backup, &bad);
    agent.place.hold(Kind::Backup, "held", "backup");
    agent.accept(Kind::Backup, &backup("held", &store));
    agent.place.wait_held(Kind::Backup, "held", "backup");
    for number in 0..3 {
        agent.accept(Kind::Backup, &backup(&format!("waits-{number}"), &store));
    }
    let finished = [(Kind::Backup, "good"), (Kind::Restore, "good"), (Kind::Backup, "bad")];
    let bodies = |agent: &Agent| finished.map(|(kind, id)| agent.get(&format!("{}/{id}", kind.route())).text());
    let before = bodies(&agent);
    agent.die_and_start_again();
    assert_eq!(bodies(&agent), before, "byte for byte");
    for number in 0..3 {
        let id = format!("waits-{number}");
        assert_eq!(agent.finished(Kind::Backup, &id)["status"], "SUCCEEDED", "{id}");
    }
    assert_eq!(agent.finished(Kind::Backup, "held")["outcome"], "interrupted");
    for (kind, id) in finished {
        assert_eq!(
            agent.request(kind, &start(kind, id, &store)).status,
            409,
            "{id} is taken"
        );
        assert_eq!(agent.remove(kind, id).status, 200);
    }
    agent.die_and_start_again();
    for (kind, id) in finished {
        assert_eq!(
            agent.get(&format!("{}/{id}", kind.route())).status,
            404,
            "{id} was removed"
        );
    }
}

#[test]
fn an_agent_killed_at_random_leaves_no_lock_and_forgets_no_job() {
    let asked = std::env::var("OSB_TEST_ROUNDS").ok();
    let asked = asked.map(|text| text.parse().expect("OSB_TEST_ROUNDS is a number"));
    let rounds = asked.unwrap_or(if wide() { 30 } else { 3 });
    let seed = std::env::var("OSB_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = Random(seed.unwrap_or_else(|| u64::from(std::process::id()) * 2_654_435_761 + 1));
    println!("OSB_TEST_SEED={}", random.0);
    let mut agent = Agent::start(|_| {});
    agent.place.write("store/objects/object", "content");
    for (kind, name) in [(Kind::Backup, "backup"), (Kind::Restore, "restore")] {
        let locked = r#"echo x >>"$trace/locked.$job""#;
        agent.place.script(kind.lock(), locked);
        agent.place.script(kind.unlock(), r#"rm -f "$trace/locked.$job""#);
        let work = if name == "backup" {
            r#"sleep 0.05; echo x >"$BACKUP_AGENT_FILE""#
        } else {
            "sleep 0.05"
        };
        agent.place.script(name, work);
    }
    let store = file_store(&agent.place);
    for round in 0..rounds {
        let mut accepted = Vec::new();
        for number in 0..3 {
            let id = format!("r{round}-{number}");
            agent.accept(Kind::Backup, &backup(&id, &store));
            accepted.push((Kind::Backup, id));
        }
        let id = format!("r{round}");
        agent.accept(Kind::Restore, &start(Kind::Restore, &id, &store));
        accepted.push((Kind::Restore, id));
        std::thread::sleep(std::time::Duration::from_millis(random.next() % 400));
        agent.die_and_start_again();
        for (kind, id) in &accepted {
            let job = agent.finished(*kind, id);
            let is_as_promised = match job["outcome"].as_str() {
                Some("succeeded") => job["lock_released"] == true,
                Some("interrupted") => job["lock_released"] != json!(false),
                Some(_) | None => false,
            };
            assert!(is_as_promised, "round {round}: {job}");
        }
        let locks: Vec<String> = std::fs::read_dir(agent.place.path("trace"))
            .expect("it is there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("locked."))
            .collect();
        assert_eq!(locks, Vec::<String>::new(), "round {round}");
        let parts: Vec<String> = agent
            .place
            .object_names()
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(parts, Vec::<String>::new(), "round {round}: no half of an object stays");
    }
}

/// A small generator: the rounds must only differ, and be repeatable by their seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn a_restart_does_not_lose_the_request() {
    // The scripts of the way out get what the request said, secrets included.
    let mut agent = Agent::start(|_| {});
    agent.place.hold(Kind::Backup, "job", "backup");
    let body: Value = backup("job", &file_store(&agent.place))
        .with("/backup/password", "a-password-to-be-kept")
        .with("/backup/parameters", json!([{"extra": "value"}]));
    agent.accept(Kind::Backup, &body);
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.die_and_start_again();
    agent.finished(Kind::Backup, "job");
    let told = agent.place.environment(Kind::Backup, "job", "post-backup-unlock");
    assert_eq!(told["BACKUP_AGENT_PASSWORD"], "a-password-to-be-kept");
    assert_eq!(told["extra"], "value");
    assert_eq!(told["BACKUP_AGENT_FAILED_PHASE"], "backup");
}
