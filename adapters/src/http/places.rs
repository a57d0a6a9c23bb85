//! Places for connections, and whose is taken when none is free.
//!
//! A connection either waits for its client (for a handshake, a header, the next request) or is being
//! answered. As long as it waits, it yields to a new one; while it is answered, never. So clients that
//! send nothing, or a byte a second, keep nobody out, however many they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// As many places as there may be connections.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    somebody_waits: Notify,
}

/// The connections that wait for their clients, longest first.
#[derive(Debug, Default)]
struct Waiting {
    last_turn: u64,
    /// Those that have not shown the right credentials.
    strangers: BTreeMap<u64, CancellationToken>,
    /// Those that have been answered.
    known: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection, which ends with the value.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    state: Mutex<State>,
    lost: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting {
        turn: u64,
    },
    Answering,
    /// The answer is made, but not all of it sent.
    Answered,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            count,
            free: Arc::new(Semaphore::new(count)),
            waiting: Mutex::default(),
            somebody_waits: Notify::new(),
        })
    }

    /// A place for a new connection, if need be that of the connection that has waited longest for
    /// its client. Waits only while all are being answered.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            if self.end_longest_wait() {
                break self.freed().await;
            }
            tokio::select! {
                permit = self.freed() => break permit,
                () = self.somebody_waits.notified() => {}
            }
        };
        Place::new(Arc::clone(self), permit)
    }

    /// Ends the connection that has waited longest for its client; says whether there was one.
    ///
    /// Strangers come first while they have more than half of the places, so that they can never push
    /// out all those that are known.
    pub(super) fn end_longest_wait(&self) -> bool {
        let mut waiting = self.waiting();
        let Waiting { strangers, known, .. } = &mut *waiting;
        let first = |of: &BTreeMap<u64, CancellationToken>| of.first_key_value().map(|(turn, _)| *turn);
        let are_many = strangers.len() * 2 > self.count;
        let ended = match (first(strangers), first(known)) {
            (Some(stranger), Some(known_one)) if !are_many && known_one < stranger => known.pop_first(),
            (Some(_), _) => strangers.pop_first(),
            (None, _) => known.pop_first(),
        };
        drop(waiting);
        match ended {
            Some((_, lost)) => {
                lost.cancel();
                true
            }
            None => false,
        }
    }

    async fn freed(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn next_turn(&mut self) -> u64 {
        self.last_turn += 1;
        self.last_turn
    }

    /// Says whether it was still waiting.
    fn remove(&mut self, turn: u64) -> bool {
        self.strangers
            .remove(&turn)
            .or_else(|| self.known.remove(&turn))
            .is_some()
    }
}

impl Place {
    fn new(places: Arc<Places>, permit: OwnedSemaphorePermit) -> Self {
        let place = Self {
            places,
            state: Mutex::new(State::Answering),
            lost: CancellationToken::new(),
            _permit: permit,
        };
        place.refused();
        place
    }

    /// Waits until the place is another's. The connection has to end then.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// A request is there in full, or its header is. From here on the place is safe.
    ///
    /// Does not return if the place is lost already: nothing is begun that nobody would be told of.
    pub(super) async fn answering(&self) {
        let is_lost = {
            let mut state = self.state();
            match *state {
                State::Waiting { turn } => {
                    *state = State::Answering;
                    !self.places.waiting().remove(turn)
                }
                State::Answering | State::Answered => {
                    *state = State::Answering;
                    false
                }
            }
        };
        if is_lost {
            std::future::pending::<()>().await;
        }
    }

    /// The credentials were wrong: this is a stranger, that waits, if only for its refusal.
    pub(super) fn refused(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Waiting { .. }) {
            let mut waiting = self.places.waiting();
            let turn = waiting.next_turn();
            waiting.strangers.insert(turn, self.lost.clone());
            *state = State::Waiting { turn };
            self.places.somebody_waits.notify_one();
        }
    }

    /// The answer is made. The place is safe until all of it is sent.
    pub(super) fn answered(&self) {
        *self.state() = State::Answered;
    }

    /// All that was written is sent. If it was an answer, the connection waits for the next request.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        if matches!(*state, State::Answered) {
            let mut waiting = self.places.waiting();
            let turn = waiting.next_turn();
            waiting.known.insert(turn, self.lost.clone());
            *state = State::Waiting { turn };
            self.places.somebody_waits.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let State::Waiting { turn } = *self.state() {
            self.places.waiting().remove(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn known(places: &Arc<Places>) -> Place {
        let place = places.take().await;
        place.answering().await;
        place.answered();
        place.sent();
        place
    }

    fn is_lost(place: &Place) -> bool {
        place.lost.is_cancelled()
    }

    #[tokio::test]
    async fn the_one_that_has_waited_longest_yields_to_a_new_one() {
        let places = Places::new(3);
        let (first, second, third) = (places.take().await, places.take().await, places.take().await);
        // Waits anew, and so the shortest.
        first.answering().await;
        first.refused();
        assert!(
            places.take().now_or_never().is_none(),
            "a place is free only once its connection has ended"
        );
        assert_eq!([&first, &second, &third].map(is_lost), [false, true, false]);
        drop(second);
        assert!(places.take().now_or_never().is_some());
        assert_eq!([&first, &third].map(is_lost), [false, false]);
    }

    #[tokio::test]
    async fn one_that_is_being_answered_never_yields() {
        let places = Places::new(2);
        let (one, other) = (places.take().await, places.take().await);
        one.answering().await;
        other.answering().await;
        other.answered();
        assert!(!places.end_longest_wait());
        let mut new = Box::pin(places.take());
        assert!(new.as_mut().now_or_never().is_none());
        other.sent();
        assert!(new.as_mut().now_or_never().is_none());
        assert_eq!([&one, &other].map(is_lost), [false, true]);
        drop(other);
        assert!(new.now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_begun_in_a_place_that_is_lost() {
        let places = Places::new(1);
        let place = places.take().await;
        assert!(places.end_longest_wait());
        assert!(place.answering().now_or_never().is_none());
        assert!(place.lost().now_or_never().is_some());
    }

    #[tokio::test]
    async fn strangers_never_push_out_all_that_are_known() {
        let places = Places::new(4);
        let mut friends = vec![known(&places).await, known(&places).await, known(&places).await];
        let mut strangers = vec![places.take().await];
        for round in 0..20 {
            assert!(places.end_longest_wait());
            friends.retain(|place| !is_lost(place));
            strangers.retain(|place| !is_lost(place));
            strangers.push(places.take().await);
            assert_eq!(friends.len(), if round == 0 { 2 } else { 1 }, "round {round}");
        }
    }

    #[tokio::test]
    async fn what_is_over_holds_nothing() {
        let places = Places::new(2);
        for _ in 0..10 {
            drop(places.take().await);
            drop(known(&places).await);
        }
        assert_eq!(places.free.available_permits(), 2);
        assert!(!places.end_longest_wait());
    }
}
