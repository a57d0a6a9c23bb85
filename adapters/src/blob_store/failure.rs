//! Why a transfer failed, whether it may be tried again, and what people are told about it.

use std::{fmt, io, path::Path, time::Duration};

use domain::{artifact::ObjectKey, ports::BlobStoreError, request::Store};
use reqwest::StatusCode;

use super::fault::{Answer, ConnectionFault, Fault, shown};

/// Codes of answers that another try may change, whatever their status is.
const TRANSIENT_CODES: [&str; 8] = [
    "InternalError",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "TooManyRequests",
];

/// What was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    LookUp,
    Upload,
    Download,
}

/// Why it was not done.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    cause: Cause,
    /// How long the fault was borne, if it was one that may pass.
    given_up_after: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Cause {
    /// One request to a store.
    Fault(Fault),
    /// The store has less, or something else, than it said; it may be in order the next time.
    Unsteady(String),
    /// There is no such object, or no such directory.
    Missing(String),
    /// A directory may not be used.
    Denied(String),
    /// The name belongs to another object.
    Taken,
    /// The object is not what it was.
    Changed,
    /// The store's directory failed.
    Directory(String),
    /// A file of this machine.
    Local(String),
    /// Anything that no other try would change.
    Strange(String),
}

/// What the caller may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Transient,
    Missing,
    Denied,
    Taken,
    Unavailable,
    Local,
    Other,
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            given_up_after: None,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Cause::Fault(fault).into()
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        match Fault::in_chain(&error) {
            Some(fault) => fault.clone().into(),
            None => Self::strange(format!(
                "the store's answer makes no sense ({})",
                shown(&error.to_string())
            )),
        }
    }
}

