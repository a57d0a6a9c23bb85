use domain::ports::RestoreDirectory;

use super::*;

#[tokio::test]
async fn the_check_lets_nothing_pass_that_may_not_be_replaced() {
    let [file, link, directory] = ["file", "link", "directory"];
    for (at, thing, allowed) in [file, link, directory]
        .into_iter()
        .flat_map(|at| THINGS.map(|thing| (at, thing)))
        .flat_map(|(at, thing)| [(at, thing, true), (at, thing, false)])
    {
        let place = Place::new(allowed);
        let path = match at {
            "file" => {
                fs::create_dir(place.restore(ID)).unwrap();
                place.file()
            }
            "link" => place.link(),
            _ => place.restore(ID),
        };
        make(thing, &path);
        let before = place.restore_names();
        let result = place.workspace.check_restore(&restore_place()).await;
        let row = format!("{thing} at the {at}'s place, allowed: {allowed}");
        let passes = match at {
            "directory" => thing == "a directory",
            _ => allowed && thing != "a directory",
        };
        assert_eq!(result.is_ok(), passes, "{row}: {result:?}");
        if let Err(error) = result {
            let error = error.to_string();
            assert!(error.starts_with(&path.display().to_string()), "{row}: {error}");
            assert!(error.contains("remove it"), "{row}: {error}");
            let could_be_allowed = at != "directory" && thing != "a directory";
            assert_eq!(
                error.contains("allowed_to_delete_files=true"),
                could_be_allowed,
                "{row}: {error}"
            );
        }
        assert_eq!(place.restore_names(), before, "{row}");
    }
}

#[tokio::test]
async fn the_check_passes_where_nothing_is() {
    for allowed in [true, false] {
        let place = Place::new(allowed);
        let mut restore = restore_place();
        assert_eq!(place.workspace.check_restore(&restore).await, Ok(()));
        fs::create_dir(place.restore(ID)).unwrap();
        assert_eq!(place.workspace.check_restore(&restore).await, Ok(()));
        // The link's place is the job's own directory, which is no obstacle.
        restore.filename = ID.to_owned();
        assert_eq!(place.workspace.check_restore(&restore).await, Ok(()));
    }
}

#[tokio::test]
async fn the_check_wants_the_directory_itself() {
    let place = Place::new(true);
    fs::remove_dir(place.restore("")).unwrap();
    let error = place
        .workspace
        .check_restore(&restore_place())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("/restore: ") && error.contains("make it"), "{error}");
    fs::write(place.root.path().join("restore"), "").unwrap();
    let error = place
        .workspace
        .check_restore(&restore_place())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("/restore is not a directory"), "{error}");
    let without = LocalWorkspace::new(WorkspaceSettings {
        directories: Directories::default(),
        allowed_to_delete_files: true,
    });
    let error = without.check_restore(&restore_place()).await.unwrap_err().to_string();
    assert!(error.contains("directory_restore is not set"), "{error}");
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for filename in ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b"] {
        let place = Place::new(true);
        let restore = RestorePlace {
            id: id(),
            filename: filename.to_owned(),
        };
        for result in [
            place.workspace.check_restore(&restore).await,
            place.prepare(&restore).await.map(drop),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.ends_with("is not a file name"), "{filename:?}: {error}");
        }
        assert!(place.restore_names().is_empty(), "{filename:?}");
    }
}

#[tokio::test]
async fn the_directory_is_made_like_the_one_above_it() {
    for bits in [0o700, 0o750, 0o770, 0o777, 0o2770, 0o1777] {
        let place = Place::new(false);
        let above = place.restore("");
        if is_root() {
            chown(&above, Some(65534), Some(65533)).unwrap();
        }
        fs::set_permissions(&above, Permissions::from_mode(bits)).unwrap();
        let prepared = place.prepare(&restore_place()).await.unwrap();
        let download = &prepared.download;
        let (made, above) = (look(&place.restore(ID)), look(&above));
        assert_eq!(mode(&made), bits, "{bits:o}");
        assert_eq!((made.uid(), made.gid()), (above.uid(), above.gid()), "{bits:o}");
        assert_eq!(prepared.directory, RestoreDirectory::Made((made.dev(), made.ino())));
        assert_eq!(download.parent(), Some(&*place.restore(ID)));
        let name = download.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with('.') && name.ends_with(".part"), "{name}");
    }
}

#[tokio::test]
async fn a_directory_that_is_there_is_left_as_it_is() {
    let place = Place::new(false);
    let own = place.restore(ID);
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o711)).unwrap();
    fs::write(own.join("other"), "").unwrap();
    let first = place.prepare(&restore_place()).await.unwrap();
    let second = place.prepare(&restore_place()).await.unwrap();
    assert_ne!(first.download, second.download);
    let kept = RestoreDirectory::WasThere;
    assert_eq!((first.directory, second.directory), (kept, kept));
    assert_eq!(mode(&look(&own)), 0o711);
    for prepared in [first, second] {
        assert!(look(&prepared.download).is_file());
        fs::remove_file(prepared.download).unwrap();
    }
    assert_eq!(place.restore_names(), ["job-1/", "job-1/other"]);
}

#[tokio::test]
async fn no_directory_is_made_where_something_else_is() {
    for thing in THINGS.into_iter().filter(|thing| *thing != "a directory") {
        let place = Place::new(true);
        make(thing, &place.restore(ID));
        let error = place.prepare(&restore_place()).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("/restore/job-1: "), "{thing}: {error}");
        assert_eq!(place.restore_names(), [ID], "{thing}");
    }
    let place = Place::new(true);
    fs::remove_dir(place.restore("")).unwrap();
    let error = place.prepare(&restore_place()).await.unwrap_err().to_string();
    assert!(error.contains("/restore: ") && error.contains("make it"), "{error}");
}

#[tokio::test]
async fn the_directory_above_may_be_a_link() {
    let place = Place::new(false);
    let real = place.root.path().join("real");
    fs::rename(place.restore(""), &real).unwrap();
    symlink("real", place.root.path().join("restore")).unwrap();
    assert_eq!(place.workspace.check_restore(&restore_place()).await, Ok(()));
    place.placed().await;
    assert_eq!(fs::read(real.join(FILENAME)).unwrap(), b"download");
}
