//! What a job is at, in a line.

use std::time::Duration;

use serde_json::Value;

use crate::demo::{
    job::Snapshot,
    show::{duration, size},
};

/// Characters of the bar.
const BAR_WIDTH: u64 = 20;
/// Wide enough for `restore (download)`.
const NAME_WIDTH: usize = 19;

/// What is at work, and how far it has come as far as the agent tells.
#[derive(Debug, PartialEq)]
pub(super) struct Doing {
    /// The phase, with the part of it.
    pub(super) name: String,
    done_bytes: Option<u64>,
    total_bytes: Option<u64>,
    bytes_per_second: Option<u64>,
    left: Option<Duration>,
    queue_position: Option<u64>,
}

impl Doing {
    /// As a polling body tells. Agents that tell of no progress are taken as well.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let progress = snapshot.body().get("progress").unwrap_or(&Value::Null);
        let text = |name: &str| {
            progress
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let number = |name: &str| progress.get(name).and_then(whole);
        let name = match (text("phase"), text("step")) {
            (Some(phase), Some("script")) => phase.to_owned(),
            (Some(phase), Some(step)) if step != phase && !step.starts_with(phase) => format!("{phase} ({step})"),
            (_, Some(step)) => step.to_owned(),
            (Some(phase), None) => phase.to_owned(),
            (None, None) => snapshot.activity(),
        };
        Self {
            name,
            done_bytes: number("bytes_done"),
            // Of nothing no part can be told.
            total_bytes: number("bytes_total").filter(|total| *total > 0),
            bytes_per_second: number("bytes_per_second"),
            left: number("eta_seconds").map(Duration::from_secs),
            queue_position: snapshot.body().get("queue_position").and_then(whole),
        }
    }

    /// For a log.
    pub(super) fn line(&self) -> String {
        self.with(None)
    }

    /// For a terminal, with a bar if there is something to measure.
    pub(super) fn bar(&self) -> String {
        let bar = self.percent().map(|percent| {
            let full = percent * BAR_WIDTH / 100;
            let signs = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
            format!("[{}{}]", signs("#", full), signs("-", BAR_WIDTH - full))
        });
        self.with(bar)
    }

    fn percent(&self) -> Option<u64> {
        let (done, total) = (self.done_bytes?, self.total_bytes?);
        u64::try_from(u128::from(done.min(total)) * 100 / u128::from(total)).ok()
    }

    fn with(&self, bar: Option<String>) -> String {
        let mut parts = vec![format!("{:<NAME_WIDTH$}", self.name)];
        parts.extend(bar);
        parts.extend(self.percent().map(|percent| format!("{percent:>3} %")));
        parts.extend(self.done_bytes.map(|done| match self.total_bytes {
            Some(total) => format!("{} of {}", size(done), size(total)),
            None => size(done),
        }));
        parts.extend(self.bytes_per_second.map(|rate| format!("{}/s", size(rate))));
        parts.extend(self.left.map(|left| format!("{} left", duration(left))));
        parts.extend(
            self.queue_position
                .map(|position| format!("place {position} in the queue")),
        );
        parts.join("  ").trim_end().to_owned()
    }
}

/// A number of 0 or more, whichever way it is written.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        // What is out of range becomes the nearest that is not.
        (number >= 0.0).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doing(members: Value) -> Doing {
        let mut body = json!({"status": "RUNNING", "state": "backup"});
        let (Value::Object(body_members), Value::Object(members)) = (&mut body, members) else {
            panic!("objects");
        };
        body_members.extend(members);
        Doing::of(&Snapshot::parse(body).expect("a polling body"))
    }

    #[test]
    fn progress_is_told_as_far_as_it_is_known() {
        let whole = json!({"progress": {"phase": "backup", "step": "upload", "bytes_done": 512 * 1024,
            "bytes_total": 2048 * 1024, "bytes_per_second": 65536.5, "eta_seconds": 24}});
        assert_eq!(
            doing(whole.clone()).line(),
            "backup (upload)       25 %  512.0 KiB of 2.0 MiB  64.0 KiB/s  24.0 s left"
        );
        assert!(doing(whole).bar().contains("  [#####---------------]   25 %  "));
        for (members, expected) in [
            (json!({}), "backup"),
            (json!({"progress": null, "queue_position": null}), "backup"),
            (json!({"progress": "a word"}), "backup"),
            (json!({"progress": {"phase": "backup", "step": "backup"}}), "backup"),
            (json!({"progress": {"phase": "backup", "step": "script"}}), "backup"),
            (
                json!({"progress": {"phase": "backup", "step": "backup (upload)"}}),
                "backup (upload)",
            ),
            (
                json!({"progress": {"step": "upload", "bytes_done": 7, "bytes_total": 0}}),
                "upload               7 bytes",
            ),
            (json!({"progress": {"bytes_done": -1, "eta_seconds": null}}), "backup"),
            (
                json!({"queue_position": 3}),
                "backup               place 3 in the queue",
            ),
        ] {
            assert_eq!(doing(members.clone()).line(), expected, "{members}");
        }
        let more_than_all = json!({"progress": {"bytes_done": 9, "bytes_total": 3}});
        assert!(doing(more_than_all).bar().contains("[####################]  100 %"));
    }
}