impl Failure {
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Cause::Missing(text.into()).into()
    }

    pub(super) fn no_object() -> Self {
        Self::missing("there is no such object; check filename and filenamePrefix")
    }

    pub(super) fn denied(text: impl Into<String>) -> Self {
        Cause::Denied(text.into()).into()
    }

    pub(super) fn taken() -> Self {
        Cause::Taken.into()
    }

    pub(super) fn changed_object() -> Self {
        Cause::Changed.into()
    }

    pub(super) fn unsteady(text: impl Into<String>) -> Self {
        Cause::Unsteady(text.into()).into()
    }

    pub(super) fn strange(text: impl Into<String>) -> Self {
        Cause::Strange(text.into()).into()
    }

    pub(super) fn no_swift() -> Self {
        Self::strange("this store has no Swift")
    }

    /// A file of this machine could not be used.
    pub(super) fn local(doing: &str, path: &Path, error: &io::Error) -> Self {
        Cause::Local(format!("{doing} the file {path:?}: {error}")).into()
    }

    pub(super) fn changed_file(path: &Path) -> Self {
        Cause::Local(format!(
            "the file {path:?} changed while it was read: it became shorter"
        ))
        .into()
    }

    /// A directory that stands for a store could not be used.
    pub(super) fn directory(doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind;
        let text = format!("{doing}: {error}");
        match error.kind() {
            ErrorKind::NotFound => Cause::Missing(text),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Cause::Denied(text),
            ErrorKind::AlreadyExists => Cause::Taken,
            _ => Cause::Directory(text),
        }
        .into()
    }

    /// Patience is at an end.
    pub(super) fn given_up(mut self, after: Duration) -> Self {
        self.given_up_after = Some(after);
        self
    }

    pub(super) fn is_transient(&self) -> bool {
        self.class() == Class::Transient
    }

    pub(super) fn is_missing(&self) -> bool {
        self.class() == Class::Missing
    }

    /// Whether an answer came that could not be used.
    pub(super) fn is_strange(&self) -> bool {
        matches!(self.cause, Cause::Strange(_))
    }

    /// The refusal of a store, if it is one.
    pub(super) fn answer(&self) -> Option<&Answer> {
        match &self.cause {
            Cause::Fault(Fault::Answer(answer)) => Some(answer),
            _ => None,
        }
    }

    fn class(&self) -> Class {
        match &self.cause {
            Cause::Fault(Fault::Answer(answer)) => class_of_answer(answer),
            Cause::Fault(Fault::Connection { kind, .. }) => match kind {
                ConnectionFault::Name
                | ConnectionFault::Refused
                | ConnectionFault::Connect
                | ConnectionFault::Silence
                | ConnectionFault::Broken => Class::Transient,
                ConnectionFault::Certificate | ConnectionFault::Tls => Class::Unavailable,
                ConnectionFault::Request => Class::Other,
            },
            Cause::Unsteady(_) => Class::Transient,
            Cause::Missing(_) => Class::Missing,
            Cause::Denied(_) => Class::Denied,
            Cause::Taken => Class::Taken,
            Cause::Directory(_) => Class::Unavailable,
            Cause::Local(_) => Class::Local,
            Cause::Changed | Cause::Strange(_) => Class::Other,
        }
    }

    /// The whole message.
    pub(super) fn told_of(self, action: Action, store: &Store, key: &ObjectKey) -> BlobStoreError {
        let (what, preposition) = match action {
            Action::LookUp => ("look-up", "in"),
            Action::Upload => ("upload", "to"),
            Action::Download => ("download", "from"),
        };
        let mut text = format!("{what} of {:?} {preposition} {store}: {self}", key.as_str());
        if let Some(after) = self.given_up_after {
            text += &format!("; given up after {:.1} s without progress", after.as_secs_f32());
        }
        if let Cause::Fault(fault) = &self.cause
            && let Some(hint) = hint(fault, action)
        {
            text += "; ";
            text += &hint;
        }
        if let Store::S3(s3) = store {
            // No store should repeat them, but its message is its own.
            for secret in [s3.auth_secret.expose(), s3.auth_key.expose()] {
                if !secret.is_empty() && text.contains(secret) {
                    text = text.replace(secret, "<redacted>");
                }
            }
        }
        match self.class() {
            Class::Transient | Class::Unavailable => BlobStoreError::Unavailable(text),
            Class::Missing => BlobStoreError::NotFound(text),
            Class::Denied => BlobStoreError::Denied(text),
            Class::Taken => BlobStoreError::AlreadyExists(text),
            Class::Local => BlobStoreError::Local(text),
            Class::Other => BlobStoreError::Other(text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Fault(Fault::Answer(answer)) => {
                let verb = match answer.status {
                    300..=399 => "the store redirected it with",
                    400..=499 => "the store refused it with",
                    _ => "the store failed with",
                };
                write!(f, "{verb} {answer}")?;
                let reason = StatusCode::from_u16(answer.status)
                    .ok()
                    .and_then(|status| status.canonical_reason());
                match (&answer.code, reason) {
                    (None, Some(reason)) => write!(f, " {reason}"),
                    (Some(_), _) | (None, None) => Ok(()),
                }
            }
            Cause::Fault(Fault::Connection { kind, text }) => {
                let what = match kind {
                    ConnectionFault::Name | ConnectionFault::Refused | ConnectionFault::Connect => "no connection",
                    ConnectionFault::Certificate | ConnectionFault::Tls => "no secure connection",
                    ConnectionFault::Silence => "no answer",
                    ConnectionFault::Broken => "the connection broke",
                    ConnectionFault::Request => "the request could not be made",
                };
                write!(f, "{what} ({text})")
            }
            Cause::Taken => f.write_str("the name was taken meanwhile; what is there was not replaced"),
            Cause::Changed => f.write_str("the object changed while it was read; begin again"),
            Cause::Unsteady(text)
            | Cause::Missing(text)
            | Cause::Denied(text)
            | Cause::Directory(text)
            | Cause::Local(text)
            | Cause::Strange(text) => f.write_str(text),
        }
    }
}

