//! The configuration: environment variables, parsed before anything starts, all faults at once.

mod files;
mod listener;
mod password;
mod values;
mod variables;

use std::{
    ffi::OsString,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use adapters::{
    blob_store::{AMBIENT_VARIABLES, AmbientCredentials, CaCertificates},
    http::TlsFiles,
    job_store::FileJobStoreSettings,
    process::Interpreter,
};
use domain::{
    artifact::NamePattern,
    plan::{FailurePolicy, Order},
    request::{AllowedEndpoints, RequestRules, Resolution, complete_endpoint, host_and_port},
    script::{ArgumentStyle, Directories, ScriptSettings},
    secret::Secret,
    service::{QueueLimits, ServiceSettings, TimeLimits},
};
pub(crate) use files::Files;
pub(crate) use password::PasswordSource;
pub(crate) use values::duration as parse_duration;
use variables::Variables;

use crate::logging::LogFormat;

/// The scripts' place in a BOSH deployment.
const DEFAULT_SCRIPTS_PATH: &str = "/var/vcap/jobs/backup-agent/backup";
/// The persistent disk of a BOSH VM.
const BOSH_STORE: &str = "/var/vcap/store";

/// Every variable that configures the agent, in the order of the README. No request may set one of
/// them for scripts.
pub(crate) const NAMES: &[&str] = &[
    "client_username",
    "client_password",
    "client_password_file",
    "client_port",
    "client_address",
    "tls_certificate",
    "tls_private_key",
    "tls_client_ca",
    "max_connections",
    "directory_backup",
    "directory_restore",
    "scripts_path",
    "scrips_path",
    "allowed_to_delete_files",
    "max_job_number",
    "max_queued_jobs",
    "concurrent_restores",
    "skip_storage",
    "default_s3_endpoint",
    "s3_ca_certificate",
    "allow_ambient_credentials",
    "ambient_buckets",
    "allowed_endpoints",
    "allowed_file_roots",
    "backup_name",
    "script_arguments",
    "script_interpreter",
    "unlock_after_failed_lock",
    "unlock_after_failed_restore",
    "keep_unsent_artifact",
    "swap_s3_endpoint_and_region",
    "release_lock",
    "download_before_lock",
    "min_free_space",
    "transfer_retry_timeout",
    "transfer_stall_timeout",
    "transfer_memory",
    "phase_timeout",
    "max_lock_time",
    "terminate_grace",
    "unlock_retries",
    "recovery_patience",
    "drain_timeout",
    "stop_timeout",
    "state_directory",
    "state_key_file",
    "max_state_size",
    "job_retention",
    "max_finished_jobs",
    "audit_log_file",
    "metrics_without_auth",
    "log_format",
    "RUST_LOG",
];

/// A configuration without faults.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) username: Secret,
    pub(crate) password: PasswordSource,
    pub(crate) address: SocketAddr,
    tls: Option<TlsFiles>,
    pub(crate) max_connections: usize,
    pub(crate) scripts_path: PathBuf,
    pub(crate) interpreter: Interpreter,
    pub(crate) allowed_to_delete_files: bool,
    pub(crate) transfer_retry_timeout: Duration,
    pub(crate) transfer_stall_timeout: Duration,
    pub(crate) transfer_memory: u64,
    s3_ca_certificate: Option<PathBuf>,
    pub(crate) ambient: Option<AmbientCredentials>,
    pub(crate) terminate_grace: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) records: FileJobStoreSettings,
    pub(crate) audit_log_file: Option<PathBuf>,
    pub(crate) metrics_without_auth: bool,
    pub(crate) log_filter: String,
    pub(crate) log_format: LogFormat,
    pub(crate) state_directory: PathBuf,
    pub(crate) service: ServiceSettings,
    pub(crate) rules: RequestRules,
    /// What the operator should know at start.
    pub(crate) warnings: Vec<String>,
    /// Every variable with the value in force, for people; secrets are only said to be set.
    pub(crate) summary: Vec<(&'static str, String)>,
}

/// All that is wrong, one line each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigFaults(Vec<String>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigFaults {}

