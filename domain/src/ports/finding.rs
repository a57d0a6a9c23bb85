use std::time::Duration;

/// What was found when one thing was looked at, before any job depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a few words.
    pub subject: String,
    /// What it is like.
    pub verdict: Verdict,
    /// How long the look took.
    pub took: Duration,
}

/// What a thing is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be; with something worth telling, or nothing.
    Good(String),
    /// Not as it should be: what is wrong, and how to mend it.
    Bad(String),
}

impl Finding {
    /// Whether the thing is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self.verdict {
            Verdict::Good(_) => true,
            Verdict::Bad(_) => false,
        }
    }

    /// What is to be told of it.
    #[must_use]
    pub fn detail(&self) -> &str {
        match &self.verdict {
            Verdict::Good(detail) | Verdict::Bad(detail) => detail,
        }
    }
}
