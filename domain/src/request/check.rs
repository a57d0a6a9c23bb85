//! From what a client sent to what the agent does, with all faults at once.

use std::{
    collections::HashMap,
    path::{Component, PathBuf},
};

use chrono::DateTime;

use super::{
    Destination, DestinationDraft, DestinationEcho, Draft, Faults, FileStore, JobRequest, Parameter, RequestRules,
    S3Addressing, S3Store, Service, ServiceDraft, Store, SwiftStore, Work, endpoint, parameters::MAX_PARAMETER_BYTES,
    refusal_of_name,
};
use crate::{
    artifact::{Expected, InvalidSha256},
    job::JobId,
    plan::{JobKind, Transfer},
    secret::Secret,
};

/// The longest name of an artifact, in bytes: 255 is the limit of file systems, and names with
/// `_2` or a temporary ending must fit as well.
const MAX_NAME_BYTES: usize = 240;
/// The longest file name of common file systems, in bytes.
const MAX_FILE_NAME_BYTES: usize = 255;
/// The longest key of S3 is 1,024 bytes; the file name needs its part.
const MAX_PREFIX_BYTES: usize = 1024 - MAX_FILE_NAME_BYTES;

impl Draft {
    /// Checks every member. `faults` holds what was found while the draft was read, and is added to.
    ///
    /// # Errors
    ///
    /// All faults at once, if there is any.
    pub fn check(self, rules: &RequestRules, faults: Faults) -> Result<JobRequest, Faults> {
        let mut check = Check {
            faults,
            warnings: Vec::new(),
        };
        let by_scripts = rules.skip_storage || self.skip_storage.unwrap_or(false);
        let transfer = if by_scripts {
            Transfer::ByScripts
        } else {
            Transfer::ByAgent
        };
        let work = match self.kind {
            JobKind::Backup => Work::Backup,
            JobKind::Restore => Work::Restore {
                filename: check.filename(self.destination.filename.clone()),
                expected: check.expected(&self.destination),
            },
        };
        let destination = check.destination(self.destination, rules, transfer);
        let (service, parameters) = check.service(self.kind, self.service, &rules.agent_variables);
        let encryption_key = check.secret("encryption_key", self.encryption_key);
        if self.kind == JobKind::Backup {
            check.artifact_name(rules, &self.id, &service);
        }
        match destination {
            Some(destination) if check.faults.is_empty() => Ok(JobRequest {
                id: self.id,
                work,
                destination,
                transfer,
                service,
                compression: self.compression.unwrap_or(false),
                encryption_key,
                parameters,
                warnings: check.warnings,
            }),
            Some(_) | None => Err(check.faults),
        }
    }
}

/// Looks at one member after another, and collects what is wrong.
struct Check {
    faults: Faults,
    warnings: Vec<String>,
}

