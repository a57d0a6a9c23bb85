//! An S3 server in this process, over HTTP on loopback, that can be told to misbehave.

use std::{
    fs,
    future::poll_fn,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    connection_limit::LimitedStream,
    place::{names_in, read_if_there},
    wait_until,
};

/// The only credentials that the server takes.
pub(crate) const AUTH_KEY: &str = "AKIA-e2e-auth-key";
pub(crate) const AUTH_SECRET: &str = "e2e-auth-secret-9f81";

/// What the server does wrong, to requests of one method.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with this status and this body, without doing the work.
    Answer(u16, String),
    /// Does the work, and then cuts the last byte off the object.
    LoseLastByte,
    /// Does the work only when the test lets go.
    Hold,
    /// Does the work, and breaks the connection instead of saying so.
    SayNothing,
}

/// A server whose buckets are the directories in its root.
#[derive(Debug)]
pub(crate) struct S3Server {
    root: TempDir,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    requests: Mutex<Vec<String>>,
    is_holding: Arc<AtomicBool>,
    /// How many bytes may still be answered before a connection breaks.
    budget: Arc<AtomicI64>,
}

impl S3Server {
    /// A server with one bucket, `bucket`.
    pub(crate) fn start() -> Self {
        let root = tempfile::Builder::new()
            .prefix("osb-e2e-s3-")
            .tempdir()
            .expect("a temporary directory can be made");
        fs::create_dir(root.path().join("bucket")).expect("a directory can be made");
        let shared = Arc::new(Shared {
            root: root.path().to_owned(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            is_holding: Arc::default(),
            budget: Arc::new(AtomicI64::new(i64::MAX)),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        listener.set_nonblocking(true).expect("a socket can be set so");
        let (stop, stopped) = oneshot::channel();
        let server = Arc::clone(&shared);
        let thread = thread::spawn(move || serve(listener, &server, stopped));
        Self {
            root,
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bucket `bucket` as the destination of a request.
    pub(crate) fn destination(&self) -> Value {
        json!({"type": "S3", "bucket": "bucket", "region": "us-east-1", "endpoint": self.endpoint(),
            "authKey": AUTH_KEY, "authSecret": AUTH_SECRET})
    }

    /// The content of an object in the bucket.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        read_if_there(&self.path(key))
    }

    /// Where the server keeps an object of the bucket.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.path().join("bucket").join(key)
    }

    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("an object lies in a bucket")).expect("a directory can be made");
        fs::write(path, content).expect("a file can be written");
    }

    /// The keys of all objects in the bucket, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let bucket = self.root.path().join("bucket");
        let mut keys = Vec::new();
        collect_keys(&bucket, "", &mut keys);
        keys.sort();
        keys
    }

    /// What uploads that were never completed have left behind.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        names_in(self.root.path())
            .into_iter()
            .filter(|name| name.starts_with(".upload_id-"))
            .collect()
    }

    /// `METHOD /path?query` of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        locked(&self.shared.requests).clone()
    }

    /// Answers the next `times` requests of this method with a fault.
    pub(crate) fn fault(&self, method: &'static str, times: usize, fault: Fault) {
        if matches!(fault, Fault::Hold) {
            self.shared.is_holding.store(true, Ordering::SeqCst);
        }
        locked(&self.shared.faults).push((method, times, fault));
    }

    /// Waits until a request of this method has come.
    #[track_caller]
    pub(crate) fn wait_for_request(&self, method: &str) {
        wait_until(&format!("the store gets a {method}"), || {
            self.requests().iter().any(|request| request.starts_with(method))
        });
    }

    /// Lets go of the requests that are held.
    pub(crate) fn release(&self) {
        self.shared.is_holding.store(false, Ordering::SeqCst);
    }

    /// Breaks one connection after this many more bytes of answers.
    pub(crate) fn break_after(&self, bytes: i64) {
        self.shared.budget.store(bytes, Ordering::SeqCst);
    }

    /// Falls silent after this many more bytes of answers, until the test lets go; then one
    /// connection breaks.
    pub(crate) fn hold_after(&self, bytes: i64) {
        self.shared.is_holding.store(true, Ordering::SeqCst);
        self.break_after(bytes);
    }

    /// Waits until that has happened.
    #[track_caller]
    pub(crate) fn wait_until_silent(&self) {
        wait_until("the store falls silent", || {
            self.shared.budget.load(Ordering::SeqCst) == 0
        });
    }

    /// Stops the server, in the middle of what it is doing.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A server that has ended already needs no word.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: std::net::TcpListener, shared: &Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&shared.root).expect("the root is there"));
    builder.set_auth(SimpleAuth::from_single(AUTH_KEY, AUTH_SECRET));
    let service = builder.build();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("the socket is bound");
        loop {
            let stream = tokio::select! {
                _ = &mut stopped => return,
                accepted = listener.accept() => accepted.expect("a connection can be accepted").0,
            };
            let stream = LimitedStream::new(stream, Arc::clone(&shared.budget), Arc::clone(&shared.is_holding));
            let (service, shared) = (service.clone(), Arc::clone(shared));
            let answer = service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
            // A client that goes away is its own affair.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    // What is still under way is cut off here, with the runtime.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn answer(
    service: S3Service,
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response<s3s::Body>> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    locked(&shared.requests).push(format!("{method} {uri}"));
    let bucket = uri.path().split('/').nth(1).unwrap_or_default();
    if !bucket.is_empty() && !shared.root.join(bucket).is_dir() {
        let body = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        return Ok(plain(404, body.to_owned()));
    }
    let fault = next_fault(&mut locked(&shared.faults), method.as_str());
    match &fault {
        Some(Fault::Answer(status, body)) => {
            drain(request.into_body()).await;
            return Ok(plain(*status, body.clone()));
        }
        Some(Fault::Hold) => {
            while shared.is_holding.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Some(Fault::LoseLastByte | Fault::SayNothing) | None => {}
    }
    let response = match service.call(request.map(s3s::Body::from)).await {
        Ok(response) => response,
        Err(error) => return Err(io::Error::other(format!("{error:?}"))),
    };
    match fault {
        Some(Fault::LoseLastByte) => lose_last_byte(&shared.root.join(uri.path().trim_start_matches('/'))),
        Some(Fault::SayNothing) => return Err(io::ErrorKind::BrokenPipe.into()),
        Some(Fault::Answer(..) | Fault::Hold) | None => {}
    }
    Ok(response)
}

/// Reads a body to its end: a client that is still writing might take an early answer for a broken
/// connection.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
}

fn next_fault(faults: &mut [(&'static str, usize, Fault)], method: &str) -> Option<Fault> {
    let (_, times, fault) = faults
        .iter_mut()
        .find(|(candidate, times, _)| *candidate == method && *times > 0)?;
    *times -= 1;
    Some(fault.clone())
}

fn plain(status: u16, body: String) -> Response<s3s::Body> {
    Response::builder()
        .status(status)
        .header("Content-Type", "application/xml")
        .body(s3s::Body::from(body))
        .expect("these parts make a response")
}

fn lose_last_byte(path: &Path) {
    let Ok(file) = fs::OpenOptions::new().write(true).open(path) else {
        return;
    };
    let length = file.metadata().expect("an open file has a length").len();
    file.set_len(length.saturating_sub(1)).expect("a file can be cut");
}

fn collect_keys(directory: &Path, prefix: &str, keys: &mut Vec<String>) {
    for name in names_in(directory) {
        let path = directory.join(&name);
        if path.is_dir() {
            collect_keys(&path, &format!("{prefix}{name}/"), keys);
        } else {
            keys.push(format!("{prefix}{name}"));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
