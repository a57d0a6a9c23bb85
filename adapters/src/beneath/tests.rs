use std::{
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
};

use tempfile::TempDir;

use super::{swapper::Swapper, *};

const SECRET: &str = "another's";
const OWN: &str = "our own!!";

/// Two directories beside each other: in one we work, and the other is none of our business.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["root/own", "foreign"] {
            fs::create_dir_all(place.path(directory)).unwrap();
        }
        fs::write(place.path("root/own/file"), OWN).unwrap();
        fs::write(place.path("foreign/file"), SECRET).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn root(&self) -> OpenDirectory {
        OpenDirectory::open(&self.path("root")).unwrap()
    }

    /// `root/own/file`, as it is now.
    fn file(&self) -> LocalFile {
        LocalFile {
            directory: self.path("root"),
            names: ["own", "file"].map(str::to_owned).to_vec(),
            identity: identity(&fs::symlink_metadata(self.path("root/own/file")).unwrap()),
        }
    }

    /// All that tells whether somebody has touched the foreign directory, or what is in it.
    fn foreign(&self) -> Vec<(u64, i64, i64, u32)> {
        let see = |path: &str| {
            let found = fs::symlink_metadata(self.path(path)).unwrap();
            (found.ino(), found.ctime(), found.ctime_nsec(), found.mode())
        };
        vec![see("foreign"), see("foreign/file")]
    }
}

fn text_of((mut file, _): (File, Metadata)) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_operators_own_directory_may_be_a_link_and_nothing_below_it() {
    let place = Place::new();
    symlink("root", place.path("link")).unwrap();
    let root = OpenDirectory::open(&place.path("link")).unwrap();
    assert_eq!(text_of(root.enter("own").unwrap().read("file").unwrap()), OWN);

    symlink("../foreign", place.path("root/to-directory")).unwrap();
    symlink("../../foreign/file", place.path("root/own/to-file")).unwrap();
    symlink("own", place.path("root/stays-in")).unwrap();
    for name in ["to-directory", "stays-in"] {
        let error = root.enter(name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{name}");
        assert!(error.to_string().contains("is a symbolic link"), "{name}: {error}");
        assert!(root.look(name).unwrap().unwrap().is_symlink(), "{name}");
    }
    let own = root.enter("own").unwrap();
    for error in [own.read("to-file").unwrap_err(), own.write("to-file").unwrap_err()] {
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
    assert_eq!(own.create("to-file").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let mut through = place.file();
    through.names[0] = "to-directory".to_owned();
    assert!(OpenDirectory::of(&through).is_err());
}

#[test]
fn what_is_open_stays_the_same_whatever_becomes_of_its_name() {
    let place = Place::new();
    let own = place.root().enter("own").unwrap();
    fs::rename(place.path("root/own"), place.path("root/moved")).unwrap();
    symlink("../foreign", place.path("root/own")).unwrap();
    let foreign = place.foreign();

    own.create("made").unwrap().write_all(b"x").unwrap();
    own.create_directory("directory").unwrap();
    own.create_link(Path::new("file"), "link").unwrap();
    own.link("made", "second").unwrap();
    own.rename("made", "third").unwrap();
    own.rename_if_free("third", "fourth").unwrap();
    own.remove("second").unwrap();
    own.remove_directory("directory").unwrap();
    own.sync().unwrap();
    let mut names = own.names(9).unwrap();
    names.sort_unstable();
    assert_eq!(names, ["file", "fourth", "link"]);
    assert_eq!(own.names(2).unwrap().len(), 2);
    assert_eq!(text_of(own.read("file").unwrap()), OWN);
    assert_eq!(own.read_link("link").unwrap(), Path::new("file"));
    assert_eq!(fs::read_dir(place.path("root/moved")).unwrap().count(), 3);
    assert_eq!(place.foreign(), foreign);
}

#[test]
fn a_name_leads_nowhere_else() {
    let place = Place::new();
    let (root, foreign) = (place.root(), place.foreign());
    let absolute = place.path("foreign/file");
    for name in [
        "",
        ".",
        "..",
        "../foreign",
        "own/file",
        "a\0b",
        absolute.to_str().unwrap(),
    ] {
        let link = root.create_link(Path::new("x"), name).map(drop);
        for result in [
            root.enter(name).map(drop),
            root.look(name).map(drop),
            root.read(name).map(drop),
            root.write(name).map(drop),
            root.create(name).map(drop),
            root.create_directory(name),
            link,
            root.read_link(name).map(drop),
            root.link("own", name),
            root.link(name, "new"),
            root.rename("own", name),
            root.rename(name, "new"),
            root.rename_if_free("own", name),
            root.rename_if_free(name, "new"),
            root.remove(name),
            root.remove_directory(name),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.ends_with("is not the name of a file"), "{name:?}: {error}");
        }
    }
    assert_eq!(place.foreign(), foreign);
}

#[test]
fn only_regular_files_are_opened_and_nothing_is_waited_for() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let place = Place::new();
    let own = place.root().enter("own").unwrap();
    let path = |name: &str| place.path("root/own").join(name);
    nix::unistd::mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
    fs::create_dir(path("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let mut others = vec!["pipe", "directory", "socket"];
    // What never ends if it is read.
    match mknod(&path("device"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)) {
        Ok(()) => others.push("device"),
        Err(error) => eprintln!("LEFT OUT: a device file cannot be made here: {error}"),
    }
    for name in others {
        for error in [own.read(name).unwrap_err(), own.write(name).unwrap_err()] {
            assert_eq!(error.to_string(), "it is not a regular file", "{name}");
        }
    }
}

#[test]
fn without_hard_links_a_file_still_replaces_nothing() {
    let place = Place::new();
    let root = place.root();
    fs::write(place.path("root/new"), "new").unwrap();
    symlink("nowhere", place.path("root/place")).unwrap();
    let error = root.rename_if_free("new", "place").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(place.path("root/new").exists());
    root.remove("place").unwrap();
    root.rename_if_free("new", "place").unwrap();
    assert_eq!(fs::read(place.path("root/place")).unwrap(), b"new");
    assert!(!place.path("root/new").exists());
}

#[test]
fn what_has_taken_a_links_name_is_not_given_away() {
    let place = Place::new();
    let own = place.root().enter("own").unwrap();
    let before = own.look("file").unwrap().unwrap();
    // It was put there between the making of the link and its opening.
    let taken = Link(own.handle_of(OsStr::new("file")).unwrap());
    assert!(taken.give_to(Some(65534), Some(65534)).is_err());
    let after = own.look("file").unwrap().unwrap();
    assert_eq!((after.uid(), after.ctime_nsec()), (before.uid(), before.ctime_nsec()));
}

#[test]
fn a_second_name_is_believed_only_where_its_maker_could_read_the_file() {
    let [root, agent, owner, stranger] = [0, 100, 200, 300];
    let of = |uid, others_may_write| Owner { uid, others_may_write };
    for (directory, expected) in [
        (of(root, false), false),
        (of(agent, false), false),
        (of(owner, false), false),
        (of(stranger, false), true),
        (of(root, true), true),
        (of(owner, true), true),
    ] {
        let file = of(owner, false);
        assert_eq!(may_be_strangers(file, directory, agent), expected, "{directory:?}");
    }
}

#[test]
fn another_user_cannot_have_a_file_read_by_a_second_name() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("LEFT OUT: a hard link of another user: these tests do not run as root");
        return;
    }
    let place = Place::new();
    // Where another user may write, and the file is not theirs to read.
    std::os::unix::fs::chown(place.path("root/own"), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(place.path("foreign/file"), fs::Permissions::from_mode(0o600)).unwrap();
    let linked = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "ln"])
        .args([place.path("foreign/file"), place.path("root/own/artifact")])
        .output()
        .unwrap();
    let own = place.root().enter("own").unwrap();
    match own.look("artifact").unwrap() {
        None => assert!(!linked.status.success(), "the system refuses that"),
        Some(found) => assert!(own.refuse_strangers_link(&found).is_err()),
    }
    // What only we can have put there is taken.
    fs::hard_link(place.path("foreign/file"), place.path("root/second")).unwrap();
    let (_, found) = place.root().read("second").unwrap();
    place.root().refuse_strangers_link(&found).unwrap();
}

