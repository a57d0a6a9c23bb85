//! One line of the trail.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::ports::{Actor, AuditEntry};
use serde::Serialize;

/// What is written of an entry. Members that are not known are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    time: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outcome: String,
    /// How many there were, where not each has a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
}

impl Line {
    pub(super) fn of(entry: &AuditEntry) -> Self {
        let now: DateTime<Utc> = Utc::now();
        let mut line = Self {
            time: now.to_rfc3339_opts(SecondsFormat::Millis, true),
            action: entry.action.as_str(),
            user: None,
            address: None,
            uid: None,
            pid: None,
            kind: entry.kind.map(|kind| kind.as_str()),
            id: entry.id.as_ref().map(ToString::to_string),
            outcome: entry.outcome.as_str().to_owned(),
            count: None,
        };
        match &entry.actor {
            Actor::Caller { user, address } => {
                line.user = user.as_ref().map(|user| user.as_str().to_owned());
                line.address = address.map(|address| address.to_string());
            }
            Actor::Process { uid, pid } => {
                line.uid = Some(*uid);
                line.pid = *pid;
            }
        }
        line
    }

    /// To the log, where texts stand between quotation marks.
    pub(super) fn log(&self) {
        tracing::info!(
            target: super::TARGET,
            user = self.user.as_deref(),
            address = self.address.as_deref(),
            uid = self.uid,
            pid = self.pid,
            kind = self.kind,
            id = self.id.as_deref(),
            outcome = self.outcome.as_str(),
            count = self.count,
            "{}",
            self.action
        );
    }

    /// As JSON, with its line end.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("lines have text keys and plain values");
        text.push(b'\n');
        text
    }
}
