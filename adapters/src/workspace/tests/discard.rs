use super::*;

#[tokio::test]
async fn what_is_unchanged_is_removed() {
    for allowed in [true, false] {
        let place = Place::new(allowed);
        let placed = place.placed().await;
        // A script wrote to it: it is the same file still.
        fs::write(place.file(), "written to").unwrap();
        let result = place.workspace.discard_restore(&restore_place(), &placed).await;
        assert_eq!(result, Ok(()));
        assert!(place.restore_names().is_empty());
        let again = place.workspace.discard_restore(&restore_place(), &placed).await;
        assert_eq!(again, Ok(()), "nothing is left to do");
    }
}

#[tokio::test]
async fn what_is_not_the_agents_any_more_stays() {
    type Change = fn(&Place);
    let rows: [(&str, Change, &[&str]); 9] = [
        (
            "another file",
            |place| {
                fs::write(place.restore("new"), "another").unwrap();
                fs::rename(place.restore("new"), place.file()).unwrap();
            },
            &["dump.tar.gz", "job-1/", "job-1/dump.tar.gz"],
        ),
        (
            "a link to the file",
            |place| {
                fs::rename(place.file(), place.restore("moved")).unwrap();
                symlink("../moved", place.file()).unwrap();
            },
            &["dump.tar.gz", "job-1/", "job-1/dump.tar.gz", "moved"],
        ),
        (
            "another link",
            |place| {
                fs::remove_file(place.link()).unwrap();
                symlink("nowhere", place.link()).unwrap();
            },
            &["dump.tar.gz"],
        ),
        (
            "a file instead of the link",
            |place| {
                fs::remove_file(place.link()).unwrap();
                fs::write(place.link(), "").unwrap();
            },
            &["dump.tar.gz"],
        ),
        (
            "a file of a script beside it",
            |place| fs::write(place.restore(ID).join("mine"), "").unwrap(),
            &["job-1/", "job-1/mine"],
        ),
        (
            "another directory",
            |place| {
                // Moved and not removed, so that the new one cannot get its number.
                fs::rename(place.restore(ID), place.backup("old")).unwrap();
                fs::create_dir(place.restore(ID)).unwrap();
            },
            &["job-1/"],
        ),
        (
            "a file instead of the directory",
            |place| {
                fs::remove_dir_all(place.restore(ID)).unwrap();
                fs::write(place.restore(ID), "").unwrap();
            },
            &["job-1"],
        ),
        (
            "nothing but the link",
            |place| fs::remove_dir_all(place.restore(ID)).unwrap(),
            &[],
        ),
        (
            "nothing but the file",
            |place| fs::remove_file(place.link()).unwrap(),
            &[],
        ),
    ];
    for (what, change, left) in rows {
        let place = Place::new(true);
        let placed = place.placed().await;
        change(&place);
        let result = place.workspace.discard_restore(&restore_place(), &placed).await;
        assert_eq!(result, Ok(()), "{what}");
        assert_eq!(place.restore_names(), left, "{what}");
    }
}

#[tokio::test]
async fn a_directory_that_the_agent_did_not_make_stays() {
    let place = Place::new(true);
    fs::create_dir(place.restore(ID)).unwrap();
    let placed = place.placed().await;
    place
        .workspace
        .discard_restore(&restore_place(), &placed)
        .await
        .unwrap();
    assert_eq!(place.restore_names(), ["job-1/"]);
}

#[tokio::test]
async fn what_cannot_be_removed_is_named_and_the_rest_goes() {
    if is_root() {
        // Root can remove everything.
        return;
    }
    let place = Place::new(true);
    let placed = place.placed().await;
    fs::set_permissions(place.restore(ID), Permissions::from_mode(0o555)).unwrap();
    let error = place
        .workspace
        .discard_restore(&restore_place(), &placed)
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("cannot remove "), "{error}");
    assert_eq!(place.restore_names(), ["job-1/", "job-1/dump.tar.gz"]);
    fs::set_permissions(place.restore(ID), Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_directory_that_was_made_for_nothing_is_removed() {
    let place = Place::new(false);
    let prepared = place.prepare(&restore_place()).await.unwrap();
    assert!(place.restore(ID).is_dir());
    place
        .workspace
        .discard_restore(&restore_place(), &prepared)
        .await
        .unwrap();
    assert!(!place.restore(ID).exists());
}
