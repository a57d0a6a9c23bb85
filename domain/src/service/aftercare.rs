//! What is left to do when a job has ended: its unlock, if that did not succeed yet, and its record,
//! if that could not be written.

use std::sync::Arc;

use super::{JobService, catch_panic, perform::course_of, race::with_signals, registry::Ready, stop::StopRequest};
use crate::{
    job::{Failure, FailureCause, Job, JobEvent, JobKey, JobView, LiveLog, ScriptLog, Settlement},
    plan::Step,
    ports::{Halt, ScriptError, UnlockError},
    script::call,
};

impl JobService {
    /// Does what is left to do for a job that has ended, however long it takes.
    pub(super) async fn look_after(&self, key: &JobKey) {
        let clock = Arc::clone(&self.inner.ports.clock);
        let pause = self.inner.settings.times.unlock_pause_after_end;
        while self.inner.registry().ended(key).is_some() {
            clock.sleep(pause).await;
            self.try_again(key).await;
        }
    }

    /// The same for a job that an earlier agent knew; that agent's unlock script may still be at work.
    pub(super) async fn look_after_at_once(&self, key: &JobKey) {
        if let Err(problem) = self.inner.ports.scripts.end_leftover(key).await {
            // Said by the one who could not; the script that is left may yet end by itself.
            drop(problem);
            return self.look_after(key).await;
        }
        self.try_again(key).await;
        self.look_after(key).await;
    }

    pub(super) async fn try_again(&self, key: &JobKey) {
        let Some(job) = self.inner.registry().ended(key) else {
            return;
        };
        if job.owes_unlock() {
            // A failure has been logged by who ran the script, and a later try follows.
            let tried = catch_panic(self.unlock_now(key)).await;
            if tried.is_err() {
                self.inner.registry().unlock_failed(key);
            }
        } else {
            self.end(&job).await;
        }
    }

    /// Runs the unlock script of a job that owes it.
    pub(super) async fn unlock_now(&self, key: &JobKey) -> Result<JobView, UnlockError> {
        let Ready { job, stop } = self.inner.registry().begin_unlock(key)?;
        let unlocked = catch_panic(self.run_unlock(&job, &stop)).await.unwrap_or_else(Err);
        match unlocked {
            Ok(log) => {
                let job = self.settle(&job, Settlement::Released, Some(log)).await;
                self.settle_others(&job).await;
                Ok(job.view())
            }
            Err(problem) => {
                self.inner.registry().unlock_failed(key);
                self.tell_of_failed_unlock(key.kind);
                // Somebody gave it up while the script was at work.
                if stop.seal().is_some() {
                    self.settle(&job, Settlement::GivenUp, None).await;
                }
                Err(UnlockError::Failed(problem))
            }
        }
    }

    async fn run_unlock(&self, job: &Job, stop: &StopRequest) -> Result<ScriptLog, String> {
        let Self { inner } = self;
        let phase = job.kind().unlock_phase();
        let (request, name) = (job.request(), job.artifact_name());
        let call = call(phase, request, name, course_of(job), &inner.settings.scripts);
        let limit = inner.settings.times.of_phase(phase);
        let mut signals: Vec<super::race::Boxed<'_, ()>> = Vec::new();
        if let Some(limit) = limit {
            signals.push(Box::pin(inner.ports.clock.sleep(limit)));
        }
        signals.push(Box::pin(stop.asked().fired()));
        let halt = Halt::default();
        // The job has ended, so nobody looks at what it writes before it succeeds.
        let live = LiveLog::default();
        let run = inner.ports.scripts.run(&call, &halt, &live);
        let outcome = with_signals(run, signals, |()| halt.fire()).await;
        match outcome {
            Ok(outcome) if outcome.was_halted && stop.asked().is_fired() => {
                Err(format!("{phase}: given up on request"))
            }
            Ok(outcome) if outcome.was_halted => {
                let (step, cause) = (Step::Script(phase), FailureCause::TimedOut(limit.unwrap_or_default()));
                Err(Failure { step, cause }.to_string())
            }
            Ok(outcome) if outcome.exit.is_success() => Ok(outcome.log),
            Ok(outcome) => Err(format!("{phase}: the script ended with {}", outcome.exit)),
            Err(ScriptError::NotStarted(reason) | ScriptError::Lost(reason)) => Err(format!("{phase}: {reason}")),
        }
    }

    /// After an unlock that succeeded, others of the same kind, host and database owe none any more.
    pub(super) async fn settle_others(&self, job: &Job) {
        let others = self.inner.registry().owing_like(job);
        for other in others {
            self.settle(&other, Settlement::ReleasedByAnother, None).await;
        }
    }

    /// Writes down that a job owes no unlock any more.
    pub(super) async fn settle(&self, job: &Job, how: Settlement, log: Option<ScriptLog>) -> Job {
        let mut settled = job.clone();
        let event = JobEvent::UnlockSettled { how, log };
        // It may have been settled meanwhile; then that counts.
        if settled.apply(event, self.inner.ports.clock.now()).is_ok() {
            self.end(&settled).await;
            self.tell(&settled);
        }
        settled
    }

    /// Ends a job, in the store and in the registry, and lets others begin.
    pub(super) async fn end(&self, job: &Job) {
        let is_written = self.write(job).await.is_ok();
        self.inner.registry().end(job, is_written);
        self.begin_what_can_begin();
    }

    /// Ends a job whose course broke off.
    pub(super) async fn abandon(&self, key: &JobKey, reason: String) {
        let Some(mut job) = self.inner.registry().job(key) else {
            return;
        };
        // Not the clock's: it may be what broke.
        let at = job.events().last().map_or(job.accepted_at(), |(at, _)| *at);
        if job.apply(JobEvent::Abandoned { reason }, at).is_ok() {
            let is_written = self.write(&job).await.is_ok();
            self.inner.registry().end(&job, is_written);
            self.tell(&job);
        }
    }
}
