//! The uploads that a bucket has opened, which `object_store` does not ask for.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::artifact::ObjectKey;
use hyper::Request;
use object_store::{client::HttpRequestBody, gcp::GcpCredentialProvider};
use reqwest::{Method, Url, header::AUTHORIZATION};

use crate::blob_store::{
    bucket::OpenUploads,
    connector::{Connector, read_at_most},
    failure::Failure,
    fault::Fault,
    s3::uploads_of,
};

/// A listing has 1,000 entries at most, and those of the key itself come first.
const MAX_LISTING_BYTES: usize = 1024 * 1024;

/// What requests of our own are made with.
pub(super) struct GcsOpenUploads {
    pub(super) connector: Connector,
    pub(super) credentials: GcpCredentialProvider,
    /// The bucket's address.
    pub(super) url: Url,
    /// How long the store may be silent.
    pub(super) silence: Duration,
}

impl fmt::Debug for GcsOpenUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsOpenUploads").finish_non_exhaustive()
    }
}

#[async_trait]
impl OpenUploads for GcsOpenUploads {
    async fn of(&self, key: &ObjectKey) -> Result<Vec<String>, Failure> {
        let cannot_ask = |error: &dyn fmt::Display| Failure::strange(format!("unfinished uploads: {error}"));
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("uploads", "")
            .append_pair("prefix", key.as_str());
        let credential = self.credentials.get_credential().await?;
        let request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(AUTHORIZATION, format!("Bearer {}", credential.bearer))
            .body(HttpRequestBody::empty())
            .map_err(|error| cannot_ask(&error))?;
        let fault = |error| match Fault::in_chain(&error) {
            Some(fault) => fault.clone().into(),
            None => cannot_ask(&error),
        };
        let answer = self.connector.client().execute(request).await.map_err(fault)?;
        let (body, whole) = read_at_most(MAX_LISTING_BYTES, answer.into_body(), self.silence).await;
        whole.map_err(fault)?;
        Ok(uploads_of(key.as_str(), &String::from_utf8_lossy(&body)))
    }
}
