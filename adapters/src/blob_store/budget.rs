//! The memory that all transfers together may take for parts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit of the semaphore stands for.
const UNIT_BYTES: usize = 1024 * 1024;
/// More than any machine has.
const MOST_UNITS: usize = 1024 * 1024;

/// Lends buffers.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    /// So many units there are in all.
    all: usize,
    memory: Mutex<Memory>,
}

/// What the units stand for. Who has units but no buffer yet is not in it.
#[derive(Debug, Default)]
struct Memory {
    /// Units of all lent buffers.
    lent: usize,
    /// Buffers that were given back, the oldest first. Using them again keeps the memory from growing
    /// beyond what is lent: an allocator gives large pieces back late.
    spare: Vec<Vec<u8>>,
}

impl Memory {
    /// Keeps no more than what is not lent.
    fn keep_within(&mut self, all: usize) {
        let room = all.saturating_sub(self.lent) * UNIT_BYTES;
        let mut kept: usize = self.spare.iter().map(Vec::capacity).sum();
        self.spare.retain(|buffer| {
            let has_room = kept <= room;
            if !has_room {
                kept -= buffer.capacity();
            }
            has_room
        });
    }
}

impl Budget {
    /// As many bytes as that, in whole MiB, at least one.
    pub(super) fn new(bytes: u64) -> Self {
        let all = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT_BYTES;
        let all = all.clamp(1, MOST_UNITS);
        Self {
            units: Arc::new(Semaphore::new(all)),
            all,
            memory: Mutex::default(),
        }
    }

    /// How many buffers of that length can be lent at a time; at least one.
    pub(super) fn holds(&self, length: u64) -> usize {
        self.holds_beside(0, length)
    }

    /// The same, if somebody else holds so much.
    pub(super) fn holds_beside(&self, others: u64, length: u64) -> usize {
        let units = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(UNIT_BYTES);
        let left = self.all.saturating_sub(units(others));
        (left / units(length).max(1)).max(1)
    }

    /// Waits until that much may be lent. A buffer larger than the whole budget waits for all of it.
    pub(super) async fn lend(self: &Arc<Self>, length: usize) -> Buffer {
        self.lend_beside(0, length).await
    }

