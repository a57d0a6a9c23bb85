//! An agent was killed, and another one cleans up after it.

use super::*;

#[tokio::test]
async fn a_new_agent_removes_what_a_dead_one_left_at_any_point() {
    type Work = fn(&Place, &PreparedRestore);
    let rows: [(&str, Work); 7] = [
        ("prepared", |_, _| {}),
        ("downloaded by half", |_, prepared| {
            fs::write(&prepared.download, "down").unwrap();
        }),
        ("under both names", |place, prepared| {
            fs::hard_link(&prepared.download, place.file()).unwrap();
        }),
        ("placed", |place, prepared| {
            fs::rename(&prepared.download, place.file()).unwrap();
        }),
        ("the link has no name yet", |place, prepared| {
            fs::rename(&prepared.download, place.file()).unwrap();
            let name = prepared.download.file_stem().unwrap().to_str().unwrap();
            symlink(Path::new(ID).join(FILENAME), place.restore(&format!("{name}.link"))).unwrap();
        }),
        ("the link is there", |place, prepared| {
            fs::rename(&prepared.download, place.file()).unwrap();
            symlink(Path::new(ID).join(FILENAME), place.link()).unwrap();
        }),
        ("removed by half", |place, prepared| {
            fs::remove_file(&prepared.download).unwrap();
            symlink(Path::new(ID).join(FILENAME), place.link()).unwrap();
        }),
    ];
    for (what, work) in rows {
        for made_by_a_script in [false, true] {
            let place = Place::new(false);
            if made_by_a_script {
                fs::create_dir(place.restore(ID)).unwrap();
            }
            let prepared = place.prepare(&restore_place()).await.unwrap();
            work(&place, &prepared);
            for _ in 0..2 {
                let result = place.anew().discard_restore(&restore_place(), &prepared).await;
                assert_eq!(result, Ok(()), "{what}");
                let left: &[&str] = if made_by_a_script { &["job-1/"] } else { &[] };
                assert_eq!(place.restore_names(), left, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_new_agent_removes_what_a_dead_one_had_only_planned() {
    type Work = fn(&Place, &PreparedRestore);
    let rows: [(&str, Work); 4] = [
        ("nothing was made", |_, _| {}),
        ("the directory was made", |place, _| {
            fs::create_dir(place.restore(ID)).unwrap()
        }),
        ("the file was made", |place, planned| {
            fs::create_dir(place.restore(ID)).unwrap();
            fs::write(&planned.download, "").unwrap();
        }),
        ("somebody uses the directory", |place, planned| {
            fs::create_dir(place.restore(ID)).unwrap();
            fs::write(&planned.download, "").unwrap();
            fs::write(place.restore(ID).join("other"), "").unwrap();
        }),
    ];
    for (what, work) in rows {
        let place = Place::new(false);
        let planned = place.workspace.plan_restore(&restore_place()).await.unwrap();
        assert!(place.restore_names().is_empty(), "a plan makes nothing");
        work(&place, &planned);
        let result = place.anew().discard_restore(&restore_place(), &planned).await;
        assert_eq!(result, Ok(()), "{what}");
        let is_used = what.starts_with("somebody");
        let left: &[&str] = if is_used { &["job-1/", "job-1/other"] } else { &[] };
        assert_eq!(place.restore_names(), left, "{what}");
    }
    // A directory that was there is not the agent's, though it is empty.
    let place = Place::new(false);
    fs::create_dir(place.restore(ID)).unwrap();
    let planned = place.workspace.plan_restore(&restore_place()).await.unwrap();
    let result = place.anew().discard_restore(&restore_place(), &planned).await;
    assert_eq!(result, Ok(()));
    assert_eq!(place.restore_names(), ["job-1/"]);
}

#[tokio::test]
async fn a_new_agent_removes_what_a_dead_one_really_placed() {
    for allowed in [true, false] {
        let place = Place::new(allowed);
        let prepared = place.placed().await;
        let result = place.anew().discard_restore(&restore_place(), &prepared).await;
        assert_eq!(result, Ok(()));
        assert!(place.restore_names().is_empty());
    }
}

#[tokio::test]
async fn a_new_agent_leaves_what_others_made_meanwhile() {
    let place = Place::new(true);
    let prepared = place.download(&restore_place()).await;
    // Somebody restored by hand.
    fs::write(place.file(), "by hand").unwrap();
    symlink(Path::new(ID).join(FILENAME), place.link()).unwrap();
    let result = place.anew().discard_restore(&restore_place(), &prepared).await;
    assert_eq!(result, Ok(()));
    assert_eq!(place.restore_names(), [FILENAME, "job-1/", "job-1/dump.tar.gz"]);
    assert_eq!(fs::read(place.link()).unwrap(), b"by hand");
}
