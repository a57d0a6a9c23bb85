//! The directories in which scripts make artifacts and find files to restore.
//!
//! Scripts and people work in them at the same time, so nothing here trusts that what was seen is
//! still there: a file gets its name in one step, replacing or not, and is removed only if it is
//! still the one that was put there. Nothing is kept in memory either: who was started anew can remove
//! what was made before. Links are never followed below the two directories,
//! as nothing there is reached but through the directory it lies in, which is open.

mod discard;
mod files;
mod restore;
mod staging;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use domain::{
    artifact::{ArtifactName, Staging},
    job::JobId,
    ports::{PreparedRestore, RestorePlace, WorkDirectory, Workspace, WorkspaceError},
    script::Directories,
};
use nix::{errno::Errno, sys::statvfs::statvfs};

use self::files::fault;

/// Where the directories are, and what may be done there.
#[derive(Debug, Clone)]
pub struct WorkspaceSettings {
    /// The directories.
    pub directories: Directories,
    /// Whether a file may be replaced by a download.
    pub allowed_to_delete_files: bool,
}

/// Directories of this machine.
#[derive(Debug, Clone)]
pub struct LocalWorkspace {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    settings: WorkspaceSettings,
}

impl State {
    /// None where the operator has named none.
    fn directory(&self, directory: WorkDirectory) -> Option<&Path> {
        let directories = &self.settings.directories;
        let path = match directory {
            WorkDirectory::Backup => &directories.backup,
            WorkDirectory::Restore => &directories.restore,
        };
        path.as_deref()
    }
}

impl LocalWorkspace {
    /// A workspace; nothing is looked at yet.
    #[must_use]
    pub fn new(settings: WorkspaceSettings) -> Self {
        Self {
            state: Arc::new(State { settings }),
        }
    }

    /// Works on files where waiting for a disk does no harm. If the future is dropped, the work is
    /// done nevertheless.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, WorkspaceError> {
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || work(&state))
            .await
            .unwrap_or_else(|error| Err(WorkspaceError(format!("work on local files broke off: {error}"))))
    }
}

#[async_trait]
impl Workspace for LocalWorkspace {
    async fn staging(&self, id: &JobId, name: &ArtifactName) -> Result<Staging, WorkspaceError> {
        let (id, name) = (id.clone(), name.file_name());
        self.work(move |state| match &state.settings.directories.backup {
            Some(directory) => staging::look(directory, &id, &name),
            None => Ok(Staging::default()),
        })
        .await
    }

    async fn free_bytes(&self, directory: WorkDirectory) -> Result<Option<u64>, WorkspaceError> {
        self.work(move |state| {
            let Some(path) = state.directory(directory) else {
                return Ok(None);
            };
            match statvfs(path) {
                // What is kept for the administrator is not counted.
                Ok(space) => Ok(Some(space.blocks_available().saturating_mul(space.fragment_size()))),
                Err(Errno::ENOENT) => Ok(None),
                Err(error) => Err(fault("cannot see how much is free in", path, &error.into())),
            }
        })
        .await
    }

    async fn check_writable(&self, directory: WorkDirectory) -> Result<(), WorkspaceError> {
        self.work(move |state| match state.directory(directory) {
            Some(path) => files::check_writable(path),
            None => Ok(()),
        })
        .await
    }

    async fn check_restore(&self, place: &RestorePlace) -> Result<(), WorkspaceError> {
        let place = place.clone();
        self.work(move |state| state.check(&place)).await
    }

    async fn plan_restore(&self, place: &RestorePlace) -> Result<PreparedRestore, WorkspaceError> {
        let place = place.clone();
        self.work(move |state| state.plan(&place)).await
    }

    async fn prepare_restore(
        &self,
        place: &RestorePlace,
        planned: &PreparedRestore,
    ) -> Result<PreparedRestore, WorkspaceError> {
        let (place, planned) = (place.clone(), planned.clone());
        self.work(move |state| state.prepare(&place, planned)).await
    }

    async fn place_restore(
        &self,
        place: &RestorePlace,
        prepared: &PreparedRestore,
    ) -> Result<Option<String>, WorkspaceError> {
        let (place, prepared) = (place.clone(), prepared.clone());
        self.work(move |state| state.place(&place, &prepared)).await
    }

    async fn discard_restore(&self, place: &RestorePlace, prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
        let (place, prepared) = (place.clone(), prepared.clone());
        self.work(move |state| state.discard(&place, &prepared)).await
    }
}

#[cfg(test)]
mod tests;
