//! A proxy that fails a share of all requests, at random but repeatably, and counts what it did.
//!
//! Each request's fate hangs on the seed, on what it asks for, and on how often that was asked before,
//! and not on the order in which requests that run side by side happen to come.

mod content;
mod harm;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    http::{HeaderValue, request::Parts},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

pub(crate) use self::harm::{Harm, KINDS, Random};
use self::{
    content::{Content, answer, collect, cut, refusal},
    harm::{TO_ALL, TO_BODIES, TO_COMPLETIONS, TO_PARTS},
};
use crate::s3_server::S3Server;

/// A proxy before one server. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct ChaosProxy {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    server: Arc<S3Server>,
    seed: u64,
    percent: usize,
    /// What is done to the first request that it can be done to.
    first_harm: Mutex<Option<Harm>>,
    is_calm: AtomicBool,
    /// How often each request came.
    requests: Mutex<HashMap<String, usize>>,
    harm: Mutex<BTreeMap<Harm, usize>>,
    at_work: AtomicUsize,
    /// The server of the tests looks and then writes; to a real store a condition and its request are
    /// one.
    one_by_one: tokio::sync::Mutex<()>,
}

impl ChaosProxy {
    /// `first_harm` is done once for certain, if there is a request to which it can be done.
    pub(crate) async fn start(server: Arc<S3Server>, seed: u64, percent: usize, first_harm: Harm) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server,
            seed,
            percent,
            first_harm: Mutex::new(Some(first_harm)),
            is_calm: AtomicBool::new(false),
            requests: Mutex::default(),
            harm: Mutex::default(),
            at_work: AtomicUsize::new(0),
            one_by_one: tokio::sync::Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| pass(request, Arc::clone(&shared)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        let task = task.abort_handle();
        Self { address, state, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on all goes well.
    pub(crate) fn calm_down(&self) {
        self.state.is_calm.store(true, Ordering::SeqCst);
    }

    /// Whether the server has ended all that it was asked, also by clients that have gone.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.at_work.load(Ordering::SeqCst) == 0
    }

    /// How many requests came, and what was done to them.
    pub(crate) fn account(&self) -> (usize, BTreeMap<Harm, usize>) {
        let requests = self.state.requests.lock().unwrap().values().sum();
        (requests, self.state.harm.lock().unwrap().clone())
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request that is not ended.
struct AtWork(Arc<State>);

impl AtWork {
    fn new(state: &Arc<State>) -> Self {
        state.at_work.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

impl State {
    /// Decides on a request.
    fn harm(&self, head: &Parts) -> Option<(Harm, Random)> {
        let query = head.uri.query().unwrap_or_default();
        // An upload's id is not repeatable.
        let query = query.split("uploadId=").next().unwrap_or_default();
        let range = head.headers.get("range");
        let label = format!("{} {} {query} {range:?}", head.method, head.uri.path());
        let mut requests = self.requests.lock().unwrap();
        let times = requests.entry(label.clone()).or_default();
        *times += 1;
        let mut random = Random::of((self.seed, label, *times));
        if self.is_calm.load(Ordering::SeqCst) {
            return None;
        }
        let mut possible = TO_ALL.to_vec();
        if head.method == Method::GET || head.method == Method::POST {
            possible.extend(TO_BODIES);
        }
        if is_completion(head) {
            possible.extend(TO_COMPLETIONS);
        } else if query.starts_with("partNumber") {
            possible.extend(TO_PARTS);
        }
        let first = self
            .first_harm
            .lock()
            .unwrap()
            .take_if(|first| possible.contains(first));
        let harm = match first {
            Some(first) => first,
            None if random.below(100) < self.percent => random.one_of(&possible),
            None => return None,
        };
        *self.harm.lock().unwrap().entry(harm).or_default() += 1;
        Some((harm, random))
    }
}

fn has_upload_id(head: &Parts) -> bool {
    head.uri.query().is_some_and(|query| query.contains("uploadId="))
}

fn is_completion(head: &Parts) -> bool {
    head.method == Method::POST && has_upload_id(head)
}

/// An error from here cuts the client's connection.
async fn pass(request: Request<Incoming>, state: Arc<State>) -> io::Result<Response<Content>> {
    let _at_work = AtWork::new(&state);
    let (head, body) = request.into_parts();
    let body = collect(body).await?;
    if let Some(key) = listed_key(&head) {
        let uploads = state.server.open_uploads(head.uri.path().trim_matches('/'), &key);
        let one = |id: String| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let all: String = uploads.into_iter().map(one).collect();
        return Ok(answer(
            200,
            format!("<ListMultipartUploadsResult>{all}</ListMultipartUploadsResult>"),
        ));
    }
    let harm = state.harm(&head);
    let is_of_part = head.method == Method::PUT;
    // In a task of its own: what the server has begun it ends, though the client has gone.
    let state = Arc::clone(&state);
    let forward = async move {
        let forwarded = tokio::spawn(async move { forward(head, body, &state).await });
        forwarded.await.map_err(io::Error::other)?
    };
    let Some((harm, mut random)) = harm else {
        return forward.await;
    };
    let moment = Duration::from_millis(100 + random.below(600) as u64);
    match harm {
        Harm::Failing => Ok(refusal(500, "InternalError")),
        Harm::SlowDown => Ok(refusal(503, "SlowDown")),
        Harm::TooMany => {
            let mut answer = refusal(429, "TooManyRequests");
            answer
                .headers_mut()
                .insert("retry-after", HeaderValue::from_static("1"));
            Ok(answer)
        }
        Harm::RequestTimeout => Ok(refusal(408, "RequestTimeout")),
        Harm::FailingAfter => forward.await.map(|_| refusal(500, "InternalError")),
        Harm::CutBefore => Err(cut()),
        Harm::CutAfter => forward.await.and(Err(cut())),
        Harm::StallBefore => {
            sleep(moment).await;
            Err(cut())
        }
        Harm::StallAfter => {
            forward.await?;
            sleep(moment).await;
            Err(cut())
        }
        Harm::Delay => {
            let answer = forward.await;
            sleep(moment).await;
            answer
        }
        Harm::Truncate => {
            let mut answer = forward.await?;
            let length = answer.body().length();
            answer.headers_mut().insert("content-length", length.into());
            answer.body_mut().cut_to(random.below(length.max(1)));
            Ok(answer)
        }
        Harm::LongLength | Harm::ShortLength => {
            let mut answer = forward.await?;
            let (length, by) = (answer.body().length(), 1 + random.below(9));
            if harm == Harm::LongLength {
                answer.headers_mut().insert("content-length", (length + by).into());
                answer.body_mut().cut_to(length);
            } else {
                answer.body_mut().shorten_to(length.saturating_sub(by));
                let shorter = answer.body().length();
                answer.headers_mut().insert("content-length", shorter.into());
            }
            Ok(answer)
        }
        Harm::ErrorDocument => Ok(refusal(200, "InternalError")),
        Harm::ErrorDocumentAfter => forward.await.map(|_| refusal(200, "InternalError")),
        Harm::EmptyEtag => {
            let mut answered = forward.await?;
            if !answered.status().is_success() {
                return Ok(answered);
            }
            if is_of_part {
                answered.headers_mut().insert("etag", HeaderValue::from_static("\"\""));
                return Ok(answered);
            }
            let empty = "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>";
            Ok(answer(200, empty.to_owned()))
        }
    }
}

/// The key whose open uploads are asked for. The server of the tests cannot tell.
fn listed_key(head: &Parts) -> Option<String> {
    let query = head.uri.query().filter(|_| head.method == Method::GET)?;
    let key = query.strip_suffix("&uploads=")?.strip_prefix("prefix=")?;
    Some(
        percent_encoding::percent_decode_str(key)
            .decode_utf8()
            .unwrap()
            .into_owned(),
    )
}

async fn forward(head: Parts, body: Bytes, state: &Arc<State>) -> io::Result<Response<Content>> {
    let _at_work = AtWork::new(state);
    let (is_of_upload, is_read) = (has_upload_id(&head), head.method == Method::GET);
    let _alone = if is_read {
        None
    } else {
        Some(state.one_by_one.lock().await)
    };
    let stream = TcpStream::connect(state.server.address()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::from_parts(head, Content::new(body));
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?
        .into_parts();
    let body = collect(body).await?;
    // The server of the tests has a word of its own for an upload that is not there.
    if is_of_upload && head.status == StatusCode::FORBIDDEN {
        return Ok(refusal(404, "NoSuchUpload"));
    }
    Ok(Response::from_parts(head, Content::new(body)))
}
