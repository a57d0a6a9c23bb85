//! The output of scripts, bounded however much they write.

use std::{collections::VecDeque, sync::Arc};

/// How much of the beginning of a stream is kept, in bytes.
pub const LOG_HEAD_BYTES: usize = 64 * 1024;
/// How much of the end of a stream is kept, in bytes.
pub const LOG_TAIL_BYTES: usize = 64 * 1024;

/// What a script wrote, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptLog {
    /// Standard output.
    pub stdout: Arc<str>,
    /// Standard error.
    pub stderr: Arc<str>,
}

/// Keeps the head and the tail of a stream of bytes, and counts what lies between.
///
/// Its memory is bounded by head and tail, whatever flows through it.
#[derive(Debug)]
pub struct HeadAndTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_limit: usize,
    tail_limit: usize,
    left_out_bytes: u64,
}

impl Default for HeadAndTail {
    fn default() -> Self {
        Self::with_limits(LOG_HEAD_BYTES, LOG_TAIL_BYTES)
    }
}

impl HeadAndTail {
    /// Keeps `head_limit` bytes of the beginning and `tail_limit` of the end.
    #[must_use]
    pub fn with_limits(head_limit: usize, tail_limit: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit,
            tail_limit,
            left_out_bytes: 0,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        let to_head = bytes.len().min(self.head_limit - self.head.len());
        self.head.extend_from_slice(&bytes[..to_head]);
        let rest = &bytes[to_head..];
        // Of one large chunk only its end can stay.
        let skipped = rest.len().saturating_sub(self.tail_limit);
        let rest = &rest[skipped..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
        self.left_out_bytes += (skipped + surplus) as u64;
    }

    /// The text: replacement characters for what is not UTF-8, and a line that says how much was
    /// left out, if anything was.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        let (front, back) = self.tail.as_slices();
        if self.left_out_bytes == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), front, back].concat()).into();
        }
        let tail = [front, back].concat();
        let (head, tail_text) = (without_cut_character(&self.head), from_character_start(&tail));
        let trimmed = (self.head.len() - head.len()) + (tail.len() - tail_text.len());
        let left_out = self.left_out_bytes + trimmed as u64;
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail_text));
        let newline = if head.ends_with('\n') { "" } else { "\n" };
        format!("{head}{newline}[... {left_out} bytes left out ...]\n{tail}").into()
    }
}

/// The bytes up to a character that the head's limit cut in two.
fn without_cut_character(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        Ok(_) | Err(_) => bytes,
    }
}

/// The bytes from the first that can begin a character; at most three are skipped.
fn from_character_start(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .take(3)
        .position(|byte| byte & 0b1100_0000 != 0b1000_0000)
        .unwrap_or(0);
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(chunks: &[&[u8]]) -> String {
        let mut kept = HeadAndTail::with_limits(4, 4);
        for chunk in chunks {
            kept.push(chunk);
        }
        kept.text().to_string()
    }

    #[test]
    fn what_fits_is_kept_whole_however_it_is_cut() {
        for chunks in [
            &[&b"abcdefgh"[..]][..],
            &[b"a", b"bcdef", b"gh"],
            &[b"abcd", b"efgh"],
            &[b"", b"abcdefg", b"h"],
        ] {
            assert_eq!(text_of(chunks), "abcdefgh", "{chunks:?}");
        }
    }

    #[test]
    fn what_does_not_fit_keeps_both_ends_and_says_how_much_is_missing() {
        let expected = "abcd\n[... 3 bytes left out ...]\nhijk";
        for chunks in [
            &[&b"abcdefghijk"[..]][..],
            &[b"abcdef", b"ghijk"],
            &[b"ab", b"cd", b"ef", b"gh", b"ijk"],
        ] {
            assert_eq!(text_of(chunks), expected, "{chunks:?}");
        }
        assert_eq!(text_of(&[b"abc\nefghijk"]), "abc\n[... 3 bytes left out ...]\nhijk");
    }

    #[test]
    fn a_character_cut_by_the_bound_does_not_become_noise() {
        // The head ends and the tail begins in the middle of a two-byte character.
        assert_eq!(
            text_of(&["abcéxxxxxéyyy".as_bytes()]),
            "abc\n[... 9 bytes left out ...]\nyyy"
        );
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        assert_eq!(text_of(&[b"a\xff\0b"]), "a\u{fffd}\0b");
    }

    #[test]
    fn gigabytes_leave_the_bound_and_nothing_more() {
        let mut kept = HeadAndTail::default();
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            kept.push(&chunk);
        }
        assert!(kept.head.capacity() <= 2 * LOG_HEAD_BYTES);
        assert!(kept.tail.capacity() <= 4 * LOG_TAIL_BYTES);
        let left_out = (64 << 20) - LOG_HEAD_BYTES - LOG_TAIL_BYTES;
        assert!(kept.text().contains(&format!("[... {left_out} bytes left out ...]")));
    }
}
