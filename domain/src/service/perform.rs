//! What each step does, through the ports.

use std::path::PathBuf;

use super::{JobService, Ports};
use crate::{
    artifact::{Found, ObjectKey, ObjectNames, Staging, choose},
    job::{ArtifactReport, FailureCause, Job, StepReport},
    plan::{JobKind, Phase, Role, Step, Transfer},
    ports::{PlacedFile, RestorePlace, ScriptError},
    request::{JobRequest, Work},
    script::{Course, LockState, call},
};

/// How many names are tried for an object before the job gives up.
const MAX_NAMES: u32 = 1000;

/// A step that failed leaves a cause, and still something to tell.
pub(super) type StepResult = Result<StepReport, (FailureCause, StepReport)>;

/// What one step leaves in the runner's hands for a later one.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// What lay in staging before the backup script.
    before: Staging,
    /// The artifact, with its full path.
    artifact: Option<(PathBuf, ArtifactReport)>,
    /// What was put into `directory_restore`; outer none if that was not touched.
    placed: Option<Option<PlacedFile>>,
}

impl Hands {
    pub(super) async fn perform(&mut self, step: Step, service: &JobService, job: &Job) -> StepResult {
        match step {
            Step::Prepare => prepare(service, job).await,
            Step::Script(phase) => self.script(phase, service, job).await,
            Step::FindArtifact => self.find_artifact(service, job).await,
            Step::Upload => self.upload(service, job).await,
            Step::Download => self.download(service, job).await,
        }
    }

    async fn script(&mut self, phase: Phase, service: &JobService, job: &Job) -> StepResult {
        let ports = &service.inner.ports;
        if let (Phase::Backup, Some(name)) = (phase, job.artifact_name()) {
            // A file that is there already is not this job's artifact.
            let staging = ports.workspace.staging(&job.request().id, name).await;
            self.before = staging.map_err(|error| not_started(error.0))?;
        }
        let settings = &service.inner.settings.scripts;
        let call = call(phase, job.request(), job.artifact_name(), course_of(job), settings);
        match ports.scripts.run(&call).await {
            Ok(outcome) => {
                let report = StepReport::of_log(outcome.log);
                if outcome.exit.is_success() {
                    Ok(report)
                } else {
                    Err((FailureCause::Exit(outcome.exit), report))
                }
            }
            Err(ScriptError::NotStarted(reason)) => Err(not_started(reason)),
            Err(ScriptError::Lost(reason)) => Err(error(reason)),
        }
    }

    async fn find_artifact(&mut self, service: &JobService, job: &Job) -> StepResult {
        let request = job.request();
        let directories = &service.inner.settings.scripts.directories;
        let (Some(name), Some(directory)) = (job.artifact_name(), &directories.backup) else {
            return Ok(StepReport::default());
        };
        let staging = service.inner.ports.workspace.staging(&request.id, name).await;
        let chosen = staging
            .map_err(|error| error.0)
            .and_then(|after| choose(name, request.id.as_str(), &self.before, &after).map_err(|none| none.to_string()));
        let found = match (chosen, request.transfer) {
            (Ok(found), _) => found,
            (Err(reason), Transfer::ByAgent) => return Err(error(reason)),
            // Scripts that move the bytes themselves need not leave a file.
            (Err(_), Transfer::ByScripts) => return Ok(StepReport::default()),
        };
        let entry = found.entry();
        let path = match &found {
            Found::Named(entry) => directory.join(&entry.name),
            Found::InOwnDirectory(entry) => directory.join(request.id.as_str()).join(&entry.name),
        };
        let artifact = ArtifactReport {
            filename: entry.name.clone(),
            size_bytes: entry.size_bytes,
        };
        match request.transfer {
            Transfer::ByAgent if artifact.size_bytes == 0 => Err(error(format!(
                "the artifact {path:?} is empty (0 bytes), as a dump leaves it that died; see what the backup script \
                 wrote to its logs"
            ))),
            Transfer::ByAgent => {
                self.artifact = Some((path, artifact));
                Ok(StepReport::default())
            }
            Transfer::ByScripts => Ok(StepReport {
                artifact: Some(artifact),
                ..StepReport::default()
            }),
        }
    }

