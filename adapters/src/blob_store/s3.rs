//! Buckets of S3.

mod listing;
mod open_uploads;
mod region;

use std::{sync::Arc, time::Duration};

use domain::request::{S3Addressing, S3Store};
use object_store::{
    RetryConfig,
    aws::{AmazonS3Builder, AwsCredential},
};
use reqwest::Url;

use self::open_uploads::S3OpenUploads;
pub(super) use self::region::Regions;
use super::{
    Limits, bucket::Bucket, connector::Connector, failure::Failure, fault::is_region, local::blocking, movement::Stall,
    parts::PartRules,
};

/// Makes a client for the bucket, and looks its region up if the request named none.
pub(super) async fn connect(store: &S3Store, limits: Limits, regions: &Regions) -> Result<Bucket, Failure> {
    let credential = credential(store)?;
    let endpoint = bucket_url(store, store.region.as_deref().unwrap_or(region::DEFAULT))?;
    let connector = blocking(move || Connector::new(&endpoint, limits.answer)).await?;

    let region = match &store.region {
        Some(region) => region.clone(),
        None => {
            let url = region::lookup_url(store, bucket_url(store, region::DEFAULT)?);
            regions.look_up(&connector, &url, &credential, limits.answer).await
        }
    };
    let endpoint = bucket_url(store, &region)?;
    let builder = AmazonS3Builder::new()
        .with_access_key_id(credential.key_id.clone())
        .with_secret_access_key(credential.secret_key.clone())
        .with_bucket_name(&store.bucket)
        .with_region(&region)
        // The whole address of the bucket, whichever style it is in, is taken as it is with this.
        .with_virtual_hosted_style_request(true)
        // TLS sees to it that nobody changes what is sent; without it the signature does.
        .with_unsigned_payload(endpoint.scheme() == "https")
        .with_endpoint(endpoint.as_str().trim_end_matches('/'))
        .with_retry(RetryConfig {
            // It would try again without regard to progress; we do so ourselves.
            max_retries: 0,
            retry_timeout: Duration::MAX,
            ..RetryConfig::default()
        });
    let creating = builder.clone().with_http_connector(connector.creating_only()).build()?;
    let objects = builder.with_http_connector(connector.clone()).build()?;
    Ok(Bucket {
        stall: Arc::new(Stall::new(limits.stall, connector.transfer())),
        open_uploads: Arc::new(S3OpenUploads {
            credentials: Arc::clone(objects.credentials()),
            connector,
            region,
            url: endpoint,
            silence: limits.answer,
        }),
        objects: Arc::new(objects),
        creating: Arc::new(creating),
        parts: PartRules::S3,
        limits,
    })
}

/// The bucket's address. `object_store` puts the bucket into the path of an endpoint, but not into
/// its host.
fn bucket_url(store: &S3Store, region: &str) -> Result<Url, Failure> {
    let endpoint = match &store.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://s3.{region}.amazonaws.com"),
    };
    let bad = |why: &dyn std::fmt::Display| Failure::strange(format!("the endpoint is no address: {why}"));
    let mut url = Url::parse(&endpoint).map_err(|error| bad(&error))?;
    match store.addressing {
        S3Addressing::Path => {
            let mut segments = url.path_segments_mut().map_err(|()| bad(&"it has no host"))?;
            segments.pop_if_empty().push(&store.bucket);
        }
        S3Addressing::VirtualHosted => {
            let host = url.host_str().ok_or_else(|| bad(&"it has no host"))?;
            let host = format!("{}.{host}", store.bucket);
            url.set_host(Some(&host)).map_err(|error| bad(&error))?;
        }
    }
    Ok(url)
}

/// The keys, which become part of a header.
fn credential(store: &S3Store) -> Result<AwsCredential, Failure> {
    let key_id = store.auth_key.expose();
    if !key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::denied(
            "authKey holds a character that no access key has; check for blanks and line ends",
        ));
    }
    if store.region.as_deref().is_some_and(|region| !is_region(region)) {
        return Err(Failure::strange("the region is no name of a region"));
    }
    Ok(AwsCredential {
        key_id: key_id.to_owned(),
        secret_key: store.auth_secret.expose().to_owned(),
        token: None,
    })
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;

    fn store(endpoint: Option<&str>, addressing: S3Addressing) -> S3Store {
        S3Store {
            endpoint: endpoint.map(str::to_owned),
            region: None,
            bucket: "b".to_owned(),
            addressing,
            auth_key: Secret::new("key"),
            auth_secret: Secret::new("secret"),
            prefix: String::new(),
            skip_ssl: false,
        }
    }

    #[test]
    fn a_bucket_is_in_the_path_or_in_the_host() {
        use S3Addressing::{Path, VirtualHosted};
        for (endpoint, addressing, url) in [
            (None, Path, "https://s3.eu-west-1.amazonaws.com/b"),
            (None, VirtualHosted, "https://b.s3.eu-west-1.amazonaws.com/"),
            (Some("http://127.0.0.1:9000"), Path, "http://127.0.0.1:9000/b"),
            (Some("http://[::1]:9000/base"), Path, "http://[::1]:9000/base/b"),
            (
                Some("https://s3.example.org"),
                VirtualHosted,
                "https://b.s3.example.org/",
            ),
            (
                Some("https://s3.example.org:8443/base"),
                VirtualHosted,
                "https://b.s3.example.org:8443/base",
            ),
        ] {
            let made = bucket_url(&store(endpoint, addressing), "eu-west-1").unwrap();
            assert_eq!(made.as_str(), url);
        }
        for endpoint in ["http://a:99999", "http://[::1", "nonsense"] {
            let made = bucket_url(&store(Some(endpoint), Path), "eu-west-1");
            assert!(made.is_err(), "{endpoint}");
        }
    }

    #[test]
    fn an_access_key_that_cannot_be_sent_is_refused() {
        for key in ["a b", "a\n", "ä"] {
            let mut store = store(None, S3Addressing::Path);
            store.auth_key = Secret::new(key);
            assert!(credential(&store).is_err(), "{key:?}");
        }
    }
}
