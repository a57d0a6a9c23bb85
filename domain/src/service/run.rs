//! The course of one job: a loop over its plan.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    JobService,
    activity::observe,
    catch_panic,
    perform::{Hands, StepResult, discard_restore, discard_upload, free_halted_cause},
    race::{Boxed, beside, unless, with_signals},
    recorder::Recorder,
    stop::StopRequest,
};
use crate::{
    job::{Failure, FailureCause, Job, JobEvent, JobStatus, StepReport},
    plan::{JobKind, Phase, Role, Step},
    ports::Halt,
};

/// How often a leftover that could not be ended is tried again.
const LEFTOVER_PAUSE: Duration = Duration::from_secs(5);

/// A job at work.
pub(super) struct JobRun {
    service: JobService,
    recorder: Arc<Recorder>,
    hands: Hands,
    stop: StopRequest,
    /// The phase at work, and since when.
    phase: Option<(Phase, DateTime<Utc>)>,
    /// Since when the service may be locked.
    locked_since: Option<DateTime<Utc>>,
}

/// The course of a job from its turn to its end.
pub(super) async fn course(service: JobService, job: Job, stop: StopRequest) {
    let run = JobRun::new(&service, job, stop);
    run.guarded(async |run: &mut JobRun| run.begin().await).await;
}

/// The course of a job that was at work when an earlier agent died.
pub(super) async fn recovery(service: JobService, job: Job, stop: StopRequest) {
    let run = JobRun::new(&service, job, stop);
    run.guarded(async |run: &mut JobRun| run.take_over().await).await;
}

/// Whether a course goes on to the job's end.
enum Begun {
    Yes,
    /// The agent ends before the job could be taken over: the next one does it.
    LeftToNextAgent,
}

impl JobRun {
    fn new(service: &JobService, job: Job, stop: StopRequest) -> Self {
        let locked_since = job.locked_since();
        Self {
            service: service.clone(),
            recorder: Arc::new(Recorder::new(service.clone(), job)),
            hands: Hands::default(),
            stop,
            phase: None,
            locked_since,
        }
    }

    /// Steps and records catch panics where they happen; should one escape all the same, the job
    /// still ends, as failed, and makes room.
    async fn guarded(mut self, begin: impl AsyncFnOnce(&mut Self) -> Begun) {
        let (service, key) = (self.service.clone(), self.recorder.job().key());
        let course = async {
            match begin(&mut self).await {
                Begun::Yes => self.walk().await,
                Begun::LeftToNextAgent => service.inner.registry().forget(&key),
            }
        };
        if let Err(panic) = catch_panic(course).await {
            service.abandon(&key, panic).await;
        }
        service.begin_what_can_begin();
        service.look_after(&key).await;
    }

    async fn begin(&mut self) -> Begun {
        let started = self.started();
        self.recorder.record_or_keep(started).await;
        Begun::Yes
    }

    fn started(&self) -> JobEvent {
        let job = self.recorder.job();
        let request = job.request();
        let now = self.now();
        let pattern = &self.service.inner.settings.name_pattern;
        let artifact_name = match request.kind() {
            JobKind::Backup => Some(pattern.name(&request.service.host, &request.service.database, &request.id, now)),
            JobKind::Restore => None,
        };
        JobEvent::Started { artifact_name }
    }

    /// Ends what still lives of the job's script, and writes down that the job was interrupted.
    async fn take_over(&mut self) -> Begun {
        let job = self.recorder.job();
        let (clock, scripts) = (&self.service.inner.ports.clock, &self.service.inner.ports.scripts);
        let patience = self.service.inner.settings.times.recovery_patience;
        let since = clock.now();
        while let Err(problem) = scripts.end_leftover(&job.key()).await {
            if elapsed(since, clock.now()) >= patience {
                self.hands.note = Some(format!("the unlock did not wait any longer: {problem}"));
                break;
            }
            let pause = LEFTOVER_PAUSE.min(patience);
            if unless(clock.sleep(pause), self.stop.hurry().fired()).await.is_none() {
                return Begun::LeftToNextAgent;
            }
        }
        self.hands.was_interrupted = true;
        let is_at_end = matches!(job.status(), JobStatus::Between { remaining, .. } if remaining.is_empty());
        if !is_at_end {
            self.recorder.record_or_keep(JobEvent::Interrupted).await;
        }
        Begun::Yes
    }

