use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How many bytes have moved, and how many there are in all: counted by who moves them behind a port,
/// read by who looks. Cheap to clone; all clones are one.
///
/// It is for people who wait: nothing is decided by it.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    is_counting: AtomicBool,
    done: AtomicU64,
    /// 0 until it is known.
    total: AtomicU64,
}

impl Tally {
    /// So many bytes there are in all.
    pub fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        self.0.is_counting.store(true, Ordering::Relaxed);
    }

    /// So many more have moved.
    pub fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
        self.0.is_counting.store(true, Ordering::Relaxed);
    }

    /// So many have moved, whatever was counted before.
    pub fn set(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
        self.0.is_counting.store(true, Ordering::Relaxed);
    }

    /// How many have moved; none if nobody counts.
    #[must_use]
    pub fn done(&self) -> Option<u64> {
        let is_counting = self.0.is_counting.load(Ordering::Relaxed);
        is_counting.then(|| self.0.done.load(Ordering::Relaxed))
    }

    /// How many there are; none if that is not known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        Some(self.0.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_before_somebody_counts_and_all_clones_are_one() {
        let tally = Tally::default();
        assert_eq!((tally.done(), tally.total()), (None, None));
        let mover = tally.clone();
        mover.expect(10);
        assert_eq!((tally.done(), tally.total()), (Some(0), Some(10)));
        mover.add(3);
        mover.add(4);
        assert_eq!(tally.done(), Some(7));
        mover.set(2);
        assert_eq!((tally.done(), tally.total()), (Some(2), Some(10)));
    }
}
