//! The inventory of a tree, which shows whether it came back as it was.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// What is in a tree: the tree's own directory too, under an empty path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inventory(BTreeMap<PathBuf, Entry>);

/// Modes are permissions with the three special bits. Those of links mean nothing.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Directory {
        mode: u32,
    },
    File {
        mode: u32,
        size_bytes: u64,
        sha256: [u8; 32],
    },
    Link {
        target: PathBuf,
    },
    Other,
}

impl Inventory {
    /// Reads a whole tree, every byte of it.
    pub(super) fn take(root: &Path) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        let mut open = vec![PathBuf::new()];
        while let Some(relative) = open.pop() {
            // Joining an empty path would add a slash, and that follows a link.
            let path = if relative.as_os_str().is_empty() {
                root.to_owned()
            } else {
                root.join(&relative)
            };
            let metadata = fs::symlink_metadata(&path)?;
            let mode = metadata.mode() & 0o7777;
            let entry = if metadata.is_dir() {
                for entry in fs::read_dir(&path)? {
                    open.push(relative.join(entry?.file_name()));
                }
                Entry::Directory { mode }
            } else if metadata.is_file() {
                let mut hasher = Sha256::new();
                let size_bytes = io::copy(&mut File::open(&path)?, &mut hasher)?;
                Entry::File {
                    mode,
                    size_bytes,
                    sha256: hasher.finalize().into(),
                }
            } else if metadata.is_symlink() {
                Entry::Link {
                    target: fs::read_link(&path)?,
                }
            } else {
                Entry::Other
            };
            entries.insert(relative, entry);
        }
        Ok(Self(entries))
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.0
            .values()
            .filter(|entry| matches!(entry, Entry::File { .. }))
            .count()
    }

    /// How many directories there are below the tree's own.
    pub(super) fn directories(&self) -> usize {
        self.0
            .values()
            .filter(|entry| matches!(entry, Entry::Directory { .. }))
            .count()
            .saturating_sub(1)
    }

    /// How long all files are together.
    pub(super) fn size_bytes(&self) -> u64 {
        let sizes = self.0.values().map(|entry| match entry {
            Entry::File { size_bytes, .. } => *size_bytes,
            Entry::Directory { .. } | Entry::Link { .. } | Entry::Other => 0,
        });
        sizes.sum()
    }

    /// All in which the later inventory is not the same, by path.
    pub(super) fn differences(&self, later: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (path, before) in &self.0 {
            let change = match later.0.get(path) {
                Some(after) if after == before => continue,
                Some(after) => change(before, after),
                None => "is missing".to_owned(),
            };
            differences.push(Difference {
                path: path.clone(),
                change,
            });
        }
        for path in later.0.keys().filter(|path| !self.0.contains_key(*path)) {
            differences.push(Difference {
                path: path.clone(),
                change: "was not there before".to_owned(),
            });
        }
        differences
    }
}

/// Something that did not come back as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    path: PathBuf,
    change: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data/{} {}", self.path.display(), self.change)
    }
}

fn change(before: &Entry, after: &Entry) -> String {
    match (before, after) {
        (
            Entry::File { size_bytes, sha256, .. },
            Entry::File {
                size_bytes: size_after,
                sha256: sha256_after,
                ..
            },
        ) if sha256 != sha256_after => {
            format!("has another content ({size_bytes} bytes before, {size_after} now)")
        }
        (Entry::File { mode, .. }, Entry::File { mode: mode_after, .. })
        | (Entry::Directory { mode }, Entry::Directory { mode: mode_after }) => {
            format!("has mode {mode_after:04o}, not {mode:04o}")
        }
        (Entry::Link { .. }, Entry::Link { target }) => format!("now leads to {}", target.display()),
        (Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other, _) => {
            "is a thing of another kind".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("data");
        fs::create_dir_all(root.join("nested")).expect("made");
        fs::write(root.join("nested/tool"), "tool").expect("written");
        fs::write(root.join("empty"), "").expect("written");
        symlink("nested/tool", root.join("link")).expect("linked");
        for (path, mode) in [("", 0o755), ("nested", 0o755), ("nested/tool", 0o755), ("empty", 0o644)] {
            chmod(&root.join(path), mode);
        }
        (directory, root)
    }

    #[test]
    fn an_inventory_counts_what_is_there_and_follows_no_links() {
        let (_guard, root) = tree();
        let inventory = Inventory::take(&root).expect("read");
        assert_eq!(
            (inventory.files(), inventory.directories(), inventory.size_bytes()),
            (2, 1, 4)
        );
        assert_eq!(inventory.differences(&inventory), []);
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        fn overwrite(path: &Path) {
            fs::write(path, "other").expect("written");
        }
        fn lock_up(path: &Path) {
            chmod(path, 0o700);
        }
        fn remove(path: &Path) {
            fs::remove_file(path).expect("removed");
        }
        fn relink(path: &Path) {
            remove(path);
            symlink("elsewhere", path).expect("linked");
        }
        type Damage = fn(&Path);
        let cases: [(&str, Damage, &str); 8] = [
            (
                "empty",
                overwrite,
                "data/empty has another content (0 bytes before, 5 now)",
            ),
            ("new", overwrite, "data/new was not there before"),
            ("nested/tool", remove, "data/nested/tool is missing"),
            ("nested/tool", lock_up, "data/nested/tool has mode 0700, not 0755"),
            ("nested", lock_up, "data/nested has mode 0700, not 0755"),
            ("", lock_up, "data/ has mode 0700, not 0755"),
            ("link", relink, "data/link now leads to elsewhere"),
            ("empty", relink, "data/empty is a thing of another kind"),
        ];
        for (path, damage, expected) in cases {
            let (_guard, root) = tree();
            let before = Inventory::take(&root).expect("read");
            damage(&root.join(path));
            let differences = before.differences(&Inventory::take(&root).expect("read"));
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            assert_eq!(texts, [expected], "{path}");
        }
    }

    #[test]
    fn a_tree_that_is_gone_has_no_inventory() {
        let (guard, _root) = tree();
        assert!(Inventory::take(&guard.path().join("gone")).is_err());
    }
}
