//! A state directory that another user could change.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, lchown, symlink},
};

use super::{files::settings, *};

const STRANGER: Option<u32> = Some(65534);

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("LEFT OUT: a state directory of another user: these tests do not run as root");
    }
    is_root
}

#[test]
fn one_of_another_user_is_not_used() {
    if !is_root() {
        return;
    }
    for what in ["a directory", "a link", "a link to a directory"] {
        let place = tempfile::tempdir().unwrap();
        let [state, real] = ["state", "real"].map(|name| place.path().join(name));
        fs::create_dir(&real).unwrap();
        match what {
            "a directory" => fs::rename(&real, &state).unwrap(),
            _ => symlink("real", &state).unwrap(),
        }
        match what {
            "a link" => lchown(&state, STRANGER, STRANGER).unwrap(),
            _ => chown(&state, STRANGER, STRANGER).unwrap(),
        }
        let error = FileJobStore::open(settings(place.path())).unwrap_err().to_string();
        assert!(error.contains("belongs to another user (uid 65534)"), "{what}: {error}");
        assert_eq!(
            fs::read_dir(&state).unwrap().count(),
            0,
            "{what}: nothing was made there"
        );
    }
}

#[test]
fn one_of_our_own_may_be_reached_by_a_link_of_our_own() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("real")).unwrap();
    symlink("real", place.path().join("state")).unwrap();
    FileJobStore::open(settings(place.path())).unwrap();
    assert!(place.path().join("real/lock").exists());
}

#[test]
fn one_of_our_own_is_closed_to_those_who_could_write_to_it() {
    for (mode, expected) in [(0o777, 0o755), (0o775, 0o755), (0o755, 0o755), (0o700, 0o700)] {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
        FileJobStore::open(settings(place.path())).unwrap();
        let found = fs::metadata(&state).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, expected, "{mode:o}");
    }
}

#[test]
fn a_lock_that_is_a_link_empties_no_other_file() {
    let place = tempfile::tempdir().unwrap();
    let other = place.path().join("other");
    fs::write(&other, "precious").unwrap();
    fs::create_dir(place.path().join("state")).unwrap();
    symlink(&other, place.path().join("state/lock")).unwrap();
    assert!(FileJobStore::open(settings(place.path())).is_err());
    assert_eq!(fs::read(&other).unwrap(), b"precious");
}
