//! The agent's binary: command line, configuration, wiring, signals. Rules live in `domain`.

mod by_hand;
mod check;
mod check_scripts;
mod cli;
mod client;
mod config;
mod demo;
mod logging;
mod out;
mod reload;
mod secrets;
mod serve;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use cli::{Cli, Command};
use config::{Config, Files};

/// The exit code for a bad configuration or command line, as argument parsers use it.
const USAGE: u8 = 2;

/// How long what is still at work at the end may take.
const LAST_MOMENT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match Cli::parse().command.unwrap_or(Command::Serve) {
        Command::Serve => with_config(|config, files| run(serve::serve(config, files))),
        Command::CheckConfig => with_config(|config, _| {
            show(&config);
            ExitCode::SUCCESS
        }),
        Command::Check(options) => run(async move { check::check(&options).await }),
        Command::Backup(options) => run(async move { client::backup(&options).await }),
        Command::Restore(options) => run(async move { client::restore(&options).await }),
        Command::Status(options) => run(async move { client::status(&options).await }),
        Command::Cancel(options) => run(async move { client::cancel(&options).await }),
        Command::Jobs(options) if options.agent.url.is_some() => run(async move { client::jobs(&options).await }),
        Command::Jobs(options) => run(async move { by_hand::jobs(options.state_directory.as_deref()).await }),
        Command::CheckScripts(options) => run(async move { check_scripts::run(&options).await }),
        Command::Unlock(options) => run(async move { by_hand::unlock(&options).await }),
        Command::Demo(options) => run(demo::run(options)),
    }
}

fn with_config(then: impl FnOnce(Config, Files) -> ExitCode) -> ExitCode {
    let config = Config::parse(|name| std::env::var_os(name));
    match config.and_then(|config| Ok((config.read_files()?, config))) {
        Ok((files, config)) => then(config, files),
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::from(USAGE)
        }
    }
}

fn show(config: &Config) {
    for (name, value) in &config.summary {
        println!("{name}={value}");
    }
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    println!("The configuration has no faults.");
}

fn run(future: impl Future<Output = ExitCode>) -> ExitCode {
    // reqwest is built without a provider, so that the tree holds one alone.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        unreachable!("nothing has installed a TLS provider before");
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(future);
            // What hangs on a disk or a mount must not hold the exit.
            runtime.shutdown_timeout(LAST_MOMENT);
            code
        }
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
