//! What the commands of the client can be told. Secrets cannot: every user of a machine sees arguments.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::config::parse_duration;

/// Which agent.
#[derive(Debug, Args)]
pub(crate) struct AgentOptions {
    /// Where the agent is, as `https://db.example.org:8000`; otherwise OSB_BACKUP_AGENT_URL says so
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file with a line USER:PASSWORD; otherwise OSB_BACKUP_AGENT_USER and OSB_BACKUP_AGENT_PASSWORD say so, or
    /// client_username and client_password, as for the agent itself
    #[arg(long, value_name = "FILE")]
    pub(super) credentials: Option<PathBuf>,
    /// A PEM file of CA certificates; with it no others are trusted
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// A PEM file with the client's own certificate
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(super) client_certificate: Option<PathBuf>,
    /// A PEM file with its key
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(super) client_key: Option<PathBuf>,
}

/// How a job is looked at.
#[derive(Debug, Args)]
pub(super) struct LookOptions {
    /// Print the last polling body, as the agent sent it, and everything else to standard error
    #[arg(long)]
    pub(super) json: bool,
    /// How long an agent that stops answering is asked again, as 90s, 10m or 2h
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(super) patience: Duration,
}

/// A job to be started.
#[derive(Debug, Args)]
#[command(after_help = SECRETS)]
pub(crate) struct TriggerOptions {
    #[command(flatten)]
    pub(super) agent: AgentOptions,
    #[command(flatten)]
    pub(super) look: LookOptions,
    /// Do not wait for the end of the job
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) request: RequestOptions,
}

const SECRETS: &str = "Secrets come from the environment: OSB_DATABASE_PASSWORD, OSB_ENCRYPTION_KEY; S3: \
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; SWIFT: OS_PASSWORD; AZURE: AZURE_STORAGE_KEY or \
AZURE_STORAGE_SAS_TOKEN. Each may be a file instead, named by the same variable with _FILE at its end. GCS: \
GOOGLE_APPLICATION_CREDENTIALS names the key file.

Exit codes: 0 the job succeeded; 1 it failed, or the agent refused it; 2 mend the call; 3 there was no answer.";

/// What is asked for: a file, or options.
#[derive(Debug, Default, Args)]
pub(super) struct RequestOptions {
    /// A file with the request, in JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) request: Option<PathBuf>,
    /// The job's id; one is made up where there is none
    #[arg(long)]
    pub(super) id: Option<String>,
    /// The database's host, as the scripts know it
    #[arg(long, required_unless_present = "request", conflicts_with = "request")]
    pub(super) host: Option<String>,
    /// The database
    #[arg(long, required_unless_present = "request", conflicts_with = "request")]
    pub(super) database: Option<String>,
    /// The database's user
    #[arg(long, conflicts_with = "request")]
    pub(super) user: Option<String>,
    /// Where the artifact goes or comes from
    #[arg(long = "type", value_parser = ["S3", "SWIFT", "GCS", "AZURE", "FILE"], ignore_case = true,
          required_unless_present = "request", conflicts_with = "request")]
    pub(super) store: Option<String>,
    /// The bucket, of S3 and GCS
    #[arg(long, conflicts_with = "request")]
    pub(super) bucket: Option<String>,
    /// The store's address
    #[arg(long, value_name = "URL", conflicts_with = "request")]
    pub(super) endpoint: Option<String>,
    /// The store's region
    #[arg(long, conflicts_with = "request")]
    pub(super) region: Option<String>,
    /// What stands before the object's name
    #[arg(long, conflicts_with = "request")]
    pub(super) prefix: Option<String>,
    /// The directory, of FILE
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "request")]
    pub(super) path: Option<String>,
    /// The object to restore
    #[arg(long, conflicts_with = "request")]
    pub(super) filename: Option<String>,
    /// What the object to restore must be, in hexadecimal
    #[arg(long, conflicts_with = "request")]
    pub(super) sha256: Option<String>,
    /// Any other member of the destination, as pathStyle=true or container_name=backups; may be repeated
    #[arg(long, value_name = "MEMBER=VALUE", conflicts_with = "request")]
    pub(super) destination: Vec<String>,
    /// An environment variable for the scripts: NAME=VALUE, or NAME alone, whose value is then taken from the
    /// environment; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]", conflicts_with = "request")]
    pub(super) parameter: Vec<String>,
    /// Tell the scripts to compress
    #[arg(long, conflicts_with = "request")]
    pub(super) compression: bool,
}

/// A job to look at, or the agent itself.
#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(super) agent: AgentOptions,
    #[command(flatten)]
    pub(super) look: LookOptions,
    /// backup or restore; without it the agent itself is asked how it is
    #[arg(value_parser = ["backup", "restore"], requires = "id")]
    pub(super) kind: Option<String>,
    /// The job's id
    pub(super) id: Option<String>,
    /// Wait for the end of the job
    #[arg(long, requires = "id")]
    pub(super) wait: bool,
}

/// A job to be ended.
#[derive(Debug, Args)]
pub(crate) struct CancelOptions {
    #[command(flatten)]
    pub(super) agent: AgentOptions,
    #[command(flatten)]
    pub(super) look: LookOptions,
    /// backup or restore
    #[arg(value_parser = ["backup", "restore"])]
    pub(super) kind: String,
    /// The job's id
    pub(super) id: String,
    /// Do not wait until it has ended
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// All jobs: of an agent, or of this machine.
#[derive(Debug, Args)]
pub(crate) struct JobsOptions {
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
    #[command(flatten)]
    pub(super) wanted: WantedJobs,
    /// With --url: print what the agent answered
    #[arg(long, requires = "url")]
    pub(super) json: bool,
    /// The agent's own files; otherwise the environment says where they are, as for the agent
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "url")]
    pub(crate) state_directory: Option<PathBuf>,
}

/// Which jobs of an agent are shown. The agent knows what these may be.
#[derive(Debug, Args)]
pub(super) struct WantedJobs {
    /// backup or restore
    #[arg(long, requires = "url")]
    pub(super) kind: Option<String>,
    /// RUNNING, SUCCEEDED or FAILED
    #[arg(long, requires = "url")]
    pub(super) status: Option<String>,
    /// succeeded, failed, cancelled or interrupted
    #[arg(long, requires = "url")]
    pub(super) outcome: Option<String>,
    /// Those of this database, on whatever host
    #[arg(long, requires = "url")]
    pub(super) database: Option<String>,
    /// Those accepted then or later, as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", requires = "url")]
    pub(super) since: Option<String>,
    /// Those accepted before
    #[arg(long, value_name = "TIME", requires = "url")]
    pub(super) until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", requires = "url")]
    pub(super) limit: Option<String>,
    /// Those behind the last of an answer, which told this
    #[arg(long, requires = "url")]
    pub(super) cursor: Option<String>,
}
