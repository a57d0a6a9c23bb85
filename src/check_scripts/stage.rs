//! Plays scripts, one at a time: by the agent's own runner and its own calls, in a scratch directory.
//!
//! ```text
//!   rehearsal ─→ Stage::play ─→ domain::script::call ─→ TokioScriptRunner ─→ Played ─→ Book
//!                   └─ owed: jobs whose lock script was started ─→ Stage::unlock_all
//! ```

use std::{
    mem,
    time::{Duration, Instant},
};

use adapters::{process::TokioScriptRunner, system::SystemClock, workspace::LocalWorkspace};
use domain::{
    artifact::{ArtifactName, NamePattern, Staging},
    job::{JobId, JobKey, LiveLog},
    plan::{JobKind, Phase, Role},
    ports::{Clock, Halt, ScriptError, ScriptRunner, Workspace, WorkspaceError},
    request::{DestinationDraft, Draft, Faults, JobRequest, RequestRules, ServiceDraft},
    script::{Course, LockState, ScriptSettings, call},
    secret::Secret,
};

use super::{
    hiding::{LEFT_OUT, PLACEHOLDER, hide},
    played::{Cut, Played},
    rule::{Book, Rule},
};
use crate::{demo::show::duration, out::Out};

/// How often an unlock is tried at the end.
const LAST_TRIES: u32 = 3;
/// Between two of them.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Why a rehearsal did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody has had enough.
    Interrupted,
    /// It cannot go on, for this reason.
    Fault(String),
}

impl From<WorkspaceError> for Stop {
    fn from(error: WorkspaceError) -> Self {
        Self::Fault(error.0)
    }
}

/// A job as the agent would have it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) request: JobRequest,
    pub(super) name: Option<ArtifactName>,
    pub(super) course: Course,
}

impl Job {
    fn key(&self) -> JobKey {
        JobKey::new(self.request.kind(), self.request.id.clone())
    }
}

/// Where scripts are played.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) runner: TokioScriptRunner,
    /// The same in an environment without a login session.
    pub(super) bare_runner: TokioScriptRunner,
    pub(super) settings: ScriptSettings,
    pub(super) workspace: LocalWorkspace,
    pub(super) rules: RequestRules,
    pub(super) service: ServiceDraft,
    /// Parameters that nobody should find in what scripts print, nor here.
    pub(super) secret_parameters: Vec<(String, Secret)>,
    pub(super) destination: DestinationDraft,
    /// What all ids begin with.
    pub(super) prefix: String,
    pub(super) time_limit: Duration,
    /// Fired when somebody has had enough.
    pub(super) stop: Halt,
    pub(super) out: &'a Out,
    pub(super) book: Book,
    pub(super) played: Vec<Played>,
    pub(super) owed: Vec<Job>,
    pub(super) scene: String,
    /// Whether the scene is one without a login session.
    pub(super) is_bare: bool,
    pub(super) count: u32,
}

