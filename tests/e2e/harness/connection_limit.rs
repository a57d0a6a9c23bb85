//! A connection that breaks after a number of bytes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A stream that breaks once as many bytes have been written to it as `budget` allows. The budget
/// may be shared; [`i64::MAX`] is as good as none. While `is_holding`, it falls silent instead.
pub(super) struct LimitedStream {
    inner: TcpStream,
    budget: Arc<AtomicI64>,
    is_holding: Arc<AtomicBool>,
}

impl LimitedStream {
    pub(super) fn new(inner: TcpStream, budget: Arc<AtomicI64>, is_holding: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            budget,
            is_holding,
        }
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = usize::try_from(self.budget.load(Ordering::SeqCst))
            .unwrap_or(0)
            .min(bytes.len());
        if allowed == 0 && !bytes.is_empty() && self.is_holding.load(Ordering::SeqCst) {
            let waker = context.waker().clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                waker.wake();
            });
            return Poll::Pending;
        }
        if allowed == 0 && !bytes.is_empty() {
            // The next connection is a good one.
            self.budget.store(i64::MAX, Ordering::SeqCst);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = Pin::new(&mut self.inner).poll_write(context, &bytes[..allowed]);
        if let Poll::Ready(Ok(count)) = &written
            && self.budget.load(Ordering::SeqCst) != i64::MAX
        {
            let count = i64::try_from(*count).expect("a write is shorter than that");
            self.budget.fetch_sub(count, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
