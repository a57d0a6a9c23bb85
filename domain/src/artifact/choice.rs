//! Which file is the artifact that a backup script made.

use super::ArtifactName;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A symbolic link, which is never followed.
    Link,
    /// A directory, a device, a pipe …
    Other,
}

/// A directory entry, with what tells whether it is still the same file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileEntry {
    /// Its name, without the directory.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub size_bytes: u64,
    /// Device and inode.
    pub identity: (u64, u64),
    /// When it was last written to, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// What lies in the places where a backup script may put its artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staging {
    /// The entry of the artifact's name in `directory_backup`.
    pub named: Option<FileEntry>,
    /// The entries of `directory_backup/<id>/`; none if there is no such directory.
    pub own_directory: Option<Vec<FileEntry>>,
}

impl Staging {
    fn entries(&self) -> impl Iterator<Item = &FileEntry> {
        self.named.iter().chain(self.own_directory.iter().flatten())
    }
}

impl FileEntry {
    /// What stays the same when a file is only renamed.
    fn content(&self) -> ((u64, u64), u64, i128) {
        (self.identity, self.size_bytes, self.modified_ns)
    }
}

/// Whether a restore could name the object: by the rule for `destination.filename`.
fn can_be_asked_for(name: &str) -> bool {
    !name.starts_with('-') && !name.contains(char::is_control)
}

/// The artifact was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no artifact: expected {expected:?} in directory_backup or in {id}/ there; {seen}")]
pub struct NoArtifact {
    expected: String,
    id: String,
    seen: String,
}

/// Which of the two places a file was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In `directory_backup` itself.
    Named(FileEntry),
    /// In `directory_backup/<id>/`.
    InOwnDirectory(FileEntry),
}

impl Found {
    /// The file.
    #[must_use]
    pub fn entry(&self) -> &FileEntry {
        match self {
            Self::Named(entry) | Self::InOwnDirectory(entry) => entry,
        }
    }
}

/// Chooses the artifact among what lies in staging `after` the backup script.
///
/// The generated name in `directory_backup`; else in the job's own directory that name, the only
/// regular file that begins with it (without its ending), or the only regular file. Hidden files,
/// links, and files that are as they were `before` the script do not count.
///
/// # Errors
///
/// If there is none, or no single one; the error says what was seen.
pub fn choose(name: &ArtifactName, id: &str, before: &Staging, after: &Staging) -> Result<Found, NoArtifact> {
    let mut passed_over = Vec::new();
    let known: Vec<_> = before.entries().map(FileEntry::content).collect();
    let mut judge = |entry: &FileEntry| {
        let reason = match entry.kind {
            FileKind::Link => Some("a symbolic link"),
            FileKind::Other => Some("not a regular file"),
            FileKind::Regular if entry.name.starts_with('.') => Some("hidden"),
            // Whatever it is called now.
            FileKind::Regular if known.contains(&entry.content()) => Some("there before the script"),
            FileKind::Regular if !can_be_asked_for(&entry.name) => Some("a name that no restore may ask for"),
            FileKind::Regular => None,
        };
        if let Some(reason) = reason {
            passed_over.push(format!("{:?} ({reason})", entry.name));
        }
        reason.is_none()
    };
    if let Some(entry) = &after.named
        && judge(entry)
    {
        return Ok(Found::Named(entry.clone()));
    }
    let candidates: Vec<&FileEntry> = after
        .own_directory
        .iter()
        .flatten()
        .filter(|entry| judge(entry))
        .collect();
    let exact = candidates.iter().find(|entry| entry.name == name.file_name());
    let by_stem: Vec<_> = candidates
        .iter()
        .filter(|entry| entry.name.starts_with(name.stem()))
        .collect();
    let chosen = match (exact, by_stem.as_slice(), candidates.as_slice()) {
        (Some(entry), _, _) => Some(*entry),
        (None, [entry], _) => Some(**entry),
        (None, [], [entry]) => Some(*entry),
        (None, [_, _, ..], _) | (None, [], [] | [_, _, ..]) => None,
    };
    if let Some(entry) = chosen {
        return Ok(Found::InOwnDirectory(entry.clone()));
    }
    let candidates = candidates.iter().map(|entry| format!("{:?}", entry.name));
    Err(NoArtifact {
        expected: name.file_name(),
        id: id.to_owned(),
        seen: describe(candidates.collect(), passed_over),
    })
}

/// What was seen, for a person; long lists are cut.
fn describe(candidates: Vec<String>, passed_over: Vec<String>) -> String {
    const SHOWN: usize = 5;
    let list = |names: &[String]| {
        let more = names.len().saturating_sub(SHOWN);
        let shown = names[..names.len() - more].join(", ");
        if more == 0 {
            shown
        } else {
            format!("{shown} and {more} more")
        }
    };
    match (candidates.as_slice(), passed_over.as_slice()) {
        ([], []) => "nothing is there".to_owned(),
        ([], passed) => format!("passed over: {}", list(passed)),
        (many, []) => format!("more than one file could be it: {}", list(many)),
        (many, passed) => format!(
            "more than one file could be it: {}; passed over: {}",
            list(many),
            list(passed)
        ),
    }
}

#[cfg(test)]
mod tests;
