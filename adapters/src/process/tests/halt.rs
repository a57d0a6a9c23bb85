use super::*;

/// What a worker of a script does to be hard to find or to end; each writes its pid to `$PID_FILE`.
const WORKERS: &[(&str, &str)] = &[
    ("a child", "sleep 300 & echo $! > \"$PID_FILE\"; wait"),
    (
        "a grandchild",
        "bash -c 'sleep 300 & echo $! > \"$PID_FILE\"; wait; exit 0' & wait; exit 0",
    ),
    (
        "a child in a session of its own",
        "setsid bash -c 'echo $$ > \"$PID_FILE\"; exec sleep 300' & wait",
    ),
    (
        "a child in a session and an environment of its own, whose parent is gone",
        "(env -i PID_FILE=\"$PID_FILE\" setsid bash -c 'echo $$ > \"$PID_FILE\"; exec env -i sleep 300' &) ; sleep 301",
    ),
    (
        "a stopped child",
        "bash -c 'echo $$ > \"$PID_FILE\"; kill -STOP $$; sleep 300' & wait",
    ),
];

/// A script at work, and what is told to end it.
struct AtWork {
    run: tokio::task::JoinHandle<Result<ScriptOutcome, ScriptError>>,
    halt: Halt,
    worker: LeftBehind,
}

impl AtWork {
    async fn start(scripts: &Scripts) -> Self {
        let pid_file = scripts.path("pid");
        let (runner, halt) = (scripts.runner(), Halt::default());
        let (call, told) = (call(&[], &[("PID_FILE", pid_file.to_str().unwrap())]), halt.clone());
        let run = tokio::spawn(async move { runner.run(&call, &told, &LiveLog::default()).await });
        let worker = LeftBehind::of(&pid_file).await;
        Self { run, halt, worker }
    }

    async fn halt(self) -> (ScriptOutcome, LeftBehind) {
        self.halt.fire();
        (self.run.await.unwrap().unwrap(), self.worker)
    }
}

/// Waits until this supervisor is gone and buried. Other tests have their own, hence the number.
async fn no_supervisor(pid: i32) {
    until("the supervisor is gone, and no zombie", || {
        let is_there = table::Process::look(pid).is_some_and(|process| process.name == supervisor::NAME);
        (!is_there).then_some(())
    })
    .await;
}

/// The supervisor that the record of the job tells of.
fn supervisor_of(scripts: &Scripts) -> i32 {
    let leftover = record::Leftover::read(&scripts.records(), &job()).unwrap().unwrap();
    leftover.tree.supervisor.unwrap()
}

#[tokio::test]
async fn all_that_comes_of_a_script_is_ended() {
    for (what, text) in WORKERS {
        let scripts = Scripts::with_backup(&format!("echo begun; {text}"));
        let at_work = AtWork::start(&scripts).await;
        let supervisor = supervisor_of(&scripts);
        let started = Instant::now();
        let (outcome, worker) = at_work.halt().await;
        assert!(outcome.was_halted, "{what}");
        assert_eq!(&*outcome.log.stdout, "begun\n", "{what}");
        assert!(!worker.is_alive(), "{what}");
        assert!(
            started.elapsed() < TERMINATE_GRACE,
            "{what}: all of them end when told to"
        );
        assert!(!scripts.record().exists(), "{what}");
        no_supervisor(supervisor).await;
    }
}

#[tokio::test]
async fn who_does_not_end_when_told_to_is_killed() {
    for (what, text, expected) in [
        (
            "the script",
            "trap '' TERM; echo $$ > \"$PID_FILE\"; while :; do sleep 0.05; done",
            ExitReason::Signaled(9),
        ),
        (
            "a worker whose script ends when told to",
            "bash -c 'trap \"\" TERM; echo $$ > \"$PID_FILE\"; while :; do sleep 0.05; done' & wait",
            ExitReason::Signaled(15),
        ),
        (
            "a worker in a session of its own that starts others without end",
            "setsid env -i PID_FILE=\"$PID_FILE\" bash -c 'trap \"\" TERM
                echo $$ > \"$PID_FILE\"; while :; do sleep 0.01 & done' & wait",
            ExitReason::Signaled(15),
        ),
    ] {
        let mut scripts = Scripts::with_backup(text);
        scripts.grace = Duration::from_millis(300);
        let at_work = AtWork::start(&scripts).await;
        let supervisor = supervisor_of(&scripts);
        let (outcome, worker) = at_work.halt().await;
        assert!(outcome.was_halted && !worker.is_alive(), "{what}");
        assert_eq!(outcome.exit, expected, "{what}");
        no_supervisor(supervisor).await;
    }
}

