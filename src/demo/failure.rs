//! Why the demo stopped.

use std::fmt;

/// The reason, in words for the person who watches. Nothing decides by it, but that an interruption is no fault.
#[derive(Debug)]
pub(super) enum Failure {
    /// The person has seen enough.
    Interrupted,
    /// Something is not as it should be.
    Broken {
        /// One sentence.
        what: String,
        /// What helps to find the cause, a line each.
        details: Vec<String>,
    },
}

impl Failure {
    /// Something is not as it should be, and there is no more to say about it.
    pub(super) fn broken(what: impl fmt::Display) -> Self {
        Self::with_details(what, Vec::new())
    }

    /// Something is not as it should be, and these lines help to find the cause.
    pub(super) fn with_details(what: impl fmt::Display, details: Vec<String>) -> Self {
        let what = what.to_string();
        Self::Broken { what, details }
    }

    /// What helps to find the cause.
    pub(super) fn details(&self) -> &[String] {
        match self {
            Self::Interrupted => &[],
            Self::Broken { details, .. } => details,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("Interrupted"),
            Self::Broken { what, .. } => f.write_str(what),
        }
    }
}

/// Says what was being done when the machine refused; for `map_err`.
pub(super) fn while_doing<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |source| Failure::broken(format_args!("{doing}: {source}"))
}
