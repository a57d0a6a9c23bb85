//! Answers in large pieces.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// Real stores send pieces of this order; `s3s-fs` reads 4 KiB at a time, and every client would wake up
/// for each.
const PIECE_BYTES: usize = 256 * 1024;

/// A body whose pieces are put together.
#[derive(Debug)]
pub(crate) struct Gathered<B> {
    pieces: B,
    gathered: Vec<u8>,
    is_ended: bool,
}

impl<B> Gathered<B> {
    pub(crate) fn new(pieces: B) -> Self {
        Self {
            pieces,
            gathered: Vec::new(),
            is_ended: false,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Gathered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        while !self.is_ended && self.gathered.len() < PIECE_BYTES {
            match ready!(Pin::new(&mut self.pieces).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.gathered.extend_from_slice(&piece),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_ended = true,
            }
        }
        let piece = std::mem::take(&mut self.gathered);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && (self.is_ended || self.pieces.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.pieces.size_hint().exact();
        left.map_or_else(SizeHint::default, |left| {
            SizeHint::with_exact(left + self.gathered.len() as u64)
        })
    }
}
