//! What a script gets: arguments and environment, as data.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use crate::{
    artifact::{ArtifactName, without_ending},
    job::{JobId, JobKey},
    plan::{Phase, Role, Transfer},
    request::{AzureCredential, JobRequest, S3Credentials, Store, Work},
    secret::Secret,
};

/// Which arguments the scripts get, by the operator's `script_arguments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArgumentStyle {
    /// As the original's later generations passed them.
    #[default]
    Latest,
    /// As its first generation did.
    Seed,
    /// None: arguments are visible to every user of the machine.
    None,
}

/// The directories in which artifacts are made and restored; absolute. None only without storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directories {
    /// `directory_backup`
    pub backup: Option<PathBuf>,
    /// `directory_restore`
    pub restore: Option<PathBuf>,
}

impl Directories {
    /// The full path of an artifact.
    #[must_use]
    pub fn artifact(&self, name: &ArtifactName) -> Option<PathBuf> {
        Some(self.backup.as_ref()?.join(name.file_name()))
    }

    /// The full path of a job's file to restore.
    #[must_use]
    pub fn restore_file(&self, id: &JobId, filename: &str) -> Option<PathBuf> {
        Some(self.restore.as_ref()?.join(id.as_str()).join(filename))
    }
}

/// What cleanup and unlock scripts are told of the job so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Course {
    /// The phase of the first failure; none if nothing failed so far.
    pub failed_phase: Option<Phase>,
    /// What became of the lock.
    pub lock: LockState,
}

/// What became of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockState {
    /// The lock script succeeded.
    #[default]
    Taken,
    /// The lock script failed; it may have locked half.
    Failed,
    /// The agent, or the machine, was restarted since.
    Unknown,
}

/// How the operator wants scripts to be called.
#[derive(Debug, Clone, Default)]
pub struct ScriptSettings {
    /// Which arguments they get.
    pub arguments: ArgumentStyle,
    /// Where the files are.
    pub directories: Directories,
    /// Without storage: `S3_ENDPOINT` and `S3_REGION` change places, for scripts that lean on an
    /// error of the original.
    pub swap_s3_endpoint_and_region: bool,
}

/// One call of a script. Its `Debug` shows no values, as some are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptCall {
    /// The job that the call is for.
    pub job: JobKey,
    /// The phase, after which the script is named.
    pub phase: Phase,
    /// The arguments, in order.
    pub arguments: Vec<OsString>,
    /// Variables in addition to what scripts inherit; of two of one name the later counts.
    pub environment: Vec<(String, OsString)>,
    /// What is to be hidden in the script's output.
    pub redacted: Vec<Secret>,
    /// A script that is still at work after this is worth a warning: half of its time is over.
    pub warn_after: Option<Duration>,
}

impl fmt::Debug for ScriptCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptCall")
            .field("job", &self.job)
            .field("phase", &self.phase)
            .field("arguments", &self.arguments.len())
            .field("environment", &self.environment.len())
            .finish()
    }
}

/// The call of the script of `phase`.
#[must_use]
pub fn call(
    phase: Phase,
    request: &JobRequest,
    artifact_name: Option<&ArtifactName>,
    course: Course,
    settings: &ScriptSettings,
) -> ScriptCall {
    let facts = Facts::new(request, artifact_name, settings);
    ScriptCall {
        job: JobKey::new(request.kind(), request.id.clone()),
        phase,
        arguments: match settings.arguments {
            ArgumentStyle::Latest => facts.latest_arguments(phase),
            ArgumentStyle::Seed => facts.seed_arguments(phase),
            ArgumentStyle::None => Vec::new(),
        },
        environment: facts.environment(phase, course, settings),
        redacted: request.values_to_redact(),
        warn_after: None,
    }
}

/// What is true of a job, for arguments and environment alike.
struct Facts<'a> {
    request: &'a JobRequest,
    name: String,
    filename: &'a str,
    file: PathBuf,
    /// The directory that the seed's scripts get.
    restore_directory: PathBuf,
}

impl<'a> Facts<'a> {
    fn new(request: &'a JobRequest, artifact_name: Option<&ArtifactName>, settings: &ScriptSettings) -> Self {
        let directories = &settings.directories;
        let (name, filename, file) = match &request.work {
            Work::Backup => (
                artifact_name.map(|name| name.stem().to_owned()),
                "",
                artifact_name.and_then(|name| directories.artifact(name)),
            ),
            Work::Restore { filename, .. } => (
                Some(without_ending(filename).to_owned()),
                filename.as_str(),
                directories.restore_file(&request.id, filename),
            ),
        };
        Self {
            request,
            name: name.unwrap_or_default(),
            filename,
            file: file.unwrap_or_default(),
            restore_directory: directories.restore.clone().unwrap_or_default(),
        }
    }

    fn latest_arguments(&self, phase: Phase) -> Vec<OsString> {
        let (database, id) = (self.database(), OsString::from(self.request.id.as_str()));
        match phase {
            Phase::PreBackupLock | Phase::PreBackupCheck | Phase::PostBackupUnlock => vec![database],
            Phase::BackupCleanup => vec![database, id],
            Phase::PreRestoreLock | Phase::RestoreCleanup => vec![id],
            Phase::PostRestoreUnlock => vec![],
            Phase::Backup | Phase::Restore => {
                let what = match phase {
                    Phase::Restore => self.filename,
                    _ => &self.name,
                };
                let mut arguments = self.login();
                arguments.extend([
                    what.into(),
                    id,
                    self.compression().into(),
                    self.request.encryption_key.expose().into(),
                ]);
                arguments
            }
        }
    }

