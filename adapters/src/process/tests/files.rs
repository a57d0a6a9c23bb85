use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[tokio::test]
async fn a_script_is_found_by_its_name_and_then_with_sh() {
    let file = |scripts: &Scripts, name: &str| scripts.write(name, 0o644, &format!("echo {name}"));
    type Prepare<'a> = Box<dyn Fn(&Scripts) + 'a>;
    let rows: [(&str, Prepare, &str); 6] = [
        ("only the name", Box::new(|s| file(s, "backup")), "backup"),
        ("only .sh", Box::new(|s| file(s, "backup.sh")), "backup.sh"),
        (
            "both",
            Box::new(|s| {
                file(s, "backup");
                file(s, "backup.sh");
            }),
            "backup",
        ),
        (
            "a directory of the name",
            Box::new(|s| {
                fs::create_dir(s.path("backup")).unwrap();
                file(s, "backup.sh");
            }),
            "backup.sh",
        ),
        (
            "a link to a file",
            Box::new(|s| {
                file(s, "elsewhere");
                symlink("elsewhere", s.path("backup")).unwrap();
            }),
            "elsewhere",
        ),
        (
            "a link to nothing",
            Box::new(|s| {
                symlink("nowhere", s.path("backup")).unwrap();
                file(s, "backup.sh");
            }),
            "backup.sh",
        ),
    ];
    for (what, prepare, expected) in rows {
        let scripts = Scripts::new();
        prepare(&scripts);
        assert_eq!(scripts.runner().check(&[Phase::Backup]).await, Ok(()), "{what}");
        assert_eq!(&*scripts.backup().await.log.stdout, format!("{expected}\n"), "{what}");
    }
}

#[tokio::test]
async fn the_check_names_every_script_that_is_missing_and_where_it_was_looked_for() {
    let scripts = Scripts::new();
    scripts.write("backup", 0o644, "");
    scripts.write("post-backup-unlock.sh", 0o600, "");
    fs::create_dir(scripts.path("pre-backup-check")).unwrap();
    symlink("loop", scripts.path("loop")).unwrap();
    symlink("loop", scripts.path("backup-cleanup")).unwrap();
    let phases = domain::plan::JobKind::Backup.phases();
    let Err(ScriptError::NotStarted(error)) = scripts.runner().check(phases).await else {
        panic!("the check passed");
    };
    let place = scripts.directory.path().display();
    for part in [
        format!("no script for pre-backup-lock, pre-backup-check in {place}: "),
        "correct scripts_path".to_owned(),
        format!("cannot read {place}/backup-cleanup: "),
    ] {
        assert!(error.contains(&part), "{part:?} in {error}");
    }
    assert!(!error.contains("post-backup-unlock"), "{error}");
}

#[tokio::test]
async fn a_missing_script_is_not_started() {
    let scripts = Scripts::new();
    let Err(ScriptError::NotStarted(error)) = scripts.run(&call(&[], &[])).await else {
        panic!("it was started");
    };
    assert!(
        error.starts_with(&format!(
            "no script for backup in {}: ",
            scripts.directory.path().display()
        )),
        "{error}"
    );
    let runner = TokioScriptRunner::new(ScriptRunnerSettings {
        scripts_path: scripts.path("nowhere"),
        interpreter: Interpreter::Bash,
        inherited_environment: vec![],
        records_directory: scripts.records(),
        terminate_grace: TERMINATE_GRACE,
    });
    let error = runner.check(&[Phase::Restore]).await.unwrap_err().to_string();
    assert!(error.contains("nowhere is not a directory"), "{error}");
}

#[tokio::test]
async fn an_unreadable_script_is_named() {
    if nix::unistd::geteuid().is_root() {
        // Root can read everything; the loop of links above stands for the rest.
        return;
    }
    let scripts = Scripts::new();
    scripts.write("backup", 0o000, "");
    scripts.write("backup.sh", 0o644, "");
    for result in [
        scripts.runner().check(&[Phase::Backup]).await,
        scripts.run(&call(&[], &[])).await.map(drop),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("/backup: "), "{error}");
    }
}

