//! The rehearsal for authors of scripts: what it says of good scripts and of bad ones, and that it
//! never leaves a lock behind.

mod interrupted;

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::harness::{Environment, Place, names_in, run_agent};

/// A lock that is taken in one step, so that nobody finds half of it.
const LOCK: &str = r#"ln -s "$job" "$trace/lock" 2>/dev/null || exit 75"#;
const UNLOCK: &str = r#"[ "$(readlink "$trace/lock")" != "$job" ] || rm "$trace/lock""#;
/// Whole only with its end.
const BACKUP: &str = r#"printf '%s: start, much in between, end' "$job" >"$BACKUP_AGENT_FILE""#;
const CLEANUP: &str = r#"rm -f "$BACKUP_AGENT_FILE""#;
const RESTORE: &str = r#"grep -q 'end$' "$BACKUP_AGENT_FILE" || { echo 'damaged' >&2; exit 1; }"#;

/// Scripts that keep every rule.
fn good() -> Place {
    let place = Place::without_scripts();
    for (phase, work) in [
        ("pre-backup-lock", LOCK),
        ("pre-backup-check", ""),
        ("backup", BACKUP),
        ("backup-cleanup", CLEANUP),
        ("post-backup-unlock", UNLOCK),
        ("pre-restore-lock", LOCK),
        ("restore", RESTORE),
        ("restore-cleanup", ""),
        ("post-restore-unlock", UNLOCK),
    ] {
        place.script(phase, work);
    }
    fs::create_dir(place.path("scratch")).expect("a directory can be made");
    place
}

fn environment(place: &Place) -> Environment {
    let mut environment = Environment::default();
    environment
        .set("E2E_PLACE", place.root())
        .set("scripts_path", place.scripts())
        .set("OSB_DATABASE_PASSWORD", "password-of-the-database");
    environment
}

/// The options that every rehearsal here needs.
fn arguments(more: &[&str]) -> Vec<String> {
    let all = [
        &["check-scripts", "--host", "localhost", "--database", "scratch-db"][..],
        more,
    ]
    .concat();
    all.into_iter().map(str::to_owned).collect()
}

