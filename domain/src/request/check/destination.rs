//! Where an artifact goes or comes from.

use std::path::{Component, PathBuf};

use super::{Check, MAX_FILE_NAME_BYTES};
use crate::{
    artifact::{Expected, InvalidSha256},
    plan::Transfer,
    request::{Destination, DestinationDraft, DestinationEcho, FileStore, RequestRules, Resolution, Store, endpoint},
};

/// The longest key of S3 is 1,024 bytes; the file name needs its part.
const MAX_PREFIX_BYTES: usize = 1024 - MAX_FILE_NAME_BYTES;

impl Check {
    /// The store; none if the type is unknown. A store with faults is never used.
    pub(super) fn destination(
        &mut self,
        draft: DestinationDraft,
        rules: &RequestRules,
        transfer: Transfer,
    ) -> Option<Destination> {
        let kind = self
            .required("destination.type", draft.kind.clone())
            .to_ascii_uppercase();
        let skip_ssl = draft.skip_ssl.unwrap_or(false);
        let echo = DestinationEcho {
            kind: kind.clone(),
            skip_ssl,
            region: self.optional("destination.region", draft.region.clone()),
            endpoint: self.optional("destination.endpoint", draft.endpoint.clone()),
            bucket: self.optional("destination.bucket", draft.bucket.clone()),
            auth_url: self.optional("destination.authUrl", draft.auth_url.clone()),
            domain: self.optional("destination.domain", draft.domain.clone()),
            container_name: self.optional("destination.container_name", draft.container_name.clone()),
            project_name: self.optional("destination.project_name", draft.project_name.clone()),
            account: self.optional("destination.account", draft.account.clone()),
            container: self.optional("destination.container", draft.container.clone()),
            path: self.optional("destination.path", draft.path.clone()),
            filename_prefix: self.optional("destination.filenamePrefix", draft.filename_prefix.clone()),
        };
        // Members of other types are ignored, but no string may hold a NUL.
        for (path, text) in [
            ("destination.filename", &draft.filename),
            ("destination.username", &draft.username),
            ("destination.sse", &draft.sse),
            ("destination.sseKmsKeyId", &draft.sse_kms_key_id),
            ("destination.storageClass", &draft.storage_class),
            ("destination.checksum", &draft.checksum),
        ] {
            self.optional(path, text.clone());
        }
        for (path, secret) in [
            ("destination.authKey", &draft.auth_key),
            ("destination.authSecret", &draft.auth_secret),
            ("destination.sessionToken", &draft.session_token),
            ("destination.password", &draft.password),
            ("destination.accountKey", &draft.account_key),
            ("destination.sasToken", &draft.sas_token),
        ] {
            self.secret(path, secret.clone());
        }
        let store = match kind.as_str() {
            "" => return None,
            "S3" => Store::S3(self.s3(draft, rules, skip_ssl, transfer)),
            "SWIFT" => Store::Swift(self.swift(draft, rules)),
            "FILE" => Store::File(self.file(draft, rules)),
            "GCS" => Store::Gcs(self.gcs(draft, rules, skip_ssl)),
            "AZURE" => Store::Azure(self.azure(draft, rules, skip_ssl)),
            _ => {
                self.faults
                    .add("destination.type", "is not one of S3, SWIFT, FILE, GCS, AZURE");
                return None;
            }
        };
        Some(Destination { store, echo })
    }

    fn file(&mut self, draft: DestinationDraft, rules: &RequestRules) -> FileStore {
        if rules.allowed_file_roots.is_empty() {
            self.faults.add(
                "destination.type",
                "FILE is switched off on this agent; its operator sets allowed_file_roots",
            );
        }
        let path = PathBuf::from(self.required("destination.path", draft.path));
        let is_plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
        let is_allowed = || rules.allowed_file_roots.iter().any(|root| path.starts_with(root));
        if !is_plain {
            self.faults
                .add("destination.path", "must be an absolute path without ..");
        } else if !is_allowed() {
            self.faults
                .add("destination.path", "is not below one of the agent's allowed_file_roots");
        }
        FileStore { path }
    }

