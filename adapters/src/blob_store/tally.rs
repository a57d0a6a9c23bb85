//! Tells how far a transfer is and what is tried again, without every part of it knowing whom to tell.

use std::sync::Arc;

use domain::{
    ports::{Direction, Observation, Observer, Tally},
    request::StoreKind,
};

tokio::task_local! {
    /// The transfer that the task is at.
    static TRANSFER: Transfer;
}

/// A transfer, and who is told of it.
#[derive(Debug)]
pub(super) struct Transfer {
    /// For who adds up over all transfers.
    pub(super) observer: Arc<dyn Observer>,
    pub(super) direction: Direction,
    pub(super) store: StoreKind,
    /// For who waits for this one.
    pub(super) tally: Tally,
}

impl Transfer {
    /// Does its work. What that spawns is not told of: it is what goes on after the transfer.
    pub(super) async fn told<T>(self, work: impl Future<Output = T>) -> T {
        TRANSFER.scope(self, work).await
    }

    fn retried(&self) {
        self.observer.observe(Observation::Retried {
            direction: self.direction,
            store: self.store,
        });
    }

    fn moved(&self, bytes: u64) {
        self.tally.add(bytes);
        self.observer.observe(Observation::Moved {
            direction: self.direction,
            store: self.store,
            bytes,
        });
    }
}

/// So many bytes there are in all.
pub(super) fn expect(bytes: u64) {
    tell(|transfer| transfer.tally.expect(bytes));
}

/// So many bytes more were taken by the store, or came from it.
pub(super) fn moved(bytes: u64) {
    tell(|transfer| transfer.moved(bytes));
}

/// All bytes have to come once more.
pub(super) fn restarted() {
    tell(|transfer| transfer.tally.set(0));
}

/// A request is about to be made again.
pub(super) fn retried() {
    tell(Transfer::retried);
}

fn tell(what: impl FnOnce(&Transfer)) {
    // Look-ups outside of a transfer are nobody's.
    let _ = TRANSFER.try_with(what);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::testing::Noticed;

    use super::*;
    use crate::blob_store::{failure::Failure, retry::Patience};

    #[tokio::test]
    async fn what_is_tried_again_is_told_in_a_transfer_and_not_outside() {
        let noticed = Arc::new(Noticed::default());
        let patience = Patience::new(Duration::from_secs(60));
        let flaky = || async {
            let mut trouble = patience.trouble();
            trouble
                .bear(Failure::unsteady("it may pass"))
                .await
                .expect("once is borne");
            patience.renew(7);
        };
        flaky().await;
        assert!(noticed.all().is_empty());

        let (direction, store) = (Direction::Upload, StoreKind::Gcs);
        let tally = Tally::default();
        let transfer = Transfer {
            observer: noticed.clone(),
            direction,
            store,
            tally: tally.clone(),
        };
        transfer.told(flaky()).await;
        assert_eq!(
            noticed.all(),
            [
                Observation::Retried { direction, store },
                Observation::Moved {
                    direction,
                    store,
                    bytes: 7
                }
            ]
        );
        assert_eq!(tally.done(), Some(7));
    }
}
