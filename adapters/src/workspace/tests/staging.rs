use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use chrono::DateTime;
use domain::artifact::{FileEntry, FileKind, NamePattern};

use super::*;

/// `db.example.org_1970_01_01_orders.tar.gz`
fn name() -> ArtifactName {
    NamePattern::default().name("db.example.org", "orders", &id(), DateTime::UNIX_EPOCH)
}

/// What is seen without what differs from run to run.
fn seen(entries: &[FileEntry]) -> Vec<(&str, FileKind, u64)> {
    entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind, entry.size_bytes))
        .collect()
}

#[tokio::test]
async fn nothing_there_is_no_error() {
    let place = Place::new(false);
    let staging = place.workspace.staging(&id(), &name()).await;
    assert_eq!(staging, Ok(Staging::default()));
    fs::remove_dir(place.backup("")).unwrap();
    assert_eq!(place.workspace.staging(&id(), &name()).await, Ok(Staging::default()));
    let without = LocalWorkspace::new(WorkspaceSettings {
        directories: Directories::default(),
        allowed_to_delete_files: false,
    });
    assert_eq!(without.staging(&id(), &name()).await, Ok(Staging::default()));
}

#[tokio::test]
async fn an_entry_has_what_tells_whether_it_is_still_the_same() {
    let place = Place::new(false);
    let path = place.backup(&name().file_name());
    fs::write(&path, "artifact").unwrap();
    let modified = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let found = look(&path);
    let staging = place.workspace.staging(&id(), &name()).await.unwrap();
    assert_eq!(
        staging,
        Staging {
            named: Some(FileEntry {
                name: name().file_name(),
                kind: FileKind::Regular,
                size_bytes: 8,
                identity: (found.dev(), found.ino()),
                modified_ns: 1_700_000_000_123_456_789,
            }),
            own_directory: None,
        }
    );
}

#[tokio::test]
async fn the_named_entry_is_itself_and_not_what_it_points_to() {
    for thing in THINGS {
        let place = Place::new(false);
        make(thing, &place.backup(&name().file_name()));
        let named = place.workspace.staging(&id(), &name()).await.unwrap().named.unwrap();
        let expected = match thing {
            "a file" => FileKind::Regular,
            "a fifo" | "a directory" => FileKind::Other,
            _ => FileKind::Link,
        };
        assert_eq!(named.kind, expected, "{thing}");
    }
}

#[tokio::test]
async fn the_jobs_own_directory_is_listed_whole() {
    let place = Place::new(false);
    let own = place.backup(ID);
    fs::create_dir(&own).unwrap();
    let empty = place.workspace.staging(&id(), &name()).await.unwrap();
    assert_eq!(empty.own_directory, Some(vec![]));

    fs::write(own.join("file"), "12345").unwrap();
    fs::write(own.join(".hidden"), "1").unwrap();
    fs::write(own.join(OsStr::from_bytes(b"odd\xff")), "1").unwrap();
    for thing in ["a link", "a fifo", "a directory"] {
        make(thing, &own.join(thing));
    }
    fs::write(own.join("a directory/below"), "").unwrap();
    let staging = place.workspace.staging(&id(), &name()).await.unwrap();
    let entries = staging.own_directory.unwrap();
    let directory_size = look(&own.join("a directory")).size();
    assert_eq!(
        seen(&entries),
        [
            (".hidden", FileKind::Regular, 1),
            ("a directory", FileKind::Other, directory_size),
            ("a fifo", FileKind::Other, 0),
            ("a link", FileKind::Link, "/etc/passwd".len() as u64),
            ("file", FileKind::Regular, 5),
            ("odd\u{fffd}", FileKind::Other, 1),
        ]
    );
    assert_eq!(staging.named, None);
}

#[tokio::test]
async fn only_a_real_directory_is_the_jobs_own() {
    for thing in THINGS {
        let place = Place::new(false);
        make(thing, &place.backup(ID));
        let staging = place.workspace.staging(&id(), &name()).await;
        match thing {
            "a directory" => assert_eq!(staging.unwrap().own_directory, Some(vec![])),
            "a file" | "a fifo" => assert_eq!(staging.unwrap().own_directory, None, "{thing}"),
            _ => {
                let error = staging.unwrap_err().to_string();
                assert!(error.contains("/backup/job-1 is a symbolic link"), "{thing}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_named() {
    let place = Place::new(false);
    fs::remove_dir(place.backup("")).unwrap();
    fs::write(place.root.path().join("backup"), "").unwrap();
    let error = place.workspace.staging(&id(), &name()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot look at ") && error.contains("remove the file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_directory_with_too_many_entries_is_refused() {
    let place = Place::new(false);
    let own = place.backup(ID);
    fs::create_dir(&own).unwrap();
    for number in 0..10_000 {
        fs::write(own.join(number.to_string()), "").unwrap();
    }
    let staging = place.workspace.staging(&id(), &name()).await.unwrap();
    assert_eq!(staging.own_directory.map(|entries| entries.len()), Some(10_000));
    fs::write(own.join("one more"), "").unwrap();
    let error = place.workspace.staging(&id(), &name()).await.unwrap_err().to_string();
    assert!(error.contains("has more than 10000 entries"), "{error}");
}
