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
    job_store::{FileJobStoreSettings, MemoryJobStore, check_state_directory},
};
use domain::ports::{Finding, JobApi, Unobserved, Verdict, WorkDirectory};
use nix::unistd::{AccessFlags, access};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::CheckOptions,
    config::Config,
    out::{self, Out},
    serve,
};

/// `check`
pub(crate) async fn check(options: &CheckOptions) -> ExitCode {
    let out = Out::new(options.json);
    let patience = tokio::spawn(end_in_order());
    let findings = findings(options).await;
    patience.abort();
    let is_good = findings.iter().all(Finding::is_good);
    for finding in &findings {
        out.line(&line(finding));
    }
    out.line(if is_good { "All is well." } else { "Not all is well." });
    out.json(&report(&findings));
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who has enough is asked for a little patience, once: an object may be in the store that is to go.
async fn end_in_order() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    for is_first in [true, false] {
        let code = tokio::select! {
            _ = interrupt.recv() => 128 + 2,
            _ = terminate.recv() => 128 + 15,
        };
        if !is_first {
            std::process::exit(code);
        }
        out::complain("this takes a few seconds more, so that nothing stays in the store; once more ends it at once");
    }
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
    let state = state_directory(&config.records);
    all.push(finding("state_directory", begun.elapsed(), state));
    let to_be_made = directories_to_be_made(&config);
    let subjects: Vec<_> = to_be_made.iter().map(|finding| finding.subject.clone()).collect();
    all.extend(to_be_made);
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
    let is_news = |finding: &Finding| finding.subject != "records" && !subjects.contains(&finding.subject);
    all.extend(
        found
            .into_iter()
            .filter(is_news)
            .map(|finding| with_mode(finding, &config)),
    );
    all
}

/// The directories of artifacts, by what they are called in findings.
fn directories(config: &Config) -> impl Iterator<Item = (String, &Path)> {
    let directories = &config.service.scripts.directories;
    [
        (WorkDirectory::Backup, &directories.backup),
        (WorkDirectory::Restore, &directories.restore),
    ]
    .into_iter()
    .filter_map(|(name, path)| Some((name.to_string(), path.as_deref()?)))
}

/// Those that an agent will make when it is started for the first time. Later ones that are missing are
/// missed by an agent that may be running.
fn directories_to_be_made(config: &Config) -> Vec<Finding> {
    if config.state_directory.exists() {
        return Vec::new();
    }
    let looked_at = directories(config).filter_map(|(name, path)| {
        let begun = Instant::now();
        let place = place_for(path).transpose()?;
        Some(finding(&name, begun.elapsed(), place))
    });
    looked_at.collect()
}

/// What a look at a directory of artifacts has found, with who may write there.
fn with_mode(mut finding: Finding, config: &Config) -> Finding {
    let path = directories(config).find_map(|(name, path)| (name == finding.subject).then_some(path));
    if let (Verdict::Good(detail), Some(path)) = (&mut finding.verdict, path)
        && let Ok(found) = fs::metadata(path)
    {
        let mode = found.permissions().mode() & 0o7777;
        *detail = format!("mode {mode:04o}, {detail}");
        if mode & 0o002 != 0 {
            detail.push_str("; anyone on this machine can change what lies there, unless scripts need that: chmod o-w");
        }
    }
    finding
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

/// Where a directory will be made that is not there yet; none of one that is.
fn place_for(path: &Path) -> Result<Option<String>, String> {
    if path.is_symlink() && !path.exists() {
        return Err(format!(
            "{} is a link to nothing; remove it, or make what it leads to",
            path.display()
        ));
    }
    let path = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let there = path.ancestors().find(|path| path.exists());
    let Some(there) = there else {
        return Err(format!("{} cannot be made; name another place", path.display()));
    };
    if there == path {
        return Ok(None);
    }
    if !there.is_dir() {
        return Err(format!(
            "{} is no directory, so nothing can be made in it",
            there.display()
        ));
    }
    check_access(there)?;
    Ok(Some(format!("will be made in {}", there.display())))
}

fn check_access(directory: &Path) -> Result<(), String> {
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        format!(
            "files cannot be made in {}: {error}; run this as the agent's user, and give that user access to it",
            directory.display()
        )
    })
}

/// Whether the agent could keep its records there, or make the directory.
fn state_directory(records: &FileJobStoreSettings) -> Result<String, String> {
    let path = &records.directory;
    if let Some(place) = place_for(path)? {
        return Ok(place);
    }
    check_state_directory(records)?;
    let found = fs::metadata(path).map_err(|error| format!("{} cannot be looked at: {error}", path.display()))?;
    let mode = found.permissions().mode() & 0o7777;
    Ok(match mode & 0o022 {
        0 => format!("mode {mode:04o}"),
        _ => format!("mode {mode:04o}; the agent will not let others write there when it starts"),
    })
}
