//! Names are swapped while files are moved: what is another's never comes into a store, and is never
//! written to.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use domain::{
    artifact::{Expected, ObjectKey},
    ports::{BlobStore, Halt, LocalFile, Tally, UploadJournal},
    request::{FileStore, Store},
};
use tempfile::TempDir;

use super::{ObjectBlobStore, TransferSettings};
use crate::beneath::{identity, swapper::Swapper};

const ROUNDS: usize = 500;
const OWN: &str = "our own!!";
const SECRET: &str = "another's";

#[derive(Debug)]
struct NoJournal;

#[async_trait]
impl UploadJournal for NoJournal {
    async fn opened(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Learns the hidden name of an upload, and has it swapped for another.
#[derive(Debug)]
struct Spy {
    store: PathBuf,
    swapper: Mutex<Option<Swapper>>,
}

#[async_trait]
impl UploadJournal for Spy {
    async fn opened(&self, name: &str) -> Result<(), String> {
        let swapper = Swapper::of(self.store.join(name), self.store.join("decoy"));
        *self.swapper.lock().unwrap() = Some(swapper);
        Ok(())
    }
}

/// A directory to work in, one that is a store, and one that is another's.
struct Scene {
    root: TempDir,
    blobs: ObjectBlobStore,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["work/own", "stores/one", "foreign"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let blobs = ObjectBlobStore::new(TransferSettings {
            allowed_file_roots: vec![root.path().join("stores")],
            ..TransferSettings::default()
        });
        let scene = Self { root, blobs };
        scene.write("work/own/file", OWN);
        scene.write("foreign/file", SECRET);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        symlink(self.path(target), self.path(name)).unwrap();
    }

    fn store(&self) -> Store {
        Store::File(FileStore {
            path: self.path("stores/one"),
        })
    }

    /// `work/own/file`, as it is now.
    fn file(&self) -> LocalFile {
        LocalFile {
            directory: self.path("work"),
            names: vec!["own".to_owned(), "file".to_owned()],
            identity: identity(&fs::symlink_metadata(self.path("work/own/file")).unwrap()),
        }
    }

    async fn upload(&self, key: &str, file: &LocalFile) -> bool {
        self.upload_told_to(key, file, Arc::new(NoJournal)).await
    }

    async fn upload_told_to(&self, key: &str, file: &LocalFile, journal: Arc<dyn UploadJournal>) -> bool {
        let (key, halt) = (ObjectKey::new("", key), Halt::default());
        let (store, size) = (self.store(), OWN.len() as u64);
        let sent = self.blobs.upload(&store, &key, file, size, journal, &halt).await;
        sent.is_ok()
    }

    async fn download(&self, key: &str, file: &LocalFile) -> bool {
        let (key, halt) = (ObjectKey::new("", key), Halt::default());
        let (store, expected) = (self.store(), Expected::default());
        let got = self
            .blobs
            .download(&store, &key, file, expected, &halt, &Tally::default())
            .await;
        got.is_ok()
    }

    /// All that tells whether somebody has touched what is another's.
    fn foreign(&self) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
        let directory = self.path("foreign");
        let mut paths = vec![directory.clone()];
        paths.extend(fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()));
        paths
            .into_iter()
            .map(|path| {
                let found = fs::symlink_metadata(&path).unwrap();
                let content = fs::read(&path).unwrap_or_default();
                (path, found.ino(), found.ctime(), found.ctime_nsec(), content)
            })
            .collect()
    }
}

