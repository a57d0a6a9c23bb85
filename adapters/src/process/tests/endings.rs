use super::*;

#[tokio::test]
async fn every_way_to_end_is_told() {
    for (text, expected) in [
        ("", ExitReason::Exited(0)),
        ("exit 0", ExitReason::Exited(0)),
        ("exit 1", ExitReason::Exited(1)),
        ("exit 2", ExitReason::Exited(2)),
        ("exit 75", ExitReason::Exited(75)),
        ("/", ExitReason::Exited(126)),
        ("there-is-no-such-command", ExitReason::Exited(127)),
        ("exit 255", ExitReason::Exited(255)),
        ("kill -KILL $$", ExitReason::Signaled(9)),
        ("kill -TERM $$", ExitReason::Signaled(15)),
        ("kill -INT $$; exit 4", ExitReason::Signaled(2)),
        // What ends the agent's write to a closed connection must not be ignored by scripts.
        ("set -o pipefail; yes | head -1", ExitReason::Exited(141)),
        ("if", ExitReason::Exited(2)),
        ("exec false", ExitReason::Exited(1)),
    ] {
        let outcome = Scripts::with_backup(text).backup().await;
        assert_eq!(outcome.exit, expected, "{text:?}: {outcome:?}");
    }
}

/// As a shell's `&` has the agent started.
#[test]
fn an_agent_that_ignores_what_shells_ignore_in_the_background_tells_the_same() {
    let status = Command::new("sh")
        .args(["-c", "trap '' INT QUIT; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process::tests::endings::every_way_to_end_is_told"])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_stopped_script_is_still_at_work() {
    let scripts = Scripts::with_backup("echo $$ > \"$PID_FILE\"; kill -STOP $$; exit 7");
    let pid_file = scripts.path("pid");
    let call = call(&[], &[("PID_FILE", pid_file.to_str().unwrap())]);
    let runner = scripts.runner();
    let run = tokio::spawn(async move { runner.run(&call, &Halt::default(), &LiveLog::default()).await });
    let script = LeftBehind::of(&pid_file).await;
    until("the script is stopped", || (script.state() == Some('T')).then_some(())).await;
    assert!(!run.is_finished());
    kill(script.0, Signal::SIGCONT).unwrap();
    assert_eq!(run.await.unwrap().unwrap().exit, ExitReason::Exited(7));
}

#[test]
fn scripts_run_on_any_kind_of_runtime_and_from_any_of_its_threads() {
    let scripts = Scripts::with_backup("echo out; exit 3");
    let expected = ScriptOutcome {
        exit: ExitReason::Exited(3),
        log: ScriptLog {
            stdout: "out\n".into(),
            stderr: "".into(),
        },
        was_halted: false,
    };
    let runtimes = [
        tokio::runtime::Builder::new_current_thread().enable_all().build(),
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build(),
    ];
    for runtime in runtimes {
        let runtime = runtime.unwrap();
        assert_eq!(runtime.block_on(scripts.backup()), expected);
        let runner = scripts.runner();
        let on_worker =
            runtime.spawn(async move { runner.run(&call(&[], &[]), &Halt::default(), &LiveLog::default()).await });
        assert_eq!(runtime.block_on(on_worker).unwrap().unwrap(), expected);
        let (runner, handle) = (scripts.runner(), runtime.handle().clone());
        let on_blocking = runtime.spawn_blocking(move || {
            handle.block_on(runner.run(&call(&[], &[]), &Halt::default(), &LiveLog::default()))
        });
        assert_eq!(runtime.block_on(on_blocking).unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_script_that_nobody_waits_for_runs_to_its_end() {
    let scripts = Scripts::with_backup(
        "echo $$ > \"$PID_FILE\"
         until [ -e \"$GO\" ]; do sleep 0.01; done
         head -c 1000000 /dev/zero && echo done > \"$DONE\"",
    );
    let [pid_file, go, done] = ["pid", "go", "done"].map(|name| scripts.path(name));
    let call = call(
        &[],
        &[
            ("PID_FILE", pid_file.to_str().unwrap()),
            ("GO", go.to_str().unwrap()),
            ("DONE", done.to_str().unwrap()),
        ],
    );
    let runner = scripts.runner();
    let run = tokio::spawn(async move { runner.run(&call, &Halt::default(), &LiveLog::default()).await });
    let script = LeftBehind::of(&pid_file).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    fs::write(go, "").unwrap();
    assert_eq!(line_of(&done).await, "done");
    until("the process is gone, not a zombie", || {
        script.state().is_none().then_some(())
    })
    .await;
}

#[test]
fn a_script_outlives_the_agent() {
    let scripts = Scripts::with_backup(
        "echo $$ > \"$PID_FILE\"
         until [ -e \"$GO\" ]; do sleep 0.01; done
         echo done > \"$DONE\"",
    );
    let [pid_file, go, done] = ["pid", "go", "done"].map(|name| scripts.path(name));
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let agent = runtime();
    let (runner, call) = (
        scripts.runner(),
        call(
            &[],
            &[
                ("PID_FILE", pid_file.to_str().unwrap()),
                ("GO", go.to_str().unwrap()),
                ("DONE", done.to_str().unwrap()),
            ],
        ),
    );
    agent.spawn(async move { runner.run(&call, &Halt::default(), &LiveLog::default()).await });
    let script = agent.block_on(LeftBehind::of(&pid_file));
    drop(agent);
    assert!(script.is_alive());
    fs::write(go, "").unwrap();
    assert_eq!(runtime().block_on(line_of(&done)), "done");
}

#[tokio::test]
async fn many_scripts_run_at_once() {
    let scripts = Scripts::with_backup("head -c 200000 /dev/zero; echo \"$1\" >&2; exit \"$1\"");
    let mut runs = tokio::task::JoinSet::new();
    for code in 0..40 {
        let runner = scripts.runner();
        runs.spawn(async move {
            (
                code,
                runner
                    .run(&call(&[&code.to_string()], &[]), &Halt::default(), &LiveLog::default())
                    .await
                    .unwrap(),
            )
        });
    }
    while let Some(run) = runs.join_next().await {
        let (code, outcome) = run.unwrap();
        assert_eq!(outcome.exit, ExitReason::Exited(code));
        assert_eq!(&*outcome.log.stderr, format!("{code}\n"));
    }
}
