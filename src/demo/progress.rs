//! What a person is told of a job, line by line.

use super::{
    job::{Failed, JobType, Snapshot, without_name},
    show::{Mark, size},
};

/// A line for a person: what came out of a phase or of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) name: String,
    pub(crate) note: String,
}

/// Turns snapshots into lines, each phase once, in order; also those that were over before anybody asked.
#[derive(Debug)]
pub(crate) struct Progress {
    phases: &'static [&'static str],
    told: usize,
}

impl Progress {
    /// For a job that has just been started.
    pub(crate) fn of(job_type: &JobType) -> Self {
        Self {
            phases: job_type.phases,
            told: 0,
        }
    }

    /// What is over as of this snapshot and was not told yet.
    pub(crate) fn advance(&mut self, snapshot: &Snapshot) -> Vec<Line> {
        let over = if snapshot.is_finished() {
            self.phases.len()
        } else {
            self.phases
                .iter()
                .position(|&phase| phase == snapshot.state)
                .unwrap_or(self.told)
        };
        let mut lines = Vec::new();
        while self.told < over {
            let phase = self.phases[self.told];
            let mark = self.mark(self.told, snapshot);
            // The agent downloads before the script of the phase runs, and uploads after it.
            if mark == Mark::Good && phase == "restore" {
                lines.push(transfer("download", "complete".to_owned()));
            }
            lines.push(Line {
                mark,
                name: phase.to_owned(),
                note: note(mark, phase, snapshot),
            });
            if mark == Mark::Good && phase == "backup" {
                lines.push(transfer(
                    "upload",
                    format!("{}, {}", snapshot.filename, size(snapshot.size_bytes)),
                ));
            }
            self.told += 1;
        }
        lines
    }

    /// After the first failure the rest of the plan is left out but for what cleans up; a script that said something did
    /// run, of the others nobody can tell.
    fn mark(&self, index: usize, snapshot: &Snapshot) -> Mark {
        let phase = self.phases[index];
        let first_failed = self.phases.iter().position(|phase| snapshot.failure(phase).is_some());
        let has_said_something = ["log", "errorlog"]
            .iter()
            .any(|stream| !snapshot.output(phase, stream).is_empty());
        if snapshot.failure(phase).is_some() {
            Mark::Bad
        } else if snapshot.error_message.is_empty()
            || first_failed.is_some_and(|first| index < first)
            || has_said_something
        {
            Mark::Good
        } else {
            Mark::Unknown
        }
    }
}

fn transfer(name: &str, note: String) -> Line {
    Line {
        mark: Mark::Good,
        name: format!("  {name}"),
        note,
    }
}

/// The last thing that the script said, or why it came to nothing.
fn note(mark: Mark, phase: &str, snapshot: &Snapshot) -> String {
    let last = |stream| snapshot.output(phase, stream).lines().last();
    let note = match mark {
        Mark::Good => last("log").unwrap_or_default(),
        Mark::Unknown => "left out, or nothing to say",
        Mark::Bad => match snapshot.failure(phase) {
            // The script failed, and knows best why.
            Some(Failed::Script(how)) => last("errorlog").unwrap_or(how),
            // Which part it was; the whole of it, a long line mostly, stands at the end of the story.
            Some(Failed::Part(how)) => how.split_once(':').map_or(how, |(part, _)| part),
            None => "",
        },
    };
    without_name(note, phase).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::job::BACKUP;

    fn snapshot(body: Value) -> Snapshot {
        Snapshot::parse(body).expect("a polling body")
    }

    fn names(lines: &[Line]) -> Vec<(Mark, &str)> {
        lines.iter().map(|line| (line.mark, line.name.as_str())).collect()
    }

    #[test]
    fn phases_that_were_over_before_anybody_asked_are_told_all_the_same() {
        let mut progress = Progress::of(&BACKUP);
        let queued = snapshot(json!({ "status": "RUNNING", "state": "queued" }));
        assert_eq!(progress.advance(&queued), []);

        let uploading = snapshot(json!({
            "status": "RUNNING", "state": "backup", "backup_log": "done\n", "pre_backup_lock_log": "a\nlocked\n",
        }));
        let lines = progress.advance(&uploading);
        assert_eq!(
            names(&lines),
            [(Mark::Good, "pre-backup-lock"), (Mark::Good, "pre-backup-check")]
        );
        assert_eq!(lines[0].note, "locked");
        assert_eq!(progress.advance(&uploading), [], "nothing is told twice");
        assert_eq!(uploading.activity(), "backup (upload)");

        let finished = snapshot(json!({
            "status": "SUCCEEDED", "state": "finished", "filename": "a.tar.gz", "filesize": { "size": 2048 },
        }));
        let lines = progress.advance(&finished);
        let good = ["backup", "  upload", "backup-cleanup", "post-backup-unlock"].map(|name| (Mark::Good, name));
        assert_eq!(names(&lines), good);
        assert_eq!(lines[1].note, "a.tar.gz, 2.0 KiB");
    }

    #[test]
    fn a_failure_is_told_where_it_happened() {
        use Mark::{Bad, Good, Unknown};
        for (error_message, expected, why) in [
            (
                "backup: the script ended",
                [Good, Good, Bad, Good, Unknown],
                "no space left",
            ),
            (
                "backup (upload): no route",
                [Good, Good, Bad, Good, Unknown],
                "(upload)",
            ),
            (
                "pre-backup-check: x; then post-backup-unlock: y",
                [Good, Bad, Unknown, Good, Bad],
                "x",
            ),
            ("preparation: no script", [Unknown, Unknown, Unknown, Good, Unknown], ""),
        ] {
            let body = json!({
                "status": "FAILED",
                "state": "finished",
                "error_message": error_message,
                "backup_errorlog": if error_message.starts_with("backup") { "backup: no space left\n" } else { "" },
                "backup_cleanup_log": "removed",
            });
            let lines = Progress::of(&BACKUP).advance(&snapshot(body));
            let marks: Vec<Mark> = lines.iter().map(|line| line.mark).collect();
            assert_eq!(marks, expected, "{error_message}");
            let first_bad = lines.iter().find(|line| line.mark == Bad);
            assert_eq!(first_bad.map_or("", |line| &line.note), why, "{error_message}");
        }
    }
}