fn class_of_answer(answer: &Answer) -> Class {
    let code = answer.code.as_deref().unwrap_or_default();
    match answer.status {
        _ if TRANSIENT_CODES.contains(&code) => Class::Transient,
        // Only a completion that failed after its status was sent is a fault with such a status.
        200..=299 | 408 | 429 => Class::Transient,
        // Not implemented, and not this version: these stay so.
        501 | 505 => Class::Other,
        500..=599 => Class::Transient,
        404 => Class::Missing,
        401 | 403 => Class::Denied,
        _ => Class::Other,
    }
}

/// What to check.
fn hint(fault: &Fault, action: Action) -> Option<String> {
    let hint = match fault {
        Fault::Answer(answer) => return hint_for_answer(answer, action),
        Fault::Connection { kind, text } => match kind {
            ConnectionFault::Name => "check the endpoint's host name and this machine's name servers",
            ConnectionFault::Refused | ConnectionFault::Connect => "check the endpoint's host and port, and firewalls",
            ConnectionFault::Certificate => {
                "check that the endpoint's host name is the certificate's, and that this machine trusts its CA"
            }
            ConnectionFault::Tls => "check that the endpoint speaks https; if it is plain http, say so with http://",
            ConnectionFault::Silence | ConnectionFault::Broken => "check the network and the store's health",
            ConnectionFault::Request if text.contains("CA cert") => {
                "install the CA certificates of this machine's system, or name a file of them in SSL_CERT_FILE"
            }
            ConnectionFault::Request => "check the endpoint",
        },
    };
    Some(hint.to_owned())
}

