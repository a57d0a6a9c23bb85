//! Every way in which a script goes wrong, in every phase: one list of faults, and one rule for each
//! thing that is promised.

mod faults;

use std::{
    collections::VecDeque,
    fs,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use nix::{sys::signal::Signal, unistd::geteuid};
use serde_json::{Value, json};

use self::faults::{BY_SU, FAULTS, Fault, LIMIT, Left, Said, Verdict, expected};
use crate::harness::{
    Agent, Body, Kind, file_store, leave_out, processes_with, say, send_signal, start, wait_until, wide,
};

/// What a flood may cost the agent in all, whatever its size.
const MEMORY_KIB: u64 = 64 * 1024;
/// What may be kept of one stream: 64 KiB from each end, and a line between.
const KEPT_BYTES: usize = 2 * 64 * 1024 + 200;

#[test]
fn whatever_a_script_does_the_job_ends_as_promised_and_the_agent_goes_on() {
    let other_user = other_user();
    let all: Vec<(Kind, &str)> = Kind::ALL
        .iter()
        .flat_map(|kind| kind.phases().iter().map(|phase| (*kind, *phase)))
        .collect();
    assert!(FAULTS.len() >= all.len(), "the diagonal meets every phase");
    let mut work: VecDeque<(Fault, Vec<(Kind, &str)>)> = VecDeque::new();
    for (row, fault) in FAULTS.iter().enumerate() {
        if fault.name == BY_SU && other_user.is_none() {
            leave_out(fault.name, "that needs root, su, and a user nobody or daemon");
        } else if wide() {
            for kind in Kind::ALL {
                work.push_back((*fault, all.iter().filter(|(of, _)| *of == kind).copied().collect()));
            }
        } else {
            work.push_back((*fault, vec![all[row % all.len()]]));
        }
    }
    let work = Mutex::new(work);
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    // Most of them wait most of the time.
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((fault, phases)) = next() {
                    strike(fault, &phases, other_user);
                }
            });
        }
    });
}

/// A user that a script can change to, with a shell of the script's choice.
fn other_user() -> Option<&'static str> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_known = |name: &&&str| users.lines().any(|line| line.split(':').next() == Some(name));
    let has_su = ["/bin/su", "/usr/bin/su"]
        .iter()
        .any(|path| fs::exists(path).is_ok_and(|is| is));
    let may_change = geteuid().is_root() && has_su;
    ["nobody", "daemon"]
        .iter()
        .find(is_known)
        .filter(|_| may_change)
        .copied()
}

