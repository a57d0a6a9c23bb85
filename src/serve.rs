//! Puts the parts together, serves, and stops in order.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt, path::Path, process::ExitCode, sync::Arc, time::Duration};

use adapters::{
    blob_store::{ObjectBlobStore, TransferSettings},
    http::{Credentials, HttpContext, HttpLimits, HttpServer},
    job_store::{LoggedJobStore, MemoryJobStore},
    process::{ScriptRunnerSettings, TokioScriptRunner},
    system::{SystemClock, TokioSpawner},
    workspace::{LocalWorkspace, WorkspaceSettings},
};
use domain::{
    job::JobKey,
    ports::JobApi,
    script::NOT_INHERITED,
    service::{JobService, Ports},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Finished jobs that are kept, at most.
const MAX_FINISHED_JOBS: usize = 1000;
/// How often a stopping agent looks whether its jobs have ended.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Serves until a signal says to stop and the jobs at work have ended.
pub(crate) async fn serve(config: Config) -> ExitCode {
    let filter = EnvFilter::new(&config.log_filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match try_serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("the agent could not start: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn try_serve(config: Config) -> Result<(), String> {
    make_directories(&config)?;
    // Before the first job could be accepted, so that no signal ends the agent unseen.
    let signals = Signals::new().map_err(|error| format!("signals cannot be received: {error}"))?;
    let server = HttpServer::bind(config.address)
        .await
        .map_err(|error| format!("the address {} cannot be listened on: {error}", config.address))?;
    let service = service(&config);
    let api: Arc<dyn JobApi> = Arc::new(service.clone());
    let context = Arc::new(HttpContext {
        api,
        credentials: Credentials::new(config.username, config.password),
        rules: config.rules,
        limits: HttpLimits::default(),
    });
    tracing::info!("listening on http://{}", server.address());
    let stop = CancellationToken::new();
    let serving = server.serve(context, stop.clone());
    tokio::join!(serving, stop_in_order(signals, &service, &stop));
    tracing::info!("stopped");
    Ok(())
}

fn service(config: &Config) -> JobService {
    let directories = config.service.scripts.directories.clone();
    let is_inherited = |name: &std::ffi::OsStr| NOT_INHERITED.iter().all(|secret| name != *secret);
    let ports = Ports {
        scripts: Arc::new(TokioScriptRunner::new(ScriptRunnerSettings {
            scripts_path: config.scripts_path.clone(),
            interpreter: config.interpreter,
            inherited_environment: std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect(),
        })),
        blobs: Arc::new(ObjectBlobStore::new(TransferSettings {
            retry_timeout: config.transfer_retry_timeout,
            allowed_file_roots: config.rules.allowed_file_roots.clone(),
        })),
        jobs: Arc::new(LoggedJobStore::new(Arc::new(MemoryJobStore::new(MAX_FINISHED_JOBS)))),
        workspace: Arc::new(LocalWorkspace::new(WorkspaceSettings {
            directories,
            allowed_to_delete_files: config.allowed_to_delete_files,
        })),
        clock: Arc::new(SystemClock),
        spawner: Arc::new(TokioSpawner),
    };
    JobService::new(ports, config.service.clone())
}

/// Makes what is missing; what is there keeps its owner and mode.
fn make_directories(config: &Config) -> Result<(), String> {
    let directories = &config.service.scripts.directories;
    for (name, path) in [
        ("directory_backup", &directories.backup),
        ("directory_restore", &directories.restore),
    ] {
        if let Some(path) = path {
            make_directory(name, path, 0o777)?;
        }
    }
    make_directory("state_directory", &config.state_directory, 0o700)
}

fn make_directory(variable: &str, path: &Path, mode: u32) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|error| format!("{variable} {} cannot be made: {error}", path.display()))
}

/// Waits for a signal, then takes no new jobs, waits for those at work, and stops the server.
///
/// Polling goes on meanwhile. A second signal gives up waiting, and says what may be left locked.
async fn stop_in_order(mut signals: Signals, service: &JobService, stop: &CancellationToken) {
    signals.next().await;
    service.stop_taking_jobs();
    let at_work = names(&service.at_work());
    tracing::info!(at_work, "stopping: no new jobs are taken, those at work are waited for");
    let waiting = service.waiting();
    if !waiting.is_empty() {
        let waiting = names(&waiting);
        tracing::warn!(
            waiting,
            "these jobs waited and are not begun; their clients must send them again"
        );
    }
    let at_end = async {
        while !service.at_work().is_empty() {
            tokio::time::sleep(STOP_POLL).await;
        }
    };
    tokio::select! {
        () = at_end => {}
        () = signals.next() => {
            let left = names(&service.at_work());
            tracing::error!(left, "told to stop at once: these jobs were left; their databases may stay locked, and parts of their uploads may stay in the store");
        }
    }
    stop.cancel();
}

fn names(keys: &[JobKey]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    keys.join(" ")
}

/// The signals that say to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
