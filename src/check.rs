//! The operator's pre-flight: `osb-backup-agent check`.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::{
    http::{report, request_of},
    job_store::MemoryJobStore,
};
use domain::ports::{Finding, JobApi, Unobserved, Verdict};
use nix::unistd::{AccessFlags, access};

use crate::{cli::CheckOptions, config::Config, serve};

/// `check`
pub(crate) async fn check(options: &CheckOptions) -> ExitCode {
    let findings = findings(options).await;
    let is_good = findings.iter().all(Finding::is_good);
    if options.json {
        println!("{}", report(&findings));
    } else {
        for finding in &findings {
            println!("{}", line(finding));
        }
        println!("{}", if is_good { "All is well." } else { "Not all is well." });
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(finding: &Finding) -> String {
    let word = if finding.is_good() { "ok " } else { "BAD" };
    let took = finding.took.as_millis();
    let line = format!("{word}  {} ({took} ms)  {}", finding.subject, finding.detail());
    line.trim_end().to_owned()
}

async fn findings(options: &CheckOptions) -> Vec<Finding> {
    let begun = Instant::now();
    let config = Config::parse(|name| std::env::var_os(name));
    let config = config.and_then(|config| Ok((config.read_files()?, config)));
    let (files, config) = match config {
        Ok(good) => good,
        Err(faults) => {
            let faults = faults.to_string();
            let bad = |fault: &str| finding("configuration", begun.elapsed(), Err(fault.to_owned()));
            return faults.lines().map(bad).collect();
        }
    };
    let warnings = config.warnings.join("; ");
    let mut all = vec![finding("configuration", begun.elapsed(), Ok(warnings))];
    let begun = Instant::now();
    let state = state_directory(&config.state_directory);
    all.push(finding("state_directory", begun.elapsed(), state));
    let begun = Instant::now();
    let request = match options.body.as_deref().map(|path| read(path, &config)).transpose() {
        Ok(request) => request,
        Err(problem) => {
            all.push(finding("body", begun.elapsed(), Err(problem)));
            None
        }
    };
    // The records are those of the agent that runs: nobody else may open them.
    let store = Arc::new(MemoryJobStore::new(1));
    let service = serve::service(&config, files.trust, store, Arc::new(Unobserved));
    let found = service.examine(request).await;
    all.extend(found.into_iter().filter(|finding| finding.subject != "records"));
    all
}

fn finding(subject: &str, took: Duration, result: Result<String, String>) -> Finding {
    Finding {
        subject: subject.to_owned(),
        verdict: result.map_or_else(Verdict::Bad, Verdict::Good),
        took,
    }
}

fn read(path: &Path, config: &Config) -> Result<domain::request::JobRequest, String> {
    let body = match path.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()).map(String::into_bytes),
        false => fs::read(path),
    };
    let body = body.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    request_of(&body, &config.rules)
}

/// Whether the agent could keep its records there, or make the directory.
fn state_directory(path: &Path) -> Result<String, String> {
    let there = path.ancestors().find(|path| path.exists());
    let Some(there) = there else {
        return Err(format!(
            "{} cannot be made; name another state_directory",
            path.display()
        ));
    };
    let told = there.display();
    access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        format!(
            "files cannot be made in {told}: {error}; run this as the agent's user, and give that user access to it"
        )
    })?;
    if there != path {
        return Ok(format!("will be made in {told}"));
    }
    let found = fs::metadata(path).map_err(|error| format!("{told} cannot be looked at: {error}"))?;
    let mode = found.permissions().mode() & 0o7777;
    if !found.is_dir() {
        return Err(format!("{told} is no directory; remove what is there"));
    }
    if mode & 0o077 != 0 {
        return Err(format!(
            "{told} has mode {mode:04o}, by which others see or change the agent's records; chmod 700 {told}"
        ));
    }
    Ok(format!("mode {mode:04o}"))
}
