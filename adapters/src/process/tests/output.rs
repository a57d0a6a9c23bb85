use domain::job::{LOG_HEAD_BYTES, LOG_TAIL_BYTES, LiveStream};
use nix::fcntl::{FcntlArg, fcntl};

use super::*;

#[tokio::test]
async fn the_two_streams_are_kept_apart() {
    let outcome = Scripts::with_backup("echo one; echo two >&2; echo three; printf four >&2")
        .backup()
        .await;
    assert_eq!(&*outcome.log.stdout, "one\nthree\n");
    assert_eq!(&*outcome.log.stderr, "two\nfour");
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm() {
    let outcome = Scripts::with_backup(r"printf 'a\xff\xfe\0b'; printf '\xc3' >&2")
        .backup()
        .await;
    assert_eq!(&*outcome.log.stdout, "a\u{fffd}\u{fffd}\0b");
    assert_eq!(&*outcome.log.stderr, "\u{fffd}");
}

#[tokio::test]
async fn a_script_may_close_its_output_and_work_on() {
    let outcome = Scripts::with_backup("echo last; exec >&- 2>&-; for i in 1 2 3; do :; done; exit 6")
        .backup()
        .await;
    assert_eq!(outcome.exit, ExitReason::Exited(6));
    assert_eq!(&*outcome.log.stdout, "last\n");
}

/// The most memory that this process ever had, in KiB.
fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_flood_is_cut_to_both_its_ends_with_little_memory() {
    let scripts = Scripts::with_backup(
        "echo first; echo first >&2
         head -c 200000000 /dev/zero & head -c 200000000 /dev/zero >&2; wait
         echo last; echo last >&2; exit 9",
    );
    let before = peak_memory_kib();
    let outcome = scripts.backup().await;
    let grown = peak_memory_kib() - before;
    assert_eq!(outcome.exit, ExitReason::Exited(9));
    for text in [outcome.log.stdout, outcome.log.stderr] {
        assert!(text.starts_with("first\n\0"));
        assert!(text.ends_with("\0last\n"));
        let left_out = 200_000_000 + "first\nlast\n".len() - LOG_HEAD_BYTES - LOG_TAIL_BYTES;
        assert!(text.contains(&format!("\n[... {left_out} bytes left out ...]\n")));
        assert!(text.len() < LOG_HEAD_BYTES + LOG_TAIL_BYTES + 100);
    }
    // Other tests share the process, hence the margin; a flood that is kept would be 400 MB.
    assert!(grown < 64 * 1024, "{grown} KiB");
}

/// A script that writes as much as a pipe holds and ends before anyone has read it.
const LAST_WORDS: &str = "printf '%061440d' 0; printf '%061440d' 0 >&2";

#[tokio::test]
async fn the_last_words_of_a_script_are_never_lost() {
    let scripts = Scripts::with_backup(LAST_WORDS);
    for round in 0..200 {
        let log = scripts.backup().await.log;
        assert_eq!((log.stdout.len(), log.stderr.len()), (61_440, 61_440), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_are_never_lost_among_many_either() {
    let scripts = Scripts::with_backup(LAST_WORDS);
    for round in 0..20 {
        let mut runs = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let runner = scripts.runner();
            runs.spawn(async move {
                runner
                    .run(&call(&[], &[]), &Halt::default(), &LiveLog::default())
                    .await
                    .unwrap()
                    .log
            });
        }
        while let Some(log) = runs.join_next().await {
            let log = log.unwrap();
            assert_eq!((log.stdout.len(), log.stderr.len()), (61_440, 61_440), "{round}");
        }
    }
}

#[tokio::test]
async fn what_is_in_the_pipe_is_read_though_the_runtime_has_not_noticed_it() {
    // No await between writing and finishing, so the runtime cannot have looked.
    let (reader, mut writer) = io::pipe().unwrap();
    let stream =
        crate::process::output::Stream::new(reader, redact::Secrets::default(), LiveStream::default()).unwrap();
    io::Write::write_all(&mut writer, b"unnoticed").unwrap();
    assert_eq!(&*stream.finish(), "unnoticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_more_than_a_pipe_holds_is_read_after_the_end() {
    const SIZE_BYTES: i32 = 4096;
    for round in 0..50 {
        let (reader, mut writer) = io::pipe().unwrap();
        fcntl(&reader, FcntlArg::F_SETPIPE_SZ(SIZE_BYTES)).unwrap();
        let stream =
            crate::process::output::Stream::new(reader, redact::Secrets::default(), LiveStream::default()).unwrap();
        // Until nobody reads any more, which is when the runtime of this test ends.
        std::thread::spawn(move || while io::Write::write_all(&mut writer, &[b'x'; 64]).is_ok() {});
        std::thread::yield_now();
        assert!(stream.finish().len() <= SIZE_BYTES as usize, "{round}");
    }
}

#[tokio::test]
async fn what_a_script_writes_can_be_read_while_it_is_at_work_and_holds_no_secret() {
    let scripts = Scripts::with_backup(
        r#"echo "begun with s3cr3t-value"; echo and on the way, at some length >&2; read -r _ <"$GATE"; echo done"#,
    );
    let gate = scripts.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let call = ScriptCall {
        environment: vec![("GATE".to_owned(), gate.clone().into())],
        redacted: vec![domain::secret::Secret::new("s3cr3t-value")],
        ..call(&[], &[])
    };
    let (runner, live) = (scripts.runner(), LiveLog::default());
    let written = live.clone();
    let run = tokio::spawn(async move { runner.run(&call, &Halt::default(), &written).await });
    let seen = until("the first lines are seen", || {
        let seen = live.so_far();
        // What may be the beginning of a secret is held back until more comes.
        (seen.stdout.starts_with("begun with <redacted>") && seen.stderr.starts_with("and on the")).then_some(seen)
    })
    .await;
    assert!(
        !seen.stdout.contains("done") && !seen.stdout.contains("s3cr3t"),
        "{seen:?}"
    );
    // Opening it for writing lets the script go on.
    tokio::task::spawn_blocking(move || fs::write(gate, "go\n").unwrap())
        .await
        .unwrap();
    let outcome = run.await.unwrap().unwrap();
    assert_eq!(&*outcome.log.stdout, "begun with <redacted>\ndone\n");
    assert_eq!(
        live.so_far(),
        outcome.log,
        "nothing of it vanishes before the log is written down"
    );
}
