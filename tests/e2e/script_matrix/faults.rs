//! The list of faults, and what is promised of each.

use serde_json::{Value, json};

use crate::harness::Kind;

/// A way in which a script goes wrong, or seems to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// What the script does before its own work. It writes the process ids of what it starts, or of
    /// itself, to `$trace/$job.left`; what it leaves behind adds to `$trace/$job.beats` all the time,
    /// and ends with the place.
    pub(super) work: &'static str,
    pub(super) verdict: Verdict,
    pub(super) left: Left,
    pub(super) said: Said,
}

/// What the agent makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is started at all.
    Refused,
    /// The script ended by itself and failed; in the words of `error_message`.
    Failed(&'static str),
    /// As `Failed`; and a lock script says by it that it took nothing.
    Busy(&'static str),
    /// The agent ended it, after [`LIMIT`].
    Ended,
    /// It is no fault.
    Fine,
}

/// What is left of the script when the unlock script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It started nothing that could be left.
    Nothing,
    /// All that it started is gone, however it hid.
    Gone,
    /// It ended by itself, so what it left behind lives: it may be what holds the lock.
    Lives,
}

/// What the polling body shows of what the script wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Not looked at.
    Nothing,
    /// This, on standard output.
    Out(&'static str),
    /// Far more than is kept, on standard error.
    Flood,
}

/// `phase_timeout` of the agents whose script hangs; the others have none. Long enough for the
/// scripts around it on a busy machine.
pub(super) const LIMIT: &str = "3s";

/// In this order each fault meets a phase on the diagonal at which it is worth the most: the one that
/// holds a lock and exit code 75 a lock script, the worker of another user the restore.
pub(super) const FAULTS: &[Fault] = &[
    Fault {
        work: r#"(while echo x >>"$trace/$job.beats"; do sleep 0.05; done) >/dev/null 2>&1 &
            echo $! >"$trace/$job.left""#,
        left: Left::Lives,
        ..fine("holds its lock by a background process")
    },
    Fault {
        work: r#"echo $$ >"$trace/$job.left"; sleep 1000"#,
        ..hangs("hangs")
    },
    Fault {
        work: r#"trap '' TERM; echo $$ >"$trace/$job.left"; while [ -d "$trace" ]; do sleep 0.05; done"#,
        ..hangs("ignores TERM")
    },
    Fault {
        work: r#"env -i setsid bash -c 'while [ -d "$0" ]; do sleep 0.05; done' "$trace" &
            echo $! $$ >"$trace/$job.left"; wait"#,
        ..hangs("waits for a worker that hides")
    },
    fails("is killed", "kill -KILL $$", "signal 9 (SIGKILL)"),
    Fault {
        verdict: Verdict::Busy("exit code 75"),
        ..fails("exit 75", "exit 75", "")
    },
    Fault {
        work: r#"su - "$E2E_OTHER_USER" -s /bin/sh -c "echo \$\$; while [ -d '$trace' ]; do sleep 0.05; done" \
            >"$trace/$job.left""#,
        ..hangs(BY_SU)
    },
    Fault {
        work: r#"yes | head -c "${E2E_FLOOD_MIB}M" >&2"#,
        said: Said::Flood,
        ..fine("floods its error output")
    },
    fails("exit 127", "exit 127", "exit code 127"),
    Fault {
        verdict: Verdict::Refused,
        ..fine("is missing")
    },
    fails("exit 1", "exit 1", "exit code 1"),
    Fault {
        work: r#"env -i setsid bash -c 'while echo x >>"$0.beats"; do sleep 0.05; done' "$trace/$job" &
            echo $! >"$trace/$job.left"; kill -KILL $$"#,
        left: Left::Lives,
        ..fails("is killed beside its worker", "", "signal 9 (SIGKILL)")
    },
    Fault {
        // Nobody listens to it any more, but it must neither block on that nor end by it.
        work: r#"(while head -c 100000 /dev/zero && head -c 100000 /dev/zero >&2 && echo x >>"$trace/$job.beats"; do
              sleep 0.05
            done) &
            echo $! >"$trace/$job.left""#,
        left: Left::Lives,
        ..fine("leaves its output open")
    },
    Fault {
        work: r#"printf 'A\0\xff\xfe\xc3(\xe2\x82'"#,
        said: Said::Out("A\0\u{fffd}\u{fffd}\u{fffd}(\u{fffd}"),
        ..fine("writes what is no UTF-8")
    },
    fails("exit 2", "exit 2", "exit code 2"),
    fails("exit 126", "exit 126", "exit code 126"),
];

