use super::*;

/// Two ways to leave a process behind; the second is out of reach of its group.
const WAYS: [&str; 2] = ["", "setsid"];

/// A call that tells the script where to write.
fn call_with(files: &[(&str, &Path)]) -> ScriptCall {
    let files: Vec<_> = files
        .iter()
        .map(|(name, path)| (*name, path.to_str().unwrap()))
        .collect();
    call(&[], &files)
}

#[tokio::test]
async fn a_process_left_behind_delays_nothing_and_stays_alive() {
    for way in WAYS {
        let scripts = Scripts::with_backup(&format!(
            "echo before; {way} sleep 300 & echo $! > \"$PID_FILE\"; echo after; echo error >&2; exit 3"
        ));
        let pid_file = scripts.path("pid");
        let started = Instant::now();
        let outcome = scripts.run(&call_with(&[("PID_FILE", &pid_file)])).await.unwrap();
        let sleeper = LeftBehind::of(&pid_file).await;
        assert!(started.elapsed() < Duration::from_secs(60), "{way}");
        assert_eq!(outcome.exit, ExitReason::Exited(3), "{way}");
        assert_eq!(&*outcome.log.stdout, "before\nafter\n", "{way}");
        assert_eq!(&*outcome.log.stderr, "error\n", "{way}");
        assert!(sleeper.is_alive(), "{way}");
    }
}

#[tokio::test]
async fn a_process_left_behind_goes_on_writing_unseen_and_unhindered() {
    for way in WAYS {
        let scripts = Scripts::with_backup(&format!(
            "{way} bash -c '
                 while [ ! -e \"$GO\" ]; do sleep 0.01; done
                 head -c 1048576 /dev/zero && head -c 1048576 /dev/zero >&2 && echo done > \"$DONE\"' &
             echo $! > \"$PID_FILE\"
             echo mine"
        ));
        let [pid_file, go, done] = ["pid", "go", "done"].map(|name| scripts.path(name));
        let call = call_with(&[("PID_FILE", &pid_file), ("GO", &go), ("DONE", &done)]);
        let outcome = scripts.run(&call).await.unwrap();
        let writer = LeftBehind::of(&pid_file).await;
        assert_eq!(&*outcome.log.stdout, "mine\n", "{way}");
        fs::write(&go, "").unwrap();
        assert_eq!(line_of(&done).await, "done", "{way}");
        until("the writer has ended by itself", || (!writer.is_alive()).then_some(())).await;
    }
}

#[tokio::test]
async fn a_process_left_behind_that_writes_without_end_delays_nothing() {
    for way in WAYS {
        let scripts = Scripts::with_backup(&format!(
            "{way} bash -c 'exec yes' & echo $! > \"$PID_FILE\"
             {way} bash -c 'exec yes >&2' & echo $! > \"$OTHER\"
             exit 4"
        ));
        let [pid_file, other] = ["pid", "other"].map(|name| scripts.path(name));
        let call = call_with(&[("PID_FILE", &pid_file), ("OTHER", &other)]);
        let started = Instant::now();
        let outcome = scripts.run(&call).await.unwrap();
        let writers = [LeftBehind::of(&pid_file).await, LeftBehind::of(&other).await];
        assert!(started.elapsed() < Duration::from_secs(20), "{way}");
        assert_eq!(outcome.exit, ExitReason::Exited(4), "{way}");
        assert!(writers.iter().all(LeftBehind::is_alive), "{way}");
    }
}

#[tokio::test]
async fn a_process_left_behind_is_neither_stopped_nor_ended_by_its_next_of_kin() {
    // A lock held by a session in the background, as scripts do it, and ended by the unlock script.
    let scripts = Scripts::new();
    scripts.write("pre-backup-lock", 0o644, "sleep 300 & echo $! > \"$PID_FILE\"");
    scripts.write("backup", 0o644, "kill -0 $(cat \"$PID_FILE\")");
    scripts.write("post-backup-unlock", 0o644, "kill $(cat \"$PID_FILE\")");
    let pid_file = scripts.path("pid");
    for phase in [Phase::PreBackupLock, Phase::Backup, Phase::PostBackupUnlock] {
        let call = ScriptCall {
            phase,
            ..call_with(&[("PID_FILE", &pid_file)])
        };
        let outcome = scripts.run(&call).await.unwrap();
        assert_eq!(outcome.exit, ExitReason::Exited(0), "{phase}: {outcome:?}");
    }
    let session = LeftBehind::of(&pid_file).await;
    until("the session has ended", || (!session.is_alive()).then_some(())).await;
}
