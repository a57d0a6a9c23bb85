//! The way to the store: HTTP requests with a watch over them.
//!
//! `object_store` knows one timeout for a whole request, which ends long uploads, and one for
//! reading, which ends them too while a part is on its way. Here a request may take as long as it
//! moves. Answers that are refusals become errors that hold their code and message, see [`fault`].
//!
//! [`fault`]: super::fault

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use domain::{request::Resolution, secret::Secret};
use futures_util::StreamExt;
use hyper::{
    HeaderMap, Uri,
    body::{Body, Frame, SizeHint},
};
use hyper_util::client::proxy::matcher::Matcher;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use reqwest::{
    Method, StatusCode, Url,
    header::{CONNECTION, HeaderValue, RETRY_AFTER},
};
use tokio::time::timeout;

use super::{
    condition::{Condition, completes},
    fault::{Answer, ConnectionFault, Fault},
    movement::Movement,
    network::{Forbidden, Guard, Network, has_proxies},
    redaction::Redaction,
};

/// Bodies are given to the connection in pieces of this size, so that their movement can be seen.
const PIECE_BYTES: usize = 64 * 1024;
/// The slowest that the last of a body, which the system holds already, may travel.
const LEAST_BYTES_PER_SECOND: u64 = 64 * 1024;
/// The system holds no more than this of what was sent, by its usual settings.
const MOST_HELD_BYTES: u64 = 4 * 1024 * 1024;
/// No more of an answer to a request other than a download is read. The longest is what a Keystone
/// answers to a login: it has the addresses of all its services in all regions.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// A store may need this many times as long to put the parts of an object together.
const COMPLETION_FACTOR: u32 = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of requests whose values let one in for a while.
const TOKENS: [&str; 4] = [
    "authorization",
    "x-auth-token",
    "x-amz-security-token",
    "x-aws-ec2-metadata-token",
];

/// In a request's extensions: its connection is closed when it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotKept;

/// Hands one HTTP client to `object_store`, whose own options are not used.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    /// Its connections lead to where the guard allows it.
    direct: reqwest::Client,
    /// The same by way of the environment's proxies, if there are any.
    proxied: Option<(Arc<Matcher>, reqwest::Client)>,
    guard: Guard,
    redaction: Redaction,
    answer_timeout: Duration,
    /// What is asked of requests that make an object.
    condition: Condition,
    /// Sees the bodies of all requests move.
    transfer: Arc<Movement>,
}

impl Connector {
    /// A client for this endpoint. Reads the system's certificates, so it blocks.
    ///
    /// What the store says is shown without the secrets of `redaction`, and without the tokens of requests.
    pub(super) fn new(
        endpoint: &Url,
        answer_timeout: Duration,
        network: &Network,
        redaction: Redaction,
    ) -> Result<Self, Fault> {
        // The HTTP client panics without a provider. If the program has chosen one, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            let client = reqwest::Client::builder()
                .user_agent(concat!("osb-backup-agent/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                // A signature is for one host; and whoever redirects must not choose where backups go.
                .redirect(reqwest::redirect::Policy::none())
                .http1_only();
            if endpoint.scheme() == "http" {
                // Without this a machine that has no certificates could not use plain HTTP either.
                client.tls_certs_only([])
            } else {
                client.tls_certs_merge(network.trust.all())
            }
        };
        let made = |client: reqwest::ClientBuilder| {
            let client = client.build();
            client.map_err(|error| Fault::of_connection(error, &redaction))
        };
        let guard = network.guard(endpoint);
        let direct = made(client().no_proxy().dns_resolver(guard.clone()))?;
        // This one looks up no names but those of proxies.
        let proxied = if has_proxies() && !is_near(endpoint) {
            Some((Arc::new(Matcher::from_env()), made(client())?))
        } else {
            None
        };
        Ok(Self {
            direct,
            proxied,
            guard,
            redaction,
            answer_timeout,
            condition: Condition::None,
            transfer: Arc::default(),
        })
    }

    /// When any byte of any request last moved.
    pub(super) fn transfer(&self) -> &Arc<Movement> {
        &self.transfer
    }

    /// The same, but it makes objects on that condition.
    pub(super) fn on(self, condition: Condition) -> Self {
        Self { condition, ..self }
    }

    /// The client for requests of our own.
    pub(super) fn client(&self) -> HttpClient {
        HttpClient::new(self.clone())
    }
}

/// What lets a request in, and others with it: no answer may show that.
fn tokens(headers: &HeaderMap) -> Vec<Secret> {
    let values = TOKENS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    // A signature is good for its one request only.
    let lasting = values.filter(|value| !value.starts_with("AWS4-") && !value.starts_with("SharedKey "));
    let bare = lasting.map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    bare.map(Secret::new).collect()
}

/// Whether it is this machine, or on its link, as the credentials services of clouds are. A proxy could
/// not reach what is meant here.
fn is_near(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(url::Host::Ipv6(address)) => address.is_loopback() || address.is_unicast_link_local(),
        None => false,
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.client())
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let completes = completes(&request);
        self.condition.impose(&mut request).map_err(|_| unsigned())?;
        let (head, body) = request.into_parts();
        let length = body.content_length() as u64;
        let url = Url::parse(&head.uri.to_string()).map_err(|error| request_fault(&error))?;
        let client = self.client_for(&head.uri, &url)?;
        let redaction = self.redaction.and(tokens(&head.headers));

