//! Garage, an S3 server that is used in production, which `.ci/garage-start` starts.

use domain::request::{S3Credentials, S3Store};
use hyper::Request;
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::HttpRequestBody,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode, Url};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

/// What signatures want to be escaped in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A bucket of its own for one test.
#[derive(Debug)]
pub(crate) struct Garage {
    client: Client,
    endpoint: String,
    region: String,
    key: AwsCredential,
    bucket: String,
}

impl Garage {
    /// A new bucket; none if there is no Garage: `OSB_TEST_GARAGE_FACTS` names the file with what
    /// `.ci/garage-start` printed. It takes long to build, so it is not missed where there is none.
    pub(crate) async fn bucket() -> Option<Self> {
        let path = std::env::var("OSB_TEST_GARAGE_FACTS").ok()?;
        let facts = std::fs::read_to_string(&path).expect("the facts of Garage");
        let fact = |name: &str| {
            let mut lines = facts.lines().filter_map(|line| line.split_once('='));
            let found = lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
            found.unwrap_or_else(|| panic!("{path} does not tell {name}"))
        };
        // The HTTP client panics without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let garage = Self {
            client: Client::builder().no_proxy().tls_certs_only([]).build().unwrap(),
            endpoint: fact("GARAGE_ENDPOINT"),
            region: fact("GARAGE_REGION"),
            key: AwsCredential {
                key_id: fact("GARAGE_KEY"),
                secret_key: fact("GARAGE_SECRET"),
                token: None,
            },
            bucket: format!("test-{}", Uuid::new_v4()),
        };
        let (status, _) = garage.ask(Method::PUT, "", "", b"").await;
        assert_eq!(status, StatusCode::OK);
        Some(garage)
    }

    pub(crate) fn store(&self) -> S3Store {
        S3Store {
            region: Some(self.region.clone()),
            bucket: self.bucket.clone(),
            credentials: S3Credentials::keys(self.key.key_id.clone(), self.key.secret_key.clone()),
            ..super::blob_store::bucket_at(self.endpoint.clone())
        }
    }

    /// Puts an object where it may replace another.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) {
        let (status, _) = self.ask(Method::PUT, name, "", bytes).await;
        assert_eq!(status, StatusCode::OK, "{name}");
    }

    /// What an object holds; none if there is none.
    pub(crate) async fn stored(&self, name: &str) -> Option<Vec<u8>> {
        match self.ask(Method::GET, name, "", b"").await {
            (StatusCode::OK, bytes) => Some(bytes),
            (StatusCode::NOT_FOUND, _) => None,
            (status, _) => panic!("{name}: {status}"),
        }
    }

    /// The ids of uploads that are open.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let (status, body) = self.ask(Method::GET, "", "uploads=", b"").await;
        assert_eq!(status, StatusCode::OK);
        let text = String::from_utf8(body).unwrap();
        let ids = text.split("<UploadId>").skip(1);
        ids.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// A request for an object, or for the bucket if the name is empty.
    async fn ask(&self, method: Method, name: &str, query: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let name = utf8_percent_encode(name, ESCAPED);
        let mut url = Url::parse(&format!("{}/{}/{name}", self.endpoint, self.bucket)).unwrap();
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let request = Request::builder().method(method.clone()).uri(url.as_str());
        let mut request = request.body(HttpRequestBody::empty()).unwrap();
        let hashed = digest(&SHA256, body);
        AwsAuthorizer::new(&self.key, "s3", &self.region)
            .try_authorize(&mut request, Some(hashed.as_ref()))
            .unwrap();
        let asked = self.client.request(method, url).headers(request.headers().clone());
        let answer = asked.body(body.to_vec()).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }
}
