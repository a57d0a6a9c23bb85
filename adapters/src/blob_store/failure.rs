//! Why a transfer failed, whether it may be tried again, and what people are told about it.

mod hint;
#[cfg(test)]
mod tests;

use std::{fmt, io, path::Path, time::Duration};

use domain::{artifact::ObjectKey, ports::BlobStoreError, request::Store};
use reqwest::StatusCode;

use super::{
    fault::{Answer, ConnectionFault, Fault},
    redaction::Redaction,
};

/// Codes of answers that another try may change, whatever their status is.
const TRANSIENT_CODES: [&str; 9] = [
    "ConditionalRequestConflict",
    "InternalError",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "TooManyRequests",
];

/// Codes of answers with status 409 that are not about a name.
const CONFLICTS_OF_PLACE: [&str; 4] = [
    "AccountIsDisabled",
    "ContainerBeingDeleted",
    "ContainerDisabled",
    "InvalidBucketState",
];

/// What was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    LookUp,
    Upload,
    /// Removal of what an upload left.
    Discard,
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
    /// The object is not what the caller knows of it.
    Unexpected(String),
    /// The caller wanted it to end.
    Halted,
    /// No byte was moved for this long.
    Stalled(Duration),
    /// The store's directory failed.
    Directory(String),
    /// A file of this machine.
    Local(String),
    /// An answer that was not understood. What is said of it may quote it: for [`Failure::told_of`] alone.
    Senseless(String),
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
            None => Cause::Senseless(error.to_string()).into(),
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

    /// The object is whole, but another than was asked for.
    pub(super) fn unexpected(refusal: &str) -> Self {
        Cause::Unexpected(format!(
            "{refusal}: it is not the backup that was asked for, or not as it was; nothing was restored"
        ))
        .into()
    }

    pub(super) fn halted() -> Self {
        Cause::Halted.into()
    }

    pub(super) fn stalled(after: Duration) -> Self {
        Cause::Stalled(after).into()
    }

    /// What the store was about to keep could not be written down, so that nobody would find it.
    pub(super) fn unknown_upload(text: &str) -> Self {
        Cause::Local(format!(
            "the upload was not begun, as it could not be written down: {text}"
        ))
        .into()
    }

    pub(super) fn unsteady(text: impl Into<String>) -> Self {
        Cause::Unsteady(text.into()).into()
    }

    pub(super) fn strange(text: impl Into<String>) -> Self {
        Cause::Strange(text.into()).into()
    }

    /// A file of this machine could not be used.
    pub(super) fn local(doing: &str, path: &Path, error: &io::Error) -> Self {
        Cause::Local(format!("{doing} the file {path:?}: {error}{}", advice(error))).into()
    }

    pub(super) fn changed_file(path: &Path) -> Self {
        Cause::Local(format!(
            "the file {path:?} changed while it was read, or another took its name; see what still writes to it"
        ))
        .into()
    }

    /// A directory that stands for a store could not be used.
    pub(super) fn directory(doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind;
        let text = format!("{doing}: {error}{}", advice(error));
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

    pub(super) fn is_halt(&self) -> bool {
        matches!(self.cause, Cause::Halted)
    }

    pub(super) fn is_missing(&self) -> bool {
        self.class() == Class::Missing
    }

    /// Whether an answer came that could not be used.
    pub(super) fn is_strange(&self) -> bool {
        matches!(self.cause, Cause::Strange(_) | Cause::Senseless(_))
    }

    /// The refusal of a store, if it is one.
    pub(super) fn answer(&self) -> Option<&Answer> {
        if let Cause::Fault(Fault::Answer(answer)) = &self.cause {
            Some(answer)
        } else {
            None
        }
    }

    /// Whether it is not the name that something is in the way of, but all that is to be kept there.
    pub(super) fn is_conflict_of_place(&self) -> bool {
        let code = self.answer().and_then(|answer| answer.code.as_deref());
        code.is_some_and(|code| CONFLICTS_OF_PLACE.contains(&code))
    }

    /// For logs: without what a store says in its own words.
    pub(super) fn summary(&self) -> String {
        match self.answer() {
            Some(answer) => format!("{} {}", answer.status, answer.code.as_deref().unwrap_or_default()),
            None => self.to_string(),
        }
    }

    fn class(&self) -> Class {
        match &self.cause {
            Cause::Fault(Fault::Answer(answer)) => class_of_answer(answer),
            Cause::Fault(Fault::Credentials { may_pass: true, .. }) => Class::Transient,
            Cause::Fault(Fault::Credentials { may_pass: false, .. }) => Class::Denied,
            Cause::Fault(Fault::Connection { kind, .. }) => match kind {
                ConnectionFault::Name
                | ConnectionFault::Refused
                | ConnectionFault::Connect
                | ConnectionFault::Silence
                | ConnectionFault::Broken => Class::Transient,
                ConnectionFault::Certificate | ConnectionFault::Tls => Class::Unavailable,
                ConnectionFault::Forbidden => Class::Denied,
                ConnectionFault::Request => Class::Other,
            },
            Cause::Unsteady(_) => Class::Transient,
            Cause::Missing(_) => Class::Missing,
            Cause::Denied(_) => Class::Denied,
            Cause::Taken => Class::Taken,
            Cause::Directory(_) | Cause::Stalled(_) => Class::Unavailable,
            Cause::Local(_) => Class::Local,
            Cause::Changed | Cause::Unexpected(_) | Cause::Halted | Cause::Senseless(_) | Cause::Strange(_) => {
                Class::Other
            }
        }
    }

    /// Whether the way led to where it may not.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(&self.cause, Cause::Fault(fault) if fault.is_forbidden())
    }

    /// The whole message, without the secrets of the store and those of `own`.
    pub(super) fn told_of(self, action: Action, store: &Store, key: &ObjectKey, own: &Redaction) -> BlobStoreError {
        let (what, preposition) = match action {
            Action::LookUp => ("look-up", "in"),
            Action::Upload => ("upload", "to"),
            Action::Discard => ("clean-up after an upload", "in"),
            Action::Download => ("download", "from"),
        };
        let mut text = format!("{what} of {:?} {preposition} {store}: {self}", key.as_str());
        let redaction = Redaction::of(store.secrets());
        if let Cause::Senseless(detail) = &self.cause {
            text += &format!(" ({})", redaction.shown(&own.clean(detail)));
        }
        if let Some(after) = self.given_up_after {
            text += &format!("; given up after {:.1} s without progress", after.as_secs_f32());
        }
        if let Cause::Fault(fault) = &self.cause
            && let Some(hint) = hint::hint(fault, action, store)
        {
            text += "; ";
            text += &hint;
        }
        // No store should repeat them, but its message is its own.
        let text = redaction.clean(&own.clean(&text));
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
            Cause::Fault(Fault::Credentials { text, .. }) => {
                write!(f, "the agent's own credentials could not be had ({text})")
            }
            Cause::Fault(Fault::Connection { kind, text }) => {
                let what = match kind {
                    ConnectionFault::Forbidden => return write!(f, "no connection was tried: {text}"),
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
            Cause::Halted => f.write_str("it was told to stop"),
            Cause::Senseless(_) => f.write_str("the store's answer makes no sense"),
            Cause::Stalled(after) => write!(
                f,
                "no byte was moved for {} (transfer_stall_timeout); check the network, the store's health and load, \
                 proxies and firewalls in between, and this machine's disks",
                spoken(*after)
            ),
            Cause::Unsteady(text)
            | Cause::Unexpected(text)
            | Cause::Missing(text)
            | Cause::Denied(text)
            | Cause::Directory(text)
            | Cause::Local(text)
            | Cause::Strange(text) => f.write_str(text),
        }
    }
}

/// What helps against a full disk.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}

/// A duration as people write it in settings: `5m`, `90s`, `300ms`.
fn spoken(duration: Duration) -> String {
    let (seconds, milliseconds) = (duration.as_secs(), duration.subsec_millis());
    if milliseconds > 0 {
        format!("{}ms", duration.as_millis())
    } else if seconds > 0 && seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        format!("{seconds}s")
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
        // Credentials of a session, which AWS refuses with a 400.
        400 if ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"].contains(&code) => Class::Denied,
        401 | 403 => Class::Denied,
        _ => Class::Other,
    }
}