impl Stage<'_> {
    /// What comes next.
    pub(super) fn scene(&mut self, title: &str) {
        self.out.line(&format!("\n{title}"));
        self.scene = title.to_owned();
        self.is_bare = false;
    }

    /// As [`Self::scene`], in an environment without a login session.
    pub(super) fn bare_scene(&mut self, title: &str) {
        self.scene(title);
        self.is_bare = true;
    }

    /// A new job, checked as the agent checks requests.
    ///
    /// # Errors
    ///
    /// If the agent would refuse it, in words for the person who typed the options.
    pub(super) fn job(&mut self, kind: JobKind, filename: Option<&str>) -> Result<Job, Stop> {
        self.count += 1;
        let id = JobId::parse(&format!("{}-{}", self.prefix, self.count));
        let id = id.map_err(|invalid| Stop::Fault(format!("the id of a rehearsal {invalid}")))?;
        let draft = Draft {
            kind,
            id,
            destination: DestinationDraft {
                filename: filename.map(str::to_owned),
                ..self.destination.clone()
            },
            service: self.service.clone(),
            compression: None,
            encryption_key: None,
            skip_storage: None,
        };
        let request = draft
            .check(&self.rules, Faults::default())
            .map_err(|faults| Stop::Fault(format!("an agent would not take such a request: {faults}")))?;
        let service = &request.service;
        let name = match kind {
            JobKind::Backup => {
                Some(NamePattern::default().name(&service.host, &service.database, &request.id, SystemClock.now()))
            }
            JobKind::Restore => None,
        };
        Ok(Job {
            request,
            name,
            course: Course::default(),
        })
    }

    /// Plays the script of a phase to its end.
    ///
    /// # Errors
    ///
    /// If somebody has had enough meanwhile.
    pub(super) async fn play(&mut self, job: &mut Job, phase: Phase) -> Result<Played, Stop> {
        self.perform(job, phase, None).await
    }

    /// As [`Self::play`], but ends the script after so long, as the agent ends one: with all that comes of it.
    pub(super) async fn kill(&mut self, job: &mut Job, phase: Phase, after: Duration) -> Result<Played, Stop> {
        self.perform(job, phase, Some(after)).await
    }

    async fn perform(&mut self, job: &mut Job, phase: Phase, kill_after: Option<Duration>) -> Result<Played, Stop> {
        if self.stop.is_fired() {
            return Err(Stop::Interrupted);
        }
        if phase.role() == Role::Lock {
            self.owed.push(job.clone());
        }
        let call = call(phase, &job.request, job.name.as_ref(), job.course, &self.settings);
        let (halt, live, began) = (Halt::default(), LiveLog::default(), Instant::now());
        let limit = kill_after.unwrap_or(self.time_limit);
        let runner = if self.is_bare { &self.bare_runner } else { &self.runner };
        let (outcome, cut) = {
            let mut run = runner.run(&call, &halt, &live);
            let cut = tokio::select! {
                biased;
                outcome = &mut run => Err(outcome),
                () = self.stop.fired() => Ok(Cut::Interrupted),
                () = tokio::time::sleep(limit) => Ok(match kill_after {
                    Some(_) => Cut::Killed,
                    None => Cut::TooLong(limit),
                }),
            };
            match cut {
                Err(outcome) => (outcome, None),
                Ok(cut) => {
                    halt.fire();
                    (run.await, Some(cut))
                }
            }
        };
        let mut played = Played {
            scene: self.scene.clone(),
            job: job.key(),
            phase,
            outcome,
            cut,
            elapsed: began.elapsed(),
        };
        self.look_at_output(&mut played, &call.redacted);
        self.remember(job, &played);
        if played.cut == Some(Cut::Interrupted) {
            return Err(Stop::Interrupted);
        }
        Ok(played)
    }

    /// Tells of it, notes what holds for every script, and what cleanup and unlock are to know.
    fn remember(&mut self, job: &mut Job, played: &Played) {
        let time = duration(played.elapsed);
        let line = format!(
            "  {:<20} {:>9}  {}  {}",
            played.phase,
            time,
            played.exit(),
            played.last_words()
        );
        self.out.line(line.trim_end());
        let took_nothing = played.says_lock_is_taken() || matches!(played.outcome, Err(ScriptError::NotStarted(_)));
        match played.phase.role() {
            Role::Lock if took_nothing => self.forget(job),
            Role::Unlock if played.is_success() => self.forget(job),
            Role::Lock | Role::Check | Role::Work | Role::Cleanup | Role::Unlock => {}
        }
        if !played.is_success() {
            job.course.failed_phase.get_or_insert(played.phase);
            if played.phase.role() == Role::Lock {
                job.course.lock = LockState::Failed;
            }
        }
        // Should it come to that, the last cleanup and unlock are to know it as well.
        if let Some(owed) = self.owed.iter_mut().find(|owed| owed.key() == job.key()) {
            owed.course = job.course;
        }
        match played.cut {
            Some(Cut::TooLong(_)) => self.book.broken(Rule::Ends, played.how()),
            Some(Cut::Killed | Cut::Interrupted) => {}
            None => self.book.kept(Rule::Ends),
        }
        self.played.push(played.clone());
    }

    /// Notes what is to be said of what was printed, and hides the values of secret parameters in it.
    fn look_at_output(&mut self, played: &mut Played, hidden: &[Secret]) {
        let phase = played.phase;
        let Ok(outcome) = &mut played.outcome else { return };
        let log = &mut outcome.log;
        for (stream, text) in [
            ("standard output", &mut log.stdout),
            ("standard error", &mut log.stderr),
        ] {
            if text.contains(LEFT_OUT) {
                let what = format!("{phase} writes so much to its {stream} that the middle of it is not kept");
                self.book.hint(Rule::Output, what);
            } else {
                self.book.kept(Rule::Output);
            }
            let has_hidden = text.contains(PLACEHOLDER);
            if has_hidden {
                let what =
                    format!("{phase} prints a password or key to its {stream}; the agent hides what it knows of");
                self.book.hint(Rule::Secrets, what);
            }
            let (shown, printed) = hide(text, &self.secret_parameters, hidden);
            for name in &printed {
                let what = format!(
                    "{phase} prints the value of the parameter {name} to its {stream}, which the agent shows to all who \
                     may poll"
                );
                self.book.hint(Rule::Secrets, what);
            }
            if !has_hidden && printed.is_empty() {
                self.book.kept(Rule::Secrets);
            }
            *text = shown.into();
        }
    }

    fn forget(&mut self, job: &Job) {
        self.owed.retain(|owed| owed.key() != job.key());
    }

    /// Runs cleanup and unlock, as the agent would, for every job that may hold a lock, whatever has happened.
    pub(super) async fn unlock_all(&mut self) {
        // Nobody has had enough of this; who asks for it now is told to wait.
        mem::take(&mut self.stop).fire();
        while let Some(mut job) = self.owed.pop() {
            self.scene(&format!("At the end: {} may still hold its lock", job.key()));
            let kind = job.request.kind();
            job.course.failed_phase.get_or_insert(first_phase(kind));
            self.clean_up(&mut job).await;
            let mut tries = 1;
            loop {
                let played = self.play(&mut job, last_phase(kind)).await;
                if played.as_ref().is_ok_and(Played::is_success) {
                    break;
                }
                if tries == LAST_TRIES {
                    let how = played.map_or_else(|_| "it was interrupted".to_owned(), |played| played.how());
                    let what = format!(
                        "THE LOCK OF {} MAY STILL BE HELD, the unlock script failed {LAST_TRIES} times: {how}",
                        job.key()
                    );
                    self.book.broken(Rule::UnlockReleases, what);
                    break;
                }
                tries += 1;
                tokio::time::sleep(LAST_PAUSE).await;
            }
        }
    }

    /// Whatever becomes of it, the unlock has its turn.
    async fn clean_up(&mut self, job: &mut Job) {
        let cleanup = self.play(job, cleanup_phase(job.request.kind())).await;
        if let Ok(played) = cleanup
            && !played.is_success()
        {
            let what = format!("at the end, for {}: {}", job.key(), played.how());
            self.book.broken(Rule::Cleanup, what);
        }
    }

    /// What lies where the artifact is looked for.
    pub(super) async fn staging(&self, job: &Job) -> Result<Staging, Stop> {
        match &job.name {
            Some(name) => Ok(self.workspace.staging(&job.request.id, name).await?),
            None => Ok(Staging::default()),
        }
    }

    /// Notes whether a script succeeded where it had to.
    pub(super) fn must_succeed(&mut self, rule: Rule, played: &Played, when: &str) -> bool {
        if played.is_success() {
            self.book.kept(rule);
            return true;
        }
        self.book.broken(rule, format!("{when}: {}", played.how()));
        false
    }
}

/// The lock script's.
pub(super) fn first_phase(kind: JobKind) -> Phase {
    match kind {
        JobKind::Backup => Phase::PreBackupLock,
        JobKind::Restore => Phase::PreRestoreLock,
    }
}

/// The cleanup script's.
pub(super) fn cleanup_phase(kind: JobKind) -> Phase {
    match kind {
        JobKind::Backup => Phase::BackupCleanup,
        JobKind::Restore => Phase::RestoreCleanup,
    }
}

/// The unlock script's.
pub(super) fn last_phase(kind: JobKind) -> Phase {
    match kind {
        JobKind::Backup => Phase::PostBackupUnlock,
        JobKind::Restore => Phase::PostRestoreUnlock,
    }
}
