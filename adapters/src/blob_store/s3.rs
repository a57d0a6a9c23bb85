//! Buckets of S3.

mod ambient;
mod listing;
mod objects;
mod open_uploads;
mod region;

use std::{sync::Arc, time::Duration};

use domain::{
    request::{S3Addressing, S3Checksum, S3Credentials, S3Encryption, S3Store},
    secret::Secret,
};
use object_store::{
    ClientOptions, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider, Checksum},
};
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

pub use self::ambient::{AMBIENT_VARIABLES, AmbientCredentials};
pub(super) use self::listing::uploads_of;
#[cfg(feature = "fuzzing")]
pub(super) use self::region::region_of;
use self::{
    ambient::{Ambient, can_be_sent},
    objects::S3Objects,
    open_uploads::S3OpenUploads,
    region::Regions,
};
use super::{
    Limits,
    bucket::{Bucket, Objects},
    condition::Condition,
    connector::Connector,
    failure::Failure,
    fault::is_region,
    local::blocking,
    movement::Stall,
    network::Network,
    parts::PartRules,
    redaction::Redaction,
    retry::Patience,
};

/// What connections to all buckets share.
#[derive(Debug)]
pub(super) struct S3Connections {
    regions: Regions,
    ambient: Ambient,
    network: Network,
}

impl S3Connections {
    pub(super) fn new(network: Network, ambient: Option<AmbientCredentials>) -> Self {
        Self {
            regions: Regions::default(),
            ambient: Ambient::new(ambient),
            network,
        }
    }

    /// Those of the agent itself that do not change.
    pub(super) fn own_secrets(&self) -> &Redaction {
        self.ambient.secrets()
    }

    /// Makes a client for the bucket, and looks its region up if the request named none.
    pub(super) async fn connect(&self, store: &S3Store, limits: Limits) -> Result<Bucket, Failure> {
        if store.region.as_deref().is_some_and(|region| !is_region(region)) {
            return Err(Failure::strange("the region is no name of a region"));
        }
        let credentials = self.credentials(store).await?;
        let endpoint = bucket_url(store, store.region.as_deref().unwrap_or(region::DEFAULT))?;
        let network = self.network.clone();
        let redaction = match &store.credentials {
            S3Credentials::Keys { .. } => Redaction::of(store.credentials.secrets().into_iter().cloned()),
            S3Credentials::Ambient => self.ambient.secrets().clone(),
        };
        let connector = blocking(move || Connector::new(&endpoint, limits.answer, &network, redaction)).await?;

        // A role's may be slow to come, and this is the moment to say so if they do not.
        let patience = Patience::new(limits.retry);
        let credential = patience.retry(async || Ok(credentials.get_credential().await?)).await?;
        let region = match &store.region {
            Some(region) => region.clone(),
            None => {
                let url = region::lookup_url(store, bucket_url(store, region::DEFAULT)?);
                self.regions.look_up(&connector, &url, &credential, limits.answer).await
            }
        };
        let url = bucket_url(store, &region)?;
        let builder = builder(store, &url, &region).with_credentials(Arc::clone(&credentials));
        let creating = builder
            .clone()
            .with_http_connector(connector.clone().on(Condition::S3))
            .build()?;
        let builder = builder.with_http_connector(connector.clone());
        let all_else = builder.clone().build()?;
        let headers = headers_of_new_objects(store)?;
        let objects: Arc<dyn Objects> = if headers.is_empty() {
            Arc::new(all_else)
        } else {
            let options = ClientOptions::new().with_default_headers(headers);
            let making = builder.with_client_options(options).build()?;
            Arc::new(S3Objects { making, all_else })
        };
        Ok(Bucket {
            stall: Arc::new(Stall::new(limits.stall, connector.transfer())),
            open_uploads: Arc::new(S3OpenUploads {
                credentials,
                connector,
                region,
                url,
                silence: limits.answer,
            }),
            objects,
            creating: Arc::new(creating),
            parts: PartRules::S3,
            takes_marks: true,
            limits,
        })
    }

