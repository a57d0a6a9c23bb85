//! How fast bytes move, and how long it takes until all have.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// What moved longer ago says nothing of what moves now.
const WINDOW: TimeDelta = TimeDelta::seconds(60);
/// Over a shorter time one part more or less makes all the difference.
const SHORTEST: TimeDelta = TimeDelta::seconds(1);
/// The most that are remembered, however often somebody looks.
const MAX_SAMPLES: usize = 64;

/// How many bytes had moved at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The time of day; it may have been set meanwhile.
    pub at: DateTime<Utc>,
    /// So many.
    pub bytes: u64,
}

/// How fast, and how long yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// The average of the last minute; none until enough was seen.
    pub bytes_per_second: Option<u64>,
    /// Rounded up; none as long as nothing moves, or nobody knows how much there is.
    pub eta_seconds: Option<u64>,
}

/// The course of the last minute.
#[derive(Debug, Clone, Default)]
pub struct Window {
    samples: VecDeque<Sample>,
}

impl Window {
    /// Takes the next sample.
    pub fn note(&mut self, sample: Sample) {
        // A clock that was set back, or a transfer that begins anew.
        let is_other = |last: &Sample| sample.at < last.at || sample.bytes < last.bytes;
        if self.samples.back().is_some_and(is_other) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        // The first is the last of those that are older than the window.
        while self.samples.len() > MAX_SAMPLES
            || self
                .samples
                .get(1)
                .is_some_and(|second| sample.at - second.at >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// The pace as of `now`.
    #[must_use]
    pub fn pace(&self, now: Sample, total: Option<u64>) -> Pace {
        self.samples
            .front()
            .map(|first| pace(*first, now, total))
            .unwrap_or_default()
    }
}

/// The pace between two samples, the second of which is of now.
#[must_use]
pub fn pace(first: Sample, now: Sample, total: Option<u64>) -> Pace {
    let elapsed = now.at - first.at;
    let Some(moved) = now.bytes.checked_sub(first.bytes).filter(|_| elapsed >= SHORTEST) else {
        return Pace::default();
    };
    let elapsed_ms = u128::from(elapsed.num_milliseconds().unsigned_abs());
    let moved = u128::from(moved);
    let left = total.map(|total| u128::from(total.saturating_sub(now.bytes)));
    Pace {
        bytes_per_second: u64::try_from(moved * 1000 / elapsed_ms).ok(),
        eta_seconds: left.and_then(|left| eta_seconds(left, moved, elapsed_ms)),
    }
}

fn eta_seconds(left: u128, moved: u128, elapsed_ms: u128) -> Option<u64> {
    match (left, moved) {
        (0, _) => Some(0),
        (_, 0) => None,
        (left, moved) => u64::try_from((left * elapsed_ms).div_ceil(moved * 1000)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(ms: i64, bytes: u64) -> Sample {
        let at = DateTime::from_timestamp_millis(ms).expect("a time");
        Sample { at, bytes }
    }

    #[test]
    fn pace_and_rest_follow_from_what_moved() {
        for (first, now, total, rate, eta) in [
            // Too early to tell.
            ((0, 0), (999, 500), Some(1000), None, None),
            ((0, 0), (1000, 500), Some(1000), Some(500), Some(1)),
            ((0, 0), (10_000, 1000), Some(10_000), Some(100), Some(90)),
            ((5000, 700), (15_000, 1700), Some(2000), Some(100), Some(3)),
            // Rounded up: never "0 s" while something is left.
            ((0, 0), (1000, 1000), Some(1001), Some(1000), Some(1)),
            ((0, 0), (1000, 1000), Some(1000), Some(1000), Some(0)),
            // More than was told.
            ((0, 0), (1000, 1000), Some(10), Some(1000), Some(0)),
            // Nothing moves: no end in sight, and not an infinite one.
            ((0, 5), (60_000, 5), Some(1000), Some(0), None),
            ((0, 0), (1000, 500), None, Some(500), None),
            // Less than a byte per second.
            ((0, 0), (60_000, 1), Some(3), Some(0), Some(120)),
            // The clock was set back; it began anew.
            ((5000, 0), (0, 100), Some(1000), None, None),
            ((0, 100), (5000, 0), Some(1000), None, None),
        ] {
            let told = pace(sample(first.0, first.1), sample(now.0, now.1), total);
            let expected = Pace {
                bytes_per_second: rate,
                eta_seconds: eta,
            };
            assert_eq!(told, expected, "{first:?} {now:?} {total:?}");
        }
    }

    #[test]
    fn only_the_last_minute_counts() {
        let mut window = Window::default();
        // A fast minute, and then a slow one.
        for second in 0..=120 {
            let bytes = if second <= 60 {
                second * 1000
            } else {
                60_000 + (second - 60)
            };
            window.note(sample(i64::try_from(second).expect("it fits") * 1000, bytes));
        }
        let told = window.pace(sample(120_000, 60_060), Some(60_120));
        assert_eq!((told.bytes_per_second, told.eta_seconds), (Some(1), Some(60)));
        assert!(window.samples.len() <= MAX_SAMPLES);
    }

    #[test]
    fn rare_samples_still_make_a_pace() {
        let mut window = Window::default();
        window.note(sample(0, 0));
        window.note(sample(300_000, 3000));
        assert_eq!(window.pace(sample(300_000, 3000), None).bytes_per_second, Some(10));
    }

    #[test]
    fn what_begins_anew_is_not_measured_by_what_was_before() {
        for (at, bytes) in [(5000, 10), (9000, 0)] {
            let mut window = Window::default();
            window.note(sample(8000, 100));
            window.note(sample(at, bytes));
            assert_eq!(window.samples.len(), 1);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_memory_is_bounded_and_an_end_is_told_only_where_something_moves(
            course in prop::collection::vec((0..200_000_i64, any::<u64>()), 1..200),
            total in any::<Option<u64>>(),
        ) {
            let mut window = Window::default();
            for (ms, bytes) in course {
                let now = sample(ms, bytes);
                window.note(now);
                prop_assert!(window.samples.len() <= MAX_SAMPLES);
                let told = window.pace(now, total);
                let is_done = total.is_some_and(|total| bytes >= total);
                let moves = window.samples.front().is_some_and(|first| first.bytes < bytes);
                prop_assert!(told.eta_seconds.is_none() || is_done || moves);
                prop_assert!(told.eta_seconds.is_none() || total.is_some());
            }
        }
    }
}