    /// A name of lower-case letters, digits and `others`, which `allowed` tells to people.
    pub(super) fn name(&mut self, path: &str, value: Option<String>, allowed: &str, others: &[u8]) -> String {
        let name = self.required(path, value);
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte);
        if !name.bytes().all(is_allowed) || name == "." || name == ".." || name.len() > MAX_FILE_NAME_BYTES {
            self.faults.add(path, format!("may hold only {allowed}"));
        }
        name
    }

    /// An endpoint with its scheme; none if there is none, or it is a fault.
    pub(super) fn endpoint(&mut self, value: Option<String>, skip_ssl: bool) -> Option<String> {
        let text = value.filter(|text| !text.is_empty())?;
        match endpoint::complete(&text, skip_ssl) {
            Ok(url) => Some(url),
            Err(problem) => {
                self.faults.add("destination.endpoint", problem);
                None
            }
        }
    }

    /// A completed endpoint, which must lead to a host that the operator allows. None: the member is
    /// absent, and the store's provider is meant, at this address of its own.
    pub(super) fn allowed(&mut self, rules: &RequestRules, path: &str, url: Option<&str>, own: &str) {
        let (host, port) = endpoint::host_and_port(url.unwrap_or(own));
        if let Err(refusal) = rules.allowed_endpoints.judge(host, port, Resolution::Own) {
            let leads = match url {
                Some(_) => "leads to",
                None => "is missing, and without it the way leads to",
            };
            self.faults.add(path, format!("{leads} {refusal}"));
        }
    }

    /// Where requests hold what others could use, nobody may read them on their way.
    pub(super) fn no_listeners(&mut self, endpoint: Option<&str>) {
        if endpoint.is_some_and(|url| url.starts_with("http://") && !endpoint::is_loopback(url)) {
            self.faults.add(
                "destination.endpoint",
                "must be https: over http anybody on the way could read the credentials",
            );
        }
    }

    pub(super) fn prefix(&mut self, prefix: String) -> String {
        let path = "destination.filenamePrefix";
        let (folders, _) = prefix.rsplit_once('/').unwrap_or(("", &prefix));
        let has_folders = prefix.contains('/');
        if prefix.chars().any(char::is_control) {
            self.faults.add(path, "must not hold control characters");
        } else if has_folders && folders.split('/').any(str::is_empty) {
            self.faults.add(path, "must not begin with / or hold an empty segment");
        } else if prefix.split('/').any(|segment| segment == "." || segment == "..") {
            self.faults.add(path, "must not hold a . or .. segment");
        } else if prefix.len() > MAX_PREFIX_BYTES {
            self.faults.add(path, format!("has more than {MAX_PREFIX_BYTES} bytes"));
        }
        prefix
    }

    /// The object to restore: one path segment.
    pub(super) fn filename(&mut self, value: Option<String>) -> String {
        let path = "destination.filename";
        let name = self.required(path, value);
        if name == "." || name == ".." || name.contains(['/', '\\']) {
            self.faults.add(path, "must be one path segment");
        } else if name.chars().any(char::is_control) {
            self.faults.add(path, "must not hold control characters");
        } else if name.starts_with('-') {
            self.faults.add(path, "must not begin with -");
        } else if name.len() > MAX_FILE_NAME_BYTES {
            self.faults
                .add(path, format!("has more than {MAX_FILE_NAME_BYTES} bytes"));
        }
        name
    }

    /// What the client knows of the object. Empty and zero, as in a polling body, are nothing.
    pub(super) fn expected(&mut self, draft: &DestinationDraft) -> Expected {
        let digest = draft.sha256.as_deref().filter(|text| !text.is_empty());
        let sha256 = digest.and_then(|text| match text.parse() {
            Ok(sha256) => Some(sha256),
            Err(InvalidSha256) => {
                self.faults.add("destination.sha256", InvalidSha256.to_string());
                None
            }
        });
        Expected {
            size_bytes: draft.filesize.filter(|size| *size > 0),
            sha256,
        }
    }
}
