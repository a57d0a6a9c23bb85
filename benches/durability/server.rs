//! The agent's parts with one job store or the other, in a process of their own.
//!
//! The real binary always keeps its jobs in files; it is put together in the same way.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use adapters::{
    audit::AuditTrail,
    blob_store::{ObjectBlobStore, TransferSettings},
    http::{Credentials, HttpContext, HttpLimits, HttpServer, Readiness},
    job_store::{FileJobStore, FileJobStoreSettings, LoggedJobStore, MemoryJobStore},
    metrics::PrometheusMetrics,
    process::{Interpreter, ScriptRunnerSettings, TokioScriptRunner},
    system::{SystemClock, TokioSpawner},
    workspace::{LocalWorkspace, WorkspaceSettings},
};
use domain::{
    artifact::NamePattern,
    ports::{JobStore, Unobserved},
    request::{AllowedEndpoints, RequestRules},
    script::{ArgumentStyle, Directories, ScriptSettings},
    secret::Secret,
    service::{JobService, Ports, QueueLimits, ServiceSettings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_util::sync::CancellationToken;

use crate::{
    FINISHED_JOBS,
    agent::{PASSWORD, USER},
    finished,
};

/// Jobs at work at a time, of each kind.
const AT_WORK: usize = 10;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The agent with its jobs in files.
    Files,
    /// The agent with its jobs in memory.
    Memory,
    /// No agent: what comes is answered by the same bytes, always.
    Fixed,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Fixed => "fixed",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Files, Self::Memory, Self::Fixed]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Serves until the parent closes our input. `count` finished jobs are put into a store in memory;
/// those in files are there already.
pub(crate) fn serve(kind: Kind, place: &Path, count: usize) {
    // Nobody is left behind if the parent dies.
    std::thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = Runtime::new().expect("a runtime can be started");
    runtime.block_on(async {
        match kind {
            Kind::Files => {
                let store = FileJobStore::open(records(place)).expect("the state directory can be used");
                serve_jobs(place, Arc::new(store)).await;
            }
            Kind::Memory => {
                let store = MemoryJobStore::new(FINISHED_JOBS);
                put(&store, count).await;
                serve_jobs(place, Arc::new(store)).await;
            }
            Kind::Fixed => serve_fixed().await,
        }
    });
}

/// Puts finished jobs into the state directory of an agent that does not run.
pub(crate) fn fill(place: &Path, count: usize) {
    let runtime = Runtime::new().expect("a runtime can be started");
    let store = FileJobStore::open(records(place)).expect("the state directory can be used");
    runtime.block_on(put(&store, count));
}

async fn put(store: &dyn JobStore, count: usize) {
    let rules = rules();
    for number in 0..count {
        let job = finished::job(number, &rules);
        store.update(&job).await.expect("the store takes it");
    }
}

fn records(place: &Path) -> FileJobStoreSettings {
    FileJobStoreSettings::of(&place.join("state"))
}

fn rules() -> RequestRules {
    RequestRules {
        default_s3_endpoint: None,
        ambient_buckets: None,
        allowed_endpoints: AllowedEndpoints::default(),
        allowed_file_roots: Vec::new(),
        skip_storage: false,
        name_pattern: NamePattern::default(),
        agent_variables: Vec::new(),
    }
}

async fn serve_jobs(place: &Path, store: Arc<dyn JobStore>) {
    let service = service(place, store);
    service.recover().await.expect("there is nothing to take over");
    let address = "127.0.0.1:0".parse().expect("it is an address");
    let server = HttpServer::bind(address).await.expect("a port is free");
    tell(server.address());
    let context = Arc::new(HttpContext {
        api: Arc::new(service),
        credentials: Credentials::new(&Secret::new(USER), &Secret::new(PASSWORD)),
        tls: None,
        rules: rules(),
        limits: HttpLimits::default(),
        audit: Arc::new(AuditTrail::new(None)),
        metrics: Arc::new(PrometheusMetrics::default()),
        metrics_without_auth: false,
        readiness: Readiness::default(),
    });
    server.serve(context, CancellationToken::new()).await;
}

fn service(place: &Path, store: Arc<dyn JobStore>) -> JobService {
    let directories = Directories {
        backup: Some(place.join("backup")),
        restore: Some(place.join("restore")),
    };
    for directory in [&directories.backup, &directories.restore].into_iter().flatten() {
        fs::create_dir_all(directory).expect("the directory can be made");
    }
    let settings = ScriptRunnerSettings {
        scripts_path: place.join("scripts"),
        interpreter: Interpreter::Bash,
        inherited_environment: std::env::vars_os().collect(),
        records_directory: place.join("state/scripts"),
        terminate_grace: std::time::Duration::from_secs(10),
    };
    let ports = Ports {
        scripts: Arc::new(TokioScriptRunner::new(settings)),
        blobs: Arc::new(ObjectBlobStore::new(TransferSettings {
            memory_bytes: 32 << 20,
            retry_timeout: std::time::Duration::from_secs(180),
            stall_timeout: std::time::Duration::from_secs(300),
            ..TransferSettings::default()
        })),
        jobs: Arc::new(LoggedJobStore::new(store)),
        workspace: Arc::new(LocalWorkspace::new(WorkspaceSettings {
            directories: directories.clone(),
            allowed_to_delete_files: false,
        })),
        clock: Arc::new(SystemClock),
        spawner: Arc::new(TokioSpawner),
        observer: Arc::new(Unobserved),
    };
    let settings = ServiceSettings {
        limits: QueueLimits {
            at_work: AT_WORK,
            waiting: FINISHED_JOBS,
            restores: AT_WORK,
        },
        scripts: ScriptSettings {
            arguments: ArgumentStyle::Latest,
            directories,
            swap_s3_endpoint_and_region: false,
        },
        ..ServiceSettings::default()
    };
    JobService::new(ports, settings)
}

/// Tells the parent where we are.
fn tell(address: std::net::SocketAddr) {
    println!("{address}");
    io::stdout().flush().expect("the parent reads");
}

/// About as long as the answer of the agent to a `GET`.
const FIXED_BODY_BYTES: usize = 1024;

async fn serve_fixed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    tell(listener.local_addr().expect("it is bound"));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {FIXED_BODY_BYTES}\r\n\r\n");
    let answer: Arc<[u8]> = [head.as_bytes(), &[b'x'; FIXED_BODY_BYTES]].concat().into();
    loop {
        let (mut stream, _) = listener.accept().await.expect("connections come");
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // A request comes in one piece, as it is short and the next only follows our answer.
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}
