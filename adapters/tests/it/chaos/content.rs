//! Bodies, whole or harmed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
};

pub(super) fn cut() -> io::Error {
    io::Error::other("cut at random")
}

pub(super) fn answer(status: u16, body: String) -> Response<Content> {
    let mut answer = Response::new(Content::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

pub(super) fn refusal(status: u16, code: &str) -> Response<Content> {
    answer(
        status,
        format!("<Error><Code>{code}</Code><Message>at random</Message></Error>"),
    )
}

pub(super) async fn collect(mut body: Incoming) -> io::Result<Bytes> {
    let mut frames = futures_util::stream::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
    let mut all = Vec::new();
    while let Some(frame) = frames.next().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            all.extend_from_slice(&data);
        }
    }
    Ok(all.into())
}

/// A body, whose headers may lie about it, and which may be cut.
pub(super) struct Content {
    data: Option<Bytes>,
    is_cut: bool,
}

impl Content {
    pub(super) fn new(data: Bytes) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { data, is_cut: false }
    }

    pub(super) fn length(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    pub(super) fn shorten_to(&mut self, length: usize) {
        if let Some(data) = &mut self.data {
            data.truncate(length);
        }
    }

    pub(super) fn cut_to(&mut self, length: usize) {
        self.shorten_to(length);
        self.is_cut = true;
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let content = self.get_mut();
        match content.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if content.is_cut => Poll::Ready(Some(Err(cut()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.is_cut
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_cut {
            // The header says how long it is.
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.length() as u64)
        }
    }
}
