//! A script that was played, and how it went.

use std::time::Duration;

use domain::{
    job::{EX_TEMPFAIL, ExitReason, JobKey},
    plan::Phase,
    ports::{ScriptError, ScriptOutcome},
};

/// Why a script was ended before it came to its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The rehearsal wanted it so.
    Killed,
    /// It took longer than a script may.
    TooLong(Duration),
    /// Somebody has had enough.
    Interrupted,
}

/// One run of one script.
#[derive(Debug, Clone)]
pub(super) struct Played {
    /// What it was part of.
    pub(super) scene: String,
    pub(super) job: JobKey,
    pub(super) phase: Phase,
    pub(super) outcome: Result<ScriptOutcome, ScriptError>,
    pub(super) cut: Option<Cut>,
    pub(super) elapsed: Duration,
}

impl Played {
    pub(super) fn is_success(&self) -> bool {
        matches!(&self.outcome, Ok(outcome) if outcome.exit.is_success() && !outcome.was_halted)
    }

    /// Whether it is a lock script that says that it took nothing.
    pub(super) fn says_lock_is_taken(&self) -> bool {
        matches!(&self.outcome, Ok(outcome) if outcome.exit == ExitReason::Exited(EX_TEMPFAIL))
    }

    /// Whether it was ended before it came to its own end.
    pub(super) fn was_cut(&self) -> bool {
        !matches!(&self.outcome, Ok(outcome) if !outcome.was_halted)
    }

    /// `exit code 1`, or why there is none.
    pub(super) fn exit(&self) -> String {
        match (&self.outcome, self.cut) {
            (Ok(outcome), Some(Cut::Killed)) if outcome.was_halted => "killed, as intended".to_owned(),
            (Ok(outcome), Some(Cut::TooLong(limit))) if outcome.was_halted => {
                format!(
                    "ended after {} s, the longest that a script may take (--time-limit)",
                    limit.as_secs()
                )
            }
            (Ok(outcome), Some(Cut::Interrupted)) if outcome.was_halted => "interrupted".to_owned(),
            (Ok(outcome), _) => outcome.exit.to_string(),
            (Err(error), _) => error.to_string(),
        }
    }

    /// How it ended, with the last that it said.
    pub(super) fn how(&self) -> String {
        match self.last_words() {
            "" => format!("{}: {}", self.phase, self.exit()),
            words => format!("{}: {}: {words}", self.phase, self.exit()),
        }
    }

    /// The last line that it wrote, of errors if there are any.
    pub(super) fn last_words(&self) -> &str {
        let Ok(outcome) = &self.outcome else { return "" };
        let has_errors = !outcome.log.stderr.trim().is_empty();
        let stream = if has_errors {
            &outcome.log.stderr
        } else {
            &outcome.log.stdout
        };
        stream.trim_end().lines().last().unwrap_or_default()
    }

    /// Both streams.
    pub(super) fn output(&self) -> [(&'static str, &str); 2] {
        match &self.outcome {
            Ok(outcome) => [
                ("standard output", &outcome.log.stdout),
                ("standard error", &outcome.log.stderr),
            ],
            Err(_) => [("standard output", ""), ("standard error", "")],
        }
    }
}
