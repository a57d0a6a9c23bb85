//! Real files in real directories.

mod crash;
mod discard;
mod place;
mod prepare;
mod staging;
mod swaps;

use std::{
    fs::{self, Metadata, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::*;

const ID: &str = "job-1";
const FILENAME: &str = "dump.tar.gz";

/// The two directories, and a workspace of them.
struct Place {
    root: TempDir,
    workspace: LocalWorkspace,
}

impl Place {
    fn new(allowed_to_delete_files: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        // Other users are to come as far as the two directories.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let [backup, restore] = ["backup", "restore"].map(|name| root.path().join(name));
        for directory in [&backup, &restore] {
            fs::create_dir(directory).unwrap();
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        let workspace = LocalWorkspace::new(WorkspaceSettings {
            directories: Directories {
                backup: Some(backup),
                restore: Some(restore),
            },
            allowed_to_delete_files,
        });
        Self { root, workspace }
    }

    fn backup(&self, name: &str) -> PathBuf {
        self.root.path().join("backup").join(name)
    }

    fn restore(&self, name: &str) -> PathBuf {
        self.root.path().join("restore").join(name)
    }

    /// Where the file goes.
    fn file(&self) -> PathBuf {
        self.restore(ID).join(FILENAME)
    }

    /// Where the link goes.
    fn link(&self) -> PathBuf {
        self.restore(FILENAME)
    }

    /// The workspace of an agent that was started anew.
    fn anew(&self) -> LocalWorkspace {
        LocalWorkspace::new(self.workspace.state.settings.clone())
    }

    /// Makes the directory and the file.
    async fn prepare(&self, place: &RestorePlace) -> Result<PreparedRestore, WorkspaceError> {
        let planned = self.workspace.plan_restore(place).await?;
        self.workspace.prepare_restore(place, &planned).await
    }

    /// Makes the directory and the file, and writes what a download would.
    async fn download(&self, place: &RestorePlace) -> PreparedRestore {
        let prepared = self.prepare(place).await.unwrap();
        let found = look(&prepared.download);
        assert!(found.is_file() && found.len() == 0);
        assert_eq!((mode(&found), Some((found.dev(), found.ino()))), (0o600, prepared.file));
        fs::write(&prepared.download, "download").unwrap();
        prepared
    }

    /// A file that was placed, with its link.
    async fn placed(&self) -> PreparedRestore {
        let place = restore_place();
        let prepared = self.download(&place).await;
        let no_link = self.workspace.place_restore(&place, &prepared).await.unwrap();
        assert_eq!(no_link, None);
        prepared
    }

    /// Every name below `directory_restore`, in order.
    fn restore_names(&self) -> Vec<String> {
        let mut names = names_below(&self.restore(""), "");
        names.sort_unstable();
        names
    }
}

fn names_below(directory: &Path, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for item in fs::read_dir(directory).unwrap() {
        let item = item.unwrap();
        let name = format!("{prefix}{}", item.file_name().display());
        if item.file_type().unwrap().is_dir() {
            names.extend(names_below(&item.path(), &format!("{name}/")));
            names.push(format!("{name}/"));
        } else {
            names.push(name);
        }
    }
    names
}

fn id() -> JobId {
    JobId::parse(ID).unwrap()
}

fn restore_place() -> RestorePlace {
    RestorePlace {
        id: id(),
        filename: FILENAME.to_owned(),
    }
}

fn mode(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}

fn look(path: &Path) -> Metadata {
    fs::symlink_metadata(path).unwrap()
}

/// Things that can be at a place, by name.
const THINGS: [&str; 6] = [
    "a file",
    "a link",
    "a dangling link",
    "a link to a directory",
    "a fifo",
    "a directory",
];

fn make(thing: &str, path: &Path) {
    match thing {
        "a file" => fs::write(path, "before").unwrap(),
        "a link" => symlink("/etc/passwd", path).unwrap(),
        "a dangling link" => symlink("nowhere", path).unwrap(),
        "a link to a directory" => symlink("/tmp", path).unwrap(),
        "a fifo" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "a directory" => fs::create_dir(path).unwrap(),
        other => panic!("{other} is no thing"),
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether another user, without groups, can read a file.
fn another_user_reads(uid: u32, path: &Path) -> bool {
    Command::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={uid}")])
        .args(["--clear-groups", "cat"])
        .arg(path)
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"download")
}
