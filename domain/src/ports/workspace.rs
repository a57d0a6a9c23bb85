use std::{fmt, path::PathBuf};

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

    /// How many bytes are free where a directory is; none if there is no such directory.
    ///
    /// # Errors
    ///
    /// If the system did not say.
    async fn free_bytes(&self, directory: WorkDirectory) -> Result<Option<u64>, WorkspaceError>;

    /// Whether the agent could make files in a directory; there need not be one where scripts move the
    /// bytes. Makes none.
    ///
    /// # Errors
    ///
    /// With why not.
    async fn check_writable(&self, directory: WorkDirectory) -> Result<(), WorkspaceError>;

    /// Whether a restore's file could be placed: nothing in its way that may not be replaced.
    ///
    /// # Errors
    ///
    /// If something is in the way; nothing was touched.
    async fn check_restore(&self, place: &RestorePlace) -> Result<(), WorkspaceError>;

    /// What [`Workspace::prepare_restore`] is about to make, so that it can be written down before it
    /// is there. Makes nothing.
    ///
    /// # Errors
    ///
    /// If the directories cannot be looked at.
    async fn plan_restore(&self, place: &RestorePlace) -> Result<PreparedRestore, WorkspaceError>;

    /// Makes the job's own directory below `directory_restore`, if it is not there, and an empty file
    /// in it to download to, as planned.
    ///
    /// # Errors
    ///
    /// If one of them could not be made.
    async fn prepare_restore(
        &self,
        place: &RestorePlace,
        planned: &PreparedRestore,
    ) -> Result<PreparedRestore, WorkspaceError>;

    /// Gives a complete download its final name, and the owner, group and permissions by which
    /// scripts can read it; and makes the link where the scripts of the first generation look. Returns
    /// why there is no link, if it could not be made.
    ///
    /// # Errors
    ///
    /// If the file could not be placed; the download was removed, and what was there before is
    /// untouched.
    async fn place_restore(
        &self,
        place: &RestorePlace,
        prepared: &PreparedRestore,
    ) -> Result<Option<String>, WorkspaceError>;

    /// Removes what an agent, perhaps an earlier one, has prepared and perhaps placed, as far as it is
    /// still the same.
    ///
    /// # Errors
    ///
    /// If something that is still the same could not be removed.
    async fn discard_restore(&self, place: &RestorePlace, prepared: &PreparedRestore) -> Result<(), WorkspaceError>;
}

/// One of the two directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkDirectory {
    /// `directory_backup`
    Backup,
    /// `directory_restore`
    Restore,
}

impl fmt::Display for WorkDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backup => "directory_backup",
            Self::Restore => "directory_restore",
        })
    }
}

/// Where a restore's file goes: `directory_restore/<id>/<filename>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePlace {
    /// The job.
    pub id: JobId,
    /// One path segment.
    pub filename: String,
}

/// What is made for a restore's file. Device and inode tell it from what others have put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRestore {
    /// The file to download to, whose name nobody else uses.
    pub download: PathBuf,
    /// Device and inode of that file, which it keeps when it gets its final name; none as long as it
    /// is only planned.
    pub file: Option<(u64, u64)>,
    /// The job's own directory.
    pub directory: RestoreDirectory,
}

/// A job's own directory below `directory_restore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreDirectory {
    /// It was there before, and stays.
    WasThere,
    /// It is to be made.
    Planned,
    /// It was made, with this device and inode.
    Made((u64, u64)),
}

/// The directories were not as they have to be; the text is a whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorkspaceError(pub String);
