//! The small process that stands over a script and all that comes of it.
//!
//! ```text
//!   agent ── osb-supervisor (subreaper) ── script ── …
//!     ↑            │                    └─ orphans of the script, whatever their session
//!     └── status ──┘   the script's pid, then how it ended
//! ```
//!
//! It comes of a second fork between fork and exec, so nothing has to be installed for it. As a
//! subreaper it stays the ancestor of every process that comes of the script, so that "all of the
//! script" can be said at any time. It outlives the agent, and ends when nothing is left below it.
//!
//! The only place of this crate with unsafe code: forking is.

#![allow(unsafe_code, reason = "a fork has no safe interface")]

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, RawFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
    ptr,
};

use nix::libc;
use tokio::{io::AsyncReadExt, net::unix::pipe, process::Command};

/// The supervisor's name, as `ps -o comm` shows it.
pub(super) const NAME: &str = "osb-supervisor";
const NAME_WITH_ZERO: &std::ffi::CStr = c"osb-supervisor";

/// How many digits the supervisor writes into its record.
pub(super) const PID_DIGITS: usize = 10;

/// More files than this a process hardly has open; where the system knows `close_range`, which is
/// since Linux 5.9, it plays no part.
const MOST_FILES: RawFd = 1 << 20;

/// Where the supervisor writes its own pid before it starts the script.
#[derive(Debug)]
pub(super) struct PidPlace {
    /// The file, open for writing.
    pub(super) file: File,
    /// Where in it.
    pub(super) offset: u64,
    /// Whether there must be no script if the pid cannot be written.
    pub(super) is_required: bool,
}

/// The end of the status pipe that the agent reads.
#[derive(Debug)]
pub(super) struct Status(pipe::Receiver);

impl Status {
    /// The script's own process.
    ///
    /// # Errors
    ///
    /// If the supervisor ended before it could say so.
    pub(super) async fn leader(&mut self) -> io::Result<i32> {
        self.0.read_i32_le().await
    }

    /// How the script ended; to be asked after [`Self::leader`].
    ///
    /// # Errors
    ///
    /// If the supervisor ended before it could say so.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        Ok(ExitStatus::from_raw(self.0.read_i32_le().await?))
    }
}

/// Makes `command` start a supervisor that starts the script. Its child is the supervisor.
pub(super) fn supervise(command: &mut Command, place: Option<PidPlace>) -> io::Result<Status> {
    let (reader, writer): (PipeReader, PipeWriter) = io::pipe()?;
    let status = Status(pipe::Receiver::from_owned_fd(reader.into())?);
    // SAFETY: between fork and exec of a process with many threads only async-signal-safe functions
    // may be called, and nothing may be allocated. `fork_off` and all that it calls keep to that.
    unsafe {
        command.pre_exec(move || fork_off(&writer, place.as_ref()));
    }
    Ok(status)
}

/// Returns in the process that is to become the script; what called becomes the supervisor.
fn fork_off(status: &PipeWriter, place: Option<&PidPlace>) -> io::Result<()> {
    // SAFETY: plain system calls, all of them async-signal-safe; the pointers are to values on this
    // stack or to constants, and outlive the calls.
    unsafe {
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        if libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        forget_handlers();
        libc::prctl(libc::PR_SET_NAME, NAME_WITH_ZERO.as_ptr(), 0, 0, 0);
        if let Some(place) = place {
            write_pid(place)?;
        }
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // A group of its own: what the script does to its group must not reach the agent.
                if libc::setpgid(0, 0) != 0
                    || libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            }
            leader => watch_over(leader, status.as_raw_fd()),
        }
    }
}

/// Takes away the agent's signal handlers, which in a copy of the agent would report to the agent
/// itself. What is ignored stays so, as across any exec, but for the end of children,
/// and for what shells ignore for all that they start in the background, this agent perhaps: bash could
/// not even trap it in a script.
fn forget_handlers() {
    // SAFETY: `sigaction` is async-signal-safe; an all-zero `sigaction` is a valid one, and means
    // the default with no flags. Numbers that are no signals, or cannot be handled, are refused.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            let mut present = MaybeUninit::<libc::sigaction>::zeroed();
            let is_the_scripts = matches!(signal, libc::SIGCHLD | libc::SIGINT | libc::SIGQUIT);
            if libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) == 0
                && (present.assume_init_ref().sa_sigaction != libc::SIG_IGN || is_the_scripts)
            {
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
    }
}

/// Writes this process's pid as text of a fixed width.
fn write_pid(place: &PidPlace) -> io::Result<()> {
    let mut text = [b'0'; PID_DIGITS];
    // SAFETY: `getpid` cannot fail.
    let mut rest = unsafe { libc::getpid() };
    for digit in text.iter_mut().rev() {
        // A digit fits into a byte.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // SAFETY: `pwrite` is async-signal-safe; the buffer has the length that is said.
    let written = unsafe {
        libc::pwrite(
            place.file.as_raw_fd(),
            text.as_ptr().cast(),
            text.len(),
            place.offset as libc::off_t,
        )
    };
    if place.is_required && usize::try_from(written) != Ok(text.len()) {
        return Err(if written < 0 {
            io::Error::last_os_error()
        } else {
            io::ErrorKind::StorageFull.into()
        });
    }
    Ok(())
}

/// The supervisor's life: reports how the leader ended, and buries the dead.
fn watch_over(leader: libc::pid_t, status: RawFd) -> ! {
    // SAFETY: plain system calls, all of them async-signal-safe, on values on this stack. Files are
    // closed that others still own, but nothing of this process's owners ever runs again: it ends by
    // `_exit`, which runs no destructor.
    unsafe {
        // Signals to the agent's group, as from a terminal, are not for this process, and it is to
        // hold no directory in use.
        libc::setpgid(0, 0);
        libc::chdir(c"/".as_ptr());
        // Among them the one by which std learns that the exec was done, and the script's output.
        close_all_but(status);
        report(status, leader);
        let mut is_reported = false;
        loop {
            let mut how: libc::c_int = 0;
            let ended = libc::waitpid(-1, &raw mut how, 0);
            if ended == leader && !is_reported {
                report(status, how);
                libc::close(status);
                is_reported = true;
            } else if ended == -1 && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                // No child is left.
                libc::_exit(0);
            }
        }
    }
}

/// Tells the agent, if it is still there. A number is written as a whole or not at all.
fn report(status: RawFd, number: libc::c_int) {
    let bytes = number.to_le_bytes();
    // SAFETY: `write` is async-signal-safe; the buffer has the length that is said. SIGPIPE is blocked.
    unsafe {
        libc::write(status, bytes.as_ptr().cast(), bytes.len());
    }
}

fn close_all_but(kept: RawFd) {
    // SAFETY: as said where this is called.
    unsafe {
        let close_range = |first: RawFd, last: libc::c_uint| libc::syscall(libc::SYS_close_range, first, last, 0);
        let below = if kept > 0 {
            close_range(0, (kept - 1).unsigned_abs())
        } else {
            0
        };
        if below == 0 && close_range(kept + 1, libc::c_uint::MAX) == 0 {
            return;
        }
        let limit = libc::sysconf(libc::_SC_OPEN_MAX);
        let limit = RawFd::try_from(limit).unwrap_or(MOST_FILES).clamp(1024, MOST_FILES);
        for file in (0..limit).filter(|file| *file != kept) {
            libc::close(file);
        }
    }
}
