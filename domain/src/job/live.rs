//! The output of a script that is still at work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{HeadAndTail, ScriptLog};

/// What a script has written so far: filled by who reads its output behind a port, read by who looks.
/// Cheap to clone; all clones are one. It is bounded as the log is that comes of it.
#[derive(Debug, Clone, Default)]
pub struct LiveLog {
    /// Standard output.
    pub stdout: LiveStream,
    /// Standard error.
    pub stderr: LiveStream,
}

impl LiveLog {
    /// What was written by now.
    #[must_use]
    pub fn so_far(&self) -> ScriptLog {
        ScriptLog {
            stdout: self.stdout.so_far(),
            stderr: self.stderr.so_far(),
        }
    }
}

/// One of the two streams.
#[derive(Debug, Clone, Default)]
pub struct LiveStream(Arc<Mutex<HeadAndTail>>);

impl LiveStream {
    /// Takes the next bytes.
    pub fn push(&self, bytes: &[u8]) {
        self.kept().push(bytes);
    }

    /// The whole text, once nothing more comes.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        self.kept().text()
    }

    /// The text by now, without a character of which not all has come yet.
    fn so_far(&self) -> Arc<str> {
        let text = self.text();
        match text.trim_end_matches(char::REPLACEMENT_CHARACTER) {
            whole if whole.len() == text.len() => text,
            whole => whole.into(),
        }
    }

    /// Each change is complete before anything could panic.
    fn kept(&self) -> MutexGuard<'_, HeadAndTail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_by_all_clones_and_only_grows() {
        let log = LiveLog::default();
        let reader = log.clone();
        let mut before = String::new();
        for byte in "aé\u{1f642}z".as_bytes() {
            log.stderr.push(&[*byte]);
            let seen = reader.so_far().stderr.to_string();
            assert!(seen.starts_with(&before), "{before:?} {seen:?}");
            assert!(!seen.contains(char::REPLACEMENT_CHARACTER), "{seen:?}");
            before = seen;
        }
        assert_eq!(before, "aé\u{1f642}z");
        assert_eq!(&*reader.so_far().stdout, "");
    }

    #[test]
    fn what_is_no_text_at_the_end_is_in_the_whole_text() {
        let log = LiveLog::default();
        log.stdout.push(b"a\xff");
        assert_eq!(&*log.so_far().stdout, "a");
        assert_eq!(&*log.stdout.text(), "a\u{fffd}");
    }
}
