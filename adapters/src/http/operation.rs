//! What one method of one path takes and answers. Routing and the document at `/openapi.json` are
//! both made of these, so neither can know what the other does not.

use domain::{plan::JobKind, ports::AuditAction};
use warp::http::{Method, StatusCode};

/// One method of one path.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// GET means HEAD as well.
    pub(super) method: Method,
    /// To the letter, but that `{id}` stands for one segment, which may be empty.
    pub(super) path: String,
    /// A name for generated clients.
    pub(super) name: String,
    /// What it does, for people.
    pub(super) summary: &'static str,
    /// The request's body.
    pub(super) takes: Takes,
    /// Who may call it.
    pub(super) access: Access,
    /// What the audit log calls it, and the kind of its jobs; none if it changes nothing.
    pub(super) audited: Option<(AuditAction, Option<JobKind>)>,
    /// What it answers, but for what all operations may answer.
    pub(super) answers: Vec<Answer>,
}

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Who has the right credentials.
    Known,
    /// Anybody, and whatever credentials come are not looked at.
    Everyone,
    /// Who has the right credentials, and who brings none.
    Strangers,
    /// As known, unless the operator lets strangers see metrics.
    AsMetricsAre,
}

/// What an operation wants beside its path. No body is read where none is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// No body, but these in the URL's query.
    Query(&'static [Parameter]),
    /// All that a job of this kind needs.
    Trigger(JobKind),
    /// The same of a job of either kind.
    AnyTrigger,
    /// An object with an id.
    Id,
}

impl Takes {
    /// Whether it wants a body.
    pub(super) fn is_body(self) -> bool {
        match self {
            Self::Nothing | Self::Query(_) => false,
            Self::Trigger(_) | Self::AnyTrigger | Self::Id => true,
        }
    }
}

/// Something that may stand in a URL's query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// What it means, for people.
    pub(super) tells: &'static str,
}

/// What the text of a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything.
    Any,
    /// What this matches.
    Pattern(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A time by RFC 3339.
    Time,
    /// A number from 1 on.
    UpTo(usize),
}

/// One possible answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) holds: Holds,
    /// What it means, for people.
    pub(super) means: &'static str,
}

/// The body of an answer. All but nothing and metrics are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Nothing.
    Nothing,
    /// `{message}`
    Message,
    /// `{message, problems}`
    Status,
    /// Text for Prometheus.
    Metrics,
    /// `{message, state, error_message}`
    Error,
    /// `{jobs, next}`
    Jobs,
    /// `{ok, findings}`
    Check,
    /// The polling body of a job, or of one that was refused.
    Polling(JobKind),
    /// The document itself.
    Document,
}

/// An answer, for tables.
pub(super) fn answer(status: StatusCode, holds: Holds, means: &'static str) -> Answer {
    Answer { status, holds, means }
}

impl Operation {
    /// Every answer, in the order of the codes.
    pub(super) fn all_answers(&self) -> Vec<Answer> {
        let mut answers = self.answers.clone();
        match self.access {
            Access::Everyone => {}
            Access::Known | Access::AsMetricsAre => answers.push(answer(
                StatusCode::UNAUTHORIZED,
                Holds::Message,
                "The credentials are missing or wrong.",
            )),
            Access::Strangers => answers.push(answer(
                StatusCode::UNAUTHORIZED,
                Holds::Message,
                "The credentials are wrong.",
            )),
        }
        answers.push(answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            Holds::Error,
            "The agent failed while it handled the request, or its records could not be used.",
        ));
        if self.takes.is_body() {
            answers.push(answer(
                StatusCode::REQUEST_TIMEOUT,
                Holds::Error,
                "The body did not arrive in time.",
            ));
            answers.push(answer(
                StatusCode::PAYLOAD_TOO_LARGE,
                Holds::Error,
                "The body is longer than 1 MiB.",
            ));
        }
        answers.sort_by_key(|answer| answer.status);
        answers
    }

    /// What stands in the place of `{id}` in a path; empty where there is none. None if the path is
    /// another.
    pub(super) fn segment_of<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path.split_once("{id}") {
            None => (path == self.path).then_some(""),
            Some((before, after)) => path
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .filter(|segment| !segment.contains('/')),
        }
    }

    /// Whether requests of this method are for it.
    pub(super) fn takes_method(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}
