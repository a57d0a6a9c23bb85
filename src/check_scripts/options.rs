//! What `check-scripts` can be told.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::config::parse_duration;

/// Which scripts, against what.
#[derive(Debug, Args)]
#[command(after_help = "\
The database's password comes from OSB_DATABASE_PASSWORD, or from the file that OSB_DATABASE_PASSWORD_FILE names.

Use a database that may be lost: it is locked and unlocked, backed up several times, and its content is replaced by a \
backup of itself, unless --without-restore is given.

Exit codes: 0 no rule is broken; 1 one is, or the rehearsal did not come to its end; 2 mend the call.")]
pub(crate) struct CheckScriptsOptions {
    /// The directory of the scripts; otherwise scripts_path says so, as for the agent
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) scripts: Option<PathBuf>,
    /// The host of the database that is rehearsed with
    #[arg(long)]
    pub(super) host: String,
    /// The database that is rehearsed with; its content is replaced
    #[arg(long)]
    pub(super) database: String,
    /// The database's user
    #[arg(long)]
    pub(super) user: Option<String>,
    /// An environment variable for the scripts: NAME=VALUE, or NAME alone, whose value is then taken from the
    /// environment; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(super) parameter: Vec<String>,
    /// The arguments that scripts get; otherwise script_arguments says so, as for the agent
    #[arg(long, value_parser = ["latest", "seed", "none"])]
    pub(super) arguments: Option<String>,
    /// Who reads the scripts; otherwise script_interpreter says so, as for the agent
    #[arg(long, value_parser = ["bash", "shebang"])]
    pub(super) interpreter: Option<String>,
    /// Leave the restore out: the content of the database is then only read
    #[arg(long)]
    pub(super) without_restore: bool,
    /// An existing directory; the rehearsal makes one of its own below it. Otherwise where temporary files are
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) scratch: Option<PathBuf>,
    /// Keep what the rehearsal has made there
    #[arg(long)]
    pub(super) keep: bool,
    /// The longest that a script may take, as 90s, 10m or 2h
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub(super) time_limit: Duration,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Print the report as JSON, and everything else to standard error
    #[arg(long)]
    pub(super) json: bool,
}
