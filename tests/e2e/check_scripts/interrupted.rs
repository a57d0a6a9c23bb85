//! Rehearsals that somebody has had enough of.

use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use super::*;
use crate::harness::{agent_command, send_signal, wait_until};

/// A rehearsal that is still at work. What it complains of goes to a file, where it can be seen meanwhile.
fn begin(place: &Place) -> Child {
    let scratch = place.path("scratch").display().to_string();
    let arguments = arguments(&["--yes", "--json", "--scratch", &scratch]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = fs::File::create(place.path("said")).expect("a file can be made");
    agent_command(&arguments, &environment(place), place.root())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()
        .expect("the rehearsal can be run")
}

fn signal(process: &Child, signal: Signal) {
    send_signal(i32::try_from(process.id()).expect("process ids fit"), signal);
}

/// What was played last, in order.
fn last_phases(place: &Place, count: usize) -> Vec<String> {
    let all: Vec<String> = place.order().into_iter().map(|(_, phase)| phase).collect();
    all[all.len().saturating_sub(count)..].to_vec()
}

#[test]
fn an_interruption_ends_what_runs_and_unlocks() {
    // Each cleans up as the agent would, and no cleanup is in the way of the unlock.
    for (by, phase, work, cleanup_fails) in [
        (Signal::SIGINT, "backup", BACKUP, false),
        (Signal::SIGQUIT, "backup", BACKUP, true),
        (Signal::SIGTERM, "restore", "touch \"$trace/half-a-restore\"", false),
    ] {
        let place = good();
        place.script(
            phase,
            &format!("{work}\n: >\"$trace/at-work\"; while [ -e \"$trace/at-work\" ]; do sleep 0.02; done"),
        );
        let cleanup = format!("{phase}-cleanup");
        let look =
            r#"ls "$BACKUP_AGENT_FILE" >>"$trace/cleaned-up"; echo "$BACKUP_AGENT_FAILED_PHASE" >"$trace/failed""#;
        let end = if cleanup_fails {
            "exit 1"
        } else {
            "rm -f \"$trace/half-a-restore\""
        };
        place.script(&cleanup, &format!("{look}\n{CLEANUP}\n{end}"));
        let process = begin(&place);
        wait_until("the script is at work", || place.path("trace/at-work").exists());
        assert!(place.path("trace/lock").is_symlink(), "it is locked meanwhile");
        fs::remove_file(place.path("trace/cleaned-up")).ok();
        signal(&process, by);
        let output = process.wait_with_output().expect("it ends");
        let report = report(&output);
        assert_eq!(output.status.code(), Some(1), "{by}: {report:#}");
        assert_eq!((&report["ok"], &report["complete"]), (&false.into(), &false.into()));
        assert!(report["problem"].to_string().contains("interrupted"), "{report:#}");
        let unlock = format!("post-{phase}-unlock");
        assert_eq!(last_phases(&place, 3), [phase, &cleanup, &unlock], "{report:#}");
        let trace = |name: &str| fs::read_to_string(place.path(name)).unwrap_or_default();
        assert!(
            trace("trace/cleaned-up").contains(".tar.gz"),
            "its file is there for {cleanup}"
        );
        assert_eq!(trace("trace/failed").trim(), phase, "{cleanup} knows what failed");
        assert!(!place.path("trace/half-a-restore").exists());
        assert_eq!(
            details(&report, "cleanup").contains(&format!("{cleanup}: exit code 1")),
            cleanup_fails,
            "{report:#}"
        );
        assert_nothing_is_left(&place);
    }
}

#[test]
fn nothing_interrupts_the_unlocks() {
    let place = good();
    let wait = |name: &str| format!(": >\"$trace/{name}\"; while [ -e \"$trace/{name}\" ]; do sleep 0.02; done");
    place.script("backup", &wait("at-backup"));
    place.script("post-backup-unlock", &format!("{}\n{UNLOCK}", wait("at-unlock")));
    let process = begin(&place);
    wait_until("the backup script runs", || place.path("trace/at-backup").exists());
    signal(&process, Signal::SIGINT);
    wait_until("the unlock script runs", || place.path("trace/at-unlock").exists());
    let said = || fs::read_to_string(place.path("said")).unwrap_or_default();
    assert!(!said().contains("patience"), "{}", said());
    for (count, by) in [Signal::SIGINT, Signal::SIGQUIT].into_iter().enumerate() {
        signal(&process, by);
        wait_until("patience is asked for", || said().matches("patience").count() > count);
    }
    fs::remove_file(place.path("trace/at-unlock")).expect("the unlock script waits");
    let output = process.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_nothing_is_left(&place);
}
