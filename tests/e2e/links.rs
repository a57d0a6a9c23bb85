//! What another user of the machine gains by links, pipes, devices and swapped names in the agent's
//! directories: nothing. Here the other user is `nobody`, and the agent, as these tests, is root.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::unistd::User;
use serde_json::json;

use crate::harness::{Agent, Kind, Place, backup, file_store, restore, say};

const SECRET: &str = "what only root may read";

/// A file that nobody but its owner may read, in such a directory.
fn secret(place: &Place) -> PathBuf {
    fs::create_dir(place.path("secret")).expect("a directory can be made");
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o700)).expect("it is ours");
    let secret = place.write("secret/object", SECRET);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    secret
}

/// All that tells whether somebody has touched the secret, or its directory.
fn seen(secret: &Path) -> String {
    let directory = secret.parent().expect("it lies in a directory");
    let marks = [secret, directory].map(|path| {
        let found = fs::symlink_metadata(path).expect("it is there");
        (
            found.ino(),
            found.ctime(),
            found.ctime_nsec(),
            found.mode(),
            found.uid(),
        )
    });
    let names = fs::read_dir(directory).expect("it is there").count();
    let content = fs::read_to_string(secret).expect("it is there");
    format!("{content:?} {marks:?} {names}")
}

/// The other user, if there can be one.
fn nobody(what: &str) -> Option<User> {
    let nobody = User::from_name("nobody").expect("users can be looked up");
    let can_be = nix::unistd::geteuid().is_root() && Command::new("setpriv").arg("--version").output().is_ok();
    let nobody = nobody.filter(|_| can_be);
    if nobody.is_none() {
        say(&format!("LEFT OUT: {what}: that needs root, setpriv and a user nobody"));
    }
    nobody
}

/// A command that runs as the other user.
fn as_user(user: &User, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)])
        .arg("--clear-groups")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

/// Lets everybody make files in a directory, as in `/tmp`.
fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o1777)).expect("it is ours");
}

/// Says that nothing of the secret came into the store.
fn assert_unstored(place: &Place, row: &str) {
    for name in place.object_names() {
        let content = place.object(&name).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains(SECRET), "{row}: {name} holds the secret");
    }
}

#[test]
fn what_is_no_regular_file_is_no_artifact_and_nothing_waits_for_it() {
    let agent = Agent::start(|_| {});
    let secret = secret(&agent.place);
    let (before, shown) = (seen(&secret), secret.display());
    let mut works = vec![
        ("a link", format!("ln -s '{shown}' \"$at\"")),
        ("a pipe", "mkfifo \"$at\"".to_owned()),
        (
            "a link to a pipe",
            "mkfifo \"$at.x\"; ln -s \"$at.x\" \"$at\"".to_owned(),
        ),
        ("a link to a device", "ln -s /dev/zero \"$at\"".to_owned()),
    ];
    if nix::unistd::geteuid().is_root() {
        works.push(("a device", "mknod \"$at\" c 1 5".to_owned()));
    } else {
        say("LEFT OUT: a device in place of an artifact: these tests do not run as root");
    }
    for (number, (row, work)) in works.iter().enumerate() {
        for (place, at) in [
            ("named", "at=$BACKUP_AGENT_FILE"),
            (
                "own",
                "mkdir \"$directory_backup/$BACKUP_AGENT_JOB_ID\"; at=$directory_backup/$BACKUP_AGENT_JOB_ID/x.dump",
            ),
        ] {
            let row = format!("{row}, {place}");
            agent.place.script("backup", &format!("{at}\n{work} || exit 9"));
            agent.place.script("backup-cleanup", "rm -rf \"$directory_backup\"/*");
            let id = format!("{place}-{number}");
            let (_, message) = agent.fail(Kind::Backup, &backup(&id, &file_store(&agent.place)));
            assert!(message.contains("no artifact"), "{row}: {message}");
            assert_eq!(agent.place.object_names(), [""; 0], "{row}");
        }
    }
    assert_eq!(seen(&secret), before);
}