impl Check {
    /// The store; none if the type is unknown. A store with faults is never used.
    fn destination(
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
            path: self.optional("destination.path", draft.path.clone()),
            filename_prefix: self.optional("destination.filenamePrefix", draft.filename_prefix.clone()),
        };
        // Members of other types are ignored, but no string may hold a NUL.
        for (path, text) in [
            ("destination.filename", &draft.filename),
            ("destination.username", &draft.username),
        ] {
            self.optional(path, text.clone());
        }
        for (path, secret) in [
            ("destination.authKey", &draft.auth_key),
            ("destination.authSecret", &draft.auth_secret),
            ("destination.password", &draft.password),
        ] {
            self.secret(path, secret.clone());
        }
        let store = match kind.as_str() {
            "" => return None,
            "S3" => Store::S3(self.s3(draft, rules, skip_ssl)),
            "SWIFT" => Store::Swift(self.swift(draft, transfer)),
            "FILE" => Store::File(self.file(draft, rules)),
            _ => {
                self.faults.add("destination.type", "is not one of S3, SWIFT, FILE");
                return None;
            }
        };
        Some(Destination { store, echo })
    }

    fn s3(&mut self, draft: DestinationDraft, rules: &RequestRules, skip_ssl: bool) -> S3Store {
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

    fn swift(&mut self, draft: DestinationDraft, transfer: Transfer) -> SwiftStore {
        if transfer == Transfer::ByAgent {
            self.faults.add(
                "destination.type",
                "SWIFT is not yet supported by this agent; use S3 or FILE",
            );
        }
        let auth_url = self.required("destination.authUrl", draft.auth_url);
        // It is shown in logs, so it must not hold credentials.
        if let Err(problem) = endpoint::complete(&auth_url, false)
            && !auth_url.is_empty()
        {
            self.faults.add("destination.authUrl", problem);
        }
        SwiftStore {
            auth_url,
            domain: self.required("destination.domain", draft.domain),
            container_name: self.required("destination.container_name", draft.container_name),
            project_name: self.required("destination.project_name", draft.project_name),
            username: self.required("destination.username", draft.username),
            password: self.required_secret("destination.password", draft.password),
        }
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

    fn service(&mut self, kind: JobKind, draft: ServiceDraft, agent_variables: &[&str]) -> (Service, Vec<Parameter>) {
        let path = |member: &str| format!("{kind}.{member}");
        let service = Service {
            host: self.name_part(&path("host"), draft.host),
            user: self.argument(&path("user"), draft.user),
            password: self.secret(&path("password"), draft.password),
            database: self.name_part(&path("database"), draft.database),
        };
        let mut parameters: Vec<Parameter> = Vec::with_capacity(draft.parameters.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, value) in draft.parameters {
            let path = format!("{kind}.parameters.{}", name.escape_debug());
            if let Some(refusal) = refusal_of_name(&name, agent_variables) {
                self.faults.add(path, refusal);
                continue;
            }
            if value.expose().len() > MAX_PARAMETER_BYTES {
                self.faults
                    .add(path, format!("has more than {MAX_PARAMETER_BYTES} bytes"));
                continue;
            }
            let value = self.secret(&path, Some(value));
            // Of one name given twice the last value counts.
            match places.get(&name) {
                Some(place) => parameters[*place].value = value,
                None => {
                    places.insert(name.clone(), parameters.len());
                    parameters.push(Parameter { name, value });
                }
            }
        }
        (service, parameters)
    }

    fn artifact_name(&mut self, rules: &RequestRules, id: &JobId, service: &Service) {
        // Every date has the same length in a name.
        let name = rules
            .name_pattern
            .name(&service.host, &service.database, id, DateTime::UNIX_EPOCH);
        let length = name.file_name().len();
        if length > MAX_NAME_BYTES {
            self.faults.add(
                "backup.database",
                format!("makes, with the host, a file name of {length} bytes; at most {MAX_NAME_BYTES} are possible"),
            );
        }
    }

    fn prefix(&mut self, prefix: String) -> String {
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
    fn filename(&mut self, value: Option<String>) -> String {
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
    fn expected(&mut self, draft: &DestinationDraft) -> Expected {
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

    /// A host or database: a script's argument and a part of a file name.
    fn name_part(&mut self, path: &str, value: Option<String>) -> String {
        let text = self.required(path, value);
        if text.contains('/') {
            self.faults.add(path, "must not hold /");
        } else if text.chars().any(char::is_control) {
            self.faults.add(path, "must not hold control characters");
        } else if text.starts_with(['.', '-']) {
            self.faults.add(path, "must not begin with . or -");
        }
        text
    }

    /// A script's argument, which must not look like an option.
    fn argument(&mut self, path: &str, value: Option<String>) -> String {
        let text = self.optional(path, value);
        if text.starts_with('-') {
            self.faults.add(path, "must not begin with -");
        }
        text
    }

    fn required(&mut self, path: &str, value: Option<String>) -> String {
        let text = self.optional(path, value);
        if text.is_empty() {
            self.faults.add(path, "is missing");
        }
        text
    }

    fn optional(&mut self, path: &str, value: Option<String>) -> String {
        let text = value.unwrap_or_default();
        if text.contains('\0') {
            self.faults.add(path, "must not hold a NUL character");
        }
        text
    }

    fn required_secret(&mut self, path: &str, value: Option<Secret>) -> Secret {
        let secret = self.secret(path, value);
        if secret.expose().is_empty() {
            self.faults.add(path, "is missing");
        }
        secret
    }

    fn secret(&mut self, path: &str, value: Option<Secret>) -> Secret {
        let secret = value.unwrap_or_default();
        if secret.expose().contains('\0') {
            self.faults.add(path, "must not hold a NUL character");
        }
        secret
    }
}
