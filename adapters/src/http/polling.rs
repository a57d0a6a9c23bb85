//! The polling body: what clients read of a job.

use chrono::{DateTime, Utc};
use domain::{
    artifact::Sha256,
    job::{JobStatus, JobView, Outcome, ScriptLog},
    plan::{JobKind, Phase, Transfer},
    request::DestinationEcho,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::watching::{Watched, ms};

/// A polling body. Member names and their order are the original's; all are always there, but for
/// those that are left out when empty.
#[derive(Debug)]
pub(super) struct PollingBody {
    kind: JobKind,
    status: &'static str,
    state: &'static str,
    error_message: Option<String>,
    destination: DestinationEcho,
    compression: bool,
    skip_storage: bool,
    filename: String,
    size_bytes: u64,
    sha256: Option<Sha256>,
    start_time: Option<DateTime<Utc>>,
    end_time: Option<DateTime<Utc>>,
    logs: Vec<(Phase, ScriptLog)>,
    outcome: Option<Outcome>,
    lock_released: Option<bool>,
    watched: Watched,
}

impl PollingBody {
    /// The body of a refused request.
    pub(super) fn refused(kind: JobKind, problem: &str) -> Self {
        Self {
            kind,
            status: "FAILED",
            state: "Body Deserialization",
            error_message: Some(problem.to_owned()),
            destination: DestinationEcho::default(),
            compression: false,
            skip_storage: false,
            filename: String::new(),
            size_bytes: 0,
            sha256: None,
            start_time: None,
            end_time: None,
            logs: Vec::new(),
            outcome: None,
            lock_released: None,
            watched: Watched::default(),
        }
    }

    /// As few members as there can be, for the document that tells of them.
    pub(super) fn least(kind: JobKind) -> Self {
        Self {
            error_message: None,
            ..Self::refused(kind, "")
        }
    }

    /// All members that there can be.
    pub(super) fn most(kind: JobKind) -> Self {
        let some = || "-".to_owned();
        Self {
            destination: DestinationEcho {
                kind: some(),
                skip_ssl: false,
                region: some(),
                endpoint: some(),
                bucket: some(),
                auth_url: some(),
                domain: some(),
                container_name: some(),
                project_name: some(),
                account: some(),
                container: some(),
                path: some(),
                filename_prefix: some(),
            },
            sha256: Some(Sha256::from([0; 32])),
            outcome: Some(Outcome::Succeeded),
            lock_released: Some(true),
            watched: Watched::most(),
            ..Self::refused(kind, "-")
        }
    }

    fn message(&self) -> String {
        let kind = self.kind;
        match self.status {
            "RUNNING" => format!("{kind} is running"),
            "SUCCEEDED" => format!("{kind} successfully carried out"),
            _ => format!("{kind} failed"),
        }
    }

    fn execution_time_ms(&self) -> u64 {
        match (self.start_time, self.end_time) {
            (Some(start), Some(end)) => ms(end - start),
            (Some(_) | None, _) => 0,
        }
    }
}

impl From<&JobView> for PollingBody {
    fn from(view: &JobView) -> Self {
        let (status, state) = status_and_state(view);
        let (filename, size_bytes) = match &view.artifact {
            Some(artifact) => (artifact.filename.clone(), artifact.size_bytes),
            None => (String::new(), 0),
        };
        Self {
            kind: view.key.kind,
            status,
            state,
            error_message: view.error_message(),
            destination: view.destination.clone(),
            compression: view.compression,
            skip_storage: view.transfer == Transfer::ByScripts,
            filename,
            size_bytes,
            sha256: view.artifact.as_ref().and_then(|artifact| artifact.sha256),
            start_time: Some(view.accepted_at),
            end_time: view.ended_at,
            logs: view.logs.clone(),
            outcome: view.status.outcome(),
            lock_released: view.lock.is_released(),
            watched: Watched::from(view),
        }
    }
}

/// The members `status` and `state`.
pub(super) fn status_and_state(view: &JobView) -> (&'static str, &'static str) {
    match &view.status {
        JobStatus::Queued => ("RUNNING", "queued"),
        JobStatus::Between { .. } | JobStatus::Running { .. } => {
            ("RUNNING", view.phase.map_or("queued", Phase::as_str))
        }
        JobStatus::Succeeded => ("SUCCEEDED", "finished"),
        JobStatus::Failed { .. } => ("FAILED", "finished"),
    }
}

/// The member `filesize`.
#[derive(Debug, Serialize)]
pub(super) struct FileSize {
    size: u64,
    unit: &'static str,
}

impl FileSize {
    pub(super) fn of(size: u64) -> Self {
        Self { size, unit: "byte" }
    }
}

impl Serialize for PollingBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", self.status)?;
        map.serialize_entry("message", &self.message())?;
        map.serialize_entry("state", self.state)?;
        if let Some(error_message) = &self.error_message {
            map.serialize_entry("error_message", error_message)?;
        }
        let destination = &self.destination;
        map.serialize_entry("type", &destination.kind)?;
        map.serialize_entry("compression", &self.compression)?;
        map.serialize_entry("skip_storage", &self.skip_storage)?;
        map.serialize_entry("skipSSL", &destination.skip_ssl)?;
        if self.kind == JobKind::Backup {
            for (name, value) in [
                ("region", &destination.region),
                ("endpoint", &destination.endpoint),
                ("bucket", &destination.bucket),
                ("authUrl", &destination.auth_url),
                ("domain", &destination.domain),
                ("container_name", &destination.container_name),
                ("project_name", &destination.project_name),
                ("account", &destination.account),
                ("container", &destination.container),
                ("path", &destination.path),
            ] {
                if !value.is_empty() {
                    map.serialize_entry(name, value)?;
                }
            }
            map.serialize_entry("filename", &self.filename)?;
            map.serialize_entry("filenamePrefix", &destination.filename_prefix)?;
            map.serialize_entry("filesize", &FileSize::of(self.size_bytes))?;
        }
        map.serialize_entry("start_time", &time(self.start_time))?;
        map.serialize_entry("end_time", &time(self.end_time))?;
        map.serialize_entry("execution_time_ms", &self.execution_time_ms())?;
        for phase in self.kind.phases() {
            let log = self.logs.iter().find(|(of, _)| of == phase).map(|(_, log)| log);
            let name = phase.as_str().replace('-', "_");
            map.serialize_entry(&format!("{name}_log"), log.map_or("", |log| &log.stdout))?;
            map.serialize_entry(&format!("{name}_errorlog"), log.map_or("", |log| &log.stderr))?;
        }
        if let Some(outcome) = self.outcome {
            map.serialize_entry("outcome", outcome.as_str())?;
        }
        if let Some(lock_released) = self.lock_released {
            map.serialize_entry("lock_released", &lock_released)?;
        }
        if let Some(sha256) = self.sha256 {
            map.serialize_entry("sha256", &sha256.to_string())?;
        }
        self.watched.add_to(&mut map)?;
        map.end()
    }
}

/// UTC in whole seconds, with a numeric offset, as both known clients parse it.
pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string())
        .unwrap_or_default()
}
