use std::os::unix::fs::PermissionsExt;

use super::*;

/// A job that an agent left at work when it died.
struct Left {
    scripts: Scripts,
    worker: LeftBehind,
}

impl Left {
    /// Starts the script on a runtime that ends at once, as a dying agent would.
    fn by(text: &str) -> Self {
        let mut scripts = Scripts::with_backup(text);
        scripts.grace = Duration::from_secs(2);
        let pid_file = scripts.path("pid");
        let (runner, call) = (scripts.runner(), call(&[], &[("PID_FILE", pid_file.to_str().unwrap())]));
        let agent = tokio::runtime::Runtime::new().unwrap();
        agent.spawn(async move { runner.run(&call, &Halt::default(), &LiveLog::default()).await });
        let worker = agent.block_on(LeftBehind::of(&pid_file));
        agent.block_on(until("the record is complete", || {
            let record = fs::read_to_string(scripts.record()).ok()?;
            record.contains("leader_started=").then_some(())
        }));
        agent.shutdown_background();
        assert!(worker.is_alive());
        Self { scripts, worker }
    }

    fn change_record(&self, change: impl FnOnce(String) -> String) {
        let path = self.scripts.record();
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }

    fn supervisor(&self) -> Pid {
        let leftover = record::Leftover::read(&self.scripts.records(), &job())
            .unwrap()
            .unwrap();
        Pid::from_raw(leftover.tree.supervisor.unwrap())
    }

    fn kill_supervisor(&self) {
        kill(self.supervisor(), Signal::SIGKILL).unwrap();
    }

    /// What a later agent says.
    fn end(&self) -> Result<(), ScriptError> {
        let agent = tokio::runtime::Runtime::new().unwrap();
        agent.block_on(self.scripts.runner().end_leftover(&job()))
    }
}

const CLEARED: &str =
    "env -i PID_FILE=\"$PID_FILE\" setsid bash -c 'echo $$ > \"$PID_FILE\"; exec env -i sleep 300' & wait";
const MARKED: &str = "setsid bash -c 'echo $$ > \"$PID_FILE\"; exec sleep 300' & wait";

#[test]
fn what_an_earlier_agent_left_is_ended_with_its_supervisor() {
    for text in [
        CLEARED,
        MARKED,
        "trap '' TERM; echo $$ > \"$PID_FILE\"; while :; do sleep 0.05; done",
    ] {
        let left = Left::by(text);
        let supervisor = left.supervisor();
        assert_eq!(left.end(), Ok(()), "{text}");
        assert!(!left.worker.is_alive() && !LeftBehind(supervisor).is_alive(), "{text}");
        assert!(!left.scripts.record().exists(), "{text}");
        assert_eq!(left.end(), Ok(()), "nothing is left: {text}");
    }
}

#[test]
fn a_worker_whose_script_was_killed_is_ended() {
    let left = Left::by(CLEARED);
    let leftover = record::Leftover::read(&left.scripts.records(), &job())
        .unwrap()
        .unwrap();
    kill(Pid::from_raw(leftover.tree.leader.unwrap().pid), Signal::SIGKILL).unwrap();
    assert_eq!(left.end(), Ok(()));
    assert!(!left.worker.is_alive());
}

#[test]
fn without_the_supervisor_all_is_found_by_its_traces() {
    // The last has lost its environment, but is in the script's group.
    let grouped = "env -i PID_FILE=\"$PID_FILE\" bash -c 'echo $$ > \"$PID_FILE\"; exec env -i sleep 300' & wait";
    for text in [MARKED, grouped, "echo $$ > \"$PID_FILE\"; exec sleep 300"] {
        let left = Left::by(text);
        left.kill_supervisor();
        assert_eq!(left.end(), Ok(()), "{text}");
        assert!(!left.worker.is_alive(), "{text}");
        assert!(!left.scripts.record().exists(), "{text}");
    }
}

#[test]
fn of_a_damaged_record_what_is_there_is_followed() {
    let without = |name: &'static str| {
        move |record: String| {
            let lines = record.lines().filter(|line| !line.starts_with(name));
            lines.map(|line| format!("{line}\n")).collect()
        }
    };
    for name in [
        "boot=",
        "run=",
        "supervisor_started=",
        "supervisor=",
        "leader",
        "phase=",
    ] {
        let left = Left::by(MARKED);
        left.change_record(without(name));
        assert_eq!(left.end(), Ok(()), "{name}");
        assert!(!left.worker.is_alive(), "{name}");
        assert!(!left.scripts.record().exists(), "{name}");
    }
}

#[test]
fn nobody_else_is_ended() {
    type Change = fn(String) -> String;
    let rows: [(&str, Change); 3] = [
        ("of an earlier boot", |record| record.replacen("boot=", "boot=0", 1)),
        ("empty", |_| String::new()),
        (
            "the supervisor is another process, and nothing else is known",
            |record| {
                let line = record.lines().find(|line| line.starts_with("supervisor=")).unwrap();
                let boot = record.lines().next().unwrap();
                format!("{boot}\nphase=backup\n{line}\nsupervisor_started=1\n")
            },
        ),
    ];
    for (what, change) in rows {
        let left = Left::by(MARKED);
        let supervisor = LeftBehind(left.supervisor());
        left.change_record(change);
        assert_eq!(left.end(), Ok(()), "{what}");
        assert!(left.worker.is_alive(), "{what}");
        assert!(!left.scripts.record().exists(), "{what}");
        drop(supervisor);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_that_names_it() {
    let scripts = Scripts::new();
    fs::create_dir_all(scripts.record()).unwrap();
    let agent = tokio::runtime::Runtime::new().unwrap();
    let error = agent.block_on(scripts.runner().end_leftover(&job())).unwrap_err();
    assert!(error.to_string().contains("records/backup.a-job"), "{error}");
}

#[test]
fn records_are_for_the_agent_alone() {
    let left = Left::by(MARKED);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&left.scripts.records()), mode(&left.scripts.record())),
        (0o700, 0o600)
    );
    left.end().unwrap();
}
