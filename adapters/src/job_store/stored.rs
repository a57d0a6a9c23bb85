//! What is written of jobs: types of their own, so that the domain's can change while files stay
//! readable. A change that old files do not fit needs a new version in the header.

mod clouds;
mod event;
mod request;
mod s3;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::plan::{FailurePolicy, Order, Phase, Step};
use serde::{Deserialize, Serialize};

pub(super) use event::StoredEvent;
pub(super) use request::StoredRequest;

/// The only version so far.
pub(super) const VERSION: u32 = 2;

/// What every header has, whatever its version.
#[derive(Debug, Deserialize)]
pub(super) struct StoredVersion {
    pub(super) version: u32,
}

/// What the list of jobs needs of a header.
#[derive(Debug, Deserialize)]
pub(super) struct StoredAcceptance {
    pub(super) accepted_at: String,
}

/// The first line of a record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredHeader {
    pub(super) version: u32,
    pub(super) accepted_at: String,
    pub(super) policy: StoredPolicy,
    /// Without secrets.
    pub(super) request: StoredRequest,
    /// The request with its secrets, encrypted; none once the job is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<String>,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEntry {
    pub(super) at: String,
    pub(super) event: StoredEvent,
}

/// The operator's choices.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPolicy {
    unlock_after_failed_lock: bool,
    unlock_after_failed_restore: bool,
    keep_unsent_artifact: bool,
    release: StoredRelease,
    #[serde(default)]
    download_before_lock: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRelease {
    AfterUpload,
    BeforeUpload,
}

impl From<FailurePolicy> for StoredPolicy {
    fn from(policy: FailurePolicy) -> Self {
        let FailurePolicy {
            unlock_after_failed_lock,
            unlock_after_failed_restore,
            keep_unsent_artifact,
            order: Order {
                unlock_before_upload,
                download_before_lock,
            },
        } = policy;
        Self {
            unlock_after_failed_lock,
            unlock_after_failed_restore,
            keep_unsent_artifact,
            release: match unlock_before_upload {
                false => StoredRelease::AfterUpload,
                true => StoredRelease::BeforeUpload,
            },
            download_before_lock,
        }
    }
}

impl From<StoredPolicy> for FailurePolicy {
    fn from(policy: StoredPolicy) -> Self {
        Self {
            unlock_after_failed_lock: policy.unlock_after_failed_lock,
            unlock_after_failed_restore: policy.unlock_after_failed_restore,
            keep_unsent_artifact: policy.keep_unsent_artifact,
            order: Order {
                unlock_before_upload: matches!(policy.release, StoredRelease::BeforeUpload),
                download_before_lock: policy.download_before_lock,
            },
        }
    }
}

/// A time to the nanosecond: clients must see the same before and after a restart.
pub(super) fn time_to_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

pub(super) fn time_from_text(text: &str) -> Result<DateTime<Utc>, String> {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed
        .map(|at| at.to_utc())
        .map_err(|error| format!("{text:?} is no time: {error}"))
}

const SCRIPT: &str = "script:";

fn step_to_text(step: Step) -> String {
    match step {
        Step::Prepare => "prepare".to_owned(),
        Step::Script(phase) => format!("{SCRIPT}{phase}"),
        Step::FindArtifact => "find-artifact".to_owned(),
        Step::Upload => "upload".to_owned(),
        Step::Download => "download".to_owned(),
        Step::PlaceFile => "place_file".to_owned(),
    }
}

fn step_from_text(text: &str) -> Result<Step, String> {
    let scripts = Phase::ALL.into_iter().map(Step::Script);
    let all = [
        Step::Prepare,
        Step::FindArtifact,
        Step::Upload,
        Step::Download,
        Step::PlaceFile,
    ];
    let mut all = all.into_iter().chain(scripts);
    all.find(|step| step_to_text(*step) == text)
        .ok_or_else(|| format!("{text:?} is no step"))
}
