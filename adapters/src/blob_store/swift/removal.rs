//! Removal of objects, also of many with one request, which may fail inside an answer that says 200.

use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;

use super::{Swift, address::path, ask::Ask, error::SwiftFault};
use crate::blob_store::redaction::Redaction;

/// More than this fits into no answer, if all of them fail.
const MOST_AT_ONCE: usize = 500;

/// What a removal of many tells, long after its status was sent.
#[derive(Debug, Default, Deserialize)]
struct Report {
    #[serde(rename = "Response Status", default)]
    status: String,
    #[serde(rename = "Response Body", default)]
    body: String,
    /// Name and status of those that were not removed.
    #[serde(rename = "Errors", default)]
    errors: Vec<(String, String)>,
}

/// Whether an object is a list of segments.
pub(super) fn is_in_segments(headers: &HeaderMap) -> bool {
    let value = headers.get("x-static-large-object");
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

impl Swift {
    /// Removes an object, and with it the segments that it is made of.
    pub(super) async fn remove_object(&self, key: &str) -> Result<(), SwiftFault> {
        let found = self.execute(&self.object(Method::HEAD, key)).await?;
        if !is_in_segments(found.headers()) {
            return self.execute(&self.object(Method::DELETE, key)).await.map(drop);
        }
        let url = self.account().object(self.container(), key) + "?multipart-manifest=delete";
        judge(
            &self.read(&Ask::new(Method::DELETE, url).for_json()).await?,
            self.redaction(),
        )
    }

    /// Removes segments. Those that are not there count as removed.
    pub(super) async fn remove_segments(&self, names: &[String]) -> Result<(), SwiftFault> {
        let bounds = match self.0.bounds.get() {
            Some(bounds) => *bounds,
            None => super::info::ask(&self.0.session).await?,
        };
        match bounds.max_deletes {
            Some(most) => {
                for names in names.chunks(most.min(MOST_AT_ONCE)) {
                    self.remove_together(names).await?;
                }
            }
            None => {
                for name in names {
                    let url = self.account().object(&self.segments(), name);
                    match self.execute(&Ask::new(Method::DELETE, url)).await {
                        Err(fault) if !fault.is_missing() => return Err(fault),
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn remove_together(&self, names: &[String]) -> Result<(), SwiftFault> {
        let container = path(&self.segments());
        let lines: Vec<String> = names
            .iter()
            .map(|name| format!("/{container}/{}", path(name)))
            .collect();
        let ask = Ask::new(Method::POST, self.account().with_query("bulk-delete"))
            .for_json()
            .with(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .with_body(lines.join("\n"));
        judge(&self.read(&ask).await?, self.redaction())
    }
}

/// Reads a report. It may have blanks before it, which keep the connection alive.
pub(super) fn judge(body: &[u8], redaction: &Redaction) -> Result<(), SwiftFault> {
    let shown = |text: &str| redaction.shown(text);
    let report: Report = serde_json::from_slice(body)
        .map_err(|error| SwiftFault::Strange(format!("what a removal in segments tells makes no sense: {error}")))?;
    let status = number(&report.status);
    let failed = report.errors.iter().find(|(_, status)| number(status) != Some(404));
    let reason = match failed {
        Some((name, why)) => Some(format!(
            "{} objects were not removed, {:?} with {:?}",
            report.errors.len(),
            shown(name),
            shown(why)
        )),
        None => Some(shown(&report.body)).filter(|text| !text.is_empty()),
    };
    match (status, failed) {
        (Some(200..=299 | 404), None) => Ok(()),
        // This says only that something failed; what is with that.
        (Some(200..=299 | 400 | 404), Some((_, why))) => Err(SwiftFault::refused(
            number(why).unwrap_or(500),
            reason.unwrap_or_default(),
        )),
        // Nothing but names that are gone already.
        (Some(400), None) if !report.errors.is_empty() => Ok(()),
        (Some(status), Some(_) | None) => Err(SwiftFault::refused(status, reason.unwrap_or_default())),
        (None, Some(_) | None) => Err(SwiftFault::Strange(format!(
            "a removal in segments ended with {:?}",
            shown(&report.status)
        ))),
    }
}

/// The number at the beginning of a status.
fn number(status: &str) -> Option<u16> {
    status.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_inside_an_answer_that_says_200_are_seen() {
        for (report, status) in [
            (
                json!({"Response Status": "200 OK", "Number Deleted": 3, "Errors": []}),
                None,
            ),
            (
                json!({"Response Status": "200 OK", "Errors": [["/c/a", "404 Not Found"]]}),
                None,
            ),
            (
                json!({"Response Status": "400 Bad Request", "Errors": [["/c/a", "404 Not Found"]]}),
                None,
            ),
            (json!({"Response Status": "404 Not Found", "Errors": []}), None),
            (
                json!({"Response Status": "200 OK", "Errors": [["/c/a", "409 Conflict"]]}),
                Some(409),
            ),
            (
                json!({"Response Status": "400 Bad Request",
                       "Errors": [["/c/a", "404 Not Found"], ["/c/b", "403 Forbidden"]]}),
                Some(403),
            ),
            (
                json!({"Response Status": "502 Bad Gateway", "Errors": [["/c/a", "409 Conflict"]]}),
                Some(502),
            ),
            (json!({"Response Status": "400 Bad Request", "Errors": []}), Some(400)),
            (
                json!({"Response Status": "401 Unauthorized", "Response Body": "no"}),
                Some(401),
            ),
        ] {
            let judged = judge(format!("  \n{report}").as_bytes(), &Redaction::default());
            assert_eq!(judged.err().map(|fault| fault.status()), status.map(Some), "{report}");
        }
        for senseless in [
            "",
            "{}",
            "<html>",
            "{\"Response Status\": \"fine\"}",
            "{\"Response Status\": \"200 OK\"",
        ] {
            assert!(
                judge(senseless.as_bytes(), &Redaction::default()).is_err(),
                "{senseless}"
            );
        }
    }
}
