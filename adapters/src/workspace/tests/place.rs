use super::*;

#[tokio::test]
async fn a_download_gets_its_name_and_a_relative_link() {
    for allowed in [true, false] {
        let place = Place::new(allowed);
        let placed = place.placed().await;
        let found = look(&place.file());
        assert!(found.is_file());
        assert_eq!(placed.file, Some((found.dev(), found.ino())));
        assert_eq!(found.nlink(), 1, "the name of the download is gone");
        assert_eq!(fs::read(place.file()).unwrap(), b"download");
        assert_eq!(fs::read_link(place.link()).unwrap(), Path::new(ID).join(FILENAME));
        assert_eq!(fs::read(place.link()).unwrap(), b"download");
        assert_eq!(place.restore_names(), [FILENAME, "job-1/", "job-1/dump.tar.gz"]);
    }
}

#[tokio::test]
async fn file_and_link_belong_to_whom_the_directory_belongs() {
    for (bits, expected) in [
        (0o700, 0o600),
        (0o750, 0o640),
        (0o755, 0o644),
        (0o770, 0o660),
        (0o2770, 0o660),
        (0o1777, 0o666),
    ] {
        let place = Place::new(false);
        let above = place.restore("");
        if is_root() {
            chown(&above, Some(65534), Some(65533)).unwrap();
        }
        fs::set_permissions(&above, Permissions::from_mode(bits)).unwrap();
        place.placed().await;
        let (file, link, above) = (look(&place.file()), look(&place.link()), look(&above));
        assert_eq!(mode(&file), expected, "{bits:o}");
        for found in [&file, &link] {
            assert_eq!((found.uid(), found.gid()), (above.uid(), above.gid()), "{bits:o}");
        }
        if is_root() && Command::new("setpriv").arg("--version").output().is_ok() {
            for path in [place.file(), place.link()] {
                assert!(another_user_reads(65534, &path), "{bits:o}: {}", path.display());
                let for_all = bits & 0o005 == 0o005;
                assert_eq!(
                    another_user_reads(65532, &path),
                    for_all,
                    "{bits:o}: {}",
                    path.display()
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_at_the_files_place_is_replaced_only_if_it_may_be() {
    for (thing, allowed) in THINGS.into_iter().flat_map(|thing| [(thing, true), (thing, false)]) {
        let row = format!("{thing}, allowed: {allowed}");
        let place = Place::new(allowed);
        let download = place.download(&restore_place()).await;
        make(thing, &place.file());
        let before = look(&place.file());
        let result = place.workspace.place_restore(&restore_place(), &download).await;
        assert!(!download.download.exists(), "{row}");
        if allowed && thing != "a directory" {
            assert_eq!(result, Ok(None), "{row}");
            assert_eq!(fs::read(place.file()).unwrap(), b"download", "{row}");
            assert!(look(&place.file()).is_file(), "{row}");
        } else {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("/{ID}/{FILENAME}: a")), "{row}: {error}");
            assert!(error.contains("is in the way"), "{row}: {error}");
            let after = look(&place.file());
            assert_eq!(
                (after.ino(), after.ctime_nsec()),
                (before.ino(), before.ctime_nsec()),
                "{row}"
            );
            assert!(fs::symlink_metadata(place.link()).is_err(), "{row}");
        }
        let left = place.restore_names();
        assert!(
            !left.iter().any(|name| name.contains("/.") || name.starts_with('.')),
            "{row}: {left:?}"
        );
    }
}

#[tokio::test]
async fn a_link_that_cannot_be_made_does_not_fail_the_placing() {
    for (thing, allowed) in THINGS.into_iter().flat_map(|thing| [(thing, true), (thing, false)]) {
        let row = format!("{thing}, allowed: {allowed}");
        let place = Place::new(allowed);
        let download = place.download(&restore_place()).await;
        make(thing, &place.link());
        let before = look(&place.link());
        let no_link = place
            .workspace
            .place_restore(&restore_place(), &download)
            .await
            .unwrap();
        assert_eq!(fs::read(place.file()).unwrap(), b"download", "{row}");
        if allowed && thing != "a directory" {
            assert_eq!(no_link, None, "{row}");
            assert_eq!(fs::read(place.link()).unwrap(), b"download", "{row}");
        } else {
            let why = no_link.unwrap();
            assert!(why.contains(&format!("/restore/{FILENAME}: a")), "{row}: {why}");
            assert_eq!(look(&place.link()).ino(), before.ino(), "{row}");
        }
        let left = place.restore_names();
        assert!(
            !left.iter().any(|name| name.contains("/.") || name.starts_with('.')),
            "{row}: {left:?}"
        );
    }
    assert_eq!(
        fs::metadata("/etc/passwd").map(|found| found.is_file()).ok(),
        Some(true)
    );
}

#[tokio::test]
async fn a_file_named_like_its_job_has_no_link() {
    let place = Place::new(true);
    let restore = RestorePlace {
        id: id(),
        filename: ID.to_owned(),
    };
    let download = place.download(&restore).await;
    let no_link = place.workspace.place_restore(&restore, &download).await.unwrap();
    assert!(
        no_link.as_ref().is_some_and(|why| why.contains("job's own directory")),
        "{no_link:?}"
    );
    assert_eq!(place.restore_names(), ["job-1/", "job-1/job-1"]);
    place.workspace.discard_restore(&restore, &download).await.unwrap();
    assert!(place.restore_names().is_empty());
}

#[tokio::test]
async fn what_took_the_downloads_place_is_neither_taken_nor_removed() {
    for thing in ["a file", "a link", "a fifo"] {
        let place = Place::new(true);
        let prepared = place.download(&restore_place()).await;
        // Moved and not removed, so that the new one cannot get its number.
        fs::rename(&prepared.download, place.backup("old")).unwrap();
        make(thing, &prepared.download);
        let result = place.workspace.place_restore(&restore_place(), &prepared).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains(".part: "), "{thing}: {error}");
        fs::symlink_metadata(&prepared.download).unwrap();
        assert!(!place.file().exists(), "{thing}");
    }
}

#[tokio::test]
async fn after_an_error_the_download_is_gone_and_nothing_else() {
    let place = Place::new(true);
    let restore = RestorePlace {
        // No file can be called so.
        filename: "x".repeat(256),
        ..restore_place()
    };
    let prepared = place.prepare(&restore_place()).await.unwrap();
    fs::write(place.restore(ID).join("other"), "").unwrap();
    let result = place.workspace.place_restore(&restore, &prepared).await;
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("cannot look at "), "{error}");
    assert_eq!(place.restore_names(), ["job-1/", "job-1/other"]);

    let missing = place.workspace.place_restore(&restore_place(), &prepared).await;
    let error = missing.unwrap_err().to_string();
    assert!(error.starts_with("cannot open "), "{error}");
    fs::rename(place.restore(ID), place.backup("moved")).unwrap();
    let missing = place.workspace.place_restore(&restore_place(), &prepared).await;
    let error = missing.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("/restore/job-1: "),
        "{error}"
    );
    assert!(place.backup("moved/other").exists());
}

#[tokio::test]
async fn of_two_downloads_for_one_place_one_wins_and_none_is_lost_by_halves() {
    for allowed in [true, false] {
        let place = Place::new(allowed);
        let mut placings = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let download = place.download(&restore_place()).await;
            let workspace = place.workspace.clone();
            placings.spawn(async move { workspace.place_restore(&restore_place(), &download).await });
        }
        let results = placings.join_all().await;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, if allowed { 8 } else { 1 }, "{results:?}");
        assert_eq!(place.restore_names(), [FILENAME, "job-1/", "job-1/dump.tar.gz"]);
        assert_eq!(fs::read(place.link()).unwrap(), b"download");
    }
}
