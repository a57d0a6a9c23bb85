//! A real OpenStack Swift with Keystone, which `.ci/swift-start` starts.

use std::collections::HashMap;

use domain::{request::SwiftStore, secret::Secret};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::azurite::leave_out;

/// A container of its own for one test.
#[derive(Debug)]
pub(crate) struct Swift {
    client: Client,
    facts: HashMap<String, String>,
    container: String,
    token: String,
    account: String,
}

impl Swift {
    /// A new container; none, which is said aloud, if there is no Swift: `OSB_TEST_SWIFT_FACTS` names
    /// the file with what `.ci/swift-start` wrote.
    pub(crate) async fn container() -> Option<Self> {
        let Ok(path) = std::env::var("OSB_TEST_SWIFT_FACTS") else {
            leave_out("Swift", "OSB_TEST_SWIFT_FACTS does not name what .ci/swift-start wrote");
            return None;
        };
        let facts = std::fs::read_to_string(&path).expect("the facts of Swift");
        let facts = facts.lines().filter_map(|line| line.split_once('='));
        // The HTTP client panics without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut swift = Self {
            client: Client::builder().no_proxy().tls_certs_only([]).build().unwrap(),
            facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            container: format!("test-{}", Uuid::new_v4()),
            token: String::new(),
            account: String::new(),
        };
        swift.log_in().await;
        let (status, _) = swift.ask(Method::PUT, "", "", &[]).await;
        assert!(status.is_success(), "{status}");
        Some(swift)
    }

    fn fact(&self, name: &str) -> &str {
        &self.facts[name]
    }

    async fn log_in(&mut self) {
        let domain = json!({"name": self.fact("SWIFT_DOMAIN")});
        let user = json!({"name": self.fact("SWIFT_USER"), "domain": domain, "password": self.fact("SWIFT_PASSWORD")});
        let login = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": self.fact("SWIFT_PROJECT"), "domain": domain}},
        }});
        let url = format!("{}/auth/tokens", self.fact("SWIFT_AUTH_URL"));
        let asked = self.client.post(url).header("content-type", "application/json");
        let granted = asked.body(login.to_string()).send().await.unwrap();
        self.token = granted.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let body: Value = serde_json::from_slice(&granted.bytes().await.unwrap()).unwrap();
        let services = body["token"]["catalog"].as_array().unwrap();
        let swift = services.iter().find(|service| service["type"] == "object-store");
        let url = &swift.unwrap()["endpoints"][0]["url"];
        self.account = url.as_str().unwrap().to_owned();
    }

    pub(crate) fn store(&self) -> SwiftStore {
        SwiftStore {
            auth_url: self.fact("SWIFT_AUTH_URL").to_owned(),
            domain: self.fact("SWIFT_DOMAIN").to_owned(),
            container_name: self.container.clone(),
            project_name: self.fact("SWIFT_PROJECT").to_owned(),
            region: None,
            username: self.fact("SWIFT_USER").to_owned(),
            password: Secret::new(self.fact("SWIFT_PASSWORD")),
        }
    }

    /// Puts an object where it may replace another.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) {
        let (status, _) = self.ask(Method::PUT, "", name, bytes).await;
        assert_eq!(status, StatusCode::CREATED, "{name}");
    }

    /// What an object holds; none if there is none.
    pub(crate) async fn stored(&self, name: &str) -> Option<Vec<u8>> {
        match self.ask(Method::GET, "", name, &[]).await {
            (StatusCode::OK, bytes) => Some(bytes),
            (StatusCode::NOT_FOUND, _) => None,
            (status, _) => panic!("{name}: {status}"),
        }
    }

    /// The segments that no object of the container is made of.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let mut left = self.names("_segments").await;
        for object in self.names("").await {
            left.retain(|segment| !segment.starts_with(&format!("{object}/")));
        }
        left
    }

    async fn names(&self, ending: &str) -> Vec<String> {
        let (status, body) = self.ask(Method::GET, ending, "", &[]).await;
        match status {
            StatusCode::OK => String::from_utf8(body).unwrap().lines().map(str::to_owned).collect(),
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Vec::new(),
            status => panic!("{status}"),
        }
    }

    /// A request for an object, or for the container if the name is empty, or for that with this ending.
    async fn ask(&self, method: Method, ending: &str, name: &str, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let slash = if name.is_empty() { "" } else { "/" };
        let url = format!("{}/{}{ending}{slash}{name}", self.account, self.container);
        let asked = self.client.request(method, url).header("x-auth-token", &self.token);
        let answer = asked.body(body.to_vec()).send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }
}
