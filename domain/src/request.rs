//! A checked request: once it is a [`JobRequest`], nobody needs to look again.

mod allowed;
mod check;
mod destination;
mod draft;
mod endpoint;
mod faults;
mod parameters;

use std::path::PathBuf;

pub use allowed::{AllowedEndpoints, Refusal, Resolution};
pub use destination::{
    AzureCredential, AzureStore, Destination, DestinationEcho, FileStore, GcsStore, S3Addressing, S3Checksum,
    S3Credentials, S3Encryption, S3Store, ServiceAccount, Store, StoreKind, SwiftStore,
};
pub use draft::{DestinationDraft, Draft, ServiceAccountDraft, ServiceDraft};
pub use endpoint::{complete as complete_endpoint, host_and_port};
pub use faults::{Fault, Faults};
pub use parameters::{MAX_PARAMETER_BYTES, Parameter, RefusedNames, refusal_of_name, refused_names};

use crate::{
    artifact::{Expected, NamePattern},
    job::JobId,
    plan::{JobKind, Transfer},
    secret::Secret,
};

/// What an accepted request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// The caller's name for the job.
    pub id: JobId,
    /// Backup, or restore of which object.
    pub work: Work,
    /// Where the artifact goes or comes from.
    pub destination: Destination,
    /// Who moves the bytes.
    pub transfer: Transfer,
    /// The database, for the scripts.
    pub service: Service,
    /// For the scripts: whether to compress.
    pub compression: bool,
    /// For the scripts: empty or `none` means no encryption.
    pub encryption_key: Secret,
    /// More environment variables for every script.
    pub parameters: Vec<Parameter>,
    /// What is odd about the request but no fault, for the log.
    pub warnings: Vec<String>,
}

impl JobRequest {
    /// Backup or restore.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self.work {
            Work::Backup => JobKind::Backup,
            Work::Restore { .. } => JobKind::Restore,
        }
    }

    /// The same without passwords, keys and parameters: what is kept when the job is done.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.destination.store.remove_secrets();
        self.service.password = Secret::default();
        self.encryption_key = Secret::default();
        self.parameters.clear();
        self
    }

    /// The values that nobody should find in what scripts print: passwords and keys, but for those
    /// that are too short to be told from other text, that are no secret (`none`), or that are also
    /// part of what everybody may see.
    #[must_use]
    pub fn values_to_redact(&self) -> Vec<Secret> {
        let filename = match &self.work {
            Work::Backup => "",
            Work::Restore { filename, .. } => filename,
        };
        let public = [self.id.as_str(), &self.service.host, &self.service.database, filename];
        let is_hidden = |secret: &Secret| {
            let text = secret.expose();
            text.chars().count() >= SHORTEST_REDACTED && text != "none" && public.iter().all(|p| !p.contains(text))
        };
        let own = [&self.service.password, &self.encryption_key];
        let all = own.into_iter().cloned().chain(self.destination.store.secrets());
        all.filter(is_hidden).collect()
    }
}

/// Shorter secrets are not looked for in output, in characters: they would be found everywhere.
const SHORTEST_REDACTED: usize = 8;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Make an artifact and store it.
    Backup,
    /// Bring an object back.
    Restore {
        /// Its name at the destination, without the prefix: one path segment.
        filename: String,
        /// What the client knows of it.
        expected: Expected,
    },
}

/// The database that a job is about; only the scripts know what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its host; together with the database what jobs queue for.
    pub host: String,
    /// May be empty.
    pub user: String,
    /// May be empty.
    pub password: Secret,
    /// Its name.
    pub database: String,
}

/// What the operator's configuration says about requests.
#[derive(Debug, Clone)]
pub struct RequestRules {
    /// Used when an S3 request names no endpoint; none means AWS.
    pub default_s3_endpoint: Option<String>,
    /// The buckets that requests without keys may use with the agent's own credentials; none:
    /// the operator does not allow that for any.
    pub ambient_buckets: Option<Vec<String>>,
    /// The hosts that requests may have the agent speak to.
    pub allowed_endpoints: AllowedEndpoints,
    /// The directories that `FILE` destinations may lie in; empty: the type is refused.
    pub allowed_file_roots: Vec<PathBuf>,
    /// The scripts move the bytes, whatever the request says.
    pub skip_storage: bool,
    /// How artifacts are named; a name that would be too long is a fault of the request.
    pub name_pattern: NamePattern,
    /// The agent's own variables, which no parameter may set.
    pub agent_variables: Vec<&'static str>,
}

#[cfg(test)]
mod tests;