#[tokio::test]
async fn bash_reads_every_script_whatever_its_mode_and_first_line() {
    for mode in [0o400, 0o644, 0o755] {
        let scripts = Scripts::new();
        scripts.write("backup", mode, "#!/bin/false\n[[ -n $BASH_VERSION ]] && echo \"$0\"");
        let outcome = scripts.backup().await;
        let path = scripts.path("backup");
        assert_eq!(
            &*outcome.log.stdout,
            format!("{}\n", path.display()),
            "{mode:o}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_first_line_decides_only_if_it_may() {
    let shell = "#!/usr/bin/env -S awk -f\nBEGIN { print \"awk\", ARGC - 1; exit 5 }\n";
    let bash = "[[ -n $BASH_VERSION ]] && echo \"bash $#\"; exit 5";
    let mut rows = vec![
        ("executable", 0o755, shell, "awk 2\n"),
        ("not executable", 0o644, bash, "bash 2\n"),
        ("executable without a first line", 0o755, bash, "bash 2\n"),
        ("executable and empty", 0o755, "", ""),
    ];
    if is_installed("python3") {
        let python = "#!/usr/bin/env python3\nimport sys\nprint('python', len(sys.argv) - 1)\nsys.exit(5)\n";
        rows.push(("python", 0o755, python, "python 2\n"));
    }
    for (what, mode, text, expected) in rows {
        let mut scripts = Scripts::new();
        scripts.interpreter = Interpreter::Shebang;
        scripts
            .inherited
            .push(("HOME".into(), std::env::var_os("HOME").unwrap_or_default()));
        scripts.write("backup", mode, text);
        let outcome = scripts.run(&call(&["a", ""], &[])).await.unwrap();
        assert_eq!(&*outcome.log.stdout, expected, "{what}: {outcome:?}");
        let code = if text.is_empty() { 0 } else { 5 };
        assert_eq!(outcome.exit, ExitReason::Exited(code), "{what}");
    }
}

#[tokio::test]
async fn a_first_line_that_names_nothing_is_told() {
    let mut scripts = Scripts::new();
    scripts.interpreter = Interpreter::Shebang;
    scripts.write("backup", 0o755, "#!/no/such/program\n");
    let Err(ScriptError::NotStarted(error)) = scripts.run(&call(&[], &[])).await else {
        panic!("it was started");
    };
    assert!(
        error.contains("/backup: it is gone, or the program in its first line"),
        "{error}"
    );
}

#[tokio::test]
async fn bash_is_found_without_path_and_along_it() {
    let scripts = Scripts::with_backup("builtin echo real");
    let bin = scripts.path("bin");
    fs::create_dir(&bin).unwrap();
    scripts.write("bin/bash", 0o755, "#!/bin/sh\necho \"mine ${1##*/} $2\"\n");
    for (path, expected) in [
        (None, "real\n"),
        (Some("/nowhere".to_owned()), "real\n"),
        (
            Some(format!("{}:/usr/bin:/bin", bin.display())),
            "mine backup argument\n",
        ),
    ] {
        let mut scripts = Scripts::with_backup("builtin echo real");
        scripts.inherited = path.iter().map(|path| ("PATH".into(), path.into())).collect();
        let outcome = scripts.run(&call(&["argument"], &[])).await.unwrap();
        assert_eq!(&*outcome.log.stdout, expected, "{path:?}");
    }
}

#[tokio::test]
async fn a_script_may_be_replaced_between_two_runs() {
    let scripts = Scripts::with_backup("echo one");
    assert_eq!(&*scripts.backup().await.log.stdout, "one\n");
    scripts.write("new", 0o644, "echo two");
    fs::rename(scripts.path("new"), scripts.path("backup")).unwrap();
    assert_eq!(&*scripts.backup().await.log.stdout, "two\n");
    fs::set_permissions(scripts.path("backup"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(&*scripts.backup().await.log.stdout, "two\n");
}
