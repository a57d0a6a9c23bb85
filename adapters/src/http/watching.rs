//! What is told of a job to those who watch it: its phases, its lock, its turn, and how far it has come.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    job::{ExitReason, JobView, LockSpan, PhaseRecord, StepProgress},
    plan::Step,
};
use serde::{Serialize, ser::SerializeMap};

use super::polling::time;

/// What is told beside the members of the original. Of a job that has ended it never changes, but by an
/// unlock that succeeds at last.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) phases: Vec<PhaseTold>,
    pub(super) locked_since: Option<String>,
    pub(super) lock_held_ms: Option<u64>,
    pub(super) queue_position: Option<usize>,
    pub(super) progress: Option<ProgressTold>,
}

/// How one phase went, or goes.
#[derive(Debug, Serialize)]
pub(super) struct PhaseTold {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    timed_out: bool,
}

/// How far the step at work has come.
#[derive(Debug, Serialize)]
pub(super) struct ProgressTold {
    phase: &'static str,
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<u64>,
}

impl Watched {
    /// All members that there can be.
    pub(super) fn most() -> Self {
        let some = || Some("-".to_owned());
        Self {
            phases: vec![PhaseTold {
                name: "-",
                status: "-",
                started_at: some(),
                ended_at: some(),
                duration_ms: Some(0),
                exit_code: Some(0),
                signal: Some(0),
                timed_out: false,
            }],
            locked_since: some(),
            lock_held_ms: Some(0),
            queue_position: Some(0),
            progress: Some(ProgressTold {
                phase: "-",
                step: "-",
                bytes_done: Some(0),
                bytes_total: Some(0),
                bytes_per_second: Some(0),
                eta_seconds: Some(0),
            }),
        }
    }

    /// Adds what there is to tell to a body.
    pub(super) fn add_to<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if !self.phases.is_empty() {
            map.serialize_entry("phases", &self.phases)?;
        }
        if let Some(locked_since) = &self.locked_since {
            map.serialize_entry("locked_since", locked_since)?;
        }
        if let Some(lock_held_ms) = self.lock_held_ms {
            map.serialize_entry("lock_held_ms", &lock_held_ms)?;
        }
        if let Some(queue_position) = self.queue_position {
            map.serialize_entry("queue_position", &queue_position)?;
        }
        if let Some(progress) = &self.progress {
            map.serialize_entry("progress", progress)?;
        }
        Ok(())
    }
}

impl From<&JobView> for Watched {
    fn from(view: &JobView) -> Self {
        let live = view.live.as_deref();
        let now = live.map(|live| live.as_of);
        Self {
            phases: view.phases.iter().map(|record| PhaseTold::new(record, now)).collect(),
            locked_since: view.locked_since.map(|since| time(Some(since))),
            lock_held_ms: view
                .lock_span
                .and_then(|LockSpan { since, until }| Some(ms(until.or(now)? - since))),
            queue_position: live.and_then(|live| live.queue_position),
            progress: live.and_then(|live| ProgressTold::new(live.progress.as_ref()?)),
        }
    }
}

impl PhaseTold {
    fn new(record: &PhaseRecord, now: Option<DateTime<Utc>>) -> Self {
        let until = record.ended_at.or(now);
        let duration = record.started_at.and_then(|start| Some(until? - start));
        let (exit_code, signal) = match record.exit {
            Some(ExitReason::Exited(code)) => (Some(code), None),
            Some(ExitReason::Signaled(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        Self {
            name: record.phase.as_str(),
            status: record.status.as_str(),
            started_at: record.started_at.map(|at| time(Some(at))),
            ended_at: record.ended_at.map(|at| time(Some(at))),
            duration_ms: duration.map(ms),
            exit_code,
            signal,
            timed_out: record.timed_out,
        }
    }
}

impl ProgressTold {
    /// What of the step at work is told; nothing before the first phase.
    fn new(progress: &StepProgress) -> Option<Self> {
        let StepProgress {
            step,
            bytes_done,
            bytes_total,
            pace,
        } = *progress;
        Some(Self {
            phase: step.phase()?.as_str(),
            step: word(step),
            bytes_done,
            bytes_total,
            bytes_per_second: pace.bytes_per_second,
            eta_seconds: pace.eta_seconds,
        })
    }
}

/// What a step is called on the wire.
fn word(step: Step) -> &'static str {
    match step {
        Step::Prepare => "preparation",
        Step::Script(_) => "script",
        Step::FindArtifact => "artifact",
        Step::Upload => "upload",
        Step::Download => "download",
        Step::PlaceFile => "file",
    }
}

/// The clock may have been set back meanwhile.
pub(super) fn ms(duration: TimeDelta) -> u64 {
    u64::try_from(duration.num_milliseconds()).unwrap_or(0)
}
