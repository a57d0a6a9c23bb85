//! S3 destinations.

use super::{Check, MAX_FILE_NAME_BYTES};
use crate::{
    plan::Transfer,
    request::{
        DestinationDraft, RequestRules, S3Addressing, S3Checksum, S3Credentials, S3Encryption, S3Store, endpoint,
    },
    secret::Secret,
};

/// Names of storage classes are short; this is room for those of stores to come.
const MAX_STORAGE_CLASS_BYTES: usize = 64;
/// The longest ARN that AWS allows.
const MAX_KMS_KEY_ID_BYTES: usize = 2048;

impl Check {
    pub(super) fn s3(
        &mut self,
        draft: DestinationDraft,
        rules: &RequestRules,
        skip_ssl: bool,
        transfer: Transfer,
    ) -> S3Store {
        let bucket = self.required("destination.bucket", draft.bucket.clone());
        let bucket_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !bucket.bytes().all(bucket_byte) || bucket == "." || bucket == ".." || bucket.len() > MAX_FILE_NAME_BYTES {
            self.faults.add("destination.bucket", "may hold only A-Z a-z 0-9 . _ -");
        }
        // An endpoint may also stand in `authUrl`, where one known client puts it.
        let named = [
            ("destination.endpoint", &draft.endpoint),
            ("destination.authUrl", &draft.auth_url),
        ]
        .into_iter()
        .find_map(|(path, value)| value.clone().filter(|text| !text.is_empty()).map(|text| (path, text)))
        .or_else(|| {
            rules
                .default_s3_endpoint
                .clone()
                .map(|text| ("default_s3_endpoint", text))
        });
        let named_in = named.as_ref().map_or("destination.endpoint", |(path, _)| path);
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
        let region = draft.region.clone().filter(|region| !region.is_empty());
        if let Some(region) = &region
            && !region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        {
            self.faults.add("destination.region", "may hold only A-Z a-z 0-9 . _ -");
        }
        let own = match &region {
            Some(region) => format!("https://s3.{region}.amazonaws.com"),
            // It is asked where the bucket is.
            None => "https://s3.amazonaws.com".to_owned(),
        };
        match &endpoint {
            // A bucket of a request's choice may make another host of it.
            Some(url) if !path_style => {
                let at_host = url.replacen("://", &format!("://{bucket}."), 1);
                self.allowed(rules, named_in, Some(&at_host), &own);
            }
            Some(_) | None => self.allowed(rules, named_in, endpoint.as_deref(), &own),
        }
        let credentials = self.s3_credentials(&draft, rules, transfer);
        let encryption = self.s3_encryption(draft.sse, draft.sse_kms_key_id);
        let storage_class = self.storage_class(draft.storage_class);
        let checksum = self.s3_checksum(draft.checksum);
        S3Store {
            endpoint,
            region,
            bucket,
            addressing: if path_style {
                S3Addressing::Path
            } else {
                S3Addressing::VirtualHosted
            },
            credentials,
            encryption,
            storage_class,
            checksum,
            prefix: self.prefix(draft.filename_prefix.unwrap_or_default()),
            skip_ssl,
        }
    }