#[tokio::test]
async fn a_script_may_tidy_up_undisturbed() {
    let scripts = Scripts::with_backup(
        "trap 'for i in 1 2 3 4 5; do sleep 0.1 || exit 1; done; echo tidied; exit 3' TERM
         echo $$ > \"$PID_FILE\"; while :; do sleep 0.02; done",
    );
    let (outcome, _) = AtWork::start(&scripts).await.halt().await;
    assert_eq!(outcome.exit, ExitReason::Exited(3), "{outcome:?}");
    assert_eq!(&*outcome.log.stdout, "tidied\n");
    assert!(outcome.was_halted);
}

#[tokio::test]
async fn a_script_that_ends_by_itself_was_not_halted_and_what_it_leaves_lives() {
    let scripts = Scripts::with_backup("sleep 300 & echo $! > \"$PID_FILE\"; kill -KILL $$");
    let pid_file = scripts.path("pid");
    let halt = Halt::default();
    let call = call(&[], &[("PID_FILE", pid_file.to_str().unwrap())]);
    let outcome = scripts.runner().run(&call, &halt, &LiveLog::default()).await.unwrap();
    let session = LeftBehind::of(&pid_file).await;
    assert_eq!((outcome.exit, outcome.was_halted), (ExitReason::Signaled(9), false));
    assert!(!scripts.record().exists());
    // Neither who comes too late nor a later agent ends it.
    halt.fire();
    assert_eq!(scripts.runner().end_leftover(&job()).await, Ok(()));
    assert!(session.is_alive());
    // It is still known whose it is, and is buried.
    let pid = session.0;
    drop(session);
    until("the session is buried", || {
        table::Process::look(pid.as_raw()).is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_another_script_of_the_job_left_behind_is_not_ended() {
    let scripts = Scripts::new();
    scripts.write("pre-backup-lock", 0o644, "setsid sleep 300 & echo $! > \"$PID_FILE\"");
    scripts.write("backup", 0o644, "echo $$ > \"$PID_FILE\"; sleep 300");
    let lock_file = scripts.path("lock");
    let lock = ScriptCall {
        phase: Phase::PreBackupLock,
        ..call(&[], &[("PID_FILE", lock_file.to_str().unwrap())])
    };
    scripts.run(&lock).await.unwrap();
    let lock = LeftBehind::of(&lock_file).await;
    let (outcome, script) = AtWork::start(&scripts).await.halt().await;
    assert_eq!(outcome.exit, ExitReason::Signaled(15));
    assert!(!script.is_alive() && lock.is_alive());
}

#[tokio::test]
async fn without_its_supervisor_a_script_is_lost_and_nothing_of_it_goes_on() {
    let scripts = Scripts::with_backup("setsid sleep 300 & echo $! > \"$PID_FILE\"; wait");
    let at_work = AtWork::start(&scripts).await;
    kill(Pid::from_raw(supervisor_of(&scripts)), Signal::SIGKILL).unwrap();
    let Err(ScriptError::Lost(error)) = at_work.run.await.unwrap() else {
        panic!("it is known how it ended");
    };
    assert!(
        error.contains("/backup ended is not known: ") && error.contains("osb-supervisor"),
        "{error}"
    );
    assert!(!at_work.worker.is_alive());
    assert!(!scripts.record().exists());
}

#[tokio::test]
async fn without_a_record_only_what_is_owed_to_the_service_is_started() {
    let scripts = Scripts::with_backup("echo ran");
    scripts.write("backup-cleanup", 0o644, "echo ran");
    scripts.write("post-backup-unlock", 0o644, "echo ran");
    fs::write(scripts.records(), "not a directory").unwrap();
    let Err(ScriptError::NotStarted(error)) = scripts.run(&call(&[], &[])).await else {
        panic!("it was started");
    };
    assert!(error.contains("records/backup.a-job"), "{error}");
    for phase in [Phase::BackupCleanup, Phase::PostBackupUnlock] {
        let call = ScriptCall {
            phase,
            ..call(&[], &[])
        };
        assert_eq!(&*scripts.run(&call).await.unwrap().log.stdout, "ran\n", "{phase}");
    }
}

#[tokio::test]
async fn no_record_stays_of_a_script_that_could_not_be_started() {
    let scripts = Scripts::with_backup("");
    let large = "x".repeat(200_000);
    scripts.run(&call(&[&large], &[])).await.unwrap_err();
    assert_eq!(fs::read_dir(scripts.records()).unwrap().count(), 0);
}

#[tokio::test]
async fn secrets_are_hidden_in_what_a_script_writes() {
    let scripts =
        Scripts::with_backup("echo \"key $1.\"; printf %s \"${1:0:10}\" >&2; sleep 0.1; printf %s \"${1:10}\" >&2");
    let secret = "s3cret-line\nand-another";
    let call = ScriptCall {
        redacted: vec![domain::secret::Secret::new(secret)],
        ..call(&[secret], &[])
    };
    let log = scripts.run(&call).await.unwrap().log;
    assert_eq!((&*log.stdout, &*log.stderr), ("key <redacted>.\n", "<redacted>"));
}
