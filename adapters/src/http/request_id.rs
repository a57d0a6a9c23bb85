//! What ties a request to the lines of the log that it brings about.

use std::fmt;

use uuid::Uuid;
use warp::{
    http::{HeaderMap, HeaderValue},
    reply::Response,
};

/// The header, of requests and of answers.
const HEADER: &str = "x-request-id";
/// The longest that is taken from a client.
const MAX_BYTES: usize = 128;

/// A client's own name for its request, or one that it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(String);

impl RequestId {
    /// The client's, if it is plain enough to stand in every log; otherwise a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let is_plain = |text: &&str| {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:-".contains(&byte);
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
        };
        let id = given.filter(is_plain).map(str::to_owned);
        Self(id.unwrap_or_else(|| Uuid::new_v4().to_string()))
    }

    /// Tells it to the client.
    pub(super) fn put_on(&self, mut response: Response) -> Response {
        let value = HeaderValue::from_str(&self.0).expect("it is plain ASCII");
        response.headers_mut().insert(HEADER, value);
        response
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given).expect("a header can hold it"));
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_plain_one_is_taken_and_anything_else_replaced() {
        let longest = "x".repeat(MAX_BYTES);
        for id in ["1", "a-b_c.d~e:f", "778f038c-e1c5-11e8-9f32-f2801f1b9fd1", &longest] {
            assert_eq!(of(id.as_bytes()), id);
        }
        let too_long = "x".repeat(MAX_BYTES + 1);
        for id in ["", " ", "a b", "a\"b", "a=b job_id=other", "{}", "ü", "a\tb", &too_long] {
            let made = of(id.as_bytes());
            assert!(Uuid::try_parse(&made).is_ok(), "{id:?} became {made:?}");
        }
        assert!(Uuid::try_parse(&RequestId::of(&HeaderMap::new()).to_string()).is_ok());
    }
}
