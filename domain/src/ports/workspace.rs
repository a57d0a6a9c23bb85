use std::{
    fmt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use crate::{
    artifact::{ArtifactName, Staging},
    job::JobId,
};

/// The directories in which scripts make artifacts and find files to restore.
///
/// Nothing below `directory_backup` is ever written or removed through this port: artifacts are the
/// scripts' own.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait Workspace: fmt::Debug + Send + Sync {
    /// What lies where a backup script may put its artifact.
    ///
    /// # Errors
    ///
    /// If a directory cannot be read; one that does not exist is no error.
    async fn staging(&self, id: &JobId, name: &ArtifactName) -> Result<Staging, WorkspaceError>;

    /// Whether a restore's file could be placed: nothing in its way that may not be replaced.
    ///
    /// # Errors
    ///
    /// If something is in the way; nothing was touched.
    async fn check_restore(&self, place: &RestorePlace) -> Result<(), WorkspaceError>;

    /// Makes the job's own directory below `directory_restore`, if it is not there, and returns the
    /// name of a file in it, not there yet, to download to.
    ///
    /// # Errors
    ///
    /// If the directory could not be made.
    async fn prepare_restore(&self, place: &RestorePlace) -> Result<PathBuf, WorkspaceError>;

    /// Gives a complete download its final name, and the owner, group and permissions by which
    /// scripts can read it; and makes the link where the scripts of the first generation look.
    ///
    /// # Errors
    ///
    /// If the file could not be placed; the download was removed, and what was there before is
    /// untouched.
    async fn place_restore(&self, place: &RestorePlace, download: &Path) -> Result<PlacedFile, WorkspaceError>;

    /// Removes what the agent made and placed, as far as it is still the same. Nothing may have been
    /// placed: then a directory that [`Workspace::prepare_restore`] made is all there is.
    ///
    /// # Errors
    ///
    /// If something that is still the same could not be removed.
    async fn discard_restore(&self, place: &RestorePlace, placed: Option<PlacedFile>) -> Result<(), WorkspaceError>;
}

/// Where a restore's file goes: `directory_restore/<id>/<filename>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePlace {
    /// The job.
    pub id: JobId,
    /// One path segment.
    pub filename: String,
}

/// A restore's file that was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Device and inode of the file.
    pub identity: (u64, u64),
    /// Whether the link was made too; if not, why not.
    pub link: Result<(), String>,
}

/// The directories were not as they have to be; the text is a whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorkspaceError(pub String);
