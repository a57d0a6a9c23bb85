//! What a person is told of a job, line by line.

use std::time::Duration;

use super::{
    job::{Failed, JobType, Piece, Snapshot, without_name},
    show::{Mark, size},
};

/// A line for a person: what came out of a phase or of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) name: String,
    /// None if nobody tells.
    pub(crate) took: Option<Duration>,
    pub(crate) note: String,
}

/// Turns snapshots into lines, each phase once, in order; also those that were over before anybody asked.
#[derive(Debug)]
pub(crate) struct Progress {
    phases: &'static [&'static str],
    told: usize,
}

/// What there is of a phase in one place of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Whole,
    Script,
    Transfer,
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
        match snapshot.pieces() {
            Some(pieces) => self.read(&pieces, snapshot),
            None => self.guess(snapshot),
        }
    }

    /// What the agent says. The order is the plan's, which is not the same for all jobs.
    fn read(&mut self, pieces: &[Piece<'_>], snapshot: &Snapshot) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(piece) = pieces.get(self.told) {
            let mark = match piece.status {
                "succeeded" => Mark::Good,
                "failed" => Mark::Bad,
                "skipped" => Mark::Unknown,
                // There is nothing to come any more.
                _ if snapshot.is_finished() => Mark::Unknown,
                _ => break,
            };
            let share = share(pieces, self.told);
            let left_out = "left out";
            lines.extend(told(mark, piece.phase, share, piece.took, left_out, snapshot));
            self.told += 1;
        }
        lines
    }

    /// What can be told of an agent that says no more than which phase is at work.
    fn guess(&mut self, snapshot: &Snapshot) -> Vec<Line> {
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
            let (mark, phase) = (self.mark(self.told, snapshot), self.phases[self.told]);
            let unknown = "left out, or nothing to say";
            lines.extend(told(mark, phase, Share::Whole, None, unknown, snapshot));
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

/// A phase comes in two pieces where the lock is released before the upload, or taken after the download.
fn share(pieces: &[Piece<'_>], index: usize) -> Share {
    let phase = pieces[index].phase;
    let is_there = |others: &[Piece<'_>]| others.iter().any(|other| other.phase == phase);
    let (is_second, is_first) = (is_there(&pieces[..index]), is_there(&pieces[index + 1..]));
    match phase {
        "backup" if is_second => Share::Transfer,
        "restore" if is_first => Share::Transfer,
        _ if is_first || is_second => Share::Script,
        _ => Share::Whole,
    }
}

/// The lines of a phase, or of a piece of it. Where the agent transfers, that has a line of its own.
fn told(
    mark: Mark,
    phase: &str,
    share: Share,
    took: Option<Duration>,
    unknown: &str,
    snapshot: &Snapshot,
) -> Vec<Line> {
    if share == Share::Transfer {
        let transfer = if phase == "backup" { "upload" } else { "download" };
        let note = match mark {
            Mark::Good => transferred(phase, snapshot),
            Mark::Bad | Mark::Unknown => {
                let note = note(mark, phase, unknown, snapshot);
                // The name says that already.
                if note == format!("({transfer})") {
                    String::new()
                } else {
                    note
                }
            }
        };
        let name = format!("{phase} ({transfer})");
        return vec![Line { mark, name, took, note }];
    }
    let script = Line {
        mark,
        name: phase.to_owned(),
        took,
        note: note(mark, phase, unknown, snapshot),
    };
    let has_transfer = mark == Mark::Good && share == Share::Whole && !snapshot.skips_storage();
    let transfer = |name: &str| Line {
        mark,
        name: format!("  {name}"),
        took: None,
        note: transferred(phase, snapshot),
    };
    // The agent downloads before the script of the phase runs, and uploads after it.
    match phase {
        "restore" if has_transfer => vec![transfer("download"), script],
        "backup" if has_transfer => vec![script, transfer("upload")],
        _ => vec![script],
    }
}

fn transferred(phase: &str, snapshot: &Snapshot) -> String {
    if phase == "backup" {
        format!("{}, {}", snapshot.filename, size(snapshot.size_bytes))
    } else {
        "complete".to_owned()
    }
}

/// The last thing that the script said, or why it came to nothing.
fn note(mark: Mark, phase: &str, unknown: &str, snapshot: &Snapshot) -> String {
    let last = |stream| snapshot.output(phase, stream).lines().last();
    let note = match mark {
        Mark::Good => last("log").unwrap_or_default(),
        Mark::Unknown => unknown,
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

    #[test]
    fn an_agent_that_tells_of_phases_is_believed_and_not_guessed_at() {
        let phases = |statuses: [&str; 5]| -> Value {
            let entries = BACKUP.phases.iter().zip(statuses);
            entries
                .map(|(name, status)| json!({"name": name, "status": status, "duration_ms": 7}))
                .collect()
        };
        let mut progress = Progress::of(&BACKUP);
        // The state is behind: what is waiting is not over.
        let waiting = snapshot(json!({ "status": "RUNNING", "state": "post-backup-unlock",
            "phases": phases(["succeeded", "waiting", "waiting", "waiting", "waiting"]) }));
        let lines = progress.advance(&waiting);
        assert_eq!(names(&lines), [(Mark::Good, "pre-backup-lock")]);
        assert_eq!(lines[0].took, Some(Duration::from_millis(7)));
        assert_eq!(progress.advance(&waiting), [], "nothing is told twice");
        let ended = snapshot(
            json!({ "status": "FAILED", "state": "finished", "pre_backup_check_log": "all is well",
            "phases": phases(["succeeded", "failed", "skipped", "succeeded", "a new word"]) }),
        );
        let marks: Vec<Mark> = progress.advance(&ended).iter().map(|line| line.mark).collect();
        assert_eq!(marks, [Mark::Bad, Mark::Unknown, Mark::Good, Mark::Unknown]);
    }

    #[test]
    fn what_scripts_move_is_no_upload() {
        let ended = snapshot(json!({ "status": "SUCCEEDED", "state": "finished", "skip_storage": true }));
        let lines = Progress::of(&BACKUP).advance(&ended);
        assert_eq!(
            names(&lines),
            BACKUP.phases.iter().map(|name| (Mark::Good, *name)).collect::<Vec<_>>()
        );
    }
}