        let mut request = reqwest::Request::new(head.method.clone(), url);
        *request.headers_mut() = head.headers;
        if head.extensions.get::<NotKept>().is_some() {
            request
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let movement = Arc::new(Movement::default());
        if length > 0 {
            let body = MovingBody::new(body, [&movement, &self.transfer].map(Arc::clone));
            *request.body_mut() = Some(reqwest::Body::wrap(body));
        }

        let patience = self.answer_timeout * if completes { COMPLETION_FACTOR } else { 1 };
        let held_bytes = length.min(MOST_HELD_BYTES);
        let silence = patience + Duration::from_secs(held_bytes / LEAST_BYTES_PER_SECOND);
        let answer = tokio::select! {
            answer = client.execute(request) => {
                answer.map_err(|error| failed(Fault::of_connection(error, &redaction)))?
            }
            () = movement.ceases_for(silence) => return Err(silent(silence)),
        };
        self.judge(head.method, answer, patience, redaction).await
    }
}

impl Connector {
    /// The client that leads to a URL; none if it must not be asked for.
    fn client_for(&self, uri: &Uri, url: &Url) -> Result<&reqwest::Client, HttpError> {
        let proxied = self.proxied.as_ref();
        let proxied = proxied.filter(|(proxies, _)| proxies.intercept(uri).is_some());
        let (client, resolution) = match proxied {
            Some((_, client)) => (client, Resolution::ByProxy),
            None => (&self.direct, Resolution::Own),
        };
        let forbidden = |error: Forbidden| failed(Fault::forbidden(&error));
        self.guard.judge(url, resolution).map_err(forbidden)?;
        Ok(client)
    }

    /// Asks for nothing much: any answer shows that there is a way. Gives the store's time of day.
    pub(super) async fn greet(&self, url: Url) -> Result<Option<String>, HttpError> {
        let uri = url.as_str().parse().map_err(|_| unsigned())?;
        let client = self.client_for(&uri, &url)?;
        let answer = client.execute(reqwest::Request::new(Method::HEAD, url)).await;
        let answer = answer.map_err(|error| failed(Fault::of_connection(error, &self.redaction)))?;
        let date = answer.headers().get(reqwest::header::DATE);
        Ok(date.and_then(|date| date.to_str().ok()).map(str::to_owned))
    }

