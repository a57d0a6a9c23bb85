//! What can be done to requests.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    /// 500, 503, 429 with Retry-After, and 408; the server gets nothing.
    Failing,
    SlowDown,
    TooMany,
    RequestTimeout,
    /// The server does the work, and 500 is answered.
    FailingAfter,
    /// The connection is cut before, or after the server did the work.
    CutBefore,
    CutAfter,
    /// Nothing comes for a while, and then the connection is cut: before or after the work.
    StallBefore,
    StallAfter,
    /// The answer is late.
    Delay,
    /// The answer's body is cut off.
    Truncate,
    /// The answer's `Content-Length` is too large, or too small.
    LongLength,
    ShortLength,
    /// An upload in parts is completed, or not, and an error document is answered with 200.
    ErrorDocument,
    ErrorDocumentAfter,
    /// A part's or an object's ETag is empty.
    EmptyEtag,
}

/// What may happen to every request.
pub(super) const TO_ALL: [Harm; 10] = [
    Harm::Failing,
    Harm::SlowDown,
    Harm::TooMany,
    Harm::RequestTimeout,
    Harm::FailingAfter,
    Harm::CutBefore,
    Harm::CutAfter,
    Harm::StallBefore,
    Harm::StallAfter,
    Harm::Delay,
];
/// What may happen to those whose answer has a body. (That of a HEAD tells the object's length, and
/// nobody could see that it lies.)
pub(super) const TO_BODIES: [Harm; 3] = [Harm::Truncate, Harm::LongLength, Harm::ShortLength];
pub(super) const TO_COMPLETIONS: [Harm; 3] = [Harm::ErrorDocument, Harm::ErrorDocumentAfter, Harm::EmptyEtag];
pub(super) const TO_PARTS: [Harm; 1] = [Harm::EmptyEtag];

/// How many kinds of harm there are.
pub(crate) const KINDS: usize = TO_ALL.len() + TO_BODIES.len() + TO_COMPLETIONS.len();

impl Harm {
    /// One kind after the other, and again from the first.
    pub(crate) fn of_round(round: u64) -> Self {
        let mut all = TO_ALL.iter().chain(&TO_BODIES).chain(&TO_COMPLETIONS).cycle();
        let nth = usize::try_from(round % KINDS as u64).unwrap();
        *all.nth(nth).expect("it never ends")
    }
}

/// A small generator: it must only differ, and be repeatable by its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        Self(hasher.finish())
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        *self = Self::of(self.0);
        usize::try_from(self.0 % end as u64).unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
