//! What a store tells about its bounds.

use hyper::Method;
use serde_json::Value;

use super::{ask::Ask, error::SwiftFault, session::Session};
use crate::blob_store::connector::read_start;

/// What a store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::blob_store) struct Bounds {
    /// The largest object in one piece.
    pub(in crate::blob_store) max_object_bytes: u64,
    /// How many parts an object may have.
    pub(in crate::blob_store) max_parts: u64,
    /// The smallest part, except for the last one.
    pub(in crate::blob_store) min_part_bytes: u64,
    /// The largest part.
    pub(in crate::blob_store) max_part_bytes: u64,
    /// How many objects one request can delete; none if each needs its own.
    pub(super) max_deletes: Option<usize>,
}

/// What Swift has where its operator changed nothing.
impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_object_bytes: 5 * 1024 * 1024 * 1024,
            max_parts: 1000,
            min_part_bytes: 1,
            max_part_bytes: 5 * 1024 * 1024 * 1024,
            max_deletes: None,
        }
    }
}

impl Bounds {
    /// Reads them; what is absent or makes no sense is as usual.
    pub(super) fn of(info: &Value) -> Self {
        let number = |pointer: &str, usual: u64| match info.pointer(pointer).and_then(Value::as_u64) {
            Some(0) | None => usual,
            Some(number) => number,
        };
        let usual = Self::default();
        let largest = number("/swift/max_file_size", usual.max_object_bytes);
        let max_deletes = info
            .pointer("/bulk_delete/max_deletes_per_request")
            .and_then(Value::as_u64);
        Self {
            max_object_bytes: largest,
            max_parts: number("/slo/max_manifest_segments", usual.max_parts),
            min_part_bytes: number("/slo/min_segment_size", usual.min_part_bytes),
            max_part_bytes: largest,
            max_deletes: max_deletes
                .and_then(|most| usize::try_from(most).ok())
                .filter(|most| *most > 0),
        }
    }
}

/// Asks the store. One that has no such thing, or does not show it, has the usual bounds.
pub(super) async fn ask(session: &Session) -> Result<Bounds, SwiftFault> {
    let ask = Ask::new(Method::GET, session.account().info()).for_json();
    let answer = match session.execute_openly(&ask).await {
        Ok(answer) => answer,
        Err(fault) if fault.status().is_some_and(is_refusal) => return Ok(Bounds::default()),
        Err(fault) => return Err(fault),
    };
    let (body, whole) = read_start(answer.into_body(), session.answer_timeout()).await;
    whole.map_err(|error| SwiftFault::of(&error))?;
    Ok(Bounds::of(&serde_json::from_slice(&body).unwrap_or_default()))
}

/// Whether an answer will be the same the next time.
fn is_refusal(status: u16) -> bool {
    matches!(status, 300..=407 | 409..=428 | 430..=499 | 501)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_is_taken_and_the_rest_is_as_usual() {
        let told = json!({
            "swift": {"max_file_size": 500},
            "slo": {"max_manifest_segments": 20, "min_segment_size": 3},
            "bulk_delete": {"max_deletes_per_request": 7},
        });
        let bounds = Bounds {
            max_object_bytes: 500,
            max_parts: 20,
            min_part_bytes: 3,
            max_part_bytes: 500,
            max_deletes: Some(7),
        };
        assert_eq!(Bounds::of(&told), bounds);
        for senseless in [
            json!(null),
            json!({"swift": {"max_file_size": 0}, "slo": {"max_manifest_segments": "many"}}),
            json!({"swift": [], "slo": {"min_segment_size": -1}, "bulk_delete": {"max_deletes_per_request": 0}}),
        ] {
            assert_eq!(Bounds::of(&senseless), Bounds::default(), "{senseless}");
        }
    }
}