#[test]
fn a_jobs_directory_that_another_user_made_a_link_is_not_entered() {
    let Some(nobody) = nobody("a job's directory that is another user's link") else {
        return;
    };
    let agent = Agent::start(|env| {
        env.set("allowed_to_delete_files", "true");
    });
    let place = &agent.place;
    let secret = secret(place);
    let before = seen(&secret);
    place.write("store/objects/object", "content");
    place.script("backup", "mkdir -p \"$directory_backup/$BACKUP_AGENT_JOB_ID\"");
    for directory in [place.backup(), place.restore()] {
        open_to_all(&directory);
        let link = directory.join("job");
        let made = as_user(
            &nobody,
            &["ln", "-s", path_text(&place.path("secret")), path_text(&link)],
        );
        assert!(made_it(made), "the other user may make links");
    }
    let (_, message) = agent.fail(Kind::Backup, &backup("job", &file_store(place)));
    assert!(message.contains("backup/job is a symbolic link"), "{message}");
    let (_, message) = agent.fail(Kind::Restore, &restore("job", &file_store(place), "object"));
    assert!(
        message.contains("a symbolic link is where the job's directory has to be"),
        "{message}"
    );
    assert_eq!(place.ran(Kind::Restore, "job"), [""; 0], "nothing was locked");
    assert_eq!(place.object_names(), ["object"]);
    assert_eq!(seen(&secret), before);
}

fn made_it(mut command: Command) -> bool {
    command.status().expect("setpriv is there").success()
}

#[test]
fn a_link_of_another_user_where_the_restore_goes_changes_no_other_file() {
    let Some(nobody) = nobody("a restore over another user's link") else {
        return;
    };
    for allowed in [false, true] {
        for at in ["job/object", "object"] {
            let row = format!("{at}, allowed: {allowed}");
            let place = Place::new();
            place.write("store/objects/object", "content");
            let agent = Agent::start_in(place, |env| {
                env.set("allowed_to_delete_files", allowed.to_string());
            });
            let place = &agent.place;
            let secret = secret(place);
            let before = seen(&secret);
            fs::create_dir(place.restore().join("job")).expect("a directory can be made");
            for directory in [place.restore(), place.restore().join("job")] {
                open_to_all(&directory);
            }
            let link = place.restore().join(at);
            let made = as_user(&nobody, &["ln", "-s", path_text(&secret), path_text(&link)]);
            assert!(made_it(made), "{row}: the other user may make links");
            let job = agent.run(Kind::Restore, &restore("job", &file_store(place), "object"));
            assert_eq!(job["status"] == "SUCCEEDED", allowed, "{row}: {job}");
            assert_eq!(seen(&secret), before, "{row}");
        }
    }
}