/// Lets one fault strike in each of these phases, one job after the other, with one agent.
fn strike(fault: Fault, phases: &[(Kind, &'static str)], other_user: Option<&str>) {
    let agent = Agent::start(|env| {
        env.set("E2E_OTHER_USER", other_user.unwrap_or_default());
        if fault.verdict == Verdict::Ended {
            env.set("phase_timeout", LIMIT);
        }
    });
    agent.place.write("store/objects/object", "content");
    for (number, (kind, phase)) in phases.iter().enumerate() {
        let case = Case {
            agent: &agent,
            kind: *kind,
            phase,
            fault,
            id: format!("job-{number}"),
        };
        let begin = Instant::now();
        case.run();
        println!("{:>5} ms {}", begin.elapsed().as_millis(), case.name());
    }
}

/// One fault in one phase of one job.
struct Case<'a> {
    agent: &'a Agent,
    kind: Kind,
    phase: &'static str,
    fault: Fault,
    id: String,
}

impl Case<'_> {
    fn name(&self) -> String {
        format!("{} that {}", self.phase, self.fault.name)
    }

    #[track_caller]
    fn run(&self) {
        let (agent, kind, name) = (self.agent, self.kind, self.name());
        let place = &agent.place;
        let expected = expected(kind, self.phase, self.fault.verdict);
        place.usual_script(self.phase, self.fault.work);
        if self.fault.verdict == Verdict::Refused {
            place.remove_script(self.phase);
        }
        let unlocks_after_it = self.phase != kind.unlock() && expected.ran.contains(&kind.unlock());
        if unlocks_after_it {
            place.hold(kind, &self.id, kind.unlock());
        }
        let flood = json!([{"E2E_FLOOD_MIB": self.flood_mib()}]);
        let body = start(kind, &self.id, &file_store(place)).with(&format!("/{}/parameters", kind.name()), flood);
        agent.accept(kind, &body);
        if unlocks_after_it {
            place.wait_held(kind, &self.id, kind.unlock());
            self.assert_what_is_left("when the unlock script runs");
            place.release(kind, &self.id, kind.unlock());
        }
        let job = agent.finished(kind, &self.id);
        if !unlocks_after_it && !expected.ran.is_empty() {
            self.assert_what_is_left("when the job has ended");
        }
        self.end_what_is_left();
        assert_eq!(outline(&job), expected.outline(), "{name}: {job}");
        assert_eq!(place.ran(kind, &self.id), expected.ran, "{name}");
        let message = job["error_message"].as_str().unwrap_or_default();
        expected.assert_message(message, &name);
        self.assert_said(&job);
        let peak = agent.peak_memory_kib();
        assert!(peak < MEMORY_KIB, "{name}: {peak} KiB");

        place.usual_script(self.phase, "");
        if expected.lock_released == Some(false) {
            // Otherwise no other restore could begin.
            assert_eq!(agent.cancel(kind, &self.id).status, 202, "{name}");
        }
        agent.succeed(kind, &start(kind, &format!("{}-after", self.id), &file_store(place)));
    }

    /// How much a flood is. On a busy machine a debug build takes several seconds for 1 GiB, so that
    /// is for one phase of each kind, and only where all is tried.
    fn flood_mib(&self) -> u64 {
        if wide() && self.phase == self.kind.name() {
            1024
        } else {
            64
        }
    }

    /// The processes that the script has told of.
    fn told(&self) -> Vec<i32> {
        let text = self.agent.place.record(self.kind, &self.id, "left");
        let ids = String::from_utf8_lossy(&text)
            .split_whitespace()
            .map(str::parse)
            .collect();
        let ids: Vec<i32> = Result::expect(ids, "process ids are numbers");
        assert!(
            !ids.is_empty(),
            "{}: it has started what is to be looked at",
            self.name()
        );
        ids
    }

    #[track_caller]
    fn assert_what_is_left(&self, when: &str) {
        let name = self.name();
        match self.fault.left {
            Left::Nothing => {}
            Left::Gone => {
                for id in self.told() {
                    assert!(!lives(id), "{name}: {id} lives {when}");
                }
            }
            Left::Lives => {
                // Neither ended, nor stopped, nor blocked on what it writes.
                let file = format!("trace/{}.{}.beats", self.kind.name(), self.id);
                let beats = || fs::read(self.agent.place.path(&file)).map_or(0, |content| content.len());
                let before = beats();
                wait_until(&format!("{name}: what it left behind goes on {when}"), || {
                    beats() > before + 4
                });
                for id in self.told() {
                    assert!(lives(id), "{name}: {id} is gone {when}");
                }
                return;
            }
        }
        // And nothing else: whatever kept its environment.
        let mark = format!("E2E_PLACE={}\0", self.agent.place.root().display());
        let of_place = processes_with(&mark);
        let of_job = processes_with(&format!("BACKUP_AGENT_JOB_ID={}\0", self.id));
        let mut of_script = processes_with(&format!("BACKUP_AGENT_PHASE={}\0", self.phase));
        of_script.retain(|id| of_place.contains(id) && of_job.contains(id));
        assert!(of_script.is_empty(), "{name}: {of_script:?} live {when}");
    }

    /// As an unlock script would end what holds the lock.
    fn end_what_is_left(&self) {
        if self.fault.left == Left::Lives {
            for id in self.told() {
                send_signal(id, Signal::SIGKILL);
                wait_until(&format!("{}: {id} ends", self.name()), || !lives(id));
            }
        }
    }

    #[track_caller]
    fn assert_said(&self, job: &Value) {
        let name = self.name();
        let member = |ending: &str| {
            let log = &job[format!("{}_{ending}", self.phase.replace('-', "_"))];
            log.as_str().unwrap_or_default()
        };
        match self.fault.said {
            Said::Nothing => {}
            Said::Out(text) => assert_eq!(member("log"), text, "{name}"),
            Said::Flood => {
                say(&format!(
                    "{name}: {} MiB, peak {} KiB",
                    self.flood_mib(),
                    self.agent.peak_memory_kib()
                ));
                let length = member("errorlog").len();
                assert!(
                    (KEPT_BYTES / 2..=KEPT_BYTES).contains(&length),
                    "{name}: {length} bytes"
                );
            }
        }
    }
}

/// How a job ended, on the wire.
fn outline(job: &Value) -> [Value; 4] {
    ["status", "outcome", "state", "lock_released"].map(|member| job[member].clone())
}

/// Whether this process lives; the dead that nobody has buried yet do not.
fn lives(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !['Z', 'X'].contains(&state))
}
