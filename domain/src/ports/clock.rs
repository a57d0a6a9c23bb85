use std::fmt;

use chrono::{DateTime, Utc};

/// Tells the time.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day. It may jump in both directions.
    fn now(&self) -> DateTime<Utc>;
}