    /// Passes an answer on, or makes an error of it.
    async fn judge(
        &self,
        method: Method,
        answer: reqwest::Response,
        patience: Duration,
        redaction: Redaction,
    ) -> Result<HttpResponse, HttpError> {
        let status = answer.status();
        let region = answer.headers().get("x-amz-bucket-region");
        let region = region.and_then(|region| region.to_str().ok()).map(str::to_owned);
        let code = answer.headers().get("x-ms-error-code");
        let code = code.and_then(|code| code.to_str().ok()).map(str::to_owned);
        let retry_after = answer.headers().get(RETRY_AFTER).cloned();
        let (head, body) = hyper::Response::from(answer).into_parts();
        let body = HttpResponseBody::new(Incoming(body, redaction.clone()));

        let is_fine = status.is_success() || status == StatusCode::NOT_MODIFIED;
        if is_fine && method != Method::POST {
            return Ok(HttpResponse::from_parts(head, body));
        }
        let (body, whole) = read_start(body, patience).await;
        let text = String::from_utf8_lossy(&body);
        // The completion of an upload may fail after its status was sent, and then says so in the body.
        if !is_fine || text.contains("<Error>") {
            let answer = Answer::read(status.as_u16(), region.as_deref(), &text, &redaction)
                .with_code(code.as_deref(), &redaction)
                .with_retry_after(retry_after.as_ref());
            return Err(failed(Fault::Answer(answer)));
        }
        whole.map(|()| HttpResponse::from_parts(head, body.into()))
    }
}

/// Reads as much of a body as will be looked at, and tells whether it came whole.
pub(super) async fn read_start(body: HttpResponseBody, silence: Duration) -> (Vec<u8>, Result<(), HttpError>) {
    read_at_most(MAX_ANSWER_BYTES, body, silence).await
}

/// Reads about so much of a body, and tells whether it came without a fault.
pub(super) async fn read_at_most(
    most_bytes: usize,
    body: HttpResponseBody,
    silence: Duration,
) -> (Vec<u8>, Result<(), HttpError>) {
    let mut start = Vec::new();
    let mut pieces = body.bytes_stream();
    while start.len() < most_bytes {
        match timeout(silence, pieces.next()).await {
            Ok(Some(Ok(piece))) => start.extend_from_slice(&piece),
            Ok(Some(Err(error))) => return (start, Err(error)),
            Ok(None) => break,
            Err(_) => return (start, Err(silent(silence))),
        }
    }
    (start, Ok(()))
}

/// The kind does not matter: `object_store` looks at it only to try again, which it is not to do.
fn failed(fault: Fault) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, fault)
}

fn request_fault(error: &url::ParseError) -> HttpError {
    failed(Fault::Connection {
        kind: ConnectionFault::Request,
        text: error.to_string(),
    })
}

fn unsigned() -> HttpError {
    failed(Fault::Connection {
        kind: ConnectionFault::Request,
        text: "it could not be signed".to_owned(),
    })
}

fn silent(silence: Duration) -> HttpError {
    failed(Fault::silence(silence))
}

/// A request's body, handed out in pieces, each of which is seen to move.
struct MovingBody {
    body: HttpRequestBody,
    piece: Bytes,
    movements: [Arc<Movement>; 2],
}

impl MovingBody {
    fn new(body: HttpRequestBody, movements: [Arc<Movement>; 2]) -> Self {
        let piece = Bytes::new();
        Self { body, piece, movements }
    }
}

impl Body for MovingBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        while !self.piece.has_remaining() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                end => return Poll::Ready(end),
            }
        }
        self.movements.iter().for_each(|movement| movement.seen());
        let length = self.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(rest + self.piece.len() as u64)
    }
}

/// An answer's body, whose errors are faults.
struct Incoming(reqwest::Body, Redaction);

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| failed(Fault::of_connection(error, &self.1)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_asked_for_what_is_on_this_machine_or_its_link() {
        for (url, expected) in [
            ("http://localhost:9000", true),
            ("http://127.0.0.1", true),
            ("https://[::1]:1", true),
            // Credentials services of machines, containers and pods.
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2", true),
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fe80::1]", true),
            ("http://10.0.0.1", false),
            ("https://s3.eu-west-1.amazonaws.com", false),
            ("http://localhost.example.org", false),
        ] {
            assert_eq!(is_near(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
