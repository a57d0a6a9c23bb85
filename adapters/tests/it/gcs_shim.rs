//! A shim before an S3 server that makes it look like the XML interface of Google Cloud Storage.
//!
//! It is no emulator: it checks the tokens and knows the one condition by Google's name, and all else is
//! the S3 server's doing. It proves the shape of requests, not what Google answers to them.

use std::{convert::Infallible, net::SocketAddr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    request::{GcsStore, ServiceAccount},
    secret::Secret,
};
use futures_util::{StreamExt, stream};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Incoming},
    header::HeaderName,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use crate::s3_server::S3Server;

/// A key that opens nothing but this shim.
pub(crate) const PRIVATE_KEY: &str = include_str!("gcs_shim/key.pem");
/// The one account that it knows.
pub(crate) const EMAIL: &str = "agent@project.iam.gserviceaccount.com";
const KEY_ID: &str = "4e5f";
const CONDITION: &str = "x-goog-if-generation-match";

/// A running shim and the server behind it. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct GcsShim {
    pub(crate) server: S3Server,
    address: SocketAddr,
    task: AbortHandle,
}

impl GcsShim {
    pub(crate) async fn start() -> Self {
        let server = S3Server::for_anybody().await;
        let behind = server.address();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| async move {
                    Ok::<_, Infallible>(pass(request, behind).await.unwrap_or_else(refusal))
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        let task = task.abort_handle();
        Self { server, address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for GcsShim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A bucket there, and who may use it.
pub(crate) fn store_at(endpoint: String, bucket: &str) -> GcsStore {
    let key_file = json!({
        "type": "service_account",
        "private_key_id": KEY_ID,
        "private_key": PRIVATE_KEY,
        "client_email": EMAIL,
        // To where nobody may be sent.
        "token_uri": "http://127.0.0.1:1/token",
        "gcs_base_url": "http://127.0.0.1:1",
        "disable_oauth": true,
    });
    GcsStore {
        endpoint: Some(endpoint),
        bucket: bucket.to_owned(),
        service_account: ServiceAccount {
            client_email: EMAIL.to_owned(),
            private_key_id: KEY_ID.to_owned(),
            private_key: Secret::new(PRIVATE_KEY),
            key_file: Secret::new(key_file.to_string()),
        },
        prefix: String::new(),
    }
}

async fn pass(mut request: Request<Incoming>, server: SocketAddr) -> Result<Response<reqwest::Body>, StatusCode> {
    if !is_let_in(request.headers()) {
        drain(request.body_mut()).await;
        return Err(StatusCode::UNAUTHORIZED);
    }
    let headers = request.headers_mut();
    headers.remove("authorization");
    // Google does not know it where an object is made.
    headers.remove("if-none-match");
    if headers.remove(CONDITION).is_some_and(|generation| generation == "0") {
        headers.insert("if-none-match", "*".parse().unwrap());
    }
    rename(headers, "x-goog-meta-", "x-amz-meta-");
    let gone = |_| StatusCode::BAD_GATEWAY;
    let stream = TcpStream::connect(server).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(gone)?;
    tokio::spawn(connection);
    let mut answer = sender.send_request(request).await.map_err(gone)?;
    rename(answer.headers_mut(), "x-amz-meta-", "x-goog-meta-");
    answer.headers_mut().insert("x-goog-generation", "1".parse().unwrap());
    Ok(answer.map(reqwest::Body::wrap))
}

/// Gives headers whose names begin so another beginning.
fn rename(headers: &mut HeaderMap, old: &str, new: &str) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(old))
        .cloned()
        .collect();
    for name in names {
        let renamed = name.as_str().replacen(old, new, 1);
        let renamed: HeaderName = renamed.parse().unwrap();
        let value = headers.remove(name).unwrap();
        headers.insert(renamed, value);
    }
}

/// Whether the token is one that the account's key has signed for now.
fn is_let_in(headers: &HeaderMap) -> bool {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let Some((signed, signature)) = token
        .and_then(|token| token.strip_prefix("Bearer "))
        .and_then(|token| token.rsplit_once('.'))
    else {
        return false;
    };
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let pem: String = PRIVATE_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let key = base64::prelude::BASE64_STANDARD.decode(pem).unwrap();
    let key = RsaKeyPair::from_pkcs8(&key).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
    let is_signed = public.verify(signed.as_bytes(), &decoded(signature)).is_ok();
    let (head, claims) = signed.split_once('.').unwrap_or_default();
    let read = |text: &str| serde_json::from_slice::<Value>(&decoded(text)).unwrap_or_default();
    let (head, claims) = (read(head), read(claims));
    let now = chrono::Utc::now().timestamp();
    is_signed
        && head["kid"] == KEY_ID
        && claims["iss"] == EMAIL
        && claims["iat"].as_i64().is_some_and(|at| at <= now)
        && claims["exp"].as_i64().is_some_and(|at| at > now)
}

fn refusal(status: StatusCode) -> Response<reqwest::Body> {
    let body = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>AuthenticationRequired</Code>\
                <Message>Authentication required.</Message></Error>";
    let mut answer = Response::new(reqwest::Body::from(body));
    *answer.status_mut() = status;
    answer
}

async fn drain(body: &mut Incoming) {
    let mut frames = stream::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context));
    while let Some(Ok(_)) = frames.next().await {}
}
