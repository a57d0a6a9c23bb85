//! What is written down of a script at work, so that a later agent finds what an earlier one left.
//!
//! One small file per job, as lines of `name=value`. It is there for an agent that was killed, not
//! for a machine that was: after a boot no process is left, so nothing is forced to the disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use domain::{
    job::JobKey,
    plan::{Phase, Role},
    script::ScriptCall,
};

use super::{
    supervisor::{PID_DIGITS, PidPlace},
    table::Identity,
    tree::Tree,
};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The record of one script at work.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: File,
}

/// What an earlier agent wrote down.
#[derive(Debug)]
pub(super) struct Leftover {
    path: PathBuf,
    /// The phase of the script, as it was written.
    pub(super) phase: String,
    /// What the script's processes can be told by.
    pub(super) tree: Tree,
    /// Whether the machine was started anew since.
    pub(super) is_of_another_boot: bool,
    /// What is missing in it; empty if it is whole.
    pub(super) damage: Vec<&'static str>,
}

impl Record {
    /// Writes the record of a script that is about to be started, and says where the supervisor is
    /// to write its pid.
    pub(super) fn create(directory: &Path, call: &ScriptCall, marker: &str) -> io::Result<(Self, PidPlace)> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = path(directory, &call.job);
        let boot = boot_id()?;
        let start = format!("boot={boot}\nrun={marker}\nphase={}\nsupervisor=", call.phase);
        let text = format!("{start}{}\n", "0".repeat(PID_DIGITS));
        // Put in its place as a whole, and as a file of its own: nobody sees half of it, and nobody
        // who still watches an earlier script removes this one.
        let new = directory.join(format!(".{marker}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| file.try_clone());
        let place = written.inspect_err(|_| {
            // What was not written in full is no record; which of the two is there matters little.
            let _ = fs::remove_file(&new);
        })?;
        let place = PidPlace {
            file: place,
            offset: start.len() as u64,
            is_required: is_required(call.phase),
        };
        Ok((Self { path, file }, place))
    }

    /// Adds what is known once the script was started.
    pub(super) fn complete(&mut self, supervisor_started: Option<u64>, leader: Option<Identity>) {
        let mut text = String::new();
        if let Some(started) = supervisor_started {
            text += &format!("supervisor_started={started}\n");
        }
        if let Some(Identity { pid, started }) = leader {
            text += &format!("leader={pid}\nleader_started={started}\n");
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            tracing::warn!(
                %error, record = %self.path.display(),
                "cannot complete the record of a script at work; if the agent is killed now, what is left of the \
                 script may not be found in full"
            );
        }
    }

    /// Removes the record of a script that has ended.
    pub(super) fn remove(self) {
        let is_this = |found: &fs::Metadata, own: &fs::Metadata| (found.dev(), found.ino()) == (own.dev(), own.ino());
        let result = match (fs::symlink_metadata(&self.path), self.file.metadata()) {
            (Ok(found), Ok(own)) if is_this(&found, &own) => remove_if_there(&self.path),
            // Another script of the job has its record there.
            (Ok(_), Ok(_)) => Ok(()),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        warn_if_kept(&self.path, result);
    }
}

impl Leftover {
    /// Reads the record of a job; none if there is none.
    pub(super) fn read(directory: &Path, job: &JobKey) -> io::Result<Option<Self>> {
        let path = path(directory, job);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let boot = boot_id()?;
        Ok(Some(Self::parse(path, &String::from_utf8_lossy(&text), &boot)))
    }

    pub(super) fn parse(path: PathBuf, text: &str, current_boot: &str) -> Self {
        // What has no end of line was not written in full.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
        let text = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let number = |wanted: &str| text(wanted).and_then(|value| value.parse::<u64>().ok());
        let pid = |wanted: &str| number(wanted).and_then(|pid| i32::try_from(pid).ok());
        let marker = text("run").filter(|marker| uuid::Uuid::parse_str(marker).is_ok());
        let supervisor = pid("supervisor");
        let mut damage = Vec::new();
        for (name, is_there) in [
            ("boot", text("boot").is_some()),
            ("run", marker.is_some()),
            ("phase", text("phase").is_some()),
            ("supervisor", supervisor.is_some()),
        ] {
            if !is_there {
                damage.push(name);
            }
        }
        Self {
            path,
            phase: text("phase").unwrap_or("unknown").to_owned(),
            is_of_another_boot: text("boot").is_some_and(|boot| boot != current_boot),
            tree: Tree {
                // None if it was never started; what comes of it has the marker.
                supervisor: supervisor.filter(|pid| *pid > 1),
                supervisor_started: number("supervisor_started"),
                leader: pid("leader")
                    .filter(|pid| *pid > 1)
                    .zip(number("leader_started"))
                    .map(|(pid, started)| Identity { pid, started }),
                marker: marker.map(str::to_owned),
                ..Tree::default()
            },
            damage,
        }
    }

    /// Removes the record of which nothing lives any more.
    pub(super) fn remove(self) {
        let result = remove_if_there(&self.path);
        warn_if_kept(&self.path, result);
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a script may not run without a record. What cleans up or unlocks is owed to the service,
/// and is better run unrecorded than not at all.
pub(super) fn is_required(phase: Phase) -> bool {
    match phase.role() {
        Role::Lock | Role::Check | Role::Work => true,
        Role::Cleanup | Role::Unlock => false,
    }
}

/// The record of a job; an id is fit for the name of a file.
pub(super) fn path(directory: &Path, job: &JobKey) -> PathBuf {
    directory.join(format!("{}.{}", job.kind, job.id))
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim().to_owned())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn warn_if_kept(path: &Path, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(
            %error, record = %path.display(),
            "cannot remove the record of a script that has ended; remove it by hand"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "boot=b\nrun=5c2fb9d5-2a7f-4f0f-8f53-6f0c3b7d6a11\nphase=backup\nsupervisor=0000000123\n\
                         supervisor_started=9\nleader=124\nleader_started=10\n";

    fn parse(text: &str) -> Leftover {
        Leftover::parse("/records/backup.a".into(), text, "b")
    }

    #[test]
    fn a_whole_record_is_read_as_it_was_written() {
        let leftover = parse(WHOLE);
        assert!(leftover.damage.is_empty() && !leftover.is_of_another_boot);
        assert_eq!(leftover.phase, "backup");
        assert_eq!(leftover.tree.supervisor, Some(123));
        assert_eq!(leftover.tree.supervisor_started, Some(9));
        assert_eq!(leftover.tree.leader, Some(Identity { pid: 124, started: 10 }));
        assert!(parse(&WHOLE.replace("boot=b", "boot=c")).is_of_another_boot);
    }

    #[test]
    fn of_a_damaged_record_all_is_taken_that_can_be_read() {
        for length in 0..WHOLE.len() {
            let (leftover, text) = (parse(&WHOLE[..length]), &WHOLE[..length]);
            let has = |line: &str| text.contains(line);
            assert!(!leftover.is_of_another_boot, "{text}");
            assert_eq!(leftover.tree.marker.is_some(), has("6a11\n"), "{text}");
            assert_eq!(leftover.tree.supervisor.is_some(), has("0123\n"), "{text}");
            assert_eq!(leftover.tree.leader.is_some(), has("leader_started=10\n"), "{text}");
            assert_eq!(leftover.damage.is_empty(), has("0123\n"), "{text}");
        }
        for text in [
            "\0\0\0\n",
            "supervisor=x\nleader=-5\nleader_started=\n",
            "supervisor=0\nleader=1\nleader_started=1\n",
        ] {
            let leftover = parse(text);
            assert_eq!(
                (leftover.tree.supervisor, leftover.tree.leader),
                (None, None),
                "{text:?}"
            );
            assert!(!leftover.damage.is_empty(), "{text:?}");
        }
    }
}
