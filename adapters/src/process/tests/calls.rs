use std::os::unix::ffi::OsStringExt;

use super::*;

#[tokio::test]
async fn arguments_arrive_exactly() {
    let scripts = Scripts::with_backup(r#"printf '%s\0' "$@""#);
    for arguments in [
        &[][..],
        &[""],
        &["", "", "x", ""],
        &[
            "a b",
            " ",
            "line\nline",
            "\t",
            "*",
            "$HOME",
            "`id`",
            "'\"\\",
            "-c",
            "--",
            "ä",
        ],
    ] {
        let outcome = scripts.run(&call(arguments, &[])).await.unwrap();
        let expected = match arguments {
            // printf prints its format once if there is nothing to print.
            [] => "\0".to_owned(),
            some => some.iter().map(|argument| format!("{argument}\0")).collect(),
        };
        assert_eq!(&*outcome.log.stdout, expected, "{arguments:?}");
    }
    let mut odd = call(&[], &[]);
    odd.arguments = vec![OsString::from_vec(vec![b'a', 0xff])];
    let scripts = Scripts::with_backup(r#"[ "$1" = $'a\xff' ]"#);
    assert_eq!(scripts.run(&odd).await.unwrap().exit, ExitReason::Exited(0));
}

#[tokio::test]
async fn the_environment_is_what_is_inherited_and_what_is_called_with() {
    // The environment as the process got it; bash adds variables of its own.
    let mut scripts = Scripts::with_backup("cat /proc/$$/environ");
    let path = "/usr/bin:/bin";
    scripts.inherited = vec![
        ("PATH".into(), "/nowhere".into()),
        ("PATH".into(), path.into()),
        ("directory_backup".into(), "/var/backup".into()),
        ("replaced".into(), "by the agent".into()),
    ];
    let call = call(
        &[],
        &[
            ("replaced", "by the call"),
            ("twice", "first"),
            ("lower_case", "with space\nand line"),
            ("empty", ""),
            ("with.dot", "ä"),
            ("twice", "second"),
        ],
    );
    let outcome = scripts.run(&call).await.unwrap();
    let (runs, mut variables): (Vec<&str>, Vec<&str>) = outcome
        .log
        .stdout
        .split_terminator('\0')
        .partition(|variable| variable.starts_with("BACKUP_AGENT_RUN="));
    assert_eq!(runs.len(), 1);
    variables.sort_unstable();
    // Nothing of the environment of this process is there, which has more than these.
    assert_eq!(
        variables,
        [
            "PATH=/usr/bin:/bin",
            "directory_backup=/var/backup",
            "empty=",
            "lower_case=with space\nand line",
            "replaced=by the call",
            "twice=second",
            "with.dot=ä",
        ]
    );
}

#[tokio::test]
async fn secrets_of_the_agent_that_were_not_passed_are_not_there() {
    let scripts = Scripts::with_backup("printf '%s %s' \"${client_username-none}\" \"${client_password-none}\"");
    assert_eq!(&*scripts.backup().await.log.stdout, "none none");
}

#[tokio::test]
async fn standard_input_is_empty() {
    let scripts = Scripts::with_backup("readlink /proc/$$/fd/0; read -r line; echo \"$? [$line]\"; wc -c");
    assert_eq!(&*scripts.backup().await.log.stdout, "/dev/null\n1 []\n0\n");
}

#[tokio::test]
async fn a_script_leads_a_process_group_and_stands_where_the_agent_stands() {
    // The fifth field of stat; the script's name, in parentheses, has no space here.
    let scripts = Scripts::with_backup("read -r -a stat < /proc/$$/stat; echo $$ ${stat[4]}; pwd");
    let stdout = scripts.backup().await.log.stdout;
    let (ids, directory) = stdout.split_once('\n').unwrap();
    let (pid, group) = ids.split_once(' ').unwrap();
    assert_eq!(pid, group);
    let here = std::env::current_dir().unwrap();
    assert_eq!(directory, format!("{}\n", here.display()));
}

#[tokio::test]
async fn what_is_too_large_for_the_system_is_named_and_not_shown() {
    let scripts = Scripts::with_backup("");
    let large = "s3cret".repeat(30_000);
    let many: Vec<&str> = std::iter::repeat_n(&large[..120_000], 80).collect();
    for (call, expected) in [
        (
            call(&["a", &large], &[]),
            "one value may have 128 KiB; the largest is argument 2 with 180001 bytes",
        ),
        (
            call(&["a"], &[("PARAMETER", &large)]),
            "one value may have 128 KiB; the largest is the variable PARAMETER with 180011 bytes",
        ),
        (
            call(&many, &[]),
            "usually 2 MiB; the largest is argument 80 with 120001 bytes",
        ),
    ] {
        let Err(ScriptError::NotStarted(error)) = scripts.run(&call).await else {
            panic!("it was started: {expected}");
        };
        assert!(
            error.contains("/backup: its arguments and environment are too large: "),
            "{error}"
        );
        assert!(error.ends_with(expected), "{error}");
        assert!(!error.contains("s3cret"), "{expected}");
    }
}

#[tokio::test]
async fn the_largest_value_that_the_system_takes_arrives() {
    let scripts = Scripts::with_backup("echo ${#1}");
    let argument = "x".repeat(128 * 1024 - 1);
    let outcome = scripts.run(&call(&[&argument], &[])).await.unwrap();
    assert_eq!(&*outcome.log.stdout, "131071\n");
}

#[tokio::test]
async fn a_value_with_a_zero_byte_is_refused() {
    let scripts = Scripts::with_backup("");
    for call in [call(&["s3\0cret"], &[]), call(&[], &[("P", "s3\0cret")])] {
        let Err(ScriptError::NotStarted(error)) = scripts.run(&call).await else {
            panic!("it was started");
        };
        assert!(error.contains("cannot be passed to a process"), "{error}");
        assert!(!error.contains("cret"), "{error}");
    }
}

#[test]
fn settings_are_shown_without_the_values_of_the_environment() {
    let settings = ScriptRunnerSettings {
        scripts_path: "/scripts".into(),
        interpreter: Interpreter::Bash,
        inherited_environment: vec![("TOKEN".into(), "s3cret".into())],
        records_directory: "/records".into(),
        terminate_grace: TERMINATE_GRACE,
    };
    assert!(!format!("{:?}", TokioScriptRunner::new(settings)).contains("s3cret"));
}
