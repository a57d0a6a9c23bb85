//! Whether the agent is ready, looked at by one at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::ports::JobApi;
use tokio::{sync::watch, time::timeout};

/// A look is good for so long after its end: strangers may ask as often as they like, and disks are not
/// asked more often for that.
const FRESH: Duration = Duration::from_secs(1);
/// So long a look is waited for. One at a mount whose server is gone may never end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last look at what jobs need. There is never more than one at work, so one that hangs holds one
/// thread and not one for each who asks.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    /// None until it has ended.
    found: watch::Receiver<Option<Found>>,
}

/// What was found, and when.
#[derive(Debug)]
struct Found {
    at: Instant,
    shortcomings: Vec<String>,
}

impl Look {
    fn begin(api: &Arc<dyn JobApi>) -> Self {
        let (tell, found) = watch::channel(None);
        let api = Arc::clone(api);
        tokio::spawn(async move {
            // Nobody may wait for it any more.
            let shortcomings = api.shortcomings().await;
            let at = Instant::now();
            let _ = tell.send(Some(Found { at, shortcomings }));
        });
        Self { found }
    }

    fn is_good(&self) -> bool {
        match &*self.found.borrow() {
            Some(found) => found.at.elapsed() < FRESH,
            // It is at work, unless it broke off.
            None => self.found.has_changed().is_ok(),
        }
    }
}

impl Readiness {
    /// What keeps jobs from being taken, one text each.
    pub(super) async fn look(&self, api: &Arc<dyn JobApi>) -> Vec<String> {
        let mut found = self.last(api);
        let waited = timeout(PATIENCE, found.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(found)) => found
                .as_ref()
                .map(|found| found.shortcomings.clone())
                .unwrap_or_default(),
            Ok(Err(_)) => vec!["the look at what jobs need broke off; the agent's log says more".to_owned()],
            Err(_) => vec![format!(
                "directories, scripts or records did not answer within {} s; is a disk or a mount gone?",
                PATIENCE.as_secs()
            )],
        }
    }

    /// The look at work, or the last, or a new one.
    fn last(&self, api: &Arc<dyn JobApi>) -> watch::Receiver<Option<Found>> {
        // A look is replaced whole, so a poisoned lock holds a good one.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(look) if look.is_good() => look.found.clone(),
            Some(_) | None => last.insert(Look::begin(api)).found.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::ports::MockJobApi;

    use super::*;
    use crate::http::tests::still::Still;

    /// A core whose looks are counted, and find one thing more each time.
    fn counted(looks: &Arc<AtomicUsize>) -> Arc<dyn JobApi> {
        let looks = Arc::clone(looks);
        let mut api = MockJobApi::new();
        api.expect_shortcomings().returning(move || {
            let before = looks.fetch_add(1, Ordering::SeqCst);
            vec!["something".to_owned(); before]
        });
        Arc::new(api)
    }

    #[tokio::test]
    async fn who_asks_often_gets_the_same_look() {
        let looks = Arc::new(AtomicUsize::new(0));
        let (readiness, api) = (Readiness::default(), counted(&looks));
        for _ in 0..10 {
            assert_eq!(readiness.look(&api).await, Vec::<String>::new());
        }
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        // As if it had been long ago.
        let at = Instant::now().checked_sub(FRESH).expect("the machine runs for longer");
        let shortcomings = Vec::new();
        let (_, found) = watch::channel(Some(Found { at, shortcomings }));
        *readiness.0.lock().unwrap() = Some(Look { found });
        assert_eq!(readiness.look(&api).await, ["something"]);
    }

    #[tokio::test]
    async fn a_look_that_broke_off_is_told() {
        let mut api = MockJobApi::new();
        api.expect_shortcomings().returning(|| panic!("a defect"));
        let (readiness, api): (_, Arc<dyn JobApi>) = (Readiness::default(), Arc::new(api));
        let found = readiness.look(&api).await;
        assert!(found.len() == 1 && found[0].contains("broke off"), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_not_waited_for_and_not_begun_again() {
        let still = Arc::new(Still::default());
        let api: Arc<dyn JobApi> = still.clone();
        let readiness = Readiness::default();
        for _ in 0..3 {
            let found = readiness.look(&api).await;
            assert!(found.len() == 1 && found[0].contains("within 5 s"), "{found:?}");
        }
        assert_eq!(still.looks(), 1);
    }
}
