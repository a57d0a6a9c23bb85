//! One bucket, for one transfer.

use std::time::Duration;

use domain::{
    artifact::ObjectKey,
    request::{S3Addressing, S3Store},
};
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential},
    path::Path,
};
use reqwest::Url;

use super::{
    Limits,
    connector::Connector,
    failure::Failure,
    fault::is_region,
    local::blocking,
    movement::Stall,
    region::{self, Regions},
    retry::Patience,
};

/// A bucket that can be spoken to.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) s3: AmazonS3,
    /// The same, but it completes uploads in parts only under a free name.
    pub(super) creating: AmazonS3,
    pub(super) limits: Limits,
    /// Watches over the parts and pieces of the transfer.
    pub(super) stall: Stall,
    /// For what `object_store` does not ask a store.
    pub(super) own: OwnRequests,
}

/// What requests of our own are made and signed with.
#[derive(Debug)]
pub(super) struct OwnRequests {
    pub(super) connector: Connector,
    pub(super) credential: AwsCredential,
    pub(super) region: String,
    /// The bucket's address.
    pub(super) url: Url,
}

impl Bucket {
    /// Makes a client for the bucket, and looks its region up if the request named none.
    pub(super) async fn connect(store: &S3Store, limits: Limits, regions: &Regions) -> Result<Self, Failure> {
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
            .with_endpoint(endpoint.as_str().trim_end_matches('/'))
            .with_retry(RetryConfig {
                // It would try again without regard to progress; we do so ourselves.
                max_retries: 0,
                retry_timeout: Duration::MAX,
                ..RetryConfig::default()
            });
        Ok(Self {
            creating: builder.clone().with_http_connector(connector.creating_only()).build()?,
            s3: builder.with_http_connector(connector.clone()).build()?,
            limits,
            stall: Stall::new(limits.stall, connector.transfer()),
            own: OwnRequests {
                connector,
                credential,
                region,
                url: endpoint,
            },
        })
    }

    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.limits.retry)
    }

    pub(super) async fn exists(&self, key: &ObjectKey) -> Result<bool, Failure> {
        let path = object_path(key)?;
        let patience = self.patience();
        Ok(patience.retry(|| self.head(&path)).await?.is_some())
    }

    /// What the store tells of an object; none if it says that there is none.
    pub(super) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Failure> {
        let options = GetOptions::new().with_head(true);
        match self.s3.get_opts(path, options).await.map_err(Failure::from) {
            Ok(answer) => Ok(Some(answer.meta)),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) if failure.is_transient() || failure.answer().is_none() => Err(failure),
            Err(failure) => Err(self.explain(path, failure).await),
        }
    }

    /// The refusal of a HEAD has no body, so the reason is asked for with a GET of one byte.
    pub(super) async fn explain(&self, path: &Path, failure: Failure) -> Failure {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..1)));
        let status = failure.answer().map_or(404, |answer| answer.status);
        match self.s3.get_opts(path, options).await.map_err(Failure::from) {
            Err(reason)
                if reason
                    .answer()
                    .is_some_and(|answer| answer.status == status && answer.code.is_some()) =>
            {
                reason
            }
            Ok(_) | Err(_) => failure,
        }
    }
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

/// The key as it is, character by character. (`Path::from` would escape some of them.)
pub(super) fn object_path(key: &ObjectKey) -> Result<Path, Failure> {
    let bad = || Failure::strange("no object can have this name: it has an empty segment, or control characters");
    let path = Path::parse(key.as_str()).map_err(|_| bad())?;
    // A slash at the beginning or end is dropped silently.
    if path.as_ref() == key.as_str() && !path.is_root() {
        Ok(path)
    } else {
        Err(bad())
    }
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
    fn keys_stay_as_they_are_or_are_refused() {
        for key in ["a", "a/b c+é%20#?~.tar.gz", "a b/{x}/\\"] {
            assert_eq!(object_path(&ObjectKey::new("", key)).unwrap().as_ref(), key);
        }
        for key in ["", "/a", "a/", "a//b", "a/../b", "a\nb"] {
            assert!(object_path(&ObjectKey::new("", key)).is_err(), "{key:?}");
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
