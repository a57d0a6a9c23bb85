//! Hides secrets in what a script writes, before any of it is kept.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use domain::secret::Secret;

/// Shorter values occur in any text by chance; hiding them would only make the output unreadable.
const SHORTEST_CHARS: usize = 8;

/// What stands in the place of a secret.
const PLACEHOLDER: &[u8] = b"<redacted>";

/// The secrets that are to be hidden; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Secrets(Option<Arc<Searcher>>);

struct Searcher {
    automaton: AhoCorasick,
    longest: usize,
}

/// Hides secrets in one stream, also those that come in pieces.
pub(super) struct Redactor {
    secrets: Secrets,
    /// What may be the beginning of a secret.
    carry: Vec<u8>,
}

impl Secrets {
    /// Those of `values` that are long enough.
    ///
    /// # Errors
    ///
    /// If they are too many or too large to be looked for.
    pub(super) fn new(values: &[Secret]) -> Result<Self, String> {
        let values: Vec<&str> = values
            .iter()
            .map(Secret::expose)
            .filter(|value| value.chars().count() >= SHORTEST_CHARS)
            .collect();
        let Some(longest) = values.iter().map(|value| value.len()).max() else {
            return Ok(Self(None));
        };
        // Of the kinds the one that takes the least memory: values can be whole key files.
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(values)
            .map_err(|error| format!("the secrets of the request cannot be hidden in its output: {error}"))?;
        Ok(Self(Some(Arc::new(Searcher { automaton, longest }))))
    }
}

impl Redactor {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            carry: Vec::new(),
        }
    }

    /// Takes the next bytes, and gives on what is decided.
    pub(super) fn push(&mut self, bytes: &[u8], keep: impl FnMut(&[u8])) {
        self.take(bytes, false, keep);
    }

    /// Gives on the rest, as nothing more comes.
    pub(super) fn finish(&mut self, keep: impl FnMut(&[u8])) {
        self.take(&[], true, keep);
    }

    fn take(&mut self, bytes: &[u8], is_last: bool, mut keep: impl FnMut(&[u8])) {
        let Some(searcher) = &self.secrets.0 else {
            keep(bytes);
            return;
        };
        self.carry.extend_from_slice(bytes);
        let text = &self.carry;
        // Where a secret begins before this, all of it is there, however long it is.
        let decided = if is_last {
            text.len()
        } else {
            (text.len() + 1).saturating_sub(searcher.longest)
        };
        let mut done = 0;
        while let Some(found) = searcher
            .automaton
            .find(aho_corasick::Input::new(text).range(done..))
            .filter(|found| found.start() < decided)
        {
            keep(&text[done..found.start()]);
            keep(PLACEHOLDER);
            done = found.end();
        }
        if done < decided {
            keep(&text[done..decided]);
            done = decided;
        }
        self.carry.drain(..done);
    }
}

impl std::fmt::Debug for Redactor {
    /// Shows nothing: all that is here may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of a text that comes in pieces of this size.
    fn redacted(secrets: &[&str], text: &[u8], piece: usize) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let mut redactor = Redactor::new(Secrets::new(&secrets).unwrap());
        let mut kept = Vec::new();
        for bytes in text.chunks(piece) {
            redactor.push(bytes, |bytes| kept.extend_from_slice(bytes));
        }
        redactor.finish(|bytes| kept.extend_from_slice(bytes));
        String::from_utf8_lossy(&kept).into_owned()
    }

    #[test]
    fn secrets_are_hidden_in_whatever_pieces_they_come() {
        for (secrets, text, expected) in [
            (&["password"][..], "a password b", "a <redacted> b"),
            (&["password"], "password", "<redacted>"),
            (&["password"], "passwordpassword", "<redacted><redacted>"),
            (&["password"], "passwor", "passwor"),
            (&["password"], "passwopassword", "passwo<redacted>"),
            (&["password"], "", ""),
            (&["short", ""], "short", "short"),
            (&["pässwör", "pässwört"], "pässwör pässwört", "pässwör <redacted>"),
            // The longer of two that begin at one place, the first of two that overlap.
            (
                &["password", "password1234"],
                "password1234 password12",
                "<redacted> <redacted>12",
            ),
            (
                &["abcdefgh", "efghijkl"],
                "abcdefghijkl efghijkl",
                "<redacted>ijkl <redacted>",
            ),
            (&["abcdefgh", "bcdefghijkl"], "bcdefghijkl", "<redacted>"),
            (&["line one\nline two\n"], "x line one\nline two\ny", "x <redacted>y"),
            (&["aaaaaaaa"], "aaaaaaaaaaaaaaaaaaa", "<redacted><redacted>aaa"),
        ] {
            for piece in 1..=text.len().max(1) {
                assert_eq!(redacted(secrets, text.as_bytes(), piece), expected, "{text} by {piece}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_in_nobodys_way() {
        assert_eq!(
            redacted(&["password"], b"\xffpassword\xff", 3),
            "\u{fffd}<redacted>\u{fffd}"
        );
    }

    #[test]
    fn many_and_large_secrets_are_hidden() {
        let key = "-----BEGIN\n".to_owned() + &"0123456789abcdef\n".repeat(4000);
        let many: Vec<String> = (0..1000).map(|index| format!("secret-{index:05}")).collect();
        let mut secrets: Vec<&str> = many.iter().map(String::as_str).collect();
        secrets.push(&key);
        let text = format!("{key}{}{key}", many.join(" "));
        let expected = format!("<redacted>{}<redacted>", vec!["<redacted>"; 1000].join(" "));
        for piece in [1000, 64 * 1024, text.len()] {
            assert_eq!(redacted(&secrets, text.as_bytes(), piece), expected, "{piece}");
        }
    }

    #[test]
    fn only_what_may_be_a_secret_is_held_back() {
        let mut redactor = Redactor::new(Secrets::new(&[Secret::new("password")]).unwrap());
        redactor.push(&[b'x'; 100_000], |_| {});
        assert_eq!(redactor.carry.len(), 7);
    }
}
