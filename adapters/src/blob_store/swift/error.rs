//! What goes wrong between us and Swift or Keystone.

use object_store::client::HttpError;

use crate::blob_store::{
    failure::Failure,
    fault::{Answer, ConnectionFault, Fault},
};

const STORE: &str = "Swift";
/// Shorter ones are parts of ordinary words, and would make a text unreadable.
const SHORTEST_SECRET_BYTES: usize = 8;

/// Why there is no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SwiftFault {
    /// A request failed.
    Request(Fault),
    /// Who we say we are is not believed, or may not do this.
    Denied(String),
    /// Anything that no other try would change.
    Strange(String),
}

impl From<SwiftFault> for Failure {
    fn from(fault: SwiftFault) -> Self {
        match fault {
            SwiftFault::Request(fault) => fault.into(),
            SwiftFault::Denied(text) => Self::denied(text),
            SwiftFault::Strange(text) => Self::strange(text),
        }
    }
}

impl SwiftFault {
    /// Finds the fault in what the client returned.
    pub(super) fn of(error: &HttpError) -> Self {
        Self::Request(match Fault::in_chain(error) {
            Some(fault) => fault.clone(),
            None => Fault::Connection {
                kind: ConnectionFault::Broken,
                text: error.to_string(),
            },
        })
    }

    /// The status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Request(Fault::Answer(answer)) => Some(answer.status),
            Self::Request(Fault::Connection { .. } | Fault::Credentials { .. })
            | Self::Denied(_)
            | Self::Strange(_) => None,
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }

    /// A refusal of that status, in words of ours instead of the server's.
    pub(super) fn refused(status: u16, text: impl Into<String>) -> Self {
        Self::Request(Fault::Answer(Answer {
            status,
            code: reason(status),
            message: Some(text.into()),
            ..Answer::default()
        }))
    }

    /// The same with words of ours, if it is a refusal of that status.
    pub(super) fn explained(self, status: u16, text: impl Into<String>) -> Self {
        if self.status() == Some(status) {
            Self::refused(status, text)
        } else {
            self
        }
    }

    /// The same of a body that was sent with its sum: where that does not fit, the way has damaged it,
    /// and another try may help.
    pub(super) fn of_sum(self) -> Self {
        match self.status() {
            Some(422) => Self::Request(Fault::Connection {
                kind: ConnectionFault::Broken,
                text: "the store got other bytes than were sent, 422".to_owned(),
            }),
            Some(_) | None => self,
        }
    }

    /// The same without secrets. No server should repeat them, but its message is its own.
    pub(super) fn without<'a>(self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut fault = self;
        for secret in secrets
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST_SECRET_BYTES)
        {
            let redact = |text: &mut String| *text = redacted(text, secret);
            match &mut fault {
                Self::Request(Fault::Answer(answer)) => {
                    [&mut answer.code, &mut answer.message]
                        .into_iter()
                        .flatten()
                        .for_each(redact);
                }
                Self::Request(Fault::Connection { text, .. } | Fault::Credentials { text, .. })
                | Self::Denied(text)
                | Self::Strange(text) => {
                    redact(text);
                }
            }
        }
        fault
    }

    /// As `object_store` tells it of an object; the fault can be found in its chain of causes.
    pub(super) fn of_object(self, path: impl ToString) -> object_store::Error {
        let path = path.to_string();
        let fault = match self {
            Self::Request(fault) => fault,
            // It can happen in the middle of a transfer, so it must be found in the chain too.
            Self::Denied(text) => Fault::Answer(Answer {
                status: 401,
                code: reason(401),
                message: Some(text),
                ..Answer::default()
            }),
            Self::Strange(text) => {
                return object_store::Error::Generic {
                    store: STORE,
                    source: text.into(),
                };
            }
        };
        let status = match &fault {
            Fault::Answer(answer) => answer.status,
            Fault::Connection { .. } | Fault::Credentials { .. } => 0,
        };
        let source = Box::new(fault);
        match status {
            304 => object_store::Error::NotModified { path, source },
            401 => object_store::Error::Unauthenticated { path, source },
            403 => object_store::Error::PermissionDenied { path, source },
            404 => object_store::Error::NotFound { path, source },
            412 => object_store::Error::Precondition { path, source },
            _ => object_store::Error::Generic { store: STORE, source },
        }
    }

    /// The same of an object that was to be new.
    pub(super) fn of_new_object(self, path: impl ToString) -> object_store::Error {
        match self.of_object(path) {
            object_store::Error::Precondition { path, source } => object_store::Error::AlreadyExists { path, source },
            error => error,
        }
    }
}

/// The text without the secret, nor a beginning of it where the text was cut off.
fn redacted(text: &str, secret: &str) -> String {
    let mut text = text.replace(secret, "<redacted>");
    let mut beginnings = secret.char_indices().map(|(index, _)| &secret[..index]);
    let cut = beginnings.rfind(|start| start.len() >= SHORTEST_SECRET_BYTES && text.ends_with(start));
    if let Some(start) = cut {
        text.truncate(text.len() - start.len());
        text += "<redacted>";
    }
    text
}

/// An answer that makes no sense.
pub(super) fn senseless(text: impl Into<String>) -> object_store::Error {
    object_store::Error::Generic {
        store: STORE,
        source: text.into().into(),
    }
}

fn reason(status: u16) -> Option<String> {
    let status = hyper::StatusCode::from_u16(status).ok()?;
    status.canonical_reason().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_of_what_others_say() {
        let secret = "geheim-ü-1234567";
        for (said, told) in [
            ("no geheim-ü-1234567 here", "no <redacted> here"),
            ("cut off in geheim-ü-1", "cut off in <redacted>"),
            ("nothing geheim", "nothing geheim"),
        ] {
            for fault in [
                SwiftFault::refused(400, said),
                SwiftFault::Denied(said.to_owned()),
                SwiftFault::Strange(said.to_owned()),
            ] {
                let text = format!("{:?}", fault.without([secret, "", "a"]));
                assert!(text.contains(told), "{text}");
            }
        }
    }

    #[test]
    fn a_sum_that_does_not_fit_may_fit_the_next_time() {
        let failure = Failure::from(SwiftFault::refused(422, "").of_sum());
        assert!(failure.is_transient(), "{failure}");
        assert!(!Failure::from(SwiftFault::refused(400, "").of_sum()).is_transient());
    }
}
