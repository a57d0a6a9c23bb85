//! The processes of this machine, as `/proc` shows them.

use std::{collections::HashMap, fs, io};

use nix::{errno::Errno, sys::signal::Signal, unistd::Pid};

/// A process that cannot be taken for another one that later has the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its number.
    pub(super) pid: i32,
    /// When it was started, in ticks since the machine was.
    pub(super) started: u64,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Which.
    pub(super) identity: Identity,
    /// The name of what it executes, cut to 15 characters. Not the command line: that may hold
    /// secrets.
    pub(super) name: String,
    /// Whether it is at work, or can be again.
    pub(super) is_alive: bool,
    /// Whether it was told to pause.
    pub(super) is_stopped: bool,
    parent: i32,
    /// Its process group.
    pub(super) group: i32,
    /// Its session.
    pub(super) session: i32,
}

/// All processes that can be seen, by number.
#[derive(Debug)]
pub(super) struct Table(HashMap<i32, Process>);

impl Table {
    /// Looks at all processes.
    ///
    /// # Errors
    ///
    /// If `/proc` cannot be read; processes that end meanwhile are no error.
    pub(super) fn look() -> io::Result<Self> {
        let mut table = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(process) = Process::look(pid) {
                table.insert(pid, process);
            }
        }
        Ok(Self(table))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.0.values()
    }

    /// The process of this number, if it is not another one of the same number.
    pub(super) fn get(&self, identity: Identity) -> Option<&Process> {
        self.0.get(&identity.pid).filter(|process| process.identity == identity)
    }

    pub(super) fn at(&self, pid: i32) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// The living processes that come of those that `is_root` names, without the roots themselves.
    pub(super) fn below(&self, is_root: impl Fn(&Process) -> bool) -> Vec<Identity> {
        self.iter()
            .filter(|process| process.is_alive && self.ancestors(process).any(&is_root))
            .map(|process| process.identity)
            .collect()
    }

    /// Parent, its parent and so on. Bounded: the table was not read at one instant, so that it could
    /// hold a circle.
    fn ancestors<'a>(&'a self, process: &'a Process) -> impl Iterator<Item = &'a Process> {
        std::iter::successors(Some(process), |process| self.0.get(&process.parent))
            .skip(1)
            .take(self.0.len())
    }
}

impl Process {
    /// The process of this number, if there is one.
    pub(super) fn look(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &String::from_utf8_lossy(&stat))
    }

    /// Reads the line of `/proc/PID/stat`; a name may hold spaces and parentheses.
    pub(super) fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Counted from the third of the manual, the state.
        let (state, threads) = (*fields.first()?, *fields.get(17)?);
        Some(Self {
            identity: Identity {
                pid,
                started: fields.get(19)?.parse().ok()?,
            },
            name: name.to_owned(),
            // A process whose first thread has ended looks dead while others go on.
            is_alive: !matches!(state, "X" | "x") && (state != "Z" || !matches!(threads, "0" | "1")),
            is_stopped: matches!(state, "T" | "t"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
        })
    }

    /// Whether its environment has this variable with this value.
    pub(super) fn has_variable(&self, name: &str, value: &str) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{}/environ", self.identity.pid)) else {
            // Gone, or another user's: then the agent could not end it either.
            return false;
        };
        let wanted = format!("{name}={value}");
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == wanted.as_bytes())
    }
}

/// Sends a signal to this process and to no later one of the same number.
///
/// # Errors
///
/// If the system refuses; a process that is gone is no error.
pub(super) fn send(identity: Identity, signal: Signal) -> io::Result<()> {
    let is_still_there = || Process::look(identity.pid).is_some_and(|process| process.identity == identity);
    let result = match open(identity.pid) {
        // It can be another process only if it was so before the file was opened.
        Ok(opened) if is_still_there() => send_by(&opened, signal),
        // Before Linux 5.3, or where a filter does not let it pass.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) if is_still_there() => {
            nix::sys::signal::kill(Pid::from_raw(identity.pid), signal).map_err(io::Error::from)
        }
        Ok(_) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    };
    result.or_else(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ESRCH as i32 => Ok(()),
        Some(_) | None => Err(error),
    })
}

fn open(pid: i32) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

fn send_by(opened: &rustix::fd::OwnedFd, signal: Signal) -> io::Result<()> {
    let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::pidfd_send_signal(opened, signal).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let numbers = "1 12 13 0 -1 4194304 5 6 7 8 9 10 11 12 20 0 1 0 4711 14 15";
        for name in ["sleep", "a b", "a) (b", ") S 7 7 7", ""] {
            let process = Process::parse(3, &format!("3 ({name}) S {numbers}\n")).unwrap();
            assert_eq!(process.name, name);
            assert_eq!(process.identity, Identity { pid: 3, started: 4711 }, "{name}");
            assert_eq!((process.parent, process.group, process.session), (1, 12, 13), "{name}");
            assert!(process.is_alive && !process.is_stopped, "{name}");
        }
        for (state, threads, is_alive, is_stopped) in [
            ("R", 1, true, false),
            ("T", 1, true, true),
            ("t", 1, true, true),
            ("Z", 1, false, false),
            ("Z", 3, true, false),
            ("X", 0, false, false),
        ] {
            let line = format!("3 (a) {state} 1 12 13 0 -1 4194304 5 6 7 8 9 10 11 12 20 0 {threads} 0 4711 14");
            let process = Process::parse(3, &line).unwrap();
            assert_eq!(
                (process.is_alive, process.is_stopped),
                (is_alive, is_stopped),
                "{state}"
            );
        }
        for line in ["", "3", "3 (a)", "3 (a) S 1 2", "3 (a) S 1 12 13 0"] {
            assert_eq!(Process::parse(3, line), None, "{line}");
        }
    }

    #[test]
    fn a_signal_reaches_only_the_process_that_is_meant() {
        let mut child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Process::look(pid).unwrap().identity;
        let another = Identity {
            started: identity.started + 1,
            ..identity
        };
        send(another, Signal::SIGKILL).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        send(identity, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        send(identity, Signal::SIGKILL).unwrap();
    }
}
