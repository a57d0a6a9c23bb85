//! Azurite, Microsoft's emulator of Azure Blob Storage, which `.ci/azurite-start` starts.
//!
//! It checks signatures, tokens and conditions, but it is an emulator: what Azure itself does may differ.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{
    request::{AzureCredential, AzureStore},
    secret::Secret,
};
use hyper::Request;
use object_store::{
    azure::{AzureAccessKey, AzureAuthorizer},
    client::HttpRequestBody,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, Url};

/// A container of its own for one test.
#[derive(Debug)]
pub(crate) struct Azurite {
    client: reqwest::Client,
    endpoint: String,
    account: String,
    key: String,
    container: String,
}

impl Azurite {
    /// A new container; none, which is said aloud, if there is no Azurite: `OSB_TEST_AZURITE_FACTS`
    /// names the file with what `.ci/azurite-start` printed.
    pub(crate) async fn container() -> Option<Self> {
        let Ok(path) = std::env::var("OSB_TEST_AZURITE_FACTS") else {
            leave_out(
                "Azure",
                "OSB_TEST_AZURITE_FACTS does not name what .ci/azurite-start printed",
            );
            return None;
        };
        let facts = std::fs::read_to_string(&path).expect("the facts of Azurite");
        let fact = |name: &str| {
            let mut lines = facts.lines().filter_map(|line| line.split_once('='));
            let found = lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
            found.unwrap_or_else(|| panic!("{path} does not tell {name}"))
        };
        // The HTTP client panics without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let azurite = Self {
            client: client.build().unwrap(),
            endpoint: fact("AZURITE_ENDPOINT"),
            account: fact("AZURITE_ACCOUNT"),
            key: fact("AZURITE_KEY"),
            container: unused_name(),
        };
        let (status, _) = azurite.ask(Method::PUT, "", "restype=container", Bytes::new()).await;
        assert_eq!(status, StatusCode::CREATED);
        Some(azurite)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn store(&self) -> AzureStore {
        AzureStore {
            endpoint: Some(self.endpoint.clone()),
            account: self.account.clone(),
            container: self.container.clone(),
            credential: AzureCredential::AccountKey(Secret::new(&*self.key)),
            prefix: String::new(),
        }
    }

    /// Puts a blob where it may replace another.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) {
        let (status, _) = self.ask(Method::PUT, name, "", Bytes::copy_from_slice(bytes)).await;
        assert_eq!(status, StatusCode::CREATED, "{name}");
    }

    /// What a blob holds; none if there is none.
    pub(crate) async fn stored(&self, name: &str) -> Option<Vec<u8>> {
        match self.ask(Method::GET, name, "", Bytes::new()).await {
            (StatusCode::OK, bytes) => Some(bytes.to_vec()),
            (StatusCode::NOT_FOUND, _) => None,
            (status, _) => panic!("{name}: {status}"),
        }
    }

    /// A signed request for a blob, or for the container if the name is empty.
    async fn ask(&self, method: Method, name: &str, query: &str, body: Bytes) -> (StatusCode, Bytes) {
        let mut url = Url::parse(&self.endpoint).unwrap();
        url.path_segments_mut().unwrap().push(&self.container);
        if !name.is_empty() {
            url.path_segments_mut().unwrap().extend(name.split('/'));
        }
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let request = Request::builder()
            .method(method.clone())
            .uri(url.as_str())
            .header("content-length", body.len())
            .header("x-ms-blob-type", "BlockBlob")
            .body(HttpRequestBody::empty());
        let mut request = request.unwrap();
        let key = AzureAccessKey::try_new(&self.key).unwrap();
        let credential = object_store::azure::AzureCredential::AccessKey(key);
        AzureAuthorizer::new(&credential, &self.account)
            .try_authorize(&mut request)
            .unwrap();
        let headers = request.headers().clone();
        let answer = self.client.request(method, url).headers(headers).body(body).send();
        let answer = answer.await.unwrap();
        (answer.status(), answer.bytes().await.unwrap())
    }

    /// A shared access signature for the container's blobs, with these permissions, until then.
    pub(crate) fn token(&self, permissions: &str, until: &str) -> String {
        const VERSION: &str = "2020-12-06";
        let resource = format!("/blob/{}/{}", self.account, self.container);
        // Permissions, start, end, resource, identifier, addresses, protocol, version, kind of resource,
        // snapshot, encryption scope, and five headers of answers.
        let signed = format!("{permissions}\n\n{until}\n{resource}\n\n\n\n{VERSION}\nc\n\n\n\n\n\n\n");
        let key = BASE64_STANDARD.decode(&self.key).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        let signature = BASE64_STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "sv={VERSION}&sr=c&sp={permissions}&se={}&sig={}",
            escaped(until),
            escaped(&signature)
        )
    }
}

/// Containers stay until Azurite's data is removed, so each test names its own.
fn unused_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{now}-{count}", std::process::id())
}

/// Says aloud that a place was left out. With `OSB_TEST_REQUIRE_SERVERS=1` that is a failure.
pub(crate) fn leave_out(what: &str, why: &str) {
    let required = std::env::var("OSB_TEST_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{what} must not be left out here, but {why}");
    // Past the test runner, which keeps what passing tests print to itself. Nobody may be listening.
    let _ = writeln!(io::stderr(), "LEFT OUT: {what}: {why}");
}
