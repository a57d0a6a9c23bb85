//! Names are swapped while a restore is made, placed and discarded.

use super::*;
use crate::beneath::swapper::Swapper;

const ROUNDS: usize = 1_000;

/// All that tells whether somebody has touched a place or what is in it.
fn seen(directory: &Path) -> Vec<(PathBuf, u64, i64, i64, u32, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort_unstable();
    paths.push(directory.to_owned());
    paths
        .into_iter()
        .map(|path| {
            let found = look(&path);
            let content = fs::read(&path).unwrap_or_default();
            (
                path,
                found.ino(),
                found.ctime(),
                found.ctime_nsec(),
                mode(&found),
                content,
            )
        })
        .collect()
}

/// A directory beside the two, with files of the names that a restore uses.
fn foreign(place: &Place) -> PathBuf {
    let foreign = place.root.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, Permissions::from_mode(0o700)).unwrap();
    fs::write(foreign.join(FILENAME), "precious").unwrap();
    fs::set_permissions(foreign.join(FILENAME), Permissions::from_mode(0o600)).unwrap();
    foreign
}

/// A restore as the service makes it; how far it came is left to chance.
async fn restore(place: &Place) -> Result<(), WorkspaceError> {
    let (workspace, restore) = (&place.workspace, restore_place());
    workspace.check_restore(&restore).await?;
    let planned = workspace.plan_restore(&restore).await?;
    let placed = match workspace.prepare_restore(&restore, &planned).await {
        Ok(prepared) => {
            let placed = workspace.place_restore(&restore, &prepared).await;
            workspace.discard_restore(&restore, &prepared).await?;
            placed
        }
        Err(error) => Err(error),
    };
    workspace.discard_restore(&restore, &planned).await?;
    placed.map(drop)
}

#[tokio::test]
async fn a_jobs_directory_that_is_swapped_for_a_link_harms_nobody() {
    let place = Place::new(true);
    let foreign = foreign(&place);
    let before = seen(&foreign);
    symlink(&foreign, place.restore("elsewhere")).unwrap();
    fs::create_dir(place.restore(ID)).unwrap();
    let swapper = Swapper::of(place.restore(ID), place.restore("elsewhere"));
    let (mut done, mut failed) = (0, 0);
    for _ in 0..ROUNDS {
        match restore(&place).await {
            Ok(()) => done += 1,
            Err(_) => failed += 1,
        }
    }
    assert!(swapper.swaps() > 0 && failed > 0, "{done} {failed} {swapper:?}");
    drop(swapper);
    assert_eq!(seen(&foreign), before);
}

#[tokio::test]
async fn a_file_and_a_link_that_are_swapped_for_others_harm_nobody() {
    for name in [format!("{ID}/{FILENAME}"), FILENAME.to_owned()] {
        let place = Place::new(true);
        let foreign = foreign(&place);
        let before = seen(&foreign);
        fs::create_dir(place.restore(ID)).unwrap();
        let decoy = place.restore(&format!("{name}.decoy"));
        let swapper = Swapper::of(place.restore(&name), decoy.clone());
        let (mut done, mut failed) = (0, 0);
        for _ in 0..ROUNDS / 10 {
            let _ = symlink(foreign.join(FILENAME), &decoy);
            let _ = symlink(foreign.join(FILENAME), place.restore(&name));
            match restore(&place).await {
                Ok(()) => done += 1,
                Err(_) => failed += 1,
            }
        }
        assert!(swapper.swaps() > 0 && done > 0, "{name}: {done} {failed} {swapper:?}");
        drop(swapper);
        assert_eq!(seen(&foreign), before, "{name}");
    }
}

#[tokio::test]
async fn a_file_of_another_in_the_downloads_name_is_not_given_away() {
    // Whoever may write to the directory can put a second name of a file there that they may not
    // read; root can always make one.
    let place = Place::new(true);
    let foreign = foreign(&place);
    let prepared = place.download(&restore_place()).await;
    fs::rename(&prepared.download, place.backup("old")).unwrap();
    fs::hard_link(foreign.join(FILENAME), &prepared.download).unwrap();
    let before = seen(&foreign);
    let placed = place.workspace.place_restore(&restore_place(), &prepared).await;
    assert!(placed.is_err());
    let discarded = place.workspace.discard_restore(&restore_place(), &prepared).await;
    assert_eq!(discarded, Ok(()));
    assert_eq!(seen(&foreign), before);
    assert!(prepared.download.exists());
}

#[tokio::test]
async fn what_a_link_in_the_directorys_place_leads_to_is_not_discarded() {
    let place = Place::new(true);
    let placed = place.placed().await;
    // The whole directory, with the very file, is somewhere else now.
    let moved = place.backup("moved");
    fs::rename(place.restore(ID), &moved).unwrap();
    symlink(&moved, place.restore(ID)).unwrap();
    let before = seen(&moved);
    let discarded = place.workspace.discard_restore(&restore_place(), &placed).await;
    assert_eq!(discarded, Ok(()));
    assert_eq!(seen(&moved), before);
    assert_eq!(place.restore_names(), [ID]);
}

#[tokio::test]
async fn staging_is_never_that_of_another_directory() {
    let place = Place::new(true);
    let foreign = foreign(&place);
    symlink(&foreign, place.backup("elsewhere")).unwrap();
    fs::create_dir(place.backup(ID)).unwrap();
    fs::write(place.backup(ID).join("own"), "").unwrap();
    let name = domain::artifact::NamePattern::default();
    let name = name.name("host", "database", &id(), chrono::DateTime::UNIX_EPOCH);
    let swapper = Swapper::of(place.backup(ID), place.backup("elsewhere"));
    let (mut listed, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        match place.workspace.staging(&id(), &name).await {
            Ok(staging) => {
                let entries = staging.own_directory.unwrap_or_default();
                assert!(entries.iter().all(|entry| entry.name == "own"), "{round}: {entries:?}");
                listed += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(swapper.swaps() > 0 && listed > 0 && refused > 0, "{listed} {refused}");
}
