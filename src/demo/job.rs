//! What can be seen of a job over HTTP.

use std::time::Duration;

use serde_json::Value;

/// A type of job, as clients know it.
#[derive(Debug)]
pub(crate) struct JobType {
    /// The method that starts one.
    pub(crate) method: &'static str,
    /// Where.
    pub(crate) path: &'static str,
    /// Its phases, in order.
    pub(crate) phases: &'static [&'static str],
}

/// From the data to the destination.
pub(crate) const BACKUP: JobType = JobType {
    method: "POST",
    path: "/backup",
    phases: &[
        "pre-backup-lock",
        "pre-backup-check",
        "backup",
        "backup-cleanup",
        "post-backup-unlock",
    ],
};

/// And back.
pub(crate) const RESTORE: JobType = JobType {
    method: "PUT",
    path: "/restore",
    phases: &["pre-restore-lock", "restore", "restore-cleanup", "post-restore-unlock"],
};

/// Lines of a script's error output that are worth showing.
const ERROR_LINES: usize = 5;

/// One answer to a poll.
#[derive(Debug)]
pub(crate) struct Snapshot {
    body: Value,
    /// `RUNNING`, `SUCCEEDED` or `FAILED`.
    pub(crate) status: String,
    /// The phase at work, `queued` or `finished`.
    pub(crate) state: String,
    /// Empty as long as all is well.
    pub(crate) error_message: String,
    /// Empty until the object is safe.
    pub(crate) filename: String,
    /// Of the object.
    pub(crate) size_bytes: u64,
}

impl Snapshot {
    /// Reads a polling body; none if it is something else.
    pub(crate) fn parse(body: Value) -> Option<Self> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            status: text("status")?,
            state: text("state")?,
            error_message: text("error_message").unwrap_or_default(),
            filename: text("filename").unwrap_or_default(),
            size_bytes: body
                .pointer("/filesize/size")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            body,
        })
    }

    /// All of it.
    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.status != "RUNNING"
    }

    /// The phase at work, and what the agent is at in it as far as that can be told.
    pub(crate) fn activity(&self) -> String {
        let script_is_through = self.state == "backup" && !self.output("backup", "log").is_empty();
        if script_is_through {
            "backup (upload)".to_owned()
        } else {
            self.state.clone()
        }
    }

    /// The ends of what the scripts wrote to standard error, by phase.
    pub(crate) fn errors(&self, phases: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        for phase in phases {
            let said: Vec<&str> = self.output(phase, "errorlog").lines().collect();
            let end = &said[said.len().saturating_sub(ERROR_LINES)..];
            lines.extend(end.iter().map(|line| format!("{phase}: {}", without_name(line, phase))));
        }
        lines
    }

    /// What the error message says of a phase. It names each that failed: `backup: the script ...; then ...`, or with
    /// the part of it that failed, `backup (upload): ...`.
    pub(crate) fn failure(&self, phase: &str) -> Option<Failed<'_>> {
        self.error_message.split("; then ").find_map(|clause| {
            let rest = clause.strip_prefix(phase)?;
            let script = rest.strip_prefix(": ").map(Failed::Script);
            script.or_else(|| rest.strip_prefix(' ').map(Failed::Part))
        })
    }

    /// How the phases go, in the order in which they run; none if the agent is older than that.
    pub(crate) fn pieces(&self) -> Option<Vec<Piece<'_>>> {
        let phases = self
            .body
            .get("phases")?
            .as_array()
            .filter(|phases| !phases.is_empty())?;
        phases.iter().map(Piece::of).collect()
    }

    /// Whether the scripts move the bytes, and not the agent.
    pub(crate) fn skips_storage(&self) -> bool {
        self.body.get("skip_storage").and_then(Value::as_bool) == Some(true)
    }

    /// What a phase's script wrote to one of its two streams, `log` or `errorlog`.
    pub(crate) fn output(&self, phase: &str, stream: &str) -> &str {
        let member = format!("{}_{stream}", phase.replace('-', "_"));
        self.body.get(member).and_then(Value::as_str).unwrap_or_default().trim()
    }
}

/// A phase, or one of the two pieces in which it comes where its transfer is not next to its script.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// The phase.
    pub(crate) phase: &'a str,
    /// `waiting`, `running`, `succeeded`, `failed` or `skipped`.
    pub(crate) status: &'a str,
    /// None if it has not begun.
    pub(crate) took: Option<Duration>,
}

impl<'a> Piece<'a> {
    fn of(entry: &'a Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        Some(Self {
            phase: text("name")?,
            status: text("status")?,
            took: entry
                .get("duration_ms")
                .and_then(Value::as_u64)
                .map(Duration::from_millis),
        })
    }
}

/// How a phase failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed<'a> {
    /// In its script.
    Script(&'a str),
    /// In what the agent does beside the script.
    Part(&'a str),
}

/// Scripts begin their errors with their own name, which stands beside them here.
pub(crate) fn without_name<'a>(line: &'a str, phase: &str) -> &'a str {
    let rest = line.strip_prefix(phase).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(body: Value) -> Snapshot {
        Snapshot::parse(body).expect("a polling body")
    }

    #[test]
    fn an_error_message_tells_which_phases_failed() {
        let body = json!({
            "status": "FAILED",
            "state": "finished",
            "error_message": "backup (upload): no route; then backup-cleanup: the script ended with exit code 1",
        });
        let snapshot = snapshot(body);
        for (phase, expected) in [
            ("pre-backup-lock", None),
            ("backup", Some(Failed::Part("(upload): no route"))),
            (
                "backup-cleanup",
                Some(Failed::Script("the script ended with exit code 1")),
            ),
        ] {
            assert_eq!(snapshot.failure(phase), expected, "{phase}");
        }
    }

    #[test]
    fn what_is_no_polling_body_is_no_snapshot() {
        for body in [
            json!(null),
            json!({ "message": "no" }),
            json!({ "status": 1, "state": "queued" }),
        ] {
            assert!(Snapshot::parse(body.clone()).is_none(), "{body}");
        }
    }

    #[test]
    fn errors_of_scripts_are_shown_by_phase_and_not_at_full_length() {
        let said = "1\n2\n3\n4\n5\nrestore: 6\n";
        let body = json!({ "status": "FAILED", "state": "finished", "restore_errorlog": said });
        let errors = snapshot(body).errors(RESTORE.phases);
        let expected = ["2", "3", "4", "5", "6"].map(|line| format!("restore: {line}"));
        assert_eq!(errors, expected);
    }
}
