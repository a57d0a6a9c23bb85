//! A request as it came, typed but unchecked.

use crate::{job::JobId, plan::JobKind, secret::Secret};

/// A request as it came, typed but unchecked. Members that were absent are `None`.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Backup or restore.
    pub kind: JobKind,
    /// The job's id, which is checked before all else.
    pub id: JobId,
    /// `destination`
    pub destination: DestinationDraft,
    /// `backup` or `restore`
    pub service: ServiceDraft,
    /// `compression`
    pub compression: Option<bool>,
    /// `encryption_key`
    pub encryption_key: Option<Secret>,
    /// `skipStorage`
    pub skip_storage: Option<bool>,
}

/// The `destination` of a request.
#[derive(Debug, Clone, Default)]
pub struct DestinationDraft {
    /// `type`
    pub kind: Option<String>,
    /// `endpoint`
    pub endpoint: Option<String>,
    /// `authUrl`
    pub auth_url: Option<String>,
    /// `region`
    pub region: Option<String>,
    /// `bucket`
    pub bucket: Option<String>,
    /// `authKey`
    pub auth_key: Option<Secret>,
    /// `authSecret`
    pub auth_secret: Option<Secret>,
    /// `sessionToken`, of S3
    pub session_token: Option<Secret>,
    /// `sse`, of S3
    pub sse: Option<String>,
    /// `sseKmsKeyId`, of S3
    pub sse_kms_key_id: Option<String>,
    /// `storageClass`, of S3
    pub storage_class: Option<String>,
    /// `checksum`, of S3
    pub checksum: Option<String>,
    /// `pathStyle`
    pub path_style: Option<bool>,
    /// `skipSSL`
    pub skip_ssl: Option<bool>,
    /// `filenamePrefix`
    pub filename_prefix: Option<String>,
    /// `filename`, of a restore
    pub filename: Option<String>,
    /// `sha256`, of a restore
    pub sha256: Option<String>,
    /// `filesize`, of a restore, in bytes
    pub filesize: Option<u64>,
    /// `domain`
    pub domain: Option<String>,
    /// `container_name`
    pub container_name: Option<String>,
    /// `project_name`
    pub project_name: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `password`
    pub password: Option<Secret>,
    /// `path`, of a `FILE` destination
    pub path: Option<String>,
    /// `serviceAccountKey`, of a `GCS` destination
    pub service_account_key: Option<ServiceAccountDraft>,
    /// `account`, of an `AZURE` destination
    pub account: Option<String>,
    /// `container`, of an `AZURE` destination
    pub container: Option<String>,
    /// `accountKey`, of an `AZURE` destination
    pub account_key: Option<Secret>,
    /// `sasToken`, of an `AZURE` destination
    pub sas_token: Option<Secret>,
}

/// The key file of a service account.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountDraft {
    /// `type`
    pub kind: Option<String>,
    /// `client_email`
    pub client_email: Option<String>,
    /// `private_key_id`
    pub private_key_id: Option<String>,
    /// `private_key`
    pub private_key: Option<Secret>,
    /// The whole file.
    pub key_file: Secret,
}

/// The `backup` or `restore` object of a request.
#[derive(Debug, Clone, Default)]
pub struct ServiceDraft {
    /// `host`
    pub host: Option<String>,
    /// `username` or `user`
    pub user: Option<String>,
    /// `password`
    pub password: Option<Secret>,
    /// `database`
    pub database: Option<String>,
    /// `parameters`, in order
    pub parameters: Vec<(String, Secret)>,
}
