//! The uploads that a bucket has opened, which `object_store` does not ask for.

use std::time::Duration;

use async_trait::async_trait;
use domain::artifact::ObjectKey;
use hyper::Request;
use object_store::{
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::HttpRequestBody,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};

use super::listing::uploads_of;
use crate::blob_store::{
    bucket::OpenUploads,
    connector::{Connector, read_at_most},
    failure::Failure,
    fault::Fault,
};

/// Signatures want these as they are, and all else escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A listing has 1,000 entries at most, and those of the key itself come first.
const MAX_LISTING_BYTES: usize = 1024 * 1024;

/// What requests of our own are made and signed with.
#[derive(Debug)]
pub(super) struct S3OpenUploads {
    pub(super) connector: Connector,
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
    /// The bucket's address.
    pub(super) url: Url,
    /// How long the store may be silent.
    pub(super) silence: Duration,
}

#[async_trait]
impl OpenUploads for S3OpenUploads {
    async fn of(&self, key: &ObjectKey) -> Result<Vec<String>, Failure> {
        let cannot_ask = |error: &dyn std::fmt::Display| Failure::strange(format!("unfinished uploads: {error}"));
        let mut url = self.url.clone();
        let prefix = utf8_percent_encode(key.as_str(), ESCAPED);
        url.set_query(Some(&format!("prefix={prefix}&uploads=")));
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .body(HttpRequestBody::empty())
            .map_err(|error| cannot_ask(&error))?;
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
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