impl Config {
    /// Parses the variables that `look_up` tells.
    ///
    /// # Errors
    ///
    /// All faults at once.
    pub(crate) fn parse(look_up: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigFaults> {
        let mut vars = Variables::new(&look_up);
        let username = vars.secret("client_username");
        let password = password::source(&mut vars);
        let port = vars.parsed("client_port", "8000", values::port);
        let host = vars.parsed("client_address", "0.0.0.0", values::ip_address);
        let tls = listener::tls(&mut vars);
        let max_connections = vars.parsed("max_connections", "512", values::at_least_one);
        let skip_storage = vars.parsed("skip_storage", "false", values::boolean);
        let directories = Directories {
            backup: vars.storage_directory("directory_backup", skip_storage),
            restore: vars.storage_directory("directory_restore", skip_storage),
        };
        let scripts_path = vars.directory_with_alias("scripts_path", "scrips_path", DEFAULT_SCRIPTS_PATH);
        let allowed_to_delete_files = vars.parsed("allowed_to_delete_files", "false", values::boolean);
        let limits = QueueLimits {
            at_work: vars.parsed("max_job_number", "10", values::at_least_one),
            waiting: vars.parsed("max_queued_jobs", "100", values::count),
            restores: vars.parsed("concurrent_restores", "1", values::at_least_one),
        };
        let default_s3_endpoint = vars.optional("default_s3_endpoint", |text| {
            complete_endpoint(text, false).map(|_| text.to_owned())
        });
        let s3_ca_certificate = vars.directory("s3_ca_certificate");
        let ambient = ambient(&mut vars, &look_up);
        let allowed_endpoints = vars.parsed("allowed_endpoints", "", AllowedEndpoints::parse);
        let allowed_file_roots = vars.parsed("allowed_file_roots", "", values::absolute_paths);
        let name_pattern = vars.parsed("backup_name", "seed", |text| {
            NamePattern::parse(text).map_err(|error| error.to_string())
        });
        let arguments = vars.parsed("script_arguments", "latest", |text| {
            values::one_of(text, &ARGUMENT_STYLES)
        });
        let interpreter = vars.parsed("script_interpreter", "bash", |text| values::one_of(text, &INTERPRETERS));
        let policy = FailurePolicy {
            unlock_after_failed_lock: vars.parsed("unlock_after_failed_lock", "true", values::boolean),
            unlock_after_failed_restore: vars.parsed("unlock_after_failed_restore", "true", values::boolean),
            keep_unsent_artifact: vars.parsed("keep_unsent_artifact", "false", values::boolean),
            order: Order {
                unlock_before_upload: vars
                    .parsed("release_lock", "after_upload", |text| values::one_of(text, &RELEASES)),
                download_before_lock: vars.parsed("download_before_lock", "false", values::boolean),
            },
        };
        let swapped = vars.parsed("swap_s3_endpoint_and_region", "false", values::boolean);
        let transfer_retry_timeout = vars.parsed("transfer_retry_timeout", "3m", values::duration);
        let transfer_stall_timeout = vars.parsed("transfer_stall_timeout", "5m", values::duration);
        let transfer_memory = vars.parsed("transfer_memory", "32MiB", values::transfer_memory);
        let times = TimeLimits {
            phase_timeout: vars.optional("phase_timeout", values::duration),
            max_lock_time: vars.optional("max_lock_time", values::duration),
            unlock_retries: vars.parsed("unlock_retries", "5", values::retries),
            stop_timeout: vars.parsed("stop_timeout", "20s", values::duration),
            recovery_patience: vars.parsed("recovery_patience", "5m", values::duration),
            ..TimeLimits::default()
        };
        let terminate_grace = vars.parsed("terminate_grace", "10s", values::duration);
        let drain_timeout = vars.parsed("drain_timeout", "30s", values::duration);
        let min_free_space = vars.parsed("min_free_space", "0", values::size_or_nothing);
        let audit_log_file = vars.directory("audit_log_file");
        let metrics_without_auth = vars.parsed("metrics_without_auth", "false", values::boolean);
        let log_format = vars.parsed("log_format", "text", |text| values::one_of(text, &LOG_FORMATS));
        let log_filter = vars.parsed("RUST_LOG", "info", values::log_filter);
        let mut warnings: Vec<String> = listener::in_clear(host, tls.is_some()).into_iter().collect();
        if let Some(url) = default_s3_endpoint
            .as_deref()
            .and_then(|text| complete_endpoint(text, false).ok())
        {
            let (host, port) = host_and_port(&url);
            if let Err(refusal) = allowed_endpoints.judge(host, port, Resolution::Own) {
                warnings.push(format!("default_s3_endpoint leads to {refusal}"));
            }
        }
        let state_directory = state_directory(
            &mut vars,
            &look_up,
            directories.backup.as_deref(),
            skip_storage,
            &mut warnings,
        );
        vars.show("state_directory", &state_directory);
        let records = FileJobStoreSettings {
            key_file: vars.directory("state_key_file"),
            max_state_size: vars.parsed("max_state_size", "1GiB", values::size),
            job_retention: vars.parsed("job_retention", "720h", values::duration),
            max_finished_jobs: vars.parsed("max_finished_jobs", "10000", values::at_least_one),
            directory: state_directory.clone(),
        };
        let (faults, summary) = vars.finish();
        if !faults.is_empty() {
            return Err(ConfigFaults(faults));
        }
        Ok(Self {
            username,
            password,
            address: SocketAddr::new(host, port),
            tls,
            max_connections,
            scripts_path,
            interpreter,
            allowed_to_delete_files,
            transfer_retry_timeout,
            transfer_stall_timeout,
            transfer_memory,
            s3_ca_certificate,
            terminate_grace,
            drain_timeout,
            records,
            audit_log_file,
            metrics_without_auth,
            log_filter,
            log_format,
            state_directory,
            rules: RequestRules {
                default_s3_endpoint,
                ambient_buckets: ambient.as_ref().map(|ambient| ambient.buckets.clone()),
                allowed_endpoints,
                allowed_file_roots,
                skip_storage,
                name_pattern: name_pattern.clone(),
                agent_variables: NAMES.to_vec(),
            },
            ambient,
            service: ServiceSettings {
                limits,
                policy,
                name_pattern,
                scripts: ScriptSettings {
                    arguments,
                    directories,
                    swap_s3_endpoint_and_region: swapped,
                },
                times,
                min_free_space,
            },
            warnings,
            summary,
        })
    }

    /// Reads the CA certificates of stores.
    ///
    /// # Errors
    ///
    /// If the file is not what it should be.
    pub(crate) fn ca_certificates(&self) -> Result<CaCertificates, ConfigFaults> {
        match &self.s3_ca_certificate {
            None => Ok(CaCertificates::default()),
            Some(path) => CaCertificates::read(path)
                .map_err(|problem| ConfigFaults(vec![format!("s3_ca_certificate {} {problem}", path.display())])),
        }
    }
}

/// What the agent may do in its own name; none if it may not.
fn ambient(vars: &mut Variables<'_>, look_up: &impl Fn(&str) -> Option<OsString>) -> Option<AmbientCredentials> {
    let is_allowed = vars.parsed("allow_ambient_credentials", "false", values::boolean);
    let buckets = vars.parsed("ambient_buckets", "", values::buckets);
    if !is_allowed {
        return None;
    }
    if buckets.is_empty() {
        vars.fault(
            "ambient_buckets",
            "is required with allow_ambient_credentials=true: the buckets, with commas between them",
        );
    }
    // They are AWS's, and not of this configuration.
    let variable = |name: &&'static str| Some((*name, Secret::new(look_up(name)?.into_string().ok()?)));
    Some(AmbientCredentials {
        variables: AMBIENT_VARIABLES.iter().filter_map(variable).collect(),
        buckets,
    })
}

/// Where the agent's own files are, for commands that need nothing else of the configuration.
pub(crate) fn state_directory_alone(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(directory) = named {
        return Ok(directory.to_owned());
    }
    let look_up = |name: &str| std::env::var_os(name);
    let mut vars = Variables::new(&look_up);
    let directory_backup = vars.directory("directory_backup");
    let directory = state_directory(&mut vars, &look_up, directory_backup.as_deref(), true, &mut Vec::new());
    let (faults, _) = vars.finish();
    if faults.is_empty() {
        Ok(directory)
    } else {
        Err(format!("{}; or name it with --state-directory", faults.join("; ")))
    }
}

const ARGUMENT_STYLES: [(&str, ArgumentStyle); 3] = [
    ("latest", ArgumentStyle::Latest),
    ("seed", ArgumentStyle::Seed),
    ("none", ArgumentStyle::None),
];

/// Whether the lock is released before the upload.
const RELEASES: [(&str, bool); 2] = [("after_upload", false), ("before_upload", true)];

const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

const INTERPRETERS: [(&str, Interpreter); 2] = [("bash", Interpreter::Bash), ("shebang", Interpreter::Shebang)];

/// Where the agent's own files are: as told, or on BOSH's persistent disk, or where systemd says,
/// or, last, beside the artifacts.
fn state_directory(
    vars: &mut Variables<'_>,
    look_up: &impl Fn(&str) -> Option<OsString>,
    directory_backup: Option<&Path>,
    skip_storage: bool,
    warnings: &mut Vec<String>,
) -> PathBuf {
    if let Some(directory) = vars.directory("state_directory") {
        return directory;
    }
    if Path::new(BOSH_STORE).is_dir() {
        return Path::new(BOSH_STORE).join("backup-agent");
    }
    let by_systemd = look_up("STATE_DIRECTORY").and_then(|value| {
        // systemd puts a colon between several.
        let first = value.to_str()?.split(':').next()?.to_owned();
        (!first.is_empty()).then(|| PathBuf::from(first))
    });
    match (by_systemd, directory_backup) {
        (Some(directory), _) => directory,
        (None, Some(directory_backup)) => {
            let directory = directory_backup.join(".osb-backup-agent");
            warnings.push(format!(
                "the agent keeps its own files in {}, where scripts clean up; set state_directory to a place of its own",
                directory.display()
            ));
            directory
        }
        (None, None) => {
            // Otherwise the missing directory_backup is a fault already.
            if skip_storage {
                vars.fault("state_directory", "is required where there is no directory_backup");
            }
            PathBuf::new()
        }
    }
}

#[cfg(test)]
mod tests;