    fn seed_arguments(&self, phase: Phase) -> Vec<OsString> {
        let mut arguments = self.login();
        match phase {
            Phase::Backup => arguments.push(self.file.clone().into()),
            Phase::Restore => arguments.extend([self.restore_directory.clone().into(), self.filename.into()]),
            Phase::PreBackupLock
            | Phase::PreBackupCheck
            | Phase::BackupCleanup
            | Phase::PostBackupUnlock
            | Phase::PreRestoreLock
            | Phase::RestoreCleanup
            | Phase::PostRestoreUnlock => arguments.clear(),
        }
        arguments
    }

    fn login(&self) -> Vec<OsString> {
        let service = &self.request.service;
        vec![
            service.host.clone().into(),
            service.user.clone().into(),
            service.password.expose().into(),
            self.database(),
        ]
    }

    fn database(&self) -> OsString {
        self.request.service.database.clone().into()
    }

    fn compression(&self) -> &'static str {
        if self.request.compression { "true" } else { "false" }
    }

    /// The request's parameters, the destination if the scripts move the bytes, and the job's facts.
    fn environment(&self, phase: Phase, course: Course, settings: &ScriptSettings) -> Vec<(String, OsString)> {
        let request = self.request;
        let mut environment: Vec<(String, OsString)> = request
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.value.expose().into()))
            .collect();
        if request.transfer == Transfer::ByScripts {
            let variables = destination_variables(&request.destination.store, settings.swap_s3_endpoint_and_region);
            environment.extend(
                variables
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into())),
            );
        }
        let mut add = |name: &str, value: OsString| environment.push((format!("BACKUP_AGENT_{name}"), value));
        add("JOB_ID", request.id.as_str().into());
        add("KIND", request.kind().as_str().into());
        add("PHASE", phase.as_str().into());
        add("HOST", request.service.host.clone().into());
        add("USER", request.service.user.clone().into());
        add("PASSWORD", request.service.password.expose().into());
        add("DATABASE", self.database());
        add("NAME", self.name.clone().into());
        add("FILE", self.file.clone().into());
        add("COMPRESSION", self.compression().into());
        add("ENCRYPTION_KEY", request.encryption_key.expose().into());
        if matches!(phase.role(), Role::Cleanup | Role::Unlock) {
            let outcome = if course.failed_phase.is_some() {
                "failed"
            } else {
                "succeeded"
            };
            add("OUTCOME", outcome.into());
            add("FAILED_PHASE", course.failed_phase.map_or("", Phase::as_str).into());
            add(
                "LOCK",
                match course.lock {
                    LockState::Taken => "taken",
                    LockState::Failed => "failed",
                    LockState::Unknown => "unknown",
                }
                .into(),
            );
        }
        environment
    }
}

/// The destination, for scripts that move the bytes themselves.
fn destination_variables(store: &Store, swapped: bool) -> Vec<(&'static str, String)> {
    match store {
        Store::S3(s3) => {
            let endpoint = s3.endpoint.clone().unwrap_or_default();
            let region = s3.region.clone().unwrap_or_default();
            let (endpoint, region) = if swapped {
                (region, endpoint)
            } else {
                (endpoint, region)
            };
            let (key, secret, token) = match &s3.credentials {
                S3Credentials::Keys { key, secret, token } => (key.expose(), secret.expose(), token.as_ref()),
                // The agent's own are for nobody else.
                S3Credentials::Ambient => ("", "", None),
            };
            let mut variables = vec![
                ("S3_BUCKET", s3.bucket.clone()),
                ("S3_ENDPOINT", endpoint),
                ("S3_REGION", region),
                ("S3_AUTHKEY", key.to_owned()),
                ("S3_AUTHSECRET", secret.to_owned()),
                ("S3_SKIPSSL", s3.skip_ssl.to_string()),
                ("S3_FILENAMEPREFIX", s3.prefix.clone()),
            ];
            variables.extend(token.map(|token| ("S3_SESSIONTOKEN", token.expose().to_owned())));
            variables
        }
        Store::Swift(swift) => vec![
            ("SWIFT_AUTHURL", swift.auth_url.clone()),
            ("SWIFT_DOMAIN", swift.domain.clone()),
            ("SWIFT_CONTAINERNAME", swift.container_name.clone()),
            ("SWIFT_PROJECTNAME", swift.project_name.clone()),
            ("SWIFT_USERNAME", swift.username.clone()),
            ("SWIFT_PASSWORD", swift.password.expose().to_owned()),
        ],
        Store::File(_) => Vec::new(),
        Store::Gcs(gcs) => vec![
            ("GCS_BUCKET", gcs.bucket.clone()),
            (
                "GCS_SERVICEACCOUNTKEY",
                gcs.service_account.key_file.expose().to_owned(),
            ),
            ("GCS_ENDPOINT", gcs.endpoint.clone().unwrap_or_default()),
            ("GCS_FILENAMEPREFIX", gcs.prefix.clone()),
        ],
        Store::Azure(azure) => {
            let (key, token) = match &azure.credential {
                AzureCredential::AccountKey(key) => (key.expose(), ""),
                AzureCredential::SasToken(token) => ("", token.expose()),
            };
            vec![
                ("AZURE_ACCOUNT", azure.account.clone()),
                ("AZURE_CONTAINER", azure.container.clone()),
                ("AZURE_ACCOUNTKEY", key.to_owned()),
                ("AZURE_SASTOKEN", token.to_owned()),
                ("AZURE_ENDPOINT", azure.endpoint.clone().unwrap_or_default()),
                ("AZURE_FILENAMEPREFIX", azure.prefix.clone()),
            ]
        }
    }
}

/// Variables of the agent's own environment that no script inherits: its secrets, and the ways to them.
pub const NOT_INHERITED: &[&str] = &[
    "client_username",
    "client_password",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
];

#[cfg(test)]
mod tests;