    /// Walks the plan to its end, whatever fails on the way.
    async fn walk(&mut self) {
        while let Some(step) = self.recorder.job().status().next_step() {
            if !self.note_stop(step).await {
                self.take(step).await;
            }
        }
        let note = self.discard().await;
        self.finish(note).await;
    }

    /// Writes down that the job is to end, if that is new; says whether it was.
    async fn note_stop(&self, step: Step) -> bool {
        let Some(reason) = self.stop.take() else { return false };
        self.recorder.record_or_keep(JobEvent::Stopped { step, reason }).await;
        true
    }

    /// Records that `step` begins, performs it, and records how it ended.
    async fn take(&mut self, step: Step) {
        self.enter(step);
        if let Err(error) = self.recorder.record(JobEvent::StepStarted { step }).await {
            if !step.is_owed() {
                let cause = FailureCause::NotStarted(format!("its start could not be recorded: {error}"));
                let event = failed(step, cause, StepReport::default());
                self.recorder.record_or_keep(event).await;
                return;
            }
            // A lock must be released even if nothing can be written.
            self.recorder.keep(JobEvent::StepStarted { step });
        }
        let outcome = match step.role() {
            Some(Role::Unlock) => self.unlock(step).await,
            None | Some(Role::Lock | Role::Check | Role::Work | Role::Cleanup) => self.perform(step).await,
        };
        let event = match outcome {
            Ok(report) => JobEvent::StepSucceeded { step, report },
            Err((cause, report)) => failed(step, cause, report),
        };
        let is_released = step.role() == Some(Role::Unlock) && matches!(event, JobEvent::StepSucceeded { .. });
        self.recorder.record_or_keep(event).await;
        self.note_stop(step).await;
        if is_released {
            self.locked_since = None;
            self.service.settle_others(&self.recorder.job()).await;
        }
    }

    fn enter(&mut self, step: Step) {
        let now = self.now();
        if let Some(phase) = step.phase()
            && self.phase.is_none_or(|(at_work, _)| at_work != phase)
        {
            self.phase = Some((phase, now));
        }
        if step.role() == Some(Role::Lock) {
            self.locked_since = Some(now);
        }
    }

    /// Runs the unlock script until it succeeds, or has failed too often for now.
    async fn unlock(&mut self, step: Step) -> StepResult {
        let times = self.service.inner.settings.times.clone();
        let mut pause = times.unlock_pause;
        let mut tries = 0;
        loop {
            self.phase = step.phase().map(|phase| (phase, self.now()));
            let outcome = self.perform(step).await;
            tries += 1;
            let Err((cause, mut report)) = outcome else {
                return outcome;
            };
            self.service.tell_of_failed_unlock(self.recorder.job().kind());
            let clock = &self.service.inner.ports.clock;
            let is_last = tries > times.unlock_retries || self.stop.hurry().is_fired();
            if is_last || unless(clock.sleep(pause), self.stop.hurry().fired()).await.is_none() {
                if tries > 1 {
                    report.note = Some(format!("the unlock script was run {tries} times"));
                }
                return Err((cause, report));
            }
            pause = pause.saturating_mul(2);
        }
    }

