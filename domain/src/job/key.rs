//! How jobs are told apart.

use std::fmt;

use crate::plan::JobKind;

/// The longest id that is taken, in characters.
const MAX_LENGTH: usize = 128;

/// The caller's name for a job: it becomes a part of paths and of URLs, so its alphabet is small.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(String);

/// Text that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJobId {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than 128 characters.
    #[error("has more than {MAX_LENGTH} characters")]
    TooLong,
    /// An id begins with a letter, a digit or `_`.
    #[error("must begin with a letter, a digit or _")]
    BadStart,
    /// Something outside of the alphabet.
    #[error("may hold only A-Z a-z 0-9 . _ - ~")]
    BadCharacter,
}

impl JobId {
    /// Takes `text` as an id.
    ///
    /// # Errors
    ///
    /// If it is not 1 to 128 characters of `A-Z a-z 0-9 . _ - ~` that begin with a letter, digit
    /// or `_`.
    pub fn parse(text: &str) -> Result<Self, InvalidJobId> {
        let first = text.bytes().next().ok_or(InvalidJobId::Empty)?;
        if text.chars().count() > MAX_LENGTH {
            return Err(InvalidJobId::TooLong);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte);
        if !text.bytes().all(allowed) {
            return Err(InvalidJobId::BadCharacter);
        }
        if !(first.is_ascii_alphanumeric() || first == b'_') {
            return Err(InvalidJobId::BadStart);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Kind and id together: backups and restores are two name spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// Backup or restore.
    pub kind: JobKind,
    /// The caller's id.
    pub id: JobId,
}

impl JobKey {
    /// Puts the two together.
    #[must_use]
    pub fn new(kind: JobKind, id: JobId) -> Self {
        Self { kind, id }
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_known_clients_are_taken() {
        for id in [
            "778f038c-e1c5-11e8-9f32-f2801f1b9fd1",
            "6b03c025a7986c17af69ab8c0",
            "_x",
            "a.b~c-d_e",
            "0",
            &"a".repeat(128),
        ] {
            assert_eq!(JobId::parse(id).map(|id| id.to_string()), Ok(id.to_owned()), "{id}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (id, reason) in [
            ("", InvalidJobId::Empty),
            (&*"a".repeat(129), InvalidJobId::TooLong),
            (".", InvalidJobId::BadStart),
            ("..", InvalidJobId::BadStart),
            ("-rf", InvalidJobId::BadStart),
            ("~root", InvalidJobId::BadStart),
            ("../etc", InvalidJobId::BadCharacter),
            ("a/b", InvalidJobId::BadCharacter),
            ("a b", InvalidJobId::BadCharacter),
            ("a\0", InvalidJobId::BadCharacter),
            ("a\n", InvalidJobId::BadCharacter),
            ("ümlaut", InvalidJobId::BadCharacter),
            ("a%2Fb", InvalidJobId::BadCharacter),
        ] {
            assert_eq!(JobId::parse(id), Err(reason), "{id:?}");
        }
    }
}
