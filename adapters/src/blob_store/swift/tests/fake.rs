//! An HTTP server on loopback whose answers each test writes.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use object_store::client::HttpResponseBody;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::Barrier,
    task::{AbortHandle, JoinSet},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `METHOD /path?query`, as it was sent.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("it is text"))
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("it is text")
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// Where the answer waits for others.
    barrier: Option<Arc<Barrier>>,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn after(mut self, barrier: &Arc<Barrier>) -> Self {
        self.barrier = Some(Arc::clone(barrier));
        self
    }
}

/// A running server; it ends with the value.
#[derive(Debug)]
pub(super) struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Answers with what the function makes of each request and the server's own URL.
    pub(super) async fn start(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, all) = (Arc::new(answer), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                    async move {
                        let seen = read(request).await;
                        all.lock().expect("no test panics here").push(seen.clone());
                        Ok::<_, Infallible>(give(answer(&seen, &format!("http://{address}"))).await)
                    }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            address,
            seen,
            task: task.abort_handle(),
        }
    }

    /// The same with a Keystone that gives the tokens `test-token-1`, `test-token-2` and so on, whose time is not
    /// up before an hour.
    pub(super) async fn with_keystone(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Self {
        let given = Mutex::new(0);
        Self::start(move |seen, url| {
            if seen.line != "POST /v3/auth/tokens" {
                return answer(seen, url);
            }
            let mut given = given.lock().expect("no test panics here");
            *given += 1;
            token(&format!("test-token-{given}"), url, 3600)
        })
        .await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics here").clone()
    }

    /// The requests without the logins.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.seen().into_iter().map(|seen| seen.line);
        lines.filter(|line| !line.ends_with("/auth/tokens")).collect()
    }

    pub(super) fn logins(&self) -> usize {
        self.seen().len() - self.lines().len()
    }
}

/// Keystone's answer to a login.
pub(super) fn token(token: &str, url: &str, seconds: i64) -> Reply {
    let endpoint = |region: &str, interface: &str, url: &str| json!({"region": region, "region_id": region, "interface": interface, "url": url});
    let issued = chrono::Utc::now();
    let body = json!({"token": {
        "issued_at": issued.to_rfc3339(),
        "expires_at": (issued + chrono::Duration::seconds(seconds)).to_rfc3339(),
        "catalog": [
            {"type": "identity", "endpoints": [endpoint("north", "public", "http://nowhere.invalid/")]},
            {"type": "object-store", "endpoints": [
                endpoint("north", "internal", "http://nowhere.invalid/"),
                endpoint("north", "public", &format!("{url}/v1/AUTH_a")),
                endpoint("south", "public", &format!("{url}/south/v1/AUTH_a/")),
            ]},
        ],
    }});
    Reply::json(201, &body).with("x-subject-token", token)
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    Seen {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: bytes,
    }
}

async fn give(reply: Reply) -> Response<HttpResponseBody> {
    if let Some(barrier) = &reply.barrier {
        barrier.wait().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body.into()).expect("it is an answer")
}