    /// The request's keys; or, without any, the agent's own credentials, if all that guards them holds.
    fn s3_credentials(&mut self, draft: &DestinationDraft, rules: &RequestRules, transfer: Transfer) -> S3Credentials {
        let given = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| !secret.expose().is_empty());
        let has_keys = given(&draft.auth_key) || given(&draft.auth_secret) || given(&draft.session_token);
        match (has_keys, transfer) {
            // Scripts that move the bytes themselves would have no keys at all.
            (true, _) | (false, Transfer::ByScripts) => self.s3_keys(draft),
            (false, Transfer::ByAgent) => self.ambient(draft, rules),
        }
    }

    fn s3_keys(&mut self, draft: &DestinationDraft) -> S3Credentials {
        let path = "destination.sessionToken";
        let token = self.secret(path, draft.session_token.clone());
        // It becomes a header.
        if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            self.faults.add(
                path,
                "may hold only visible ASCII characters; check for blanks and line ends",
            );
        }
        S3Credentials::Keys {
            key: self.required_secret("destination.authKey", draft.auth_key.clone()),
            secret: self.required_secret("destination.authSecret", draft.auth_secret.clone()),
            token: Some(token).filter(|token| !token.expose().is_empty()),
        }
    }

    fn ambient(&mut self, draft: &DestinationDraft, rules: &RequestRules) -> S3Credentials {
        let Some(buckets) = &rules.ambient_buckets else {
            for path in ["destination.authKey", "destination.authSecret"] {
                self.faults.add(
                    path,
                    "is missing; the agent's own credentials are used without it only if its operator sets \
                     allow_ambient_credentials",
                );
            }
            return S3Credentials::Ambient;
        };
        let is_listed = |bucket: &String| buckets.contains(bucket);
        if draft.bucket.as_ref().is_some_and(|bucket| !bucket.is_empty())
            && !draft.bucket.as_ref().is_some_and(is_listed)
        {
            for path in ["destination.authKey", "destination.authSecret"] {
                self.faults.add(
                    path,
                    "is missing; the agent's own credentials are only for the buckets that its operator lists in \
                     ambient_buckets",
                );
            }
        }
        // Whoever answers at an address of the request's choice must not get what these sign.
        for (path, value) in [
            ("destination.endpoint", &draft.endpoint),
            ("destination.authUrl", &draft.auth_url),
        ] {
            if value.as_ref().is_some_and(|text| !text.is_empty()) {
                self.faults.add(
                    path,
                    "must not be given without authKey and authSecret: the agent's own credentials are used only at \
                     AWS, or at its default_s3_endpoint",
                );
            }
        }
        if draft.skip_ssl == Some(true) {
            self.faults.add(
                "destination.skipSSL",
                "must not be true without authKey and authSecret: default_s3_endpoint has its own scheme",
            );
        }
        S3Credentials::Ambient
    }

    fn s3_encryption(&mut self, sse: Option<String>, key_id: Option<String>) -> Option<S3Encryption> {
        let key_path = "destination.sseKmsKeyId";
        let key_id = key_id.filter(|id| !id.is_empty());
        if let Some(id) = &key_id {
            // It becomes a header.
            if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.faults.add(key_path, "may hold only visible ASCII characters");
            } else if id.len() > MAX_KMS_KEY_ID_BYTES {
                self.faults
                    .add(key_path, format!("has more than {MAX_KMS_KEY_ID_BYTES} bytes"));
            }
        }
        let encryption = match sse.as_deref().unwrap_or_default() {
            "" => None,
            "AES256" => Some(S3Encryption::Aes256),
            "aws:kms" => return Some(S3Encryption::Kms { key_id }),
            _ => {
                self.faults.add("destination.sse", "is not one of AES256, aws:kms");
                return None;
            }
        };
        if key_id.is_some() {
            self.faults.add(key_path, "is possible only with sse aws:kms");
        }
        encryption
    }

    fn storage_class(&mut self, class: Option<String>) -> Option<String> {
        let class = class.filter(|class| !class.is_empty())?;
        let class_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let path = "destination.storageClass";
        if !class.bytes().all(class_byte) {
            self.faults.add(path, "may hold only A-Z a-z 0-9 _ -");
        } else if class.len() > MAX_STORAGE_CLASS_BYTES {
            self.faults
                .add(path, format!("has more than {MAX_STORAGE_CLASS_BYTES} bytes"));
        }
        Some(class)
    }

    fn s3_checksum(&mut self, checksum: Option<String>) -> Option<S3Checksum> {
        match checksum.as_deref().unwrap_or_default() {
            "" | "none" => None,
            "crc64nvme" => Some(S3Checksum::Crc64Nvme),
            "sha256" => Some(S3Checksum::Sha256),
            _ => {
                self.faults
                    .add("destination.checksum", "is not one of none, crc64nvme, sha256");
                None
            }
        }
    }
}
