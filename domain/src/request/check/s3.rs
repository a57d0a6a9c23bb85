//! S3 destinations.

use super::{Check, MAX_FILE_NAME_BYTES};
use crate::request::{DestinationDraft, RequestRules, S3Addressing, S3Store, endpoint};

impl Check {
    pub(super) fn s3(&mut self, draft: DestinationDraft, rules: &RequestRules, skip_ssl: bool) -> S3Store {
        let bucket = self.required("destination.bucket", draft.bucket);
        let bucket_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !bucket.bytes().all(bucket_byte) || bucket == "." || bucket == ".." || bucket.len() > MAX_FILE_NAME_BYTES {
            self.faults.add("destination.bucket", "may hold only A-Z a-z 0-9 . _ -");
        }
        // An endpoint may also stand in `authUrl`, where one known client puts it.
        let named = [
            ("destination.endpoint", draft.endpoint),
            ("destination.authUrl", draft.auth_url),
        ]
        .into_iter()
        .find_map(|(path, value)| value.filter(|text| !text.is_empty()).map(|text| (path, text)))
        .or_else(|| {
            rules
                .default_s3_endpoint
                .clone()
                .map(|text| ("default_s3_endpoint", text))
        });
        let endpoint = named.and_then(|(path, text)| match endpoint::complete(&text, skip_ssl) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.faults.add(path, problem);
                None
            }
        });
        if let (Some(url), Some(skip_ssl)) = (&endpoint, draft.skip_ssl)
            && skip_ssl != url.starts_with("http://")
        {
            self.warnings.push(format!(
                "skipSSL is {skip_ssl}, but the endpoint's own scheme wins: {url}"
            ));
        }
        let path_style = match &endpoint {
            Some(_) => draft.path_style.unwrap_or(true),
            // AWS's certificate covers one label before its name, so a dotted bucket goes into the path.
            None => draft.path_style.unwrap_or(bucket.contains('.')),
        };
        let region = draft.region.filter(|region| !region.is_empty());
        if let Some(region) = &region
            && !region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        {
            self.faults.add("destination.region", "may hold only A-Z a-z 0-9 . _ -");
        }
        S3Store {
            endpoint,
            region,
            bucket,
            addressing: if path_style {
                S3Addressing::Path
            } else {
                S3Addressing::VirtualHosted
            },
            auth_key: self.required_secret("destination.authKey", draft.auth_key),
            auth_secret: self.required_secret("destination.authSecret", draft.auth_secret),
            prefix: self.prefix(draft.filename_prefix.unwrap_or_default()),
            skip_ssl,
        }
    }
}