    async fn credentials(&self, store: &S3Store) -> Result<AwsCredentialProvider, Failure> {
        match &store.credentials {
            S3Credentials::Keys { key, secret, token } => {
                let credential = credential(key, secret, token.as_ref())?;
                Ok(Arc::new(StaticCredentialProvider::new(credential)))
            }
            S3Credentials::Ambient => self.ambient.provider(&store.bucket, &self.network).await,
        }
    }
}

/// All that is the same for every request to the bucket.
fn builder(store: &S3Store, url: &Url, region: &str) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new()
        .with_bucket_name(&store.bucket)
        .with_region(region)
        // The whole address of the bucket, whichever style it is in, is taken as it is with this.
        .with_virtual_hosted_style_request(true)
        // TLS sees to it that nobody changes what is sent; without it the signature does.
        .with_unsigned_payload(url.scheme() == "https")
        .with_endpoint(url.as_str().trim_end_matches('/'))
        .with_retry(RetryConfig {
            // It would try again without regard to progress; we do so ourselves.
            max_retries: 0,
            retry_timeout: Duration::MAX,
            ..RetryConfig::default()
        });
    match store.checksum {
        None => builder,
        Some(S3Checksum::Crc64Nvme) => builder.with_checksum_algorithm(Checksum::CRC64NVME),
        Some(S3Checksum::Sha256) => builder.with_checksum_algorithm(Checksum::SHA256),
    }
}

/// How the store is to keep what is made.
fn headers_of_new_objects(store: &S3Store) -> Result<HeaderMap, Failure> {
    let mut wishes = Vec::new();
    match &store.encryption {
        None => {}
        Some(S3Encryption::Aes256) => wishes.push(("x-amz-server-side-encryption", "AES256")),
        Some(S3Encryption::Kms { key_id }) => {
            wishes.push(("x-amz-server-side-encryption", "aws:kms"));
            let header = "x-amz-server-side-encryption-aws-kms-key-id";
            wishes.extend(key_id.as_deref().map(|id| (header, id)));
        }
    }
    wishes.extend(
        store
            .storage_class
            .as_deref()
            .map(|class| ("x-amz-storage-class", class)),
    );
    let mut headers = HeaderMap::new();
    for (name, value) in wishes {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Failure::strange(format!("{name} would hold a character that no header can")))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// Where requests for the bucket go, as far as that is known without its region.
pub(super) fn address(store: &S3Store) -> Result<Url, Failure> {
    bucket_url(store, store.region.as_deref().unwrap_or(region::DEFAULT))
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
fn credential(key: &Secret, secret: &Secret, token: Option<&Secret>) -> Result<AwsCredential, Failure> {
    let credential = AwsCredential {
        key_id: key.expose().to_owned(),
        secret_key: secret.expose().to_owned(),
        token: token.map(|token| token.expose().to_owned()),
    };
    if can_be_sent(&credential) {
        Ok(credential)
    } else {
        Err(Failure::denied(
            "authKey or sessionToken holds a character that none has; check for blanks and line ends",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(endpoint: Option<&str>, addressing: S3Addressing) -> S3Store {
        S3Store {
            endpoint: endpoint.map(str::to_owned),
            region: None,
            bucket: "b".to_owned(),
            addressing,
            credentials: S3Credentials::keys("key", "secret"),
            encryption: None,
            storage_class: None,
            checksum: None,
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
        let good = Secret::new("good");
        assert!(credential(&good, &good, Some(&good)).is_ok());
        for key in ["a b", "a\n", "ä"] {
            let bad = Secret::new(key);
            assert!(credential(&bad, &good, None).is_err(), "{key:?}");
            assert!(credential(&good, &good, Some(&bad)).is_err(), "{key:?}");
        }
    }
}