fn hint_for_answer(answer: &Answer, action: Action) -> Option<String> {
    let hint = match (answer.code.as_deref().unwrap_or_default(), answer.status) {
        ("SignatureDoesNotMatch", _) => "check authSecret: it does not belong to authKey",
        ("InvalidAccessKeyId", _) => "check authKey: the store does not know it",
        ("RequestTimeTooSkewed", _) => "check this machine's clock: it and the store's differ",
        ("NoSuchBucket", _) => "check bucket and endpoint",
        ("NoSuchKey", _) => "check filename and filenamePrefix",
        ("AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect", _) | (_, 300..=399) => {
            let place = answer
                .region
                .as_ref()
                .map(|region| format!(": the bucket is in {region:?}"));
            return Some(format!("check region and endpoint{}", place.unwrap_or_default()));
        }
        ("EntityTooLarge", _) => "the store takes no object of this size",
        (_, 401 | 403) => match action {
            Action::Upload => "check authKey and authSecret and that they may write to this bucket",
            Action::LookUp => "check authKey and authSecret and that they may list this bucket and read from it",
            Action::Download => "check authKey and authSecret and that they may read from this bucket",
        },
        (_, 404) => "check endpoint and bucket",
        (_, 408 | 429 | 500..=599) => "check the store's health and load",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domain::{
        request::{FileStore, S3Addressing, S3Store},
        secret::Secret,
    };

    use super::*;

    fn bucket() -> Store {
        Store::S3(S3Store {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            region: None,
            bucket: "b".to_owned(),
            addressing: S3Addressing::Path,
            auth_key: Secret::new("the-key"),
            auth_secret: Secret::new("the-secret"),
            prefix: "pre/".to_owned(),
            skip_ssl: false,
        })
    }

    fn told(failure: Failure, action: Action) -> BlobStoreError {
        failure.told_of(action, &bucket(), &ObjectKey::new("pre/", "x.tar.gz"))
    }

    fn answer(status: u16, code: &str, message: &str) -> Failure {
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Fault::Answer(Answer::new(status, None, &body)).into()
    }

    #[test]
    fn a_refusal_names_the_place_the_answer_and_what_to_check() {
        let failure = answer(403, "AccessDenied", "Access Denied");
        assert_eq!(
            told(failure, Action::Upload).to_string(),
            "upload of \"pre/x.tar.gz\" to bucket \"b\" at http://127.0.0.1:1: the store refused it with \
             403 AccessDenied (Access Denied); check authKey and authSecret and that they may write to this bucket"
        );
    }

    #[test]
    fn a_status_without_a_code_gets_its_reason() {
        let failure = Failure::from(Fault::Answer(Answer::new(403, None, "")));
        assert!(
            told(failure, Action::LookUp)
                .to_string()
                .contains("403 Forbidden; check authKey")
        );
    }

    #[test]
    fn secrets_that_a_store_repeats_are_not_shown() {
        let text = told(answer(403, "X", "the-key and the-secret"), Action::Upload).to_string();
        assert!(text.contains("(<redacted> and <redacted>)"), "{text}");
    }

    #[test]
    fn answers_are_worth_another_try_or_not() {
        for (status, code, is_transient) in [
            (200, "InternalError", true),
            (200, "Whatever", true),
            (400, "RequestTimeout", true),
            (408, "", true),
            (429, "", true),
            (500, "InternalError", true),
            (503, "SlowDown", true),
            (507, "", true),
            (301, "PermanentRedirect", false),
            (307, "TemporaryRedirect", false),
            (400, "AuthorizationHeaderMalformed", false),
            (401, "", false),
            (403, "RequestTimeTooSkewed", false),
            (404, "NoSuchBucket", false),
            (412, "PreconditionFailed", false),
            (501, "NotImplemented", false),
        ] {
            assert_eq!(answer(status, code, "").is_transient(), is_transient, "{status} {code}");
        }
    }

    #[test]
    fn each_failure_has_its_kind_and_its_hint() {
        let connection = |kind| {
            let text = "why".to_owned();
            Failure::from(Fault::Connection { kind, text })
        };
        type Kind = fn(String) -> BlobStoreError;
        let rows: [(Failure, Kind, &str); 10] = [
            (
                answer(403, "SignatureDoesNotMatch", ""),
                BlobStoreError::Denied,
                "authSecret",
            ),
            (answer(403, "InvalidAccessKeyId", ""), BlobStoreError::Denied, "authKey"),
            (answer(403, "RequestTimeTooSkewed", ""), BlobStoreError::Denied, "clock"),
            (answer(404, "NoSuchBucket", ""), BlobStoreError::NotFound, "bucket"),
            (answer(404, "NoSuchKey", ""), BlobStoreError::NotFound, "filenamePrefix"),
            (answer(301, "PermanentRedirect", ""), BlobStoreError::Other, "region"),
            (
                connection(ConnectionFault::Name),
                BlobStoreError::Unavailable,
                "name servers",
            ),
            (
                connection(ConnectionFault::Refused),
                BlobStoreError::Unavailable,
                "port",
            ),
            (
                connection(ConnectionFault::Certificate),
                BlobStoreError::Unavailable,
                "trusts its CA",
            ),
            (
                connection(ConnectionFault::Tls),
                BlobStoreError::Unavailable,
                "plain http",
            ),
        ];
        for (failure, kind, hint) in rows {
            let name = format!("{failure}");
            let error = told(failure, Action::Download);
            let text = error.to_string();
            assert_eq!(error, kind(text.clone()), "{name}");
            let (_, told_hint) = text.rsplit_once("; ").expect("a hint");
            assert!(told_hint.contains(hint), "{text}");
        }
    }

    #[test]
    fn a_directory_failure_names_the_directory() {
        let store = Store::File(FileStore {
            path: PathBuf::from("/mnt/backups"),
        });
        let failure = Failure::directory("writing the object", &io::Error::from(io::ErrorKind::StorageFull));
        let error = failure.told_of(Action::Upload, &store, &ObjectKey::new("", "x"));
        assert_eq!(
            error.to_string(),
            "upload of \"x\" to directory \"/mnt/backups\": writing the object: no storage space"
        );
        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
    }
}
