//! What can be seen of the step at work, beside what is written down.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{JobService, recorder::Recorder};
use crate::{
    artifact::{Staging, choose},
    job::{Job, LiveLog, Sample, StepProgress, Window},
    plan::{Phase, Step},
    ports::Tally,
};

/// How often it is noted how far a transfer has come.
const NOTE_PAUSE: Duration = Duration::from_secs(2);
/// How often a disk is asked how long a growing artifact is.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// The step of a job that is at work, between who performs it and who looks. Cheap to clone; all
/// clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<Mutex<Option<AtWork>>>);

#[derive(Debug)]
struct AtWork {
    step: Step,
    tally: Tally,
    live: LiveLog,
    /// What lay in staging before the backup script.
    before: Staging,
    window: Window,
}

impl Activity {
    /// A step begins; what was of the last one is gone.
    pub(super) fn begin(&self, step: Step, at: DateTime<Utc>) {
        let mut window = Window::default();
        window.note(Sample { at, bytes: 0 });
        *self.at_work() = Some(AtWork {
            step,
            tally: Tally::default(),
            live: LiveLog::default(),
            before: Staging::default(),
            window,
        });
    }

    /// Where the step at work counts bytes.
    pub(super) fn tally(&self) -> Tally {
        let at_work = self.at_work();
        at_work
            .as_ref()
            .map(|at_work| at_work.tally.clone())
            .unwrap_or_default()
    }

    /// Where the script at work writes to.
    pub(super) fn live(&self) -> LiveLog {
        let at_work = self.at_work();
        at_work.as_ref().map(|at_work| at_work.live.clone()).unwrap_or_default()
    }

    /// What lies in staging before the script at work.
    pub(super) fn remember(&self, before: &Staging) {
        if let Some(at_work) = self.at_work().as_mut() {
            at_work.before = before.clone();
        }
    }

    fn before(&self) -> Staging {
        let at_work = self.at_work();
        at_work
            .as_ref()
            .map(|at_work| at_work.before.clone())
            .unwrap_or_default()
    }

    /// Notes how far the step has come, for its pace.
    fn note(&self, at: DateTime<Utc>) {
        if let Some(at_work) = self.at_work().as_mut()
            && let Some(bytes) = at_work.tally.done()
        {
            at_work.window.note(Sample { at, bytes });
        }
    }

    /// How far `step` has come; none if another is at work.
    pub(super) fn progress(&self, step: Step, now: DateTime<Utc>) -> Option<StepProgress> {
        let at_work = self.at_work();
        let AtWork { tally, window, .. } = at_work.as_ref().filter(|at_work| at_work.step == step)?;
        let (bytes_done, bytes_total) = (tally.done(), tally.total());
        let pace = bytes_done.map(|bytes| window.pace(Sample { at: now, bytes }, bytes_total));
        Some(StepProgress {
            step,
            bytes_done,
            bytes_total,
            pace: pace.unwrap_or_default(),
        })
    }

    /// What the script of `step` has written so far; none if another step is at work.
    pub(super) fn live_of(&self, step: Step) -> Option<LiveLog> {
        let at_work = self.at_work();
        let of_step = at_work.as_ref().filter(|at_work| at_work.step == step);
        of_step.map(|at_work| at_work.live.clone())
    }

    /// It is replaced whole, so a poisoned lock holds a good one.
    fn at_work(&self) -> MutexGuard<'_, Option<AtWork>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks now and then how far a step has come, and never ends but where there is nothing to be seen.
pub(super) async fn observe(service: JobService, recorder: Arc<Recorder>, step: Step) {
    let makes_artifact = match step {
        Step::Script(Phase::Backup) => true,
        Step::Upload | Step::Download => false,
        Step::Prepare | Step::Script(_) | Step::FindArtifact | Step::PlaceFile => return,
    };
    let clock = &service.inner.ports.clock;
    let job = recorder.job();
    loop {
        if makes_artifact {
            clock.sleep(LOOK_PAUSE).await;
            look_at_artifact(&service, &job, recorder.activity()).await;
        } else {
            clock.sleep(NOTE_PAUSE).await;
        }
        recorder.activity().note(clock.now());
    }
}

/// Notes how long the artifact is by now, if it is there yet and can be told from other files.
async fn look_at_artifact(service: &JobService, job: &Job, activity: &Activity) {
    let id = &job.request().id;
    let Some(name) = job.artifact_name() else { return };
    let Ok(after) = service.inner.ports.workspace.staging(id, name).await else {
        return;
    };
    if let Ok(found) = choose(name, id.as_str(), &activity.before(), &after) {
        activity.tally().set(found.entry().size_bytes);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::job::Pace;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a time")
    }

    #[test]
    fn nothing_is_told_of_another_step() {
        let activity = Activity::default();
        assert_eq!(activity.progress(Step::Upload, at(0)), None);
        activity.begin(Step::Upload, at(0));
        assert_eq!(activity.progress(Step::Download, at(0)), None);
        assert!(activity.live_of(Step::Download).is_none());
        assert!(activity.progress(Step::Upload, at(0)).is_some());
    }

    #[test]
    fn bytes_are_told_as_they_move_and_those_of_the_last_step_are_not() {
        let activity = Activity::default();
        activity.begin(Step::Upload, at(0));
        let told = |second| activity.progress(Step::Upload, at(second)).expect("it is at work");
        assert_eq!((told(1).bytes_done, told(1).pace), (None, Pace::default()));
        let tally = activity.tally();
        tally.expect(1000);
        tally.add(100);
        let StepProgress { bytes_done, pace, .. } = told(10);
        assert_eq!(bytes_done, Some(100));
        assert_eq!((pace.bytes_per_second, pace.eta_seconds), (Some(10), Some(90)));
        // It stalls: a minute later no end is in sight.
        activity.note(at(10));
        activity.note(at(10) + TimeDelta::seconds(60));
        assert_eq!(told(71).pace.eta_seconds, None);
        activity.begin(Step::Upload, at(80));
        assert_eq!(told(81).bytes_done, None);
    }
}
