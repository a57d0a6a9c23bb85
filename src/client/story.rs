//! What a person is told of a job: each phase when it is over, what is at work, and how it ended.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    doing::Doing,
    watch::{JobName, Polled},
};
use crate::{
    demo::{
        job::JobType,
        progress::{Line, Progress},
        show::{Mark, duration, size},
    },
    out::Out,
};

/// How often a log gets a line of what goes on for long.
const PLAIN_PAUSE: Duration = Duration::from_secs(30);
/// Wide enough for the longest name of a phase.
const NAME_WIDTH: usize = 19;

/// Tells what is new.
#[derive(Debug)]
pub(super) struct Story {
    progress: Progress,
    began: Instant,
    told: Option<(String, Instant)>,
}

impl Story {
    /// Of a job that nothing was told of yet.
    pub(super) fn of(job_type: &JobType) -> Self {
        Self {
            progress: Progress::of(job_type),
            began: Instant::now(),
            told: None,
        }
    }

    /// Tells what is over, and what is at work.
    pub(super) fn tell(&mut self, polled: &Polled, out: &Out) {
        for line in self.progress.advance(&polled.snapshot) {
            out.line(&phase(&line));
        }
        if polled.snapshot.is_finished() {
            out.clear();
            return;
        }
        let doing = Doing::of(&polled.snapshot);
        let elapsed = duration(self.began.elapsed());
        if out.is_live() {
            out.doing(&format!("  … {}  {elapsed}", doing.bar()));
        } else if self.is_news(&doing.name) {
            out.line(&format!("  … {}  {elapsed}", doing.line()));
        }
    }

    fn is_news(&mut self, name: &str) -> bool {
        let is_known = matches!(&self.told, Some((told, at)) if told == name && at.elapsed() < PLAIN_PAUSE);
        if !is_known {
            self.told = Some((name.to_owned(), Instant::now()));
        }
        !is_known
    }
}

/// A phase that is over, with how long it took where the agent tells that.
fn phase(line: &Line) -> String {
    let mark = match line.mark {
        Mark::Good => "✓",
        Mark::Bad => "✗",
        Mark::Unknown => "·",
    };
    let time = line.took.map_or_else(String::new, duration);
    format!("  {mark} {:<NAME_WIDTH$}  {time:>9}  {}", line.name, line.note)
        .trim_end()
        .to_owned()
}

/// Whether all went well.
pub(super) fn succeeded(polled: &Polled) -> bool {
    polled.snapshot.status == "SUCCEEDED"
}

/// Whether the job ended because it was told to, and left no lock behind.
pub(super) fn was_cancelled(polled: &Polled) -> bool {
    let outcome = polled.snapshot.body().get("outcome").and_then(Value::as_str);
    outcome == Some("cancelled") && !may_be_locked(polled)
}

/// Whether the job took a lock, or may have, and did not release it. Of a job that locked nothing there is nothing to
/// tell.
pub(super) fn may_be_locked(polled: &Polled) -> bool {
    let lock_released = polled.snapshot.body().get("lock_released");
    lock_released.and_then(Value::as_bool) == Some(false)
}

/// What a job is at, or how it ended, in the middle of a sentence.
pub(super) fn state(polled: &Polled) -> String {
    if polled.snapshot.is_finished() {
        format!("has ended: {}", outcome(polled))
    } else {
        format!("is at work: {}", Doing::of(&polled.snapshot).line())
    }
}

/// How a job ended. Agents that tell of no outcome tell whether all went well.
pub(super) fn outcome(polled: &Polled) -> &str {
    let outcome = polled.snapshot.body().get("outcome").and_then(Value::as_str);
    outcome.unwrap_or(if succeeded(polled) { "succeeded" } else { "failed" })
}

/// Shows the job as it is now, and its body if that is wanted.
pub(super) fn show(job: &JobName, polled: &Polled, out: &Out) {
    let snapshot = &polled.snapshot;
    if !snapshot.is_finished() {
        out.line(&format!("{job} {}", state(polled)));
    } else if succeeded(polled) {
        out.line(&format!("{job} succeeded{}{}", time(polled), artifact(polled)));
    } else {
        let (outcome, time) = (outcome(polled), time(polled));
        out.line(&format!("{job}: {outcome}{time}: {}", snapshot.error_message));
        for line in snapshot.errors(job.job_type.phases) {
            out.line(&format!("    {line}"));
        }
    }
    out.json(&polled.text);
}

fn time(polled: &Polled) -> String {
    let millis = polled.snapshot.body().get("execution_time_ms").and_then(Value::as_u64);
    millis.map_or_else(String::new, |millis| {
        format!(" after {}", duration(Duration::from_millis(millis)))
    })
}

/// What is in the store now; of a restore nothing is.
fn artifact(polled: &Polled) -> String {
    let snapshot = &polled.snapshot;
    if snapshot.filename.is_empty() {
        return String::new();
    }
    let digest = snapshot.body().get("sha256").and_then(Value::as_str);
    let digest = digest.map_or_else(String::new, |digest| format!(", SHA-256 {digest}"));
    format!(": {}, {}{digest}", snapshot.filename, size(snapshot.size_bytes))
}
