//! What each step does, through the ports.

mod restore;
mod space;

use std::{sync::Arc, time::Duration};

pub(super) use self::restore::discard as discard_restore;
use super::{JobService, race::unless, recorder::Recorder};
use crate::{
    artifact::{Found, ObjectKey, ObjectNames, Staging, choose},
    job::{ArtifactReport, FailureCause, Job, JobEvent, StepReport},
    plan::{Phase, Role, Step, Transfer},
    ports::{Halt, LocalFile, Moved, ScriptError},
    request::Work,
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
    /// The artifact, and where it is.
    artifact: Option<(LocalFile, ArtifactReport)>,
    /// Whether the job was taken over from an agent that died.
    pub(super) was_interrupted: bool,
    /// Something to be told at the end.
    pub(super) note: Option<String>,
}

/// What a step says that was told to halt; who told it knows why.
const HALTED: &str = "ended by the agent";

/// The report of a step that was ended by the agent: had it something else to say, that is a note.
pub(super) fn free_halted_cause(step: Step, reason: String, mut report: StepReport) -> StepReport {
    let is_script = matches!(step, Step::Script(_));
    if is_script && reason != HALTED {
        report.note = Some(reason);
    }
    report
}

impl Hands {
    /// Performs a step, or as much of it as there was when it was told to halt.
    pub(super) async fn perform(
        &mut self,
        step: Step,
        service: &JobService,
        recorder: &Arc<Recorder>,
        warn_after: Option<Duration>,
        halt: &Halt,
    ) -> StepResult {
        let job = &recorder.job();
        match step {
            Step::Prepare => or_halted(prepare(service, job), halt).await,
            Step::Script(phase) => self.script(phase, service, recorder, warn_after, halt).await,
            Step::FindArtifact => or_halted(self.find_artifact(service, job), halt).await,
            Step::Upload => self.upload(service, recorder, halt).await,
            Step::Download => restore::download(service, recorder, halt).await,
            Step::PlaceFile => or_halted(restore::place(service, job), halt).await,
        }
    }

