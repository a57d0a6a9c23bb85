//! Ways in to what reads processes, their records and their output, for the fuzz targets alone.

use domain::secret::Secret;

use super::{
    record::Leftover,
    redact::{Redactor, Secrets},
    table::Process,
};

/// Name and time of start of the process whose line of `/proc/PID/stat` this is.
#[must_use]
pub fn process(pid: i32, stat: &str) -> Option<(String, u64)> {
    let process = Process::parse(pid, stat)?;
    assert_eq!(process.identity.pid, pid, "the number is the one of the directory");
    Some((process.name, process.identity.started))
}

/// What a record tells of a script at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The numbers of processes that would get signals.
    pub processes: Vec<i32>,
    /// The value of the variable by which processes are told.
    pub marker: Option<String>,
    /// Whether it is of another boot, so that nothing gets a signal.
    pub is_of_another_boot: bool,
}

/// Reads the record of a script at work.
#[must_use]
pub fn traces(text: &str, current_boot: &str) -> Traces {
    let Leftover {
        tree,
        is_of_another_boot,
        ..
    } = Leftover::parse("record".into(), text, current_boot);
    Traces {
        processes: tree
            .supervisor
            .into_iter()
            .chain(tree.leader.map(|leader| leader.pid))
            .collect(),
        marker: tree.marker,
        is_of_another_boot,
    }
}

/// What is kept of output that comes in these pieces.
///
/// # Errors
///
/// If the secrets cannot be looked for.
pub fn redacted<'a>(secrets: &[Secret], pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, String> {
    let mut redactor = Redactor::new(Secrets::new(secrets)?);
    let mut kept = Vec::new();
    for piece in pieces {
        redactor.push(piece, |bytes| kept.extend_from_slice(bytes));
    }
    redactor.finish(|bytes| kept.extend_from_slice(bytes));
    Ok(kept)
}