pub(super) const BY_SU: &str = "waits for a worker of another user";

const fn fine(name: &'static str) -> Fault {
    Fault {
        name,
        work: "",
        verdict: Verdict::Fine,
        left: Left::Nothing,
        said: Said::Nothing,
    }
}

const fn hangs(name: &'static str) -> Fault {
    Fault {
        verdict: Verdict::Ended,
        left: Left::Gone,
        ..fine(name)
    }
}

const fn fails(name: &'static str, work: &'static str, said: &'static str) -> Fault {
    Fault {
        work,
        verdict: Verdict::Failed(said),
        ..fine(name)
    }
}

/// What is promised of a job in one phase of which a fault strikes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) succeeds: bool,
    pub(super) ran: Vec<&'static str>,
    /// Not there if no lock was taken.
    pub(super) lock_released: Option<bool>,
    /// `error_message` has this as its only failure.
    pub(super) said: String,
}

/// The table "What happens on failure", read aloud.
pub(super) fn expected(kind: Kind, phase: &'static str, verdict: Verdict) -> Expected {
    let phases = kind.phases();
    let at = phases.iter().position(|known| *known == phase).expect("of this kind");
    let owed = |later: &&&str| [kind.cleanup(), kind.unlock()].contains(later);
    let with_what_is_owed = || {
        let later = phases[at + 1..].iter().filter(owed);
        phases[..=at].iter().chain(later).copied().collect()
    };
    let is_released = Some(phase != kind.unlock());
    let ended_with = |why| format!("{phase}: the script ended with {why}");
    let (ran, lock_released, said) = match verdict {
        Verdict::Fine => {
            return Expected {
                succeeds: true,
                ran: phases.to_vec(),
                lock_released: Some(true),
                said: String::new(),
            };
        }
        Verdict::Refused => (Vec::new(), None, format!("preparation: no script for {phase} in ")),
        Verdict::Busy(why) if phase == kind.lock() => (vec![phase], None, ended_with(why)),
        Verdict::Failed(why) | Verdict::Busy(why) => (with_what_is_owed(), is_released, ended_with(why)),
        Verdict::Ended => (
            with_what_is_owed(),
            is_released,
            format!("{phase}: ended by the agent after {LIMIT}"),
        ),
    };
    Expected {
        succeeds: false,
        ran,
        lock_released,
        said,
    }
}

impl Expected {
    /// As [`outline`] of the polling body.
    pub(super) fn outline(&self) -> [Value; 4] {
        let (status, outcome) = if self.succeeds {
            ("SUCCEEDED", "succeeded")
        } else {
            ("FAILED", "failed")
        };
        [
            json!(status),
            json!(outcome),
            json!("finished"),
            json!(self.lock_released),
        ]
    }
    /// That the message begins with what failed, or with the lock that somebody must see to, and tells
    /// of nothing else that went wrong.
    #[track_caller]
    pub(super) fn assert_message(&self, message: &str, name: &str) {
        let before = if self.lock_released == Some(false) {
            "THE LOCK WAS NOT RELEASED, "
        } else {
            &self.said
        };
        let is_as_promised =
            message.starts_with(before) && message.contains(&self.said) && !message.contains("; then ");
        assert!(is_as_promised, "{name}: {:?} in {message:?}", self.said);
        assert_eq!(message.is_empty(), self.succeeds, "{name}: {message:?}");
    }
}
