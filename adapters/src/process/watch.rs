//! Watches a script to its end, or brings it about.

use std::{
    convert::Infallible, future::pending, io, os::unix::process::ExitStatusExt, pin::pin, process::ExitStatus,
    time::Duration,
};

use domain::{
    job::{ExitReason, ScriptLog},
    ports::{Halt, ScriptOutcome},
};

use super::{
    record::Record,
    start::RunningScript,
    supervisor::Status,
    table::{Identity, Process},
    tree::{KILL_BOUND, Tree},
};

/// Waits until the script's own process has ended, or ends it with all that comes of it when told to.
///
/// The error is the part of a message that says why it is not known how the script ended.
pub(super) async fn watch(script: RunningScript, halt: Halt, grace: Duration) -> Result<ScriptOutcome, String> {
    let RunningScript {
        mut supervisor,
        mut status,
        mut stdout,
        mut stderr,
        mut record,
        marker,
        warning,
    } = script;
    let mut tree = Tree {
        supervisor: supervisor.id().and_then(|pid| i32::try_from(pid).ok()),
        marker: Some(marker),
        ..Tree::default()
    };
    // Not yet waited for, so this is the supervisor and no other process of its number.
    let looked = tree.supervisor.and_then(Process::look);
    tree.supervisor_started = looked.map(|process| process.identity.started);
    // It lives as long as anything below it, which may be much longer than the script.
    tokio::spawn(async move {
        if let Err(error) = supervisor.wait().await {
            tracing::debug!(%error, "cannot wait for a supervisor");
        }
    });
    let end = end_of(&mut status, &mut tree, record.as_mut(), &halt, grace);
    let output = async {
        tokio::join!(stdout.pump(), stderr.pump(), warning.give());
        pending::<Infallible>().await
    };
    let end = tokio::select! {
        // First, so that output that never stops cannot hide the end.
        biased;
        end = end => end,
        never = output => match never {},
    };
    // Also after an error: what holds the pipes is not to be cut off.
    let log = ScriptLog {
        stdout: stdout.finish(),
        stderr: stderr.finish(),
    };
    match end {
        End::Ended { status, was_halted } => {
            if let Some(record) = record {
                record.remove();
            }
            let exit = exit_reason(status).map_err(|error| error.to_string())?;
            Ok(ScriptOutcome { exit, log, was_halted })
        }
        End::Unknown(reason) => {
            if let Some(record) = record {
                record.remove();
            }
            Err(reason)
        }
        // The record stays: what it tells of lives.
        End::StillAlive(reason) => Err(reason),
    }
}

/// What became of a script.
enum End {
    /// It ended so.
    Ended {
        /// How.
        status: ExitStatus,
        /// Whether it was told to.
        was_halted: bool,
    },
    /// Nothing is left of it, but how it ended is not known.
    Unknown(String),
    /// Something of it could not be ended.
    StillAlive(String),
}

async fn end_of(
    status: &mut Status,
    tree: &mut Tree,
    record: Option<&mut Record>,
    halt: &Halt,
    grace: Duration,
) -> End {
    let result = match status.leader().await {
        Ok(pid) => {
            let leader = Process::look(pid).map(|process| process.identity);
            tree.leader = leader;
            complete(record, tree.supervisor_started, leader);
            let mut ended = pin!(status.ended());
            tokio::select! {
                biased;
                result = &mut ended => result.map(|status| (status, false)),
                () = halt.fired() => {
                    tracing::debug!(pid, "ending a script with all its processes");
                    match tree.clone().end(grace).await {
                        Ok(_) => {}
                        Err(error) => return still_alive(error.to_string()),
                    }
                    tokio::time::timeout(KILL_BOUND, ended)
                        .await
                        .unwrap_or_else(|elapsed| Err(elapsed.into()))
                        .map(|status| (status, true))
                }
            }
        }
        Err(error) => Err(error),
    };
    match result {
        Ok((status, was_halted)) => End::Ended { status, was_halted },
        // Somebody killed the supervisor. The script may go on, but nobody would learn of its end, and
        // whatever follows is not to run beside it.
        Err(error) => match tree.clone().end(grace).await {
            Ok(_) => End::Unknown(lost_supervisor(&error)),
            Err(alive) => still_alive(format!("{}; {alive}", lost_supervisor(&error))),
        },
    }
}

fn complete(record: Option<&mut Record>, supervisor_started: Option<u64>, leader: Option<Identity>) {
    if let Some(record) = record {
        record.complete(supervisor_started, leader);
    }
}

fn still_alive(reason: String) -> End {
    tracing::error!(%reason, "a script could not be ended");
    End::StillAlive(reason)
}

fn lost_supervisor(error: &io::Error) -> String {
    format!(
        "the process that watched it (osb-supervisor) ended before it or did not answer ({error}), as when somebody \
         or a lack of memory kills it; what was left of the script was ended"
    )
}

fn exit_reason(status: ExitStatus) -> io::Result<ExitReason> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ExitReason::Exited(code)),
        (None, Some(signal)) => Ok(ExitReason::Signaled(signal)),
        (None, None) => Err(io::Error::other(format!("it ended with {status}"))),
    }
}