    async fn script(
        &mut self,
        phase: Phase,
        service: &JobService,
        recorder: &Recorder,
        warn_after: Option<Duration>,
        halt: &Halt,
    ) -> StepResult {
        let (ports, job) = (&service.inner.ports, &recorder.job());
        if let (Phase::Backup, Some(name)) = (phase, job.artifact_name()) {
            // A file that is there already is not this job's artifact.
            let staging = ports.workspace.staging(&job.request().id, name).await;
            self.before = staging.map_err(|error| not_started(error.0))?;
            recorder.activity().remember(&self.before);
        }
        let settings = &service.inner.settings.scripts;
        let mut call = call(phase, job.request(), job.artifact_name(), course_of(job), settings);
        call.warn_after = warn_after;
        match ports.scripts.run(&call, halt, &recorder.activity().live()).await {
            Ok(outcome) => {
                let report = StepReport::of_log(outcome.log);
                if outcome.was_halted {
                    Err((FailureCause::Error(HALTED.to_owned()), report))
                } else if outcome.exit.is_success() {
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
        let file = LocalFile {
            directory: directory.clone(),
            names: match &found {
                Found::Named(entry) => vec![entry.name.clone()],
                Found::InOwnDirectory(entry) => vec![request.id.as_str().to_owned(), entry.name.clone()],
            },
            identity: entry.identity,
        };
        let artifact = ArtifactReport {
            filename: entry.name.clone(),
            size_bytes: entry.size_bytes,
            sha256: None,
        };
        match request.transfer {
            Transfer::ByAgent if artifact.size_bytes == 0 => Err(error(format!(
                "the artifact {:?} is empty (0 bytes), as a dump leaves it that died; see what the backup script \
                 wrote to its logs",
                file.path()
            ))),
            Transfer::ByAgent => {
                self.artifact = Some((file, artifact));
                Ok(StepReport::default())
            }
            Transfer::ByScripts => Ok(StepReport {
                artifact: Some(Box::new(artifact)),
                ..StepReport::default()
            }),
        }
    }

    async fn upload(&mut self, service: &JobService, recorder: &Arc<Recorder>, halt: &Halt) -> StepResult {
        let job = &recorder.job();
        let (Some((file, artifact)), Some(name)) = (&self.artifact, job.artifact_name()) else {
            return Err(error("no artifact was found before".to_owned()));
        };
        let (store, ports) = (&job.request().destination.store, &service.inner.ports);
        let names = ObjectNames::new(&artifact.filename, name);
        let sent = async {
            let named = unless(free_name(service, job, &names), halt.fired()).await;
            let (filename, key) = named.unwrap_or_else(|| Err(HALTED.to_owned()))?;
            let event = JobEvent::ObjectNamed {
                filename: filename.clone(),
            };
            let recorded = recorder.record(event).await;
            recorded.map_err(|error| format!("the name of the object could not be recorded: {error}"))?;
            let moved = ports
                .blobs
                .upload(store, &key, file, artifact.size_bytes, recorder.clone(), halt)
                .await
                .map_err(|error| error.to_string())?;
            let Moved { size_bytes, sha256 } = moved;
            if size_bytes == artifact.size_bytes {
                Ok(ArtifactReport {
                    filename,
                    size_bytes,
                    sha256: Some(sha256),
                })
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
                artifact: Some(Box::new(stored)),
                ..StepReport::default()
            }),
            Err(reason) => {
                let is_kept = service.inner.settings.policy.keep_unsent_artifact;
                let note = is_kept.then(|| format!("the artifact is kept at {}", file.path().display()));
                let report = StepReport {
                    note,
                    ..StepReport::default()
                };
                Err((FailureCause::Error(reason), report))
            }
        }
    }
}

/// Removes what an upload that was cut off has left in the store.
pub(super) async fn discard_upload(service: &JobService, job: &Job) -> Result<(), String> {
    let transfer = job.transfer();
    let (Some(filename), None) = (&transfer.object, &job.artifact()) else {
        return Ok(());
    };
    let store = &job.request().destination.store;
    let key = ObjectKey::new(store.prefix(), filename);
    let blobs = &service.inner.ports.blobs;
    let discarded = blobs.discard_upload(store, &key, &transfer.uploads).await;
    discarded.map_err(|error| format!("parts of the upload of {key} may be left in {store}: {error}"))
}

/// For what needs no care when it is left half-way.
async fn or_halted(work: impl Future<Output = StepResult>, halt: &Halt) -> StepResult {
    let output = unless(work, halt.fired()).await;
    output.unwrap_or_else(|| Err(error(HALTED.to_owned())))
}

async fn prepare(service: &JobService, job: &Job) -> StepResult {
    let ports = &service.inner.ports;
    ports
        .scripts
        .check(job.kind().phases())
        .await
        .map_err(|error| not_started(error.to_string()))?;
    if job.request().transfer == Transfer::ByScripts {
        return Ok(StepReport::default());
    }
    let note = match &job.request().work {
        Work::Backup => space::for_backup(service, job).await?,
        Work::Restore { .. } => restore::check(service, job).await?,
    };
    Ok(StepReport {
        note,
        ..StepReport::default()
    })
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
        let found = service.inner.ports.blobs.find(store, &key).await;
        if found.map_err(|error| error.to_string())?.is_none() {
            return Ok((filename, key));
        }
    }
    Err(format!(
        "all names from {:?} to {:?} are taken in {store}; remove old backups there",
        names.nth(1),
        names.nth(MAX_NAMES)
    ))
}

/// What cleanup and unlock scripts are told.
pub(super) fn course_of(job: &Job) -> Course {
    let failures = job.status().failures();
    let lock_failed = failures.iter().any(|failure| failure.step.role() == Some(Role::Lock));
    let was_restarted = failures
        .iter()
        .any(|failure| failure.cause == FailureCause::Interrupted);
    let first_phase = job.kind().lock_phase();
    Course {
        failed_phase: failures
            .first()
            .map(|failure| failure.step.phase().unwrap_or(first_phase)),
        lock: match (was_restarted, lock_failed) {
            // What held the lock may have gone with the machine.
            (true, _) => LockState::Unknown,
            (false, true) => LockState::Failed,
            (false, false) => LockState::Taken,
        },
    }
}

fn not_started(reason: String) -> (FailureCause, StepReport) {
    (FailureCause::NotStarted(reason), StepReport::default())
}

fn error(reason: String) -> (FailureCause, StepReport) {
    (FailureCause::Error(reason), StepReport::default())
}
