//! The output of a script: bounded, and never in a script's way.

use std::{io, sync::Arc};

use domain::job::LiveStream;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};
use tokio::{io::AsyncReadExt, net::unix::pipe};

use super::redact::{Redactor, Secrets};

/// How much is read at once, in bytes; as much as a pipe usually holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// One of the two streams that a script writes.
#[derive(Debug)]
pub(super) struct Stream {
    pipe: pipe::Receiver,
    redactor: Redactor,
    kept: LiveStream,
    chunk: Vec<u8>,
    ended: bool,
}

impl Stream {
    /// Reads from `pipe`, on the runtime that this is called on, and keeps it where others look too; keeps
    /// nothing of `secrets`.
    pub(super) fn new(pipe: io::PipeReader, secrets: Secrets, kept: LiveStream) -> io::Result<Self> {
        Ok(Self {
            pipe: pipe::Receiver::from_owned_fd(pipe.into())?,
            redactor: Redactor::new(secrets),
            kept,
            chunk: vec![0; CHUNK_BYTES],
            ended: false,
        })
    }

    /// Takes what is written until no writer is left. If it is dropped half-way nothing is lost.
    ///
    /// The runtime's own read, because that makes way for others from time to time: with output
    /// that never stops, a loop around `readable` and `try_read` would not.
    pub(super) async fn pump(&mut self) {
        while !self.ended {
            let read = self.pipe.read(&mut self.chunk).await;
            self.take(read);
        }
    }

    /// The text, with what was in the pipe at this moment. Whoever still holds the pipe can go on
    /// writing, unseen.
    pub(super) fn finish(mut self) -> Arc<str> {
        self.take_rest();
        if !self.ended {
            tokio::spawn(drain(self.pipe));
        }
        self.redactor.finish(|bytes| self.kept.push(bytes));
        self.kept.text()
    }

    /// Takes what a script that has ended left in the pipe.
    ///
    /// Asks the system and not the runtime, whose answer "nothing there" can be older than the
    /// script's last words. No more than the pipe holds can be the script's, so a process in the
    /// background that writes without end keeps nobody waiting.
    fn take_rest(&mut self) {
        let mut left = fcntl(&self.pipe, FcntlArg::F_GETPIPE_SZ)
            .ok()
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(CHUNK_BYTES);
        while !self.ended && left > 0 {
            let size = left.min(self.chunk.len());
            let read = match nix::unistd::read(&self.pipe, &mut self.chunk[..size]) {
                Err(Errno::EAGAIN) => break,
                read => read.map_err(io::Error::from),
            };
            left -= *read.as_ref().unwrap_or(&0);
            self.take(read);
        }
    }

    fn take(&mut self, read: io::Result<usize>) {
        match read {
            Ok(0) => self.ended = true,
            Ok(length) => self.redactor.push(&self.chunk[..length], |bytes| self.kept.push(bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Pipes have no errors of their own; there is nobody to whom this would matter.
                tracing::debug!(%error, "cannot read a script's output");
                self.ended = true;
            }
        }
    }
}

/// Throws away what is written until no writer is left, so that no writer blocks, or is killed for
/// want of a reader.
async fn drain(mut pipe: pipe::Receiver) {
    if let Err(error) = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await {
        tracing::debug!(%error, "cannot read the output of a process that a script left behind");
    }
}