/// What all files of a directory hold.
fn contents(directory: &Path) -> Vec<String> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| fs::symlink_metadata(path).unwrap().is_file());
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What is swapped for what, on the way to the file.
const SWAPS: [(&str, &str, &str); 3] = [
    ("work/own", "work/link", "foreign"),
    ("work/own/file", "work/own/link", "foreign/file"),
    // A second name of the file itself: no link, but not the file that was found either.
    ("work/own/file", "work/own/second", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_takes_the_file_that_was_found_or_none() {
    for (name, other, target) in SWAPS {
        let scene = Scene::new();
        let file = scene.file();
        match target {
            "" => fs::hard_link(scene.path("foreign/file"), scene.path(other)).unwrap(),
            target => scene.link(target, other),
        }
        let before = fs::read(scene.path("foreign/file")).unwrap();
        let swapper = Swapper::of(scene.path(name), scene.path(other));
        let mut sent = 0;
        for round in 0..ROUNDS {
            sent += usize::from(scene.upload(&format!("of-{round}"), &file).await);
        }
        assert!(swapper.swaps() > 0 && sent < ROUNDS, "{name}: {sent} {swapper:?}");
        drop(swapper);
        let stored = contents(&scene.path("stores/one"));
        assert_eq!(stored.len(), sent, "{name}");
        assert!(stored.iter().all(|content| content == OWN), "{name}");
        assert_eq!(fs::read(scene.path("foreign/file")).unwrap(), before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_fills_the_file_that_was_made_for_it_or_none() {
    for (name, other, target) in SWAPS {
        let scene = Scene::new();
        scene.write("stores/one/object", "the object");
        match target {
            "" => fs::hard_link(scene.path("foreign/file"), scene.path(other)).unwrap(),
            target => scene.link(target, other),
        }
        let (file, before) = (scene.file(), scene.foreign());
        let swapper = Swapper::of(scene.path(name), scene.path(other));
        let mut received = 0;
        for _ in 0..ROUNDS {
            received += usize::from(scene.download("object", &file).await);
        }
        assert!(
            swapper.swaps() > 0 && received < ROUNDS,
            "{name}: {received} {swapper:?}"
        );
        drop(swapper);
        // To swap a second name is to change what the system keeps of the file.
        let content = |seen: Vec<(PathBuf, u64, i64, i64, Vec<u8>)>| seen.into_iter().map(|seen| seen.4);
        if target.is_empty() {
            assert!(content(scene.foreign()).eq(content(before)), "{name}");
        } else {
            assert_eq!(scene.foreign(), before, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_swapped_for_a_link_leads_nowhere_else() {
    let scene = Scene::new();
    scene.link("foreign", "stores/link");
    let (file, before) = (scene.file(), scene.foreign());
    fs::write(scene.path("work/own/target"), "").unwrap();
    let target = LocalFile {
        names: vec!["own".to_owned(), "target".to_owned()],
        identity: identity(&fs::symlink_metadata(scene.path("work/own/target")).unwrap()),
        ..scene.file()
    };
    let swapper = Swapper::of(scene.path("stores/one"), scene.path("stores/link"));
    let mut sent = 0;
    for round in 0..ROUNDS {
        sent += usize::from(scene.upload(&format!("of-{round}"), &file).await);
        // There is a file of this name only where the link leads.
        assert!(!scene.download("file", &target).await, "{round}");
    }
    assert!(swapper.swaps() > 0 && sent > 0, "{sent} {swapper:?}");
    drop(swapper);
    assert_eq!(scene.foreign(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_swapped_for_a_link_leads_nowhere_else() {
    let scene = Scene::new();
    scene.write("stores/one/object", OWN);
    scene.link("foreign/file", "stores/one/link");
    let (target, before) = (scene.file(), scene.foreign());
    let swapper = Swapper::of(scene.path("stores/one/object"), scene.path("stores/one/link"));
    let mut received = 0;
    for round in 0..ROUNDS {
        if scene.download("object", &target).await {
            let content = fs::read_to_string(scene.path("work/own/file")).unwrap();
            assert_eq!(content, OWN, "{round}");
            received += 1;
        }
    }
    assert!(swapper.swaps() > 0 && received < ROUNDS, "{received} {swapper:?}");
    drop(swapper);
    assert_eq!(scene.foreign(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_what_was_sent_though_its_hidden_name_is_swapped() {
    let scene = Scene::new();
    let (file, mut sent) = (scene.file(), 0);
    for round in 0..ROUNDS / 5 {
        scene.write("stores/one/decoy", SECRET);
        let store = scene.path("stores/one");
        let spy = Arc::new(Spy {
            store: store.clone(),
            swapper: Mutex::default(),
        });
        let name = format!("of-{round}");
        if scene.upload_told_to(&name, &file, spy.clone()).await {
            assert_eq!(fs::read_to_string(store.join(&name)).unwrap(), OWN, "{round}");
            sent += 1;
        }
        drop(spy.swapper.lock().unwrap().take());
    }
    assert!(sent < ROUNDS / 5, "some met a swapped name");
}