    async fn upload(&mut self, service: &JobService, job: &Job) -> StepResult {
        let (Some((path, artifact)), Some(name)) = (&self.artifact, job.artifact_name()) else {
            return Err(error("no artifact was found before".to_owned()));
        };
        let (store, ports) = (&job.request().destination.store, &service.inner.ports);
        let names = ObjectNames::new(&artifact.filename, name);
        let sent = async {
            let (filename, key) = free_name(service, job, &names).await?;
            let size_bytes = ports
                .blobs
                .upload(store, &key, path, artifact.size_bytes)
                .await
                .map_err(|error| error.to_string())?;
            if size_bytes == artifact.size_bytes {
                Ok(ArtifactReport { filename, size_bytes })
            } else {
                Err(format!(
                    "the object {:?} in {store} has {size_bytes} bytes, but the artifact has {}; do not rely on this \
                     object",
                    key.as_str(),
                    artifact.size_bytes
                ))
            }
        };
        match sent.await {
            Ok(stored) => Ok(StepReport {
                artifact: Some(stored),
                ..StepReport::default()
            }),
            Err(reason) => {
                let is_kept = service.inner.settings.policy.keep_unsent_artifact;
                let note = is_kept.then(|| format!("the artifact is kept at {}", path.display()));
                let report = StepReport {
                    note,
                    ..StepReport::default()
                };
                Err((FailureCause::Error(reason), report))
            }
        }
    }

    async fn download(&mut self, service: &JobService, job: &Job) -> StepResult {
        let Some(place) = restore_place(job.request()) else {
            return Err(error("this job has nothing to download".to_owned()));
        };
        let Ports { blobs, workspace, .. } = &service.inner.ports;
        let store = &job.request().destination.store;
        let key = ObjectKey::new(store.prefix(), &place.filename);
        let download = workspace.prepare_restore(&place).await.map_err(|e| error(e.0))?;
        self.placed = Some(None);
        blobs
            .download(store, &key, &download)
            .await
            .map_err(|e| error(e.to_string()))?;
        let placed = workspace
            .place_restore(&place, &download)
            .await
            .map_err(|e| error(e.0))?;
        let note = placed.link.clone().err();
        self.placed = Some(Some(placed));
        Ok(StepReport {
            note,
            ..StepReport::default()
        })
    }

    pub(super) async fn discard(&mut self, service: &JobService, job: &Job) -> Result<(), String> {
        let (Some(placed), Some(place)) = (self.placed.take(), restore_place(job.request())) else {
            return Ok(());
        };
        let discarded = service.inner.ports.workspace.discard_restore(&place, placed).await;
        discarded.map_err(|error| error.0)
    }
}

async fn prepare(service: &JobService, job: &Job) -> StepResult {
    let ports = &service.inner.ports;
    ports
        .scripts
        .check(job.kind().phases())
        .await
        .map_err(|error| not_started(error.to_string()))?;
    if let (Transfer::ByAgent, Some(place)) = (job.request().transfer, restore_place(job.request())) {
        let checked = ports.workspace.check_restore(&place).await;
        checked.map_err(|error| not_started(error.0))?;
    }
    Ok(StepReport::default())
}

/// The first name that no object and no other job has. Nothing in a store is ever replaced.
async fn free_name(service: &JobService, job: &Job, names: &ObjectNames) -> Result<(String, ObjectKey), String> {
    let store = &job.request().destination.store;
    for n in 1..=MAX_NAMES {
        let filename = names.nth(n);
        let key = ObjectKey::new(store.prefix(), &filename);
        let is_ours = service
            .inner
            .registry()
            .hold_object_name(&job.key(), &format!("{store} {key}"));
        if !is_ours {
            continue;
        }
        let exists = service.inner.ports.blobs.exists(store, &key).await;
        if !exists.map_err(|error| error.to_string())? {
            return Ok((filename, key));
        }
    }
    Err(format!(
        "all names from {:?} to {:?} are taken in {store}; remove old backups there",
        names.nth(1),
        names.nth(MAX_NAMES)
    ))
}

fn restore_place(request: &JobRequest) -> Option<RestorePlace> {
    match &request.work {
        Work::Backup => None,
        Work::Restore { filename } => Some(RestorePlace {
            id: request.id.clone(),
            filename: filename.clone(),
        }),
    }
}

/// What cleanup and unlock scripts are told.
fn course_of(job: &Job) -> Course {
    let failures = job.status().failures();
    let lock_failed = failures.iter().any(|failure| failure.step.role() == Some(Role::Lock));
    let first_phase = match job.kind() {
        JobKind::Backup => Phase::PreBackupLock,
        JobKind::Restore => Phase::PreRestoreLock,
    };
    Course {
        failed_phase: failures
            .first()
            .map(|failure| failure.step.phase().unwrap_or(first_phase)),
        lock: if lock_failed {
            LockState::Failed
        } else {
            LockState::Taken
        },
    }
}

fn not_started(reason: String) -> (FailureCause, StepReport) {
    (FailureCause::NotStarted(reason), StepReport::default())
}

fn error(reason: String) -> (FailureCause, StepReport) {
    (FailureCause::Error(reason), StepReport::default())
}
