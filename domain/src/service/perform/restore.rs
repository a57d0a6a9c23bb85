//! The file that a restore fetches.

use std::sync::Arc;

use super::{HALTED, StepResult, error, not_started, space};
use crate::{
    artifact::{Expected, ObjectKey},
    job::{FailureCause, Job, JobEvent, StepReport},
    ports::{BackupQuery, Halt, LocalFile, PreparedRestore, RestorePlace},
    request::{JobRequest, Work},
    service::{JobService, Ports, race::unless, recorder::Recorder},
};

/// Whether the file could be placed, and would have room, before anything is locked.
pub(super) async fn check(service: &JobService, job: &Job) -> Result<Option<String>, (FailureCause, StepReport)> {
    let Some(place) = place_of(job.request()) else {
        return Ok(None);
    };
    let checked = service.inner.ports.workspace.check_restore(&place).await;
    checked.map_err(|error| not_started(error.0))?;
    space::for_restore(service, job, &key_of(job, &place)).await
}

/// Fetches the object to a name that no script looks at, and checks it.
pub(super) async fn download(service: &JobService, recorder: &Arc<Recorder>, halt: &Halt) -> StepResult {
    let job = &recorder.job();
    let Some(place) = place_of(job.request()) else {
        return Err(error("this job has nothing to download".to_owned()));
    };
    let Ports { blobs, workspace, .. } = &service.inner.ports;
    let store = &job.request().destination.store;
    let not_recorded = |problem| error(format!("the download could not be recorded: {problem}"));
    let planned = workspace.plan_restore(&place).await.map_err(|e| error(e.0))?;
    // Whatever happens from here on, at the end of the job it is removed.
    let event = prepared_as(&planned);
    recorder.record(event).await.map_err(not_recorded)?;
    let prepared = workspace.prepare_restore(&place, &planned).await;
    let prepared = prepared.map_err(|e| error(e.0))?;
    let event = prepared_as(&prepared);
    if let Err(problem) = recorder.record(event.clone()).await {
        recorder.keep(event);
        return Err(not_recorded(problem));
    }
    let target =
        target_of(service, &place, &prepared).ok_or_else(|| error("no file was made to download to".to_owned()))?;
    let Some((expected, note)) = unless(expected_of(service, job), halt.fired()).await else {
        return Err(error(HALTED.to_owned()));
    };
    let tally = recorder.activity().tally();
    blobs
        .download(store, &key_of(job, &place), &target, expected, halt, &tally)
        .await
        .map_err(|e| error(e.to_string()))?;
    Ok(StepReport {
        note,
        ..StepReport::default()
    })
}

/// The file that was made to download to.
fn target_of(service: &JobService, place: &RestorePlace, prepared: &PreparedRestore) -> Option<LocalFile> {
    let name = prepared.download.file_name()?.to_str()?;
    Some(LocalFile {
        directory: service.inner.settings.scripts.directories.restore.clone()?,
        names: vec![place.id.as_str().to_owned(), name.to_owned()],
        identity: prepared.file?,
    })
}

/// Puts the file where the restore script looks for it.
pub(super) async fn place(service: &JobService, job: &Job) -> StepResult {
    let (Some(prepared), Some(place)) = (&job.transfer().restore, place_of(job.request())) else {
        return Err(error("nothing was downloaded before".to_owned()));
    };
    let placed = service.inner.ports.workspace.place_restore(&place, prepared).await;
    let note = placed.map_err(|e| error(e.0))?;
    Ok(StepReport {
        note,
        ..StepReport::default()
    })
}

/// Removes what was put into `directory_restore`, by this agent or an earlier one.
pub(in crate::service) async fn discard(service: &JobService, job: &Job) -> Result<(), String> {
    let (Some(prepared), Some(place)) = (&job.transfer().restore, place_of(job.request())) else {
        return Ok(());
    };
    let discarded = service.inner.ports.workspace.discard_restore(&place, prepared).await;
    discarded.map_err(|error| error.0)
}

fn prepared_as(prepared: &PreparedRestore) -> JobEvent {
    let prepared = prepared.clone();
    JobEvent::RestorePrepared { prepared }
}

/// What is known of the object that a job restores: what the request says, or else what this agent
/// wrote down when it made the backup. Says so where it could not look.
async fn expected_of(service: &JobService, job: &Job) -> (Expected, Option<String>) {
    let Work::Restore { filename, expected } = &job.request().work else {
        return (Expected::default(), None);
    };
    if expected.sha256.is_some() {
        return (*expected, None);
    }
    let wanted = BackupQuery::OfObject {
        store: job.request().destination.store.clone(),
        filename: filename.clone(),
    };
    match service.inner.ports.jobs.newest_backup(wanted).await {
        Ok(Some(artifact)) => {
            let known = Expected {
                size_bytes: expected.size_bytes.or(Some(artifact.size_bytes)),
                sha256: artifact.sha256,
            };
            (known, None)
        }
        Ok(None) => (*expected, None),
        Err(problem) => {
            let note = format!("the file was not compared with the record of its backup: {problem}");
            (*expected, Some(note))
        }
    }
}

fn key_of(job: &Job, place: &RestorePlace) -> ObjectKey {
    ObjectKey::new(job.request().destination.store.prefix(), &place.filename)
}

fn place_of(request: &JobRequest) -> Option<RestorePlace> {
    match &request.work {
        Work::Backup => None,
        Work::Restore { filename, .. } => Some(RestorePlace {
            id: request.id.clone(),
            filename: filename.clone(),
        }),
    }
}
