//! What scripts say: kept apart, bounded, and whatever its bytes.

use crate::harness::{Agent, Kind, backup, file_store};

const LOG_HALF: usize = 64 * 1024;

#[test]
fn the_two_streams_of_a_script_are_kept_apart() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "pre-backup-check",
        "echo one; echo two >&2; echo three; echo four >&2; printf 'no newline'; printf '\\n\\n' >&2",
    );
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert_eq!(job["pre_backup_check_log"], "one\nthree\nno newline");
    assert_eq!(job["pre_backup_check_errorlog"], "two\nfour\n\n\n");
}

#[test]
fn output_that_is_not_utf_8_is_shown_with_replacement_characters() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "pre-backup-check",
        r#"printf 'A\0B\xff\xfe\x80<tag>&"\\\t\xc3\xa9\x1b'"#,
    );
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let expected = "A\0B\u{fffd}\u{fffd}\u{fffd}<tag>&\"\\\té\u{1b}";
    assert_eq!(job["pre_backup_check_log"], expected);
}

#[test]
fn a_log_of_128_kib_is_kept_whole() {
    let agent = Agent::start(|_| {});
    for (id, length) in [
        ("short", 1),
        ("half", LOG_HALF),
        ("odd", LOG_HALF + 1),
        ("full", 2 * LOG_HALF),
    ] {
        agent
            .place
            .script("pre-backup-check", &format!("seq 1 100000 | head -c {length}"));
        let job = agent.succeed(Kind::Backup, &backup(id, &file_store(&agent.place)));
        let log = job["pre_backup_check_log"].as_str().unwrap_or_default();
        assert!(log == stream(length), "{id}: {} bytes of {length}", log.len());
    }
}

#[test]
fn of_a_longer_log_the_head_and_the_tail_are_kept() {
    let agent = Agent::start(|_| {});
    for (id, length) in [("one-more", 2 * LOG_HALF + 1), ("long", 500_000)] {
        agent.place.script(
            "pre-backup-check",
            &format!("seq 1 100000 | head -c {length}; seq 1 100000 | head -c {length} >&2"),
        );
        let job = agent.succeed(Kind::Backup, &backup(id, &file_store(&agent.place)));
        for member in ["pre_backup_check_log", "pre_backup_check_errorlog"] {
            let log = job[member].as_str().unwrap_or_default();
            assert_head_and_tail(log, &stream(length), &format!("{id} {member}"));
        }
    }
}

/// Asserts that a log is the head of what was said, a line about what is missing, and the tail.
#[track_caller]
fn assert_head_and_tail(log: &str, said: &str, row: &str) {
    let head = log
        .bytes()
        .zip(said.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let tail = log
        .bytes()
        .rev()
        .zip(said.bytes().rev())
        .take_while(|(one, other)| one == other)
        .count();
    for (part, length) in [("head", head), ("tail", tail)] {
        assert!(
            (LOG_HALF - 100..=LOG_HALF + 20).contains(&length),
            "{row}: a {part} of {length} bytes"
        );
    }
    let between = &log[head.min(LOG_HALF)..log.len() - tail.min(LOG_HALF)];
    assert_eq!(
        between.trim_matches('\n').lines().count(),
        1,
        "{row}: one line between: {between:?}"
    );
    assert!(
        between.contains(|character: char| character.is_ascii_digit()),
        "{row}: {between:?}"
    );
    assert!(log.len() <= 2 * LOG_HALF + 200, "{row}: {} bytes", log.len());
}

#[test]
fn a_character_at_the_edge_of_the_head_or_the_tail_breaks_nothing() {
    let agent = Agent::start(|_| {});
    for shift in 0..3 {
        let id = format!("job-{shift}");
        agent.place.script(
            "pre-backup-check",
            &format!("head -c {shift} /dev/zero | tr '\\0' x; yes '€€€€€€€€' | tr -d '\\n' | head -c 400000"),
        );
        let job = agent.succeed(Kind::Backup, &backup(&id, &file_store(&agent.place)));
        let log = job["pre_backup_check_log"].as_str().unwrap_or_default();
        let euros = log.chars().filter(|character| *character == '€').count();
        assert!(euros >= 2 * (LOG_HALF / 3) - 4, "{shift}: {euros}");
        assert!(
            log.chars().filter(|character| *character == '\u{fffd}').count() <= 4,
            "{shift}"
        );
    }
}

#[test]
fn logs_of_a_failed_script_are_kept() {
    let agent = Agent::start(|_| {});
    agent
        .place
        .script("backup", "echo 'half done'; echo 'disk full' >&2; exit 1");
    let (job, _) = agent.fail(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert_eq!(job["backup_log"], "half done\n");
    assert_eq!(job["backup_errorlog"], "disk full\n");
}

#[test]
fn the_agents_own_log_does_not_repeat_what_scripts_say() {
    let agent = Agent::start(|_| {});
    agent
        .place
        .script("pre-backup-check", "echo a-word-on-stdout; echo a-word-on-stderr >&2");
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let log = agent.log();
    assert!(!log.contains("a-word-on-"), "{log}");
}

/// The first bytes of `seq 1 100000`.
fn stream(length: usize) -> String {
    let mut text: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    text.truncate(length);
    text
}
