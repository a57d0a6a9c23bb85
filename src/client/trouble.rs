//! Why a call came to nothing, and what scripts can do about it.

use std::fmt;

use super::agent::Silence;

/// Why there is nothing to show. The text is a whole message.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The call has to be mended: options, files, credentials, the request.
    Usage(String),
    /// The agent would not.
    Refused(String),
    /// There was no answer of an agent.
    Unreachable(String),
    /// Somebody had enough; with the exit code for that.
    Interrupted(u8, String),
}

impl Trouble {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => crate::USAGE,
            Self::Unreachable(_) => 3,
            Self::Interrupted(code, _) => *code,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Refused(text) | Self::Unreachable(text) | Self::Interrupted(_, text) => {
                f.write_str(text)
            }
        }
    }
}

impl From<Silence> for Trouble {
    fn from(silence: Silence) -> Self {
        Self::Unreachable(silence.to_string())
    }
}
