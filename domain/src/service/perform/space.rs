//! Whether there is room on this machine, asked before anything is locked.

use std::time::Duration;

use super::not_started;
use crate::{
    artifact::ObjectKey,
    job::{ArtifactReport, FailureCause, Job, StepReport},
    ports::{BackupQuery, WorkDirectory},
    service::{JobService, race::unless},
};

/// A store that does not tell an object's length by then is not waited for: the download finds out.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Something to be told, if there is room.
type Checked = Result<Option<String>, (FailureCause, StepReport)>;

/// Refuses a restore whose file cannot have room.
pub(super) async fn for_restore(service: &JobService, job: &Job, key: &ObjectKey) -> Checked {
    let ports = &service.inner.ports;
    let look = ports.blobs.find(&job.request().destination.store, key);
    let Some(Ok(Some(needed))) = unless(look, ports.clock.sleep(LONGEST_LOOK)).await else {
        return Ok(None);
    };
    let Some(free) = free(service, WorkDirectory::Restore).await? else {
        return Ok(None);
    };
    let least = service.inner.settings.min_free_space;
    if needed > free {
        return Err(not_started(format!(
            "the object {key} has {needed} bytes, but only {free} bytes are free in directory_restore; make room there"
        )));
    }
    if free - needed < least {
        return Err(not_started(format!(
            "the object {key} has {needed} bytes, and of the {free} bytes that are free in directory_restore {least} \
             are to stay free (min_free_space); make room there"
        )));
    }
    Ok(None)
}

/// Refuses a backup where less is free than the operator wants to be.
pub(super) async fn for_backup(service: &JobService, job: &Job) -> Checked {
    let least = service.inner.settings.min_free_space;
    let Some(free) = free(service, WorkDirectory::Backup).await? else {
        return Ok(None);
    };
    if free < least {
        return Err(not_started(format!(
            "only {free} bytes are free in directory_backup, and min_free_space wants {least}; make room there"
        )));
    }
    // How much the script will need nobody knows, but the last backup may tell.
    let wanted = BackupQuery::OfDatabase {
        host: job.request().service.host.clone(),
        database: job.request().service.database.clone(),
    };
    let last = service.inner.ports.jobs.newest_backup(wanted).await;
    let is_larger = |last: &ArtifactReport| last.size_bytes > free;
    // What cannot be read costs a warning, and no backup.
    let larger = last.ok().flatten().filter(is_larger);
    Ok(larger.map(|last| {
        format!(
            "only {free} bytes are free in directory_backup, and the last backup of this database had {} bytes",
            last.size_bytes
        )
    }))
}

/// None where there is no such directory.
async fn free(service: &JobService, directory: WorkDirectory) -> Result<Option<u64>, (FailureCause, StepReport)> {
    let free = service.inner.ports.workspace.free_bytes(directory).await;
    free.map_err(|error| not_started(error.0))
}