#[test]
fn a_second_name_that_another_user_made_gives_no_file_away() {
    let Some(nobody) = nobody("another user's hard link to a file of root") else {
        return;
    };
    let agent = Agent::start(|_| {});
    let place = &agent.place;
    let secret = secret(place);
    // So that they can name it, though not read it.
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o711)).expect("it is ours");
    chown(place.backup(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("we are root");
    let shown = secret.display();
    place.script(
        "backup",
        &format!(
            "setpriv --reuid nobody --regid {} --clear-groups ln '{shown}' \"$BACKUP_AGENT_FILE\"; exit 0",
            nobody.gid
        ),
    );
    // Either the system keeps them from making one, or the agent does not take it.
    agent.fail(Kind::Backup, &backup("job", &file_store(place)));
    assert_eq!(place.object_names(), [""; 0]);
}

#[test]
fn a_link_on_the_way_to_a_directory_of_objects_is_not_followed() {
    let agent = Agent::start(|_| {});
    let place = &agent.place;
    let secret = secret(place);
    let before = seen(&secret);
    symlink(place.path("secret"), place.store().join("link")).expect("a link can be made");
    symlink("objects", place.store().join("stays-in")).expect("a link can be made");
    fs::create_dir(place.path("secret-too")).expect("a directory can be made");
    symlink(place.path("secret"), place.path("secret-too/deep")).expect("a link can be made");
    symlink(place.path("secret-too"), place.store().join("way")).expect("a link can be made");
    for (number, path) in ["link", "way/deep", "stays-in"].into_iter().enumerate() {
        let store = json!({"type": "FILE", "path": place.store().join(path)});
        let id = format!("job-{number}");
        let (_, backup_said) = agent.fail(Kind::Backup, &backup(&id, &store));
        let (_, restore_said) = agent.fail(Kind::Restore, &restore(&id, &store, "object"));
        for message in [backup_said, restore_said] {
            assert!(message.contains("is a symbolic link"), "{path}: {message}");
        }
    }
    assert_eq!(place.object_names(), [""; 0]);
    assert_eq!(seen(&secret), before);
}

#[test]
fn an_object_that_is_a_link_or_a_pipe_is_not_restored() {
    let agent = Agent::start(|_| {});
    let place = &agent.place;
    let secret = secret(place);
    symlink(&secret, place.objects().join("link")).expect("a link can be made");
    nix::unistd::mkfifo(&place.objects().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe can be made");
    for name in ["link", "pipe"] {
        let (_, message) = agent.fail(Kind::Restore, &restore(name, &file_store(place), name));
        assert!(message.contains("not a regular file"), "{name}: {message}");
    }
}

/// Swaps pairs of names as fast as it can, as the other user, and ends with the value.
struct Swapper(Child);

impl Swapper {
    /// None, and that is said, where there is no way to do it.
    fn start(user: &User, pairs: &[(PathBuf, PathBuf)]) -> Option<Self> {
        // renameat2(AT_FDCWD, …, AT_FDCWD, …, RENAME_EXCHANGE)
        let number = match std::env::consts::ARCH {
            "x86_64" => 316,
            "aarch64" => 276,
            _ => return Self::leave_out(),
        };
        if Command::new("perl").arg("-v").output().is_err() {
            return Self::leave_out();
        }
        let program = format!(
            "$| = 1; print \"here\\n\"; while (getppid() != 1) {{ \
             for (my $i = 0; $i < @ARGV; $i += 2) {{ syscall({number}, -100, $ARGV[$i], -100, $ARGV[$i + 1], 2); }} }}"
        );
        let mut command = as_user(user, &["perl", "-e", &program]);
        for (one, other) in pairs {
            command.args([one, other]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("perl is there");
        let mut word = [0; 5];
        let output = child.stdout.as_mut().expect("it is piped");
        std::io::Read::read_exact(output, &mut word).expect("it says that it is there");
        Some(Self(child))
    }

    fn leave_out() -> Option<Self> {
        say("LEFT OUT: names that another user swaps: that needs perl, on x86_64 or aarch64");
        None
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ROUNDS: usize = 40;

#[test]
fn another_user_who_swaps_names_during_backups_and_restores_gains_nothing() {
    let Some(nobody) = nobody("names that another user swaps") else {
        return;
    };
    let place = Place::new();
    place.write("store/objects/object", "content");
    let agent = Agent::start_in(place, |env| {
        env.set("allowed_to_delete_files", "true")
            .set("max_job_number", "4")
            .set("concurrent_restores", "2");
    });
    let place = &agent.place;
    let secret = secret(place);
    let before = seen(&secret);
    // The directories are the other user's, as those of a database are whose user backs it up.
    for directory in [place.backup(), place.restore()] {
        chown(&directory, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("we are root");
    }
    // The script leaves a file as long as the secret, and of its name, and as the other user: scripts
    // follow links, and this one shall not harm itself.
    let (gid, content) = (nobody.gid, "x".repeat(SECRET.len()));
    place.script(
        "backup",
        &format!(
            "setpriv --reuid nobody --regid {gid} --clear-groups sh -c \
             'printf {content} >\"$directory_backup/$BACKUP_AGENT_JOB_ID/object\"'; exit 0"
        ),
    );
    place.script("backup-cleanup", "");
    place.script("restore", "");
    let mut pairs = Vec::new();
    for round in 0..ROUNDS {
        for directory in [place.backup(), place.restore()] {
            let link = directory.join(format!("evil-{round}"));
            symlink(place.path("secret"), &link).expect("a link can be made");
            pairs.push((directory.join(format!("job-{round}")), link));
        }
    }
    // All that is swapped is there from the beginning.
    for round in 0..ROUNDS {
        for directory in [place.backup(), place.restore()] {
            let own = directory.join(format!("job-{round}"));
            fs::create_dir(&own).expect("a directory can be made");
            chown(&own, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("we are root");
        }
    }
    let Some(swapper) = Swapper::start(&nobody, &pairs) else {
        return;
    };
    for round in 0..ROUNDS {
        let id = format!("job-{round}");
        agent.accept(Kind::Backup, &backup(&id, &file_store(place)));
        agent.accept(Kind::Restore, &restore(&id, &file_store(place), "object"));
    }
    let ends = |kind: Kind| -> Vec<String> {
        (0..ROUNDS)
            .map(|round| agent.finished(kind, &format!("job-{round}"))["status"].to_string())
            .collect()
    };
    let (backups, restores) = (ends(Kind::Backup), ends(Kind::Restore));
    drop(swapper);
    let failed = backups.iter().chain(&restores).filter(|end| end.contains("FAILED"));
    assert!(failed.count() > 0, "some met a swapped name: {backups:?} {restores:?}");
    assert_unstored(place, "swapped");
    let after = seen(&secret);
    assert_eq!(after, before);
}