fn rehearse(place: &Place, environment: &Environment, more: &[&str]) -> Output {
    let scratch = place.path("scratch").display().to_string();
    let arguments = arguments(&[&["--yes", "--json", "--scratch", &scratch][..], more].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run_agent(&arguments, environment, place.root())
}

#[track_caller]
fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The rules with this result.
fn with_result(report: &Value, result: &str) -> Vec<String> {
    let rules = report["rules"].as_array().expect("a list of rules");
    let found = rules.iter().filter(|rule| rule["result"] == result);
    found
        .map(|rule| rule["rule"].as_str().expect("a name").to_owned())
        .collect()
}

fn details(report: &Value, rule: &str) -> String {
    let rules = report["rules"].as_array().expect("a list of rules");
    let found = rules.iter().find(|found| found["rule"] == rule).expect("a rule");
    found["details"].to_string()
}

#[track_caller]
fn assert_nothing_is_left(place: &Place) {
    assert!(!place.path("trace/lock").is_symlink(), "the lock is held");
    assert_eq!(
        names_in(&place.path("scratch")),
        [""; 0],
        "the scratch directory is empty again"
    );
}

#[test]
fn nothing_runs_before_somebody_has_agreed() {
    let place = good();
    let output = {
        let arguments = arguments(&[]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run_agent(&arguments, &environment(&place), place.root())
    };
    let said = format!("{output:?}");
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["--yes", "localhost", "scratch-db", "REPLACES ITS CONTENT"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    for (faulty, part) in [
        (&["check-scripts", "--database", "d", "--yes"][..], "--host"),
        (&["check-scripts", "--host", "h", "--yes"], "--database"),
        (
            &[
                "check-scripts",
                "--host",
                "h",
                "--database",
                "d",
                "--scripts",
                "nowhere",
                "--yes",
            ],
            "nowhere",
        ),
        (
            &["check-scripts", "--host", "a/b", "--database", "d", "--yes"],
            "backup.host",
        ),
        (
            &[
                "check-scripts",
                "--host",
                "h",
                "--database",
                "d",
                "--parameter",
                "PATH=/",
                "--yes",
            ],
            "PATH",
        ),
        (
            &[
                "check-scripts",
                "--host",
                "h",
                "--database",
                "d",
                "--parameter",
                "TOKEN",
                "--yes",
            ],
            "TOKEN",
        ),
        (
            &[
                "check-scripts",
                "--host",
                "h",
                "--database",
                "d",
                "--scratch",
                "nowhere",
                "--yes",
            ],
            "nowhere",
        ),
    ] {
        let output = run_agent(faulty, &environment(&place), place.root());
        let said = format!("{output:?}");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(place.order().is_empty(), "{:?}", place.order());
}

#[test]
fn scripts_that_keep_every_rule_pass() {
    let place = good();
    let output = rehearse(&place, &environment(&place), &[]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["ok"], true);
    for result in ["broken", "hint", "not checked"] {
        assert_eq!(with_result(&report, result), [""; 0], "{result}: {report:#}");
    }
    let ran: Vec<String> = place.order().into_iter().map(|(_, phase)| phase).collect();
    let runs = report["runs"].as_array().expect("a list of runs").len();
    // A script that was killed at once may not have come to its first line.
    assert!(ran.len() <= runs && ran.len() + 6 >= runs, "{} of {runs}", ran.len());
    assert_nothing_is_left(&place);
    assert!(!format!("{output:?}").contains("password-of-the-database"));
}

#[test]
fn each_broken_rule_is_named() {
    let always_last = format!("{UNLOCK}\ntrue");
    let half = format!("{BACKUP}\nwhile [ -e \"$trace\" ] && [ $((i++)) -lt 30 ]; do sleep 0.02; done");
    for (phase, work, rule, code) in [
        ("post-backup-unlock", r#"rm "$trace/lock""#, "unlock-twice", 1),
        ("post-backup-unlock", r#"rm "$trace/lock""#, "unlock-without-lock", 1),
        ("post-restore-unlock", r#"rm "$trace/lock""#, "unlock-twice", 1),
        ("post-backup-unlock", r#"rm -f "$trace/lock""#, "own-lock", 1),
        ("post-backup-unlock", "true", "unlock-releases", 1),
        ("pre-backup-lock", "exit 1", "succeeds", 1),
        ("pre-backup-check", "exit 1", "succeeds", 1),
        ("restore", "exit 1", "succeeds", 1),
        ("backup", r#": >"$BACKUP_AGENT_FILE""#, "artifact", 1),
        ("backup", "true", "artifact", 1),
        (
            "backup",
            r#"(for i in {1..60}; do echo x >>"$BACKUP_AGENT_FILE"; sleep 0.02; done) & sleep 0.1"#,
            "whole-at-the-end",
            1,
        ),
        ("backup-cleanup", "true", "cleanup", 1),
        ("backup-cleanup", r#"rm "$BACKUP_AGENT_FILE""#, "cleanup-alone", 1),
        ("restore", "true", "damaged-file", 1),
        ("pre-backup-check", "sleep 60", "ends", 1),
        // And what is only worth a look.
        ("pre-backup-lock", r#"ln -sfn "$job" "$trace/lock""#, "lock-excludes", 0),
        (
            "pre-backup-lock",
            r#"ln -s "$job" "$trace/lock" || exit 1"#,
            "lock-excludes",
            0,
        ),
        ("pre-backup-check", r#"echo "$BACKUP_AGENT_PASSWORD""#, "secrets", 0),
        ("pre-backup-check", r#"echo "$TOKEN""#, "secrets", 0),
        ("pre-backup-check", "head -c 200000 /dev/zero | tr '\\0' x", "output", 0),
        ("pre-backup-check", r#"[ -n "$HOME" ]"#, "environment", 0),
        (
            "backup",
            &format!(r#"[ -n "$HOME" ] || exit 1; {BACKUP}"#),
            "environment",
            0,
        ),
        ("backup", &format!(r#"[ -z "$HOME" ] || {BACKUP}"#), "environment", 0),
        (
            "restore",
            &format!(r#"[ -n "$HOME" ] || exit 1; {RESTORE}"#),
            "environment",
            0,
        ),
        (
            "post-backup-unlock",
            &format!("sleep 30 </dev/null >/dev/null 2>&1 & {always_last}"),
            "processes",
            0,
        ),
    ] {
        let place = good();
        place.script(phase, work);
        let mut environment = environment(&place);
        environment
            .set("HOME", place.root())
            .set("TOKEN", "token-of-the-request");
        let mut more = vec!["--parameter", "TOKEN"];
        if rule == "ends" {
            more.extend(["--time-limit", "1s", "--without-restore"]);
        }
        let output = rehearse(&place, &environment, &more);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(code), "{phase}: {work}: {report:#}");
        let result = if code == 0 { "hint" } else { "broken" };
        let found = with_result(&report, result);
        assert!(
            found.iter().any(|found| found == rule),
            "{phase}: {work}: {found:?} in {report:#}"
        );
        assert!(
            details(&report, rule).contains(if rule == "processes" { "sleep" } else { phase }),
            "{report:#}"
        );
        for secret in ["password-of-the-database", "token-of-the-request"] {
            assert!(!format!("{output:?}").contains(secret), "{output:?}");
        }
        crate::harness::end_all_with(&format!("E2E_PLACE={}", place.root().display()));
    }
    let place = good();
    place.script("backup", &half);
    place.script(
        "backup-cleanup",
        r#"[ "$BACKUP_AGENT_OUTCOME" = failed ] || rm -f "$BACKUP_AGENT_FILE""#,
    );
    let report = report(&rehearse(&place, &environment(&place), &[]));
    assert!(
        with_result(&report, "broken").contains(&"killed-backup".to_owned()),
        "{report:#}"
    );
}

#[test]
fn values_of_secret_parameters_are_shown_nowhere() {
    let place = good();
    place.script(
        "pre-backup-check",
        r#"echo "with $TOKEN and $PLAIN"; echo "$TOKEN is wrong" >&2; exit 1"#,
    );
    let mut environment = environment(&place);
    environment.set("TOKEN", "token-of-the-request");
    let parameters = ["--parameter", "TOKEN", "--parameter", "PLAIN=value-that-was-typed"];
    let output = rehearse(&place, &environment, &parameters);
    let report = report(&output);
    assert!(!format!("{output:?}").contains("token-of-the-request"), "{output:?}");
    let runs = report["runs"].as_array().expect("a list of runs");
    let run = runs
        .iter()
        .find(|run| run["phase"] == "pre-backup-check")
        .expect("it ran");
    assert_eq!(run["stdout"], "with <redacted> and value-that-was-typed\n", "{run}");
    assert_eq!(run["stderr"], "<redacted> is wrong\n", "{run}");
    assert!(
        details(&report, "succeeds").contains("<redacted> is wrong"),
        "{report:#}"
    );
    let hints = details(&report, "secrets");
    assert!(hints.contains("the parameter TOKEN to its standard error"), "{hints}");
    assert!(hints.contains("the parameter TOKEN to its standard output"), "{hints}");
    assert!(!hints.contains("PLAIN"), "{hints}");
}

#[test]
fn a_set_that_is_not_complete_is_not_played() {
    let place = good();
    place.remove_script("restore-cleanup");
    let output = rehearse(&place, &environment(&place), &[]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(with_result(&report, "broken"), ["complete"], "{report:#}");
    assert!(place.order().is_empty(), "{:?}", place.order());
    let output = rehearse(&place, &environment(&place), &["--without-restore"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        !place.order().iter().any(|(job, _)| job.starts_with("restore")),
        "{:?}",
        place.order()
    );
}

#[test]
fn scripts_never_get_the_directories_of_a_living_agent() {
    let place = good();
    for name in ["live-backup", "live-restore"] {
        fs::create_dir(place.path(name)).expect("a directory can be made");
    }
    // As scripts of the original do it, which know no BACKUP_AGENT_FILE.
    let name = r#"file="$directory_backup/$BACKUP_AGENT_NAME.tar.gz""#;
    place.script("backup", &format!("{name}; printf 'all of it, end' >\"$file\""));
    place.script("backup-cleanup", &format!("{name}; rm -f \"$file\""));
    place.script(
        "restore",
        r#"grep -q 'end$' "$directory_restore/$BACKUP_AGENT_NAME.tar.gz" && : >"$directory_restore/mark""#,
    );
    place.script("restore-cleanup", r#"rm -f "$directory_restore/mark""#);
    for is_known in [true, false] {
        let mut environment = environment(&place);
        if is_known {
            environment
                .set("directory_backup", place.path("live-backup"))
                .set("directory_restore", place.path("live-restore"));
        }
        let output = rehearse(&place, &environment, &[]);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(0), "{report:#}");
        for name in ["live-backup", "live-restore"] {
            assert_eq!(names_in(&place.path(name)), [""; 0], "{name}");
        }
        assert_nothing_is_left(&place);
    }
}

#[test]
fn a_lock_that_stays_is_told_aloud() {
    let place = good();
    place.script("post-backup-unlock", "exit 1");
    let output = rehearse(&place, &environment(&place), &["--without-restore"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let details = details(&report, "unlock-releases");
    assert!(details.contains("MAY STILL BE HELD"), "{details}");
    let unlocks = place
        .order()
        .iter()
        .filter(|(_, phase)| phase == "post-backup-unlock")
        .count();
    assert!(unlocks >= 4, "it was tried again: {unlocks}");
}

#[test]
fn the_set_for_directories_passes() {
    let place = Place::without_scripts();
    fs::create_dir_all(place.path("files/data/deep")).expect("a directory can be made");
    fs::create_dir(place.path("scratch")).expect("a directory can be made");
    place.write("files/data/deep/file", "content");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scripts/directory");
    let data = format!("DATA_DIRECTORY={}", place.path("files/data").display());
    let scripts = scripts.display().to_string();
    let output = rehearse(
        &place,
        &environment(&place),
        &["--scripts", &scripts, "--parameter", &data],
    );
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    for result in ["broken", "hint"] {
        assert_eq!(with_result(&report, result), [""; 0], "{report:#}");
    }
    assert_eq!(names_in(&place.path("files")), ["data"], "no lock, and nothing else");
    assert_eq!(
        fs::read(place.path("files/data/deep/file")).expect("it is there"),
        b"content"
    );
    assert_nothing_is_left(&place);
}
