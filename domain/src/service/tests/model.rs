//! Random courses of events against what is promised of every one of them: a job that was accepted is
//! known, and a lock that may be held is released, or given up by a person.

use std::{
    collections::{BTreeSet, VecDeque},
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};

use super::bench::key;
use crate::{
    artifact::Staging,
    job::{ExitReason, JobKey, LiveLog, LockRecord, ScriptLog},
    plan::{JobKind, Phase, Role, Transfer},
    ports::{Halt, JobApi, MockBlobStore, MockWorkspace, ScriptError, ScriptOutcome, ScriptRunner, Unobserved},
    script::ScriptCall,
    service::{JobService, Ports, ServiceSettings},
    testing::{FakeJobStore, ManualClock, ManualSpawner, block_on, request_for_database, shared},
};

/// What can happen to an agent.
#[derive(Debug, Clone)]
enum Happening {
    /// A client asks for a job of one of a few ids and databases.
    Start { is_restore: bool, id: u8, database: u8 },
    /// A script ends: with 0, with 1, with 75, or by not being started.
    ScriptEnds(u8),
    /// A client cancels.
    Cancel { is_restore: bool, id: u8 },
    /// Time goes by.
    Wait(u16),
    /// The disk is full from now on, or is not any more.
    DiskIsFull(bool),
    /// The agent dies, and is started again.
    Restart,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        3 => (any::<bool>(), 0..4_u8, 0..2_u8).prop_map(|(is_restore, id, database)| Happening::Start { is_restore, id, database }),
        12 => (0..8_u8).prop_map(Happening::ScriptEnds),
        1 => (any::<bool>(), 0..4_u8).prop_map(|(is_restore, id)| Happening::Cancel { is_restore, id }),
        2 => (0..200_u16).prop_map(Happening::Wait),
        1 => any::<bool>().prop_map(Happening::DiskIsFull),
        1 => Just(Happening::Restart),
    ];
    vec(one, 1..80)
}

/// What the scripts have done to the service, which outlives every agent.
#[derive(Debug, Default)]
struct World {
    /// How the scripts that wait are to end, oldest first.
    endings: VecDeque<u8>,
    /// The jobs whose lock script was started and did not say that it took nothing.
    may_be_locked: BTreeSet<JobKey>,
}

/// Scripts that end when, and as, the world says.
#[derive(Debug, Clone, Default)]
struct Scripts(Arc<Mutex<World>>);

impl Scripts {
    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().expect("no test has failed")
    }
}

#[async_trait]
impl ScriptRunner for Scripts {
    async fn check(&self, _: &[Phase]) -> Result<(), ScriptError> {
        Ok(())
    }

    async fn run(&self, call: &ScriptCall, halt: &Halt, _: &LiveLog) -> Result<ScriptOutcome, ScriptError> {
        let role = call.phase.role();
        if role == Role::Lock {
            self.world().may_be_locked.insert(call.job.clone());
        }
        let ending = poll_fn(|_| match self.world().endings.pop_front() {
            Some(ending) => Poll::Ready(Some(ending)),
            None if halt.is_fired() => Poll::Ready(None),
            None => Poll::Pending,
        })
        .await;
        let ended = |exit, was_halted| {
            let log = ScriptLog::default();
            Ok(ScriptOutcome { exit, log, was_halted })
        };
        match (ending, role) {
            (None, _) => ended(ExitReason::Signaled(15), true),
            (Some(1), _) => ended(ExitReason::Exited(1), false),
            (Some(2), Role::Lock) => {
                self.world().may_be_locked.remove(&call.job);
                ended(ExitReason::Exited(75), false)
            }
            (Some(3), Role::Lock) => {
                self.world().may_be_locked.remove(&call.job);
                Err(ScriptError::NotStarted("bash is not there".to_owned()))
            }
            (Some(_), _) => {
                if role == Role::Unlock {
                    self.world().may_be_locked.remove(&call.job);
                }
                ended(ExitReason::Exited(0), false)
            }
        }
    }

    async fn check_interpreter(&self) -> Result<String, ScriptError> {
        Ok("/bin/bash".to_owned())
    }

    async fn end_leftover(&self, _: &JobKey) -> Result<(), ScriptError> {
        Ok(())
    }
}