const ROUNDS: usize = 20_000;

#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere_else() {
    let place = Place::new();
    let (file, foreign) = (place.file(), place.foreign());
    symlink("../foreign", place.path("root/link")).unwrap();
    let swapper = Swapper::of(place.path("root/own"), place.path("root/link"));
    let (mut read, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let opened = OpenDirectory::of(&file).and_then(|(directory, name)| directory.read(name));
        match opened {
            Ok(opened) => {
                assert_eq!(text_of(opened), OWN, "round {round}");
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        swapper.swaps() > 0 && read > 0 && refused > 0,
        "{read} {refused} {swapper:?}"
    );
    drop(swapper);
    assert_eq!(place.foreign(), foreign);
}

#[test]
fn a_file_that_is_swapped_for_a_link_leads_nowhere_else() {
    let place = Place::new();
    let (own, foreign) = (place.root().enter("own").unwrap(), place.foreign());
    symlink("../../foreign/file", place.path("root/own/link")).unwrap();
    let swapper = Swapper::of(place.path("root/own/file"), place.path("root/own/link"));
    let (mut opened, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        match own.write("file") {
            Ok((mut file, found)) => {
                assert_eq!(text_of((file.try_clone().unwrap(), found)), OWN, "round {round}");
                file.write_all(b"").unwrap();
                file.set_len(OWN.len() as u64).unwrap();
                opened += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(swapper.swaps() > 0 && opened > 0 && refused > 0, "{opened} {refused}");
    drop(swapper);
    assert_eq!(place.foreign(), foreign);
}
