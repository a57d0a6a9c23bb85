//! All that comes of one script, and how it is ended.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{
    supervisor,
    table::{self, Identity, Process, Table},
};

/// The variable by which the processes of a script can be found without their supervisor.
pub(super) const MARKER: &str = "BACKUP_AGENT_RUN";

/// How long killed processes, and then their supervisor, may take to be gone.
pub(super) const KILL_BOUND: Duration = Duration::from_secs(10);
/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The tree of processes of one script.
///
/// As long as the supervisor lives, the tree is what is below it. Without it, it is what carries the
/// marker or is in the group or session of the script's own process, and what is below that.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// The supervisor's number.
    pub(super) supervisor: Option<i32>,
    /// When it was started; if that is not known, it is told by its name.
    pub(super) supervisor_started: Option<u64>,
    /// The script's own process.
    pub(super) leader: Option<Identity>,
    /// The value of [`MARKER`].
    pub(super) marker: Option<String>,
    /// What was found so far. What lost its parent and its environment stays known.
    pub(super) known: HashSet<Identity>,
    /// What could not be signalled, and why.
    pub(super) refused: HashMap<Identity, String>,
}

/// What could not be ended; as text, a part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotEnded(String);

impl fmt::Display for NotEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tree {
    /// Ends all of it: at first gently, and after `grace` by force. The supervisor stays.
    pub(super) async fn end(self, grace: Duration) -> Result<Self, NotEnded> {
        let deadline = Instant::now() + grace;
        // Once only: whoever takes a signal as the beginning of its clean-up is not to be disturbed
        // in it, nor are the helpers that it starts for it.
        let (mut tree, mut left) = self.pass(Some(Signal::SIGTERM)).await?;
        while !left.is_empty() && Instant::now() < deadline {
            tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
            (tree, left) = tree.pass(None).await?;
        }
        let deadline = Instant::now() + KILL_BOUND;
        while !left.is_empty() {
            if Instant::now() >= deadline {
                return Err(tree.not_ended(&left));
            }
            // With a fresh look each time: what is killed may have started others meanwhile.
            (tree, left) = tree.pass(Some(Signal::SIGKILL)).await?;
            tokio::time::sleep(LOOK_EVERY / 5).await;
        }
        Ok(tree)
    }

    /// Waits until the supervisor of a tree that was ended is gone, and kills it if it does not go.
    pub(super) async fn end_supervisor(self) -> Result<(), NotEnded> {
        let deadline = Instant::now() + KILL_BOUND;
        let mut patience = KILL_BOUND / 5;
        while let Some(supervisor) = self
            .supervisor
            .and_then(Process::look)
            .filter(|it| self.is_supervisor(it))
        {
            if Instant::now() >= deadline {
                return Err(self.not_ended(&[supervisor]));
            }
            patience = patience.saturating_sub(LOOK_EVERY);
            if patience.is_zero()
                && let Err(error) = table::send(supervisor.identity, Signal::SIGKILL)
            {
                tracing::debug!(%error, "cannot kill a supervisor");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Looks at what lives, and sends it a signal. Off the runtime's threads, as there may be
    /// thousands of processes.
    async fn pass(mut self, signal: Option<Signal>) -> Result<(Self, Vec<Process>), NotEnded> {
        tokio::task::spawn_blocking(move || {
            let mut living = self.living()?;
            if living.is_empty() {
                // The processes are not listed at one instant: one that was started while they were
                // can be missing, though not twice.
                living = self.living()?;
            }
            if let Some(signal) = signal {
                self.signal(&living, signal);
            }
            Ok((self, living))
        })
        .await
        .map_err(io::Error::other)
        .and_then(|result| result)
        .map_err(|error| NotEnded(format!("the list of processes (/proc) cannot be read: {error}")))
    }

    /// What lives of the tree.
    fn living(&mut self) -> io::Result<Vec<Process>> {
        let table = Table::look()?;
        let supervisor = self
            .supervisor
            .and_then(|pid| table.at(pid))
            .filter(|process| self.is_supervisor(process))
            .map(|process| process.identity);
        let mut found: HashSet<Identity> = HashSet::new();
        match supervisor {
            Some(supervisor) => found.extend(table.below(|process| process.identity == supervisor)),
            None => found.extend(
                table
                    .iter()
                    .filter(|it| self.is_trace(it, &table))
                    .map(|it| it.identity),
            ),
        }
        found.extend(&self.known);
        found.extend(table.below(|process| found.contains(&process.identity)));
        let own = std::process::id();
        found.retain(|it| it.pid > 1 && it.pid.unsigned_abs() != own && Some(*it) != supervisor);
        self.known = found;
        let living = self.known.iter().filter_map(|identity| table.get(*identity));
        let mut living: Vec<Process> = living.filter(|process| process.is_alive).cloned().collect();
        // Parents first, so that none takes the end of a child for a failure of its own.
        living.sort_by_key(|process| (process.identity.started, process.identity.pid));
        Ok(living)
    }

    fn is_supervisor(&self, process: &Process) -> bool {
        let is_the_same = match self.supervisor_started {
            Some(started) => process.identity.started == started,
            None => process.name == supervisor::NAME,
        };
        process.is_alive && Some(process.identity.pid) == self.supervisor && is_the_same
    }

    /// Whether a process shows that it comes of the script.
    fn is_trace(&self, process: &Process, table: &Table) -> bool {
        let is_of_leader = self.leader.is_some_and(|leader| {
            // A number is not given away while there is a group or session of that number.
            let is_leader_or_gone = table.at(leader.pid).is_none_or(|now| now.identity == leader);
            is_leader_or_gone && (process.group == leader.pid || process.session == leader.pid)
        });
        let is_marked = || {
            self.marker
                .as_deref()
                .is_some_and(|marker| process.has_variable(MARKER, marker))
        };
        process.is_alive && (is_of_leader || is_marked())
    }

    fn signal(&mut self, processes: &[Process], signal: Signal) {
        for process in processes {
            let mut result = table::send(process.identity, signal);
            if process.is_stopped && signal != Signal::SIGKILL {
                // Else it would not get to see it.
                result = result.and(table::send(process.identity, Signal::SIGCONT));
            }
            match result {
                Ok(()) => self.refused.remove(&process.identity),
                Err(error) => self.refused.insert(process.identity, error.to_string()),
            };
        }
    }

    fn not_ended(&self, processes: &[Process]) -> NotEnded {
        let names: Vec<String> = processes
            .iter()
            .map(|process| {
                let (name, pid) = (&process.name, process.identity.pid);
                match self.refused.get(&process.identity) {
                    Some(reason) => format!("{name} (pid {pid}; it cannot be signalled: {reason})"),
                    None => format!("{name} (pid {pid})"),
                }
            })
            .collect();
        NotEnded(format!(
            "these processes still live though they were killed: {}; end them by hand, and look for a disk or a \
             network that does not answer, or for another user who owns them",
            names.join(", ")
        ))
    }
}
