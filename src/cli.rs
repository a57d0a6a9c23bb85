//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    check_scripts::CheckScriptsOptions,
    client::{CancelOptions, JobsOptions, StatusOptions, TriggerOptions},
    demo::DemoOptions,
};

/// Backs up the database beside it: runs the operator's phase scripts and moves the artifact to or
/// from object storage, on request over HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "osb-backup-agent",
    version,
    after_help = "The agent is configured by environment variables; the README lists them all, and check-config \
                  shows those in force.\nWithout a command it serves."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API (the default)
    Serve,
    /// Parse the environment variables, report every fault, and exit: 0 if there is none, else 2
    CheckConfig,
    /// Look at all that jobs need, and with a body also at its destination: exit code 0 if all is well, else 1
    Check(CheckOptions),
    /// Ask an agent for a backup, and wait for its end
    Backup(Box<TriggerOptions>),
    /// Ask an agent for a restore, and wait for its end
    Restore(Box<TriggerOptions>),
    /// Ask an agent for a job, or how it is itself
    Status(StatusOptions),
    /// Have an agent end a job
    Cancel(CancelOptions),
    /// Show the jobs on this machine that run, wait, or hold a lock, also when no agent runs; with --url all jobs of
    /// that agent
    Jobs(JobsOptions),
    /// Run the unlock script that a job owes, now, also when no agent runs
    Unlock(UnlockOptions),
    /// Rehearse a set of scripts against a database of yours, and say which rules it breaks
    CheckScripts(Box<CheckScriptsOptions>),
    /// Show a whole backup and restore of sample data, in a scratch directory
    Demo(DemoOptions),
}

/// What is looked at, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// A file with the JSON of a backup or a restore, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// Tell it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose unlock, and how.
#[derive(Debug, Args)]
pub(crate) struct UnlockOptions {
    /// backup or restore
    pub(crate) kind: String,
    /// The job's id
    pub(crate) id: String,
    /// Do not run the script, but stop the agent from trying: the service may stay locked
    #[arg(long)]
    pub(crate) give_up: bool,
    /// The agent's own files; otherwise the environment says where they are, as for the agent
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) state_directory: Option<PathBuf>,
}
