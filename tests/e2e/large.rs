//! Large artifacts and endless output in little memory.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, PATIENCE, S3Server, backup, file_store, restore, say, wait_as_long_as};

/// What the agent may need at its peak, whatever it moves.
const PEAK_KIB: u64 = 64 * 1024;

#[test]
fn a_large_artifact_goes_up_and_comes_back_in_little_memory() {
    let mib: u64 = match std::env::var("OSB_TEST_LARGE_MIB") {
        Ok(text) => text.parse().expect("OSB_TEST_LARGE_MIB is a number"),
        Err(_) => 64,
    };
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    agent.place.script(
        "backup",
        r#"head -c "${mib}M" /dev/urandom | tee "$BACKUP_AGENT_FILE" | sha256sum >"$trace/sum""#,
    );
    agent
        .place
        .script("restore", r#"sha256sum <"$BACKUP_AGENT_FILE" >"$trace/restored""#);
    let parameters = json!([{"mib": mib}]);
    let begin = Instant::now();
    let body = backup("large", &store.destination()).with("/backup/parameters", parameters.clone());
    agent.accept(Kind::Backup, &body);
    let job = patiently(&agent, Kind::Backup, mib);
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    assert_eq!(job["filesize"]["size"], mib * 1024 * 1024);
    let (up, peak_up) = (begin.elapsed(), agent.peak_memory_kib());

    let begin = Instant::now();
    let filename = job["filename"].as_str().unwrap_or_default();
    let body = restore("large", &store.destination(), filename).with("/restore/parameters", parameters);
    agent.accept(Kind::Restore, &body);
    let job = patiently(&agent, Kind::Restore, mib);
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let (down, peak) = (begin.elapsed(), agent.peak_memory_kib());
    let read = |name: &str| fs::read_to_string(agent.place.path(name)).expect("a sum was written");
    assert_eq!(read("trace/sum"), read("trace/restored"), "bit for bit");

    say(&format!(
        "{mib} MiB: up in {up:?} (peak {peak_up} KiB), down in {down:?} (peak {peak} KiB)"
    ));
    assert!(peak < PEAK_KIB, "the agent needed {peak} KiB at its peak");
}

#[test]
fn a_script_that_writes_without_end_costs_no_memory() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "pre-backup-check",
        "head -c 300M /dev/zero; head -c 300M /dev/zero | tr '\\0' '\\n' >&2",
    );
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    for member in ["pre_backup_check_log", "pre_backup_check_errorlog"] {
        let length = job[member].as_str().unwrap_or_default().len();
        assert!((100_000..140_000).contains(&length), "{member}: {length}");
    }
    let peak = agent.peak_memory_kib();
    say(&format!("600 MB of output: peak {peak} KiB"));
    assert!(peak < PEAK_KIB, "the agent needed {peak} KiB at its peak");
}

/// The job's end; the larger the artifact, the longer it may take (a debug build on a busy machine).
fn patiently(agent: &Agent, kind: Kind, mib: u64) -> Value {
    let patience = PATIENCE + Duration::from_secs(mib);
    wait_as_long_as(patience, "the large job comes to an end", || {
        let job = agent.job(kind, "large");
        (job["status"] != "RUNNING").then_some(job)
    })
}