    /// Performs a step, and ends it early where it takes too long or the job is to end.
    async fn perform(&mut self, step: Step) -> StepResult {
        let halt = Halt::default();
        self.recorder.activity().begin(step, self.now());
        let signals = self.signals(step);
        let mut ended: Option<FailureCause> = None;
        let warn_after = step
            .phase()
            .and_then(|phase| self.service.inner.settings.times.of_phase(phase));
        let warn_after = warn_after.map(|limit| limit / 2);
        let Self {
            service,
            recorder,
            hands,
            ..
        } = self;
        let work = catch_panic(hands.perform(step, service, recorder, warn_after, &halt));
        // What goes wrong while somebody looks is nothing to the work.
        let looking = catch_panic(observe(service.clone(), Arc::clone(recorder), step));
        let work = beside(work, looking);
        let outcome = with_signals(work, signals, |cause| {
            ended = Some(cause);
            halt.fire();
        })
        .await
        .unwrap_or_else(|panic| Err((FailureCause::Error(panic), StepReport::default())));
        match (outcome, ended) {
            (Err((FailureCause::Error(reason), report)), Some(cause)) => {
                if let FailureCause::Stopped(_) = cause {
                    // It is told by the failure itself.
                    self.stop.take();
                }
                Err((cause, free_halted_cause(step, reason, report)))
            }
            (outcome, _) => outcome,
        }
    }

    /// What ends a step before it ends by itself.
    fn signals(&self, step: Step) -> Vec<Boxed<'static, FailureCause>> {
        let times = &self.service.inner.settings.times;
        let now = self.now();
        let mut signals: Vec<Boxed<'static, FailureCause>> = Vec::new();
        if let Some((phase, since)) = self.phase
            && let Some(limit) = times.of_phase(phase)
        {
            let left = limit.saturating_sub(elapsed(since, now));
            signals.push(self.after(left, FailureCause::TimedOut(limit)));
        }
        if let (Some(limit), Some(since)) = (times.max_lock_time, self.locked_since)
            && step.role() != Some(Role::Unlock)
        {
            let left = limit.saturating_sub(elapsed(since, now));
            // A cleanup that begins too late still gets a chance.
            let left = if step.is_owed() {
                left.max(times.stop_timeout)
            } else {
                left
            };
            signals.push(self.after(left, FailureCause::LockedTooLong(limit)));
        }
        let stop = self.stop.clone();
        match step.role() {
            Some(Role::Unlock) => {}
            Some(Role::Cleanup) => {
                let in_time = self.after(
                    times.stop_timeout,
                    FailureCause::Stopped(crate::job::StopReason::AgentStopping),
                );
                signals.push(Box::pin(async move {
                    stop.hurry().fired().await;
                    in_time.await
                }));
            }
            None | Some(Role::Lock | Role::Check | Role::Work) => signals.push(Box::pin(async move {
                stop.asked().fired().await;
                FailureCause::Stopped(stop.reason())
            })),
        }
        signals
    }

    fn after(&self, duration: Duration, cause: FailureCause) -> Boxed<'static, FailureCause> {
        let clock = Arc::clone(&self.service.inner.ports.clock);
        Box::pin(async move {
            clock.sleep(duration).await;
            cause
        })
    }

    /// Removes what the agent put into `directory_restore`, and what a dead one left in the store.
    /// What cannot be removed is said, and the job's outcome stands.
    async fn discard(&mut self) -> Option<String> {
        let job = self.recorder.job();
        let mut notes: Vec<String> = self.hands.note.take().into_iter().collect();
        let restore = catch_panic(discard_restore(&self.service, &job)).await;
        notes.extend(restore.unwrap_or_else(Err).err());
        if self.hands.was_interrupted {
            let upload = catch_panic(discard_upload(&self.service, &job)).await;
            notes.extend(upload.unwrap_or_else(Err).err());
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    async fn finish(&mut self, note: Option<String>) {
        // From here on a wish to stop comes too late; one that came in time is part of the job.
        if let Some(reason) = self.stop.seal() {
            let last = self.recorder.job().kind().unlock_phase();
            let step = Step::Script(last);
            self.recorder.record_or_keep(JobEvent::Stopped { step, reason }).await;
        }
        let is_written = self.recorder.record_or_keep(JobEvent::Finished { note }).await;
        self.service.inner.registry().end(&self.recorder.job(), is_written);
    }

    fn now(&self) -> DateTime<Utc> {
        self.service.inner.ports.clock.now()
    }
}

/// The time of day may have been set back meanwhile.
fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).to_std().unwrap_or_default()
}

fn failed(step: Step, cause: FailureCause, report: StepReport) -> JobEvent {
    JobEvent::StepFailed {
        step,
        failure: Failure { step, cause },
        report,
    }
}
