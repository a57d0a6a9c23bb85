//! The agent dies ahead of, and after, every single change that it makes to a file: the records of its
//! jobs and scripts, the file to restore, the object of a `FILE` destination. Another one takes over.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::{
    Agent, Kind, Mortality, arm, file_store, instants, leave_out, processes_with, start, wait_for, wide,
};

/// Narrow, only one instant of so many is tried.
const STRIDE: usize = 11;
/// So many agents are tried at a time.
const THREADS: usize = 4;

/// When an agent is to die.
#[derive(Debug, Clone, Copy)]
enum Life {
    /// While it does a job, from its request to its end.
    Job,
    /// While it recovers from the death of another in the middle of the work.
    Recovery,
}

#[test]
fn an_agent_that_dies_at_any_instant_of_a_job_leaves_nothing_undone() {
    every_instant(Life::Job);
}

#[test]
fn an_agent_that_dies_at_any_instant_of_its_recovery_leaves_nothing_undone() {
    every_instant(Life::Recovery);
}

fn every_instant(life: Life) {
    let Some(mortality) = Mortality::new() else {
        return leave_out("the death at every instant", "there is no C compiler");
    };
    for kind in Kind::ALL {
        let whole = Trial::new(kind, &mortality, 0);
        let whole = whole.run(life);
        assert!(whole.len() > 40, "a whole {life:?} has its instants: {whole:?}");
        let stride = if wide() { 1 } else { STRIDE };
        let (lived, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (mortality, last, lived, tried) = (&mortality, whole.len(), &lived, &tried);
                scope.spawn(move || {
                    for instant in (1 + thread * stride..=last).step_by(THREADS * stride) {
                        let passed = Trial::new(kind, mortality, instant).run(life);
                        tried.fetch_add(1, Ordering::Relaxed);
                        if passed.len() < instant {
                            lived.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        // The number of instants differs a little from run to run.
        let (lived, tried) = (lived.into_inner(), tried.into_inner());
        assert!(lived * 10 <= tried, "of {tried} agents that were to die {lived} lived");
    }
}

/// One agent, its death, and what the next makes of it.
struct Trial<'a> {
    kind: Kind,
    mortality: &'a Mortality,
    instant: usize,
    agent: Agent,
}

impl<'a> Trial<'a> {
    fn new(kind: Kind, mortality: &'a Mortality, instant: usize) -> Self {
        let agent = Agent::start(|_| {});
        agent.place.write("store/objects/object", "content");
        agent.place.script(kind.lock(), r#": >"$trace/locked""#);
        agent.place.script(kind.unlock(), r#"rm -f "$trace/locked""#);
        Self {
            kind,
            mortality,
            instant,
            agent,
        }
    }

    /// Returns the instants that passed before the agent died, or had done all.
    fn run(mut self, life: Life) -> Vec<String> {
        let Self { kind, instant, .. } = self;
        let store = file_store(&self.agent.place);
        self.agent.succeed(kind, &start(kind, "earlier", &store));
        let earlier = self.agent.get(&format!("{}/earlier", kind.route())).body;
        let request = start(kind, "job", &store);

        let is_accepted = match life {
            Life::Job => {
                self.agent.die();
                self.become_mortal(instant);
                self.agent.start_again();
                arm(&self.agent.place);
                let asked = self
                    .agent
                    .try_call(kind.method(), kind.route(), request.to_string().as_bytes());
                asked.is_some_and(|response| response.status == 201)
            }
            Life::Recovery => {
                let work = kind.name();
                self.agent.place.hold(kind, "job", work);
                self.agent.accept(kind, &request);
                self.agent.place.wait_held(kind, "job", work);
                self.agent.die();
                self.become_mortal(instant);
                arm(&self.agent.place);
                self.agent.start_again_if_it_lives();
                true
            }
        };
        self.wait_for_death_or_end();
        let passed = instants(&self.agent.place);
        self.agent.die();
        self.agent.configure(|environment, _| Mortality::unset(environment));
        self.agent.start_again();

        let what = format!("{} dies in its {life:?} at {:?}", kind.name(), passed.last());
        let body = self.agent.get(&format!("{}/earlier", kind.route())).body;
        assert!(body == earlier, "{what}: a finished job is as it was");
        let known = self.agent.get(&format!("{}/job", kind.route())).status;
        assert!(known == 200 || (known == 404 && !is_accepted), "{what}: {known}");
        if known == 200 {
            let job = self.agent.finished(kind, "job");
            self.check(&job, &what);
        } else {
            let none: [&str; 0] = [];
            assert_eq!(self.agent.place.ran(kind, "job"), none, "{what}");
        }
        passed
    }

    fn become_mortal(&mut self, instant: usize) {
        let mortality = self.mortality;
        self.agent
            .configure(|environment, place| mortality.set(environment, place, instant));
    }

    fn wait_for_death_or_end(&mut self) {
        let path = format!("{}/job", self.kind.route());
        wait_for("the agent dies, or the job ends", || {
            if self.agent.has_ended() {
                return Some(());
            }
            let answer = self.agent.try_call("GET", &path, b"")?;
            (answer.json()["status"] != "RUNNING").then_some(())
        });
    }

    fn check(&self, job: &Value, what: &str) {
        let (kind, place) = (self.kind, &self.agent.place);
        let is_done = job["outcome"] == "succeeded";
        assert!(is_done || job["outcome"] == "interrupted", "{what}: {job}");
        let ran = place.ran(kind, "job");
        assert!(is_expected(kind, &ran), "{what}: {ran:?}");
        let was_locked = !ran.is_empty();
        assert!(!place.path("trace/locked").exists(), "{what}: it stays locked: {job}");
        assert!(!was_locked || job["lock_released"] == true, "{what}: {job}");
        let mark = format!("E2E_PLACE={}", place.root().display());
        let alive = processes_with(&mark);
        let scripts = processes_with("BACKUP_AGENT_RUN=");
        let alive: Vec<i32> = alive.into_iter().filter(|id| scripts.contains(id)).collect();
        assert!(alive.is_empty(), "{what}: scripts live: {alive:?}");
        let left = std::fs::read_dir(place.restore()).expect("it is there").count();
        assert_eq!(left, 0, "{what}: the file to restore is removed");
        let hidden: Vec<String> = place
            .object_names()
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        assert!(hidden.is_empty(), "{what}: {hidden:?} stays in the store");
        if is_done && kind == Kind::Backup {
            let name = job["filename"].as_str().expect("a backup has a file");
            let object = place.object(name);
            assert_eq!(object.as_deref(), Some(b"artifact of backup.job".as_slice()), "{what}");
        }
        if is_done && kind == Kind::Restore {
            assert_eq!(place.record(kind, "job", "restored"), b"content", "{what}");
        }
    }
}

/// The scripts of the plan up to some point, each once; then cleanup and unlock, which may run again;
/// and the unlock last, if there was a lock.
fn is_expected(kind: Kind, ran: &[String]) -> bool {
    let owed = [kind.cleanup(), kind.unlock()];
    let first_owed = ran.iter().position(|phase| owed.contains(&phase.as_str()));
    let (work, after) = ran.split_at(first_owed.unwrap_or(ran.len()));
    let is_in_order = work
        .iter()
        .map(String::as_str)
        .eq(kind.phases().iter().take(work.len()).copied());
    let allowed: [&[&str]; 6] = [
        &[],
        &[kind.unlock()],
        &[kind.cleanup(), kind.unlock()],
        &[kind.cleanup(), kind.cleanup(), kind.unlock()],
        &[kind.cleanup(), kind.unlock(), kind.unlock()],
        &[kind.cleanup(), kind.cleanup(), kind.unlock(), kind.unlock()],
    ];
    let is_owed = after.len() < 5
        && allowed
            .iter()
            .any(|phases| after.iter().map(String::as_str).eq(phases.iter().copied()));
    // The lock may have been about to begin: then its script has left no trace.
    is_in_order && is_owed && (work.is_empty() || !after.is_empty())
}
