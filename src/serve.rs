//! Puts the parts together, serves, and stops in order.

use std::{
    ffi::{OsStr, OsString},
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use adapters::{
    audit::AuditTrail,
    blob_store::{CaCertificates, ObjectBlobStore, TransferSettings},
    control::ControlSocket,
    http::{Credentials, HttpContext, HttpLimits, HttpServer, Readiness},
    job_store::{FileJobStore, LoggedJobStore},
    metrics::PrometheusMetrics,
    process::{ScriptRunnerSettings, TokioScriptRunner},
    system::{SystemClock, TokioSpawner},
    workspace::{LocalWorkspace, WorkspaceSettings},
};
use domain::{
    job::JobKey,
    ports::{AuditLog, JobApi, JobStore, Observer},
    script::NOT_INHERITED,
    service::{JobService, Ports},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Files},
    logging,
    reload::{self, Reload},
};

/// For records to be written, and processes to be seen gone.
const LAST_MARGIN: Duration = Duration::from_secs(2);
/// For audit lines to be written at the end.
pub(crate) const AUDIT_PATIENCE: Duration = Duration::from_secs(2);
/// How often a stopping agent looks whether its jobs have ended.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Serves until a signal says to stop and the jobs at work have ended.
pub(crate) async fn serve(config: Config, files: Files) -> ExitCode {
    logging::start(&config.log_filter, config.log_format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match try_serve(config, files).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("the agent could not start: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn try_serve(config: Config, files: Files) -> Result<(), String> {
    make_directories(&config)?;
    // Before the first job could be accepted, so that no signal ends the agent unseen.
    let signals = Signals::new().and_then(|signals| Ok((signals, reload::hangup()?)));
    let (signals, hangup) = signals.map_err(|error| format!("signals cannot be received: {error}"))?;
    let store = FileJobStore::open(config.records.clone())?;
    let server = HttpServer::bind(config.address)
        .await
        .map_err(|error| format!("the address {} cannot be listened on: {error}", config.address))?;
    let metrics = Arc::new(PrometheusMetrics::default());
    let service = service(&config, files.trust, Arc::new(store), metrics.clone());
    let trail = Arc::new(AuditTrail::new(config.audit_log_file.clone()));
    serve_control_socket(&config, &service, trail.clone());
    let patience = StopPatience::of(&config);
    let recovered = service.recover().await;
    recovered.map_err(|error| format!("the jobs of an earlier agent cannot be taken over: {error}"))?;
    let api: Arc<dyn JobApi> = Arc::new(service.clone());
    let credentials = Credentials::new(&config.username, &files.password);
    let reload = Reload {
        tls: files.tls.clone(),
        credentials: credentials.clone(),
        password: Arc::new(config.password),
    };
    let scheme = if files.tls.is_some() { "https" } else { "http" };
    let context = Arc::new(HttpContext {
        api,
        credentials,
        tls: files.tls,
        rules: config.rules,
        limits: HttpLimits {
            connections: config.max_connections,
            ..HttpLimits::default()
        },
        audit: trail.clone(),
        metrics,
        metrics_without_auth: config.metrics_without_auth,
        readiness: Readiness::default(),
    });
    drop(tokio::spawn(remember(service.clone())));
    tracing::info!("listening on {scheme}://{}", server.address());
    let stop = CancellationToken::new();
    let serving = server.serve(context, stop.clone());
    tokio::select! {
        _ = async { tokio::join!(serving, stop_in_order(signals, &service, &patience, &stop)) } => {}
        () = reload.run(hangup) => {}
    }
    trail.flush(AUDIT_PATIENCE);
    tracing::info!("stopped");
    Ok(())
}

/// Lets metrics begin with what is known already. Nobody waits for it: there may be many records.
async fn remember(service: JobService) {
    if let Err(error) = service.remember().await {
        tracing::warn!(%error, "metrics begin without the jobs of an earlier agent, whose records cannot be read");
    }
}

pub(crate) fn service(
    config: &Config,
    trust: CaCertificates,
    store: Arc<dyn JobStore>,
    observer: Arc<dyn Observer>,
) -> JobService {
    let directories = config.service.scripts.directories.clone();
    let blobs = ObjectBlobStore::new(TransferSettings {
        retry_timeout: config.transfer_retry_timeout,
        stall_timeout: config.transfer_stall_timeout,
        memory_bytes: config.transfer_memory,
        allowed_file_roots: config.rules.allowed_file_roots.clone(),
        allowed_endpoints: config.rules.allowed_endpoints.clone(),
        ca_certificates: trust,
        ambient: config.ambient.clone(),
    });
    let ports = Ports {
        scripts: Arc::new(TokioScriptRunner::new(ScriptRunnerSettings {
            scripts_path: config.scripts_path.clone(),
            interpreter: config.interpreter,
            inherited_environment: inherited_environment(),
            records_directory: config.state_directory.join("scripts"),
            terminate_grace: config.terminate_grace,
        })),
        blobs: Arc::new(blobs.observed_by(Arc::clone(&observer))),
        jobs: Arc::new(LoggedJobStore::new(store)),
        workspace: Arc::new(LocalWorkspace::new(WorkspaceSettings {
            directories,
            allowed_to_delete_files: config.allowed_to_delete_files,
        })),
        clock: Arc::new(SystemClock),
        spawner: Arc::new(TokioSpawner),
        observer,
    };
    JobService::new(ports, config.service.clone())
}

/// What scripts get of this process's environment: all but the agent's secrets, and the ways to them.
pub(crate) fn inherited_environment() -> Vec<(OsString, OsString)> {
    let is_inherited = |name: &OsStr| NOT_INHERITED.iter().all(|secret| name != *secret);
    std::env::vars_os().filter(|(name, _)| is_inherited(name)).collect()
}

/// Lets people on the machine ask. Without it the agent works all the same.
fn serve_control_socket(config: &Config, service: &JobService, audit: Arc<dyn AuditLog>) {
    match ControlSocket::bind(&config.state_directory) {
        Ok(socket) => drop(tokio::spawn(socket.serve(Arc::new(service.clone()), audit))),
        Err(error) => tracing::warn!(
            directory = %config.state_directory.display(),
            %error,
            "the socket for the commands jobs and unlock cannot be made"
        ),
    }
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

/// Waits for a signal, then takes no new jobs, gives those at work time to end by themselves, ends
/// what is left of them, and stops the server. Polling goes on meanwhile.
///
/// A second signal shortens the first wait; nothing shortens the second, in which locks are released.
async fn stop_in_order(mut signals: Signals, service: &JobService, patience: &StopPatience, stop: &CancellationToken) {
    signals.next().await;
    service.stop_taking_jobs();
    let at_work = names(&service.at_work());
    tracing::info!(
        at_work,
        "stopping: no new jobs are taken, those at work may end by themselves"
    );
    let waiting = service.waiting();
    if !waiting.is_empty() {
        tracing::info!(
            waiting = names(&waiting),
            "these jobs wait, and begin when the agent is started again"
        );
    }
    tokio::select! {
        () = until_idle(service) => {}
        () = tokio::time::sleep(patience.drain) => {}
        () = signals.next() => {}
    }
    if !service.at_work().is_empty() {
        let left = names(&service.at_work());
        tracing::warn!(
            left,
            "ending these jobs: what works is ended, then cleanup and unlock run"
        );
        service.interrupt();
        if tokio::time::timeout(patience.way_out, until_idle(service))
            .await
            .is_err()
        {
            let left = names(&service.at_work());
            tracing::error!(
                left,
                "these jobs did not end in time; the agent brings them to their end when it is started again, and \
                 until then their databases may stay locked"
            );
        }
    }
    stop.cancel();
}

async fn until_idle(service: &JobService) {
    while !service.at_work().is_empty() {
        tokio::time::sleep(STOP_POLL).await;
    }
}

/// How long a stopping agent waits for its jobs.
struct StopPatience {
    /// Until they end by themselves.
    drain: Duration,
    /// Until they have been ended, cleanup and unlock included.
    way_out: Duration,
}

impl StopPatience {
    fn of(config: &Config) -> Self {
        let stop = config.service.times.stop_timeout;
        // What is at work is ended, the cleanup runs and may have to be ended too, then the unlock.
        let way_out = config.terminate_grace + stop + config.terminate_grace + stop + LAST_MARGIN;
        Self {
            drain: config.drain_timeout,
            way_out,
        }
    }
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
