//! The command line.

use clap::{Parser, Subcommand};

use crate::demo::DemoOptions;

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
    /// Show a whole backup and restore of sample data, in a scratch directory
    Demo(DemoOptions),
}
