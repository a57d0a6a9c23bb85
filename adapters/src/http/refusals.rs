//! How long a refused login waits for its answer: the longer, the more there are.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many are refused at once: somebody has mistyped, or was not told of a new password.
const FREE: f64 = 10.0;
/// What each one above adds.
const STEP: Duration = Duration::from_millis(25);
/// The longest that one waits.
const LONGEST: Duration = Duration::from_secs(5);
/// As many are forgotten in a second.
const FORGOTTEN_PER_SECOND: f64 = 1.0;

/// The refused logins of late, from all addresses together. It is a number, whoever they are.
///
/// Those that wait are bounded by the places for connections, which they yield to new ones.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<Recent>);

#[derive(Debug)]
struct Recent {
    count: f64,
    at: Instant,
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Recent { count: 0.0, at: now }))
    }

    /// Counts one more, and says how long it has to wait.
    pub(super) fn one_more(&self, now: Instant) -> Duration {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = now.duration_since(recent.at).as_secs_f64() * FORGOTTEN_PER_SECOND;
        let before = (recent.count - forgotten).max(0.0);
        // What is beyond the longest wait counts no more, so that an attack is forgotten in minutes.
        let most = FREE + LONGEST.as_secs_f64() / STEP.as_secs_f64();
        *recent = Recent {
            count: (before + 1.0).min(most),
            at: now,
        };
        STEP.mul_f64((before - FREE).max(0.0)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_are_the_longer_each_waits_up_to_a_bound() {
        let now = Instant::now();
        let refusals = Refusals::new(now);
        let waits: Vec<Duration> = (0..1000).map(|_| refusals.one_more(now)).collect();
        assert!(waits[..=10].iter().all(Duration::is_zero), "{waits:?}");
        assert!(waits.is_sorted());
        assert_eq!(waits[50], STEP * 40);
        assert_eq!(waits[999], LONGEST);
    }

    #[test]
    fn they_are_forgotten_in_minutes_however_many_they_were() {
        let now = Instant::now();
        let refusals = Refusals::new(now);
        for _ in 0..100_000 {
            refusals.one_more(now);
        }
        let wait = refusals.one_more(now + Duration::from_secs(100));
        assert!(wait > LONGEST / 3 && wait < LONGEST, "{wait:?}");
        assert_eq!(refusals.one_more(now + Duration::from_secs(300)), Duration::ZERO);
    }
}