/// An agent, and what outlives it.
struct Agent {
    scripts: Scripts,
    jobs: Arc<FakeJobStore>,
    clock: Arc<ManualClock>,
    spawner: Arc<ManualSpawner>,
    service: JobService,
}

impl Agent {
    fn new() -> Self {
        let (scripts, jobs, clock) = (Scripts::default(), shared::<FakeJobStore>(), shared::<ManualClock>());
        let (service, spawner) = start(&scripts, &jobs, &clock);
        Self {
            scripts,
            jobs,
            clock,
            spawner,
            service,
        }
    }

    fn restart(&mut self) {
        // Whatever was at work is gone in the middle of what it did.
        (self.service, self.spawner) = start(&self.scripts, &self.jobs, &self.clock);
        block_on(self.service.recover()).expect("the records can be read");
    }

    fn go_on(&self) {
        self.spawner.run_until_stalled();
    }
}

fn start(scripts: &Scripts, jobs: &Arc<FakeJobStore>, clock: &Arc<ManualClock>) -> (JobService, Arc<ManualSpawner>) {
    let spawner = shared::<ManualSpawner>();
    let mut workspace = MockWorkspace::new();
    workspace.expect_staging().returning(|_, _| Ok(Staging::default()));
    let ports = Ports {
        scripts: Arc::new(scripts.clone()),
        blobs: Arc::new(MockBlobStore::new()),
        jobs: jobs.clone(),
        workspace: Arc::new(workspace),
        clock: clock.clone(),
        spawner: spawner.clone(),
        observer: Arc::new(Unobserved),
    };
    let mut settings = ServiceSettings::default();
    // So that jobs often end while their unlock is owed.
    settings.times.unlock_retries = 0;
    (JobService::new(ports, settings), spawner)
}

fn key_of(is_restore: bool, id: u8) -> JobKey {
    let kind = if is_restore { JobKind::Restore } else { JobKind::Backup };
    key(kind, &format!("j{id}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_job_is_forgotten_and_no_lock_stays(happenings in happenings()) {
        let mut agent = Agent::new();
        let (mut accepted, mut cancelled) = (BTreeSet::new(), BTreeSet::new());
        for happening in happenings {
            match happening {
                Happening::Start { is_restore, id, database } => {
                    let key = key_of(is_restore, id);
                    let mut request = request_for_database(key.kind, key.id.as_str(), &format!("d{database}"));
                    request.transfer = Transfer::ByScripts;
                    if block_on(agent.service.start(request)).is_ok() {
                        prop_assert!(accepted.insert(key), "an id is taken once");
                    }
                }
                Happening::ScriptEnds(how) => agent.scripts.world().endings.push_back(how),
                Happening::Cancel { is_restore, id } => {
                    let key = key_of(is_restore, id);
                    if block_on(agent.service.cancel(&key)).is_ok() {
                        prop_assert!(accepted.contains(&key));
                        cancelled.insert(key);
                    }
                }
                Happening::Wait(seconds) => agent.clock.advance(TimeDelta::seconds(seconds.into())),
                Happening::DiskIsFull(is_full) => agent.jobs.fail(is_full),
                Happening::Restart => agent.restart(),
            }
            agent.go_on();
            // Nobody waits for an ending any more that another was to get.
            agent.scripts.world().endings.clear();
            for key in &accepted {
                let known = block_on(agent.service.find(key)).expect("the records can be read");
                prop_assert!(known.is_some(), "{key} is forgotten");
            }
        }
        // The disk has room again, and every script succeeds from now on.
        agent.jobs.fail(false);
        for _ in 0..400 {
            agent.scripts.world().endings.extend([0; 8]);
            agent.go_on();
            agent.clock.advance(TimeDelta::seconds(61));
        }
        let mut locked = agent.scripts.world().may_be_locked.clone();
        for key in &accepted {
            let view = block_on(agent.service.find(key)).expect("the records can be read").expect("it is known");
            prop_assert!(view.status.is_finished(), "{key} has not ended: {:?}", view.status);
            prop_assert!(!view.owes_unlock, "{key} still owes its unlock");
            if view.lock == LockRecord::GivenUp {
                prop_assert!(cancelled.contains(key), "nobody gave {key} up");
                locked.remove(key);
            }
        }
        prop_assert!(locked.is_empty(), "these locks stay: {locked:?}");
        prop_assert!(agent.service.at_work().is_empty() && agent.service.waiting().is_empty());
    }
}
