use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Tells the time.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day. It may jump in both directions.
    fn now(&self) -> DateTime<Utc>;

    /// Waits. A time of day that is set meanwhile makes it neither longer nor shorter.
    async fn sleep(&self, duration: Duration);
}
