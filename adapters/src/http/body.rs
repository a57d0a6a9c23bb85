//! Request bodies, within bounds of length and time.

use std::time::Duration;

use bytes::Buf;
use futures_util::{Stream, StreamExt};
use warp::http::HeaderMap;
use zeroize::Zeroizing;

use super::HttpLimits;

/// A body that was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the connection broke while the body was read")]
    Broken,
}

/// The body, chunked or not, whatever its `Content-Type` says. What went wrong is for the handler to
/// tell, in its turn.
pub(super) async fn read<S, B>(
    headers: &HeaderMap,
    stream: S,
    limits: HttpLimits,
) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let announced = headers
        .get("content-length")
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        return Err(BodyError::TooLarge(limits.body_bytes));
    }
    let reading = collect(stream, limits.body_bytes);
    match tokio::time::timeout(limits.body_time, reading).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::TimedOut(limits.body_time)),
    }
}

async fn collect<S, B>(stream: S, limit: usize) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut stream = std::pin::pin!(stream);
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = stream.next().await {
        let mut chunk = chunk.map_err(|_| BodyError::Broken)?;
        if body.len() + chunk.remaining() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        while chunk.has_remaining() {
            let slice = chunk.chunk();
            body.extend_from_slice(slice);
            let length = slice.len();
            chunk.advance(length);
        }
    }
    Ok(body)
}
