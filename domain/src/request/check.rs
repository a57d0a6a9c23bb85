//! From what a client sent to what the agent does, with all faults at once.

mod azure;
mod destination;
mod gcs;
mod s3;
mod swift;

use std::collections::HashMap;

use chrono::DateTime;

use super::{
    Draft, Faults, JobRequest, Parameter, RequestRules, Service, ServiceDraft, Work, parameters::MAX_PARAMETER_BYTES,
    refusal_of_name,
};
use crate::{
    job::JobId,
    plan::{JobKind, Transfer},
    secret::Secret,
};

/// The longest name of an artifact, in bytes: 255 is the limit of file systems, and names with
/// `_2` or a temporary ending must fit as well.
const MAX_NAME_BYTES: usize = 240;
/// The longest file name of common file systems, in bytes.
const MAX_FILE_NAME_BYTES: usize = 255;

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
