use std::{fmt, net::SocketAddr};

use crate::{job::JobId, plan::JobKind};

/// Keeps who asked for what, and what became of it.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
pub trait AuditLog: fmt::Debug + Send + Sync {
    /// Takes note. Waits for no disk, and fails nothing: what cannot be kept is told by
    /// [`AuditLog::problem`] and in the log.
    fn record(&self, entry: AuditEntry);

    /// Why entries cannot be kept at present; none if they can.
    fn problem(&self) -> Option<String>;
}

/// Somebody asked for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// What was asked for.
    pub action: AuditAction,
    /// Who asked.
    pub actor: Actor,
    /// The kind of job that it was about.
    pub kind: Option<JobKind>,
    /// The job's id; none if none was given, or one that cannot be.
    pub id: Option<JobId>,
    /// What became of it: a status code, or words.
    pub outcome: Claim,
}

/// What can be asked for, but for questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A backup or a restore.
    Trigger,
    /// The early end of a job, or of trying to unlock.
    Cancel,
    /// To forget a job.
    Delete,
    /// To run an unlock script by hand.
    Unlock,
    /// To stop trying to unlock, by hand.
    GiveUp,
    /// To look whether a job could work.
    Check,
    /// To be let in, which was refused.
    Login,
}

impl AuditAction {
    /// Its word in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::Unlock => "unlock",
            Self::GiveUp => "give-up",
            Self::Check => "check",
            Self::Login => "login",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody over HTTP.
    Caller {
        /// The name that was given, right or wrong; none if there was none.
        user: Option<Claim>,
        /// Where the connection comes from.
        address: Option<SocketAddr>,
    },
    /// A process on this machine, as the kernel tells.
    Process {
        /// Its user.
        uid: u32,
        /// Its id.
        pid: Option<i32>,
    },
}

/// The most that is kept of a claim, in characters.
const MAX_CLAIM: usize = 200;

/// Text that others choose: bounded, and all that could end its line, or deceive the eye, escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(String);

impl Claim {
    /// Takes what somebody says.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // No character has more than four bytes.
        let beginning = &bytes[..bytes.len().min(4 * MAX_CLAIM)];
        let text = String::from_utf8_lossy(beginning);
        let mut claim = String::new();
        for character in text.chars().take(MAX_CLAIM) {
            match character {
                // Whoever writes it down puts it between quotation marks in a way of its own.
                '"' | '\'' | '\\' => claim.push(character),
                _ => claim.extend(character.escape_debug()),
            }
        }
        if bytes.len() > beginning.len() || text.chars().count() > MAX_CLAIM {
            claim.push('…');
        }
        Self(claim)
    }

    /// The text, on one line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Claim {
    fn from(text: &str) -> Self {
        Self::of(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_one_short_line_that_shows_what_it_holds() {
        for (said, kept) in [
            (&b"admin"[..], "admin"),
            (b"J\xc3\xbcrgen O'Neil \"x\\", "Jürgen O'Neil \"x\\"),
            (b"a\nb\r\tc\0", "a\\nb\\r\\tc\\0"),
            (b"\x1b[31m\xc2\x9b", "\\u{1b}[31m\\u{9b}"),
            (
                "\u{2028}\u{202e}\u{200b}\u{feff}".as_bytes(),
                "\\u{2028}\\u{202e}\\u{200b}\\u{feff}",
            ),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(Claim::of(said).as_str(), kept, "{said:?}");
        }
        for said in ["x".repeat(201), "é".repeat(201), "𝄞".repeat(100_000)] {
            let kept = Claim::from(said.as_str());
            assert_eq!(kept.as_str().chars().count(), MAX_CLAIM + 1);
            assert!(kept.as_str().ends_with('…'));
        }
        assert_eq!(Claim::from("x".repeat(200).as_str()).as_str(), "x".repeat(200));
    }
}