    /// The same, and counts what somebody else holds as long as the buffer is lent.
    pub(super) async fn lend_beside(self: &Arc<Self>, others: usize, length: usize) -> Buffer {
        let units = others.saturating_add(length).div_ceil(UNIT_BYTES).clamp(1, self.all);
        let units = u32::try_from(units).expect("the budget is small");
        let at_once = Arc::clone(&self.units).try_acquire_many_owned(units).ok();
        let is_scarce = at_once.is_none();
        let units = match at_once {
            Some(units) => units,
            None => {
                let units = Arc::clone(&self.units).acquire_many_owned(units).await;
                units.expect("the semaphore is never closed")
            }
        };

        let mut memory = self.memory();
        // A larger one would hold more memory than is counted for it.
        let counted = length.div_ceil(UNIT_BYTES).max(1) * UNIT_BYTES;
        let fits = |buffer: &Vec<u8>| (length..=counted).contains(&buffer.capacity());
        let fitting = memory.spare.iter().position(fits);
        let mut bytes = fitting.map(|index| memory.spare.remove(index)).unwrap_or_default();
        memory.lent += units.num_permits();
        memory.keep_within(self.all);
        drop(memory);
        bytes.resize(length, 0);
        Buffer {
            bytes,
            is_scarce,
            budget: Arc::clone(self),
            units,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lent buffer.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    is_scarce: bool,
    budget: Arc<Budget>,
    units: OwnedSemaphorePermit,
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether it had to be waited for: others will wait too.
    pub(super) fn is_scarce(&self) -> bool {
        self.is_scarce
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut memory = self.budget.memory();
        memory.lent -= self.units.num_permits();
        memory.spare.push(std::mem::take(&mut self.bytes));
        memory.keep_within(self.budget.all);
        // This one's units are returned only after this, so all the others are what must be there. Who
        // waits for some will use the buffer again.
        if self.budget.units.available_permits() + self.units.num_permits() == self.budget.all {
            memory.spare.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const BUDGET_BYTES: usize = 24 * UNIT_BYTES;

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(BUDGET_BYTES as u64))
    }

    #[tokio::test]
    async fn no_more_is_lent_than_there_is() {
        let budget = budget();
        let third = BUDGET_BYTES / 3;
        let first = budget.lend(third).await;
        let _second = budget.lend(third).await;
        let _third = budget.lend(third).await;
        assert!(budget.lend(1).now_or_never().is_none());
        drop(first);
        assert_eq!(budget.lend(third).await.as_ref().len(), third);
    }

    #[tokio::test]
    async fn a_buffer_larger_than_the_budget_takes_all_of_it() {
        let budget = budget();
        let large = budget.lend(BUDGET_BYTES + 1).await;
        assert_eq!(large.as_ref().len(), BUDGET_BYTES + 1);
        assert!(budget.lend(1).now_or_never().is_none());
        drop(large);
        assert!(budget.lend(BUDGET_BYTES).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_buffer_knows_whether_it_was_waited_for() {
        let budget = budget();
        let first = budget.lend(BUDGET_BYTES).await;
        assert!(!first.is_scarce());
        let mut waiting = pin!(budget.lend(1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.await.is_scarce());
    }

    #[tokio::test]
    async fn what_others_hold_counts_as_long_as_the_buffer_is_lent() {
        let budget = budget();
        let most = budget.lend_beside(BUDGET_BYTES - UNIT_BYTES, 1).await;
        assert_eq!(most.as_ref().len(), 1);
        assert!(budget.lend(1).now_or_never().is_none());
        drop(most);
        assert!(budget.lend(BUDGET_BYTES).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_buffer_holds_no_more_than_is_counted_for_it() {
        let budget = budget();
        let _other = budget.lend(UNIT_BYTES).await;
        drop(budget.lend(8 * UNIT_BYTES).await);
        let half = budget.lend(4 * UNIT_BYTES).await;
        assert_eq!(half.bytes.capacity(), 4 * UNIT_BYTES);
        drop(half);
        let last = budget.lend(4 * UNIT_BYTES - 1).await;
        assert_eq!(last.bytes.capacity(), 4 * UNIT_BYTES, "it is used again");
    }

    #[tokio::test]
    async fn what_is_kept_and_what_is_lent_are_never_more_than_there_is() {
        let budget = budget();
        let _other = budget.lend(UNIT_BYTES).await;
        let lent = [budget.lend(8 * UNIT_BYTES).await, budget.lend(8 * UNIT_BYTES).await];
        drop(lent);
        assert_eq!(budget.memory().spare.len(), 2);
        let _small = budget.lend(4 * UNIT_BYTES).await;
        assert_eq!(budget.memory().spare.len(), 2, "there is room for all");
        let _more = budget.lend(4 * UNIT_BYTES).await;
        assert_eq!(budget.memory().spare.len(), 1);
        let _most = budget.lend(15 * UNIT_BYTES).await;
        assert!(budget.memory().spare.is_empty());
    }

    #[tokio::test]
    async fn what_is_waited_for_is_kept() {
        let budget = budget();
        let eighths = [(); 8].map(|()| budget.lend(3 * UNIT_BYTES).now_or_never().unwrap());
        let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(budget.lend(3 * UNIT_BYTES))).collect();
        for lend in &mut waiting {
            assert!(lend.as_mut().now_or_never().is_none());
        }
        // They have the units now, but not yet the buffers.
        drop(eighths);
        assert_eq!(budget.memory().spare.len(), 8);
    }

    #[tokio::test]
    async fn nothing_is_kept_when_nothing_is_lent() {
        let budget = budget();
        let first = budget.lend(UNIT_BYTES).await;
        let second = budget.lend(UNIT_BYTES).await;
        drop(first);
        assert_eq!(budget.memory().spare.len(), 1);
        drop(second);
        assert!(budget.memory().spare.is_empty());
    }
}
