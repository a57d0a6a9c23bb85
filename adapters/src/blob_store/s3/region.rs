//! Where a bucket is.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::request::S3Store;
use hyper::Request;
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::HttpRequestBody,
};
use reqwest::{Method, Url};
use tokio::time::timeout;

use crate::blob_store::{
    connector::{Connector, read_start},
    fault::{Fault, element, is_region},
};

/// The region of requests to a store that knows no regions, or does not tell.
pub(super) const DEFAULT: &str = "us-east-1";
/// To look is a courtesy; it must not hold a transfer up.
const LONGEST: Duration = Duration::from_secs(10);
/// A bucket can be removed and made again elsewhere.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// Where to ask. AWS answers for all of its regions at one address.
pub(super) fn lookup_url(store: &S3Store, bucket: Url) -> Url {
    let mut url = match &store.endpoint {
        Some(_) => bucket,
        None => format!("https://s3.amazonaws.com/{}", store.bucket)
            .parse()
            .unwrap_or(bucket),
    };
    url.set_query(Some("location="));
    url
}

/// What stores told of their buckets, so that each is asked once and not with every request of a job.
#[derive(Debug, Default)]
pub(in crate::blob_store) struct Regions(Mutex<HashMap<Url, (Instant, String)>>);

impl Regions {
    /// Asks the store, unless it told a while ago. If that fails, the transfer will find out whether
    /// the default does.
    pub(super) async fn look_up(
        &self,
        connector: &Connector,
        url: &Url,
        credential: &AwsCredential,
        answer_timeout: Duration,
    ) -> String {
        if let Some(region) = self.known(url) {
            return region;
        }
        let patience = LONGEST.min(answer_timeout);
        let found = timeout(patience, ask(connector, url, credential)).await;
        // A store that does not tell is not asked again either, but for one that was given little time.
        let is_known = found.is_ok() || patience == LONGEST;
        let region = found.ok().flatten().unwrap_or_else(|| {
            tracing::debug!(default = DEFAULT, "the store did not tell the bucket's region");
            DEFAULT.to_owned()
        });
        if is_known {
            self.map().insert(url.clone(), (Instant::now(), region.clone()));
        }
        region
    }

    fn known(&self, url: &Url) -> Option<String> {
        let mut map = self.map();
        // Requests name buckets as they like: what is old goes, so that the map does not grow.
        map.retain(|_, (told, _)| told.elapsed() < KNOWN_FOR);
        map.get(url).map(|(_, region)| region.clone())
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Url, (Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(connector: &Connector, url: &Url, credential: &AwsCredential) -> Option<String> {
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(url.as_str())
        .body(HttpRequestBody::empty())
        .ok()?;
    AwsAuthorizer::new(credential, "s3", DEFAULT)
        .try_authorize(&mut request, None)
        .ok()?;
    match connector.client().execute(request).await {
        Ok(answer) => {
            let header = answer
                .headers()
                .get("x-amz-bucket-region")
                .and_then(|region| region.to_str().ok());
            let header = header.map(str::to_owned);
            let (body, _) = read_start(answer.into_body(), LONGEST).await;
            header
                .filter(|region| is_region(region))
                .or_else(|| region_of(&String::from_utf8_lossy(&body)))
        }
        // A bucket of another region is told of in the refusal.
        Err(error) => match Fault::in_chain(&error)? {
            Fault::Answer(answer) => answer.region.clone(),
            Fault::Connection { .. } | Fault::Credentials { .. } => None,
        },
    }
}

/// What a `LocationConstraint` says; its oldest values are not region names.
pub(in crate::blob_store) fn region_of(body: &str) -> Option<String> {
    let constraint = body.replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "");
    match element(&constraint, "LocationConstraint").as_deref() {
        Some("EU") => Some("eu-west-1".to_owned()),
        Some(region) => Some(region.to_owned()).filter(|region| is_region(region)),
        None => constraint.contains("<LocationConstraint").then(|| DEFAULT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use domain::request::{S3Addressing, S3Credentials};

    use super::*;

    #[test]
    fn a_location_is_read_in_all_its_forms() {
        const XMLNS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        for (body, region) in [
            (
                format!("<LocationConstraint {XMLNS}>eu-central-1</LocationConstraint>"),
                Some("eu-central-1"),
            ),
            (
                format!("<LocationConstraint {XMLNS}>EU</LocationConstraint>"),
                Some("eu-west-1"),
            ),
            (format!("<LocationConstraint {XMLNS}/>"), Some(DEFAULT)),
            ("<LocationConstraint></LocationConstraint>".to_owned(), Some(DEFAULT)),
            ("<LocationConstraint>a b</LocationConstraint>".to_owned(), None),
            ("<html></html>".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(region_of(&body).as_deref(), region, "{body}");
        }
    }

    #[test]
    fn aws_is_asked_at_its_one_address() {
        let mut store = S3Store {
            endpoint: None,
            region: None,
            bucket: "b".to_owned(),
            addressing: S3Addressing::Path,
            credentials: S3Credentials::Ambient,
            encryption: None,
            storage_class: None,
            checksum: None,
            prefix: String::new(),
            skip_ssl: false,
        };
        let bucket = || Url::parse("http://h:1/b").unwrap();
        assert_eq!(
            lookup_url(&store, bucket()).as_str(),
            "https://s3.amazonaws.com/b?location="
        );
        store.endpoint = Some("http://h:1".to_owned());
        assert_eq!(lookup_url(&store, bucket()).as_str(), "http://h:1/b?location=");
    }
}
