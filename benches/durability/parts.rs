//! What is measured, part by part.

use std::time::Duration;

use crate::{
    FINISHED_JOBS,
    client::{self, Load},
    report::Report,
    series::Series,
    server::Kind,
    under_test::{Place, UnderTest},
};

/// Jobs of one round: a few seconds.
const JOBS: usize = 100;
const JOB_ROUNDS: usize = 7;
const GET_ROUNDS: usize = 9;
const GET_TIME: Duration = Duration::from_secs(2);
/// Short, so that few ids come twice.
const COLD_TIME: Duration = Duration::from_millis(300);
const START_ROUNDS: usize = 31;
const MEMORY_ROUNDS: usize = 3;

/// Jobs per second through all their phases.
pub(crate) fn jobs(report: &mut Report) {
    for kind in ["backup", "restore"] {
        let places = [Place::new(), Place::new()];
        let files = UnderTest::start(Kind::Files, &places[0], 0);
        let memory = UnderTest::start(Kind::Memory, &places[1], 0);
        let (mut in_files, mut in_memory) = (Series::default(), Series::default());
        // The first round is for the caches of all sorts, and does not count.
        for round in 0..=JOB_ROUNDS {
            let (rate_of_files, rate_of_memory) = (
                client::run_jobs(files.address(), kind, round, JOBS),
                client::run_jobs(memory.address(), kind, round, JOBS),
            );
            if round > 0 {
                in_files.push(rate_of_files);
                in_memory.push(rate_of_memory);
            }
        }
        report.add(&format!("jobs per second, {kind}"), &in_files, &in_memory, 1);
    }
}

/// Rates and latencies of one server.
#[derive(Debug, Default)]
struct Loads {
    rate: Series,
    p50_ms: Series,
    p99_ms: Series,
}

impl Loads {
    fn push(&mut self, load: &Load) {
        self.rate.push(load.rate);
        self.p50_ms.push(load.p50_ms);
        self.p99_ms.push(load.p99_ms);
    }
}

/// Polling of finished jobs.
pub(crate) fn get(report: &mut Report) {
    let (filled, empty) = (Place::filled(FINISHED_JOBS), Place::new());
    // A state directory is used by one agent alone.
    let filled_for_cold = Place::filled(FINISHED_JOBS);
    let mut cold = Loads::default();
    let servers = [
        UnderTest::start(Kind::Files, &filled, FINISHED_JOBS),
        UnderTest::start(Kind::Memory, &empty, FINISHED_JOBS),
        UnderTest::start(Kind::Fixed, &empty, 0),
    ];
    let mut loads = [Loads::default(), Loads::default(), Loads::default()];
    for round in 0..=GET_ROUNDS {
        let round_of_all = servers.each_ref().map(|server| load(server, GET_TIME));
        // The first round is for the caches of all sorts, and does not count.
        if round == 0 {
            continue;
        }
        for (load, loads) in round_of_all.iter().zip(&mut loads) {
            loads.push(load);
        }
        let just_started = UnderTest::start(Kind::Files, &filled_for_cold, FINISHED_JOBS);
        cold.push(&load(&just_started, COLD_TIME));
    }
    let [files, memory, fixed] = &loads;
    report.add("`GET /backup/{id}` per second", &files.rate, &memory.rate, 0);
    report.add("its p50, ms", &files.p50_ms, &memory.p50_ms, 2);
    report.add("its p99, ms", &files.p99_ms, &memory.p99_ms, 2);
    report.add(
        "`GET` of what was not asked for since the start, per second",
        &cold.rate,
        &memory.rate,
        0,
    );
    report.add("its p99, ms", &cold.p99_ms, &memory.p99_ms, 2);
    report.add_alone("a fixed answer, per second", &fixed.rate, 0);
    report.add_alone("its p99, ms", &fixed.p99_ms, 2);
}

/// Random `GET`s of finished jobs.
fn load(server: &UnderTest, time: Duration) -> Load {
    client::get(server.address(), FINISHED_JOBS, "200", time)
}

/// The time until the agent is there for clients.
pub(crate) fn start(report: &mut Report) {
    let (filled, empty) = (Place::filled(FINISHED_JOBS), Place::new());
    let (mut with_jobs, mut without) = (Series::default(), Series::default());
    for round in 0..=START_ROUNDS {
        let [time_with, time_without] = [&filled, &empty].map(|place| {
            let (agent, time) = UnderTest::start_agent(place);
            drop(agent);
            time.as_secs_f64() * 1e3
        });
        if round > 0 {
            with_jobs.push(time_with);
            without.push(time_without);
        }
    }
    report.add("start with 10,000 finished jobs, ms", &with_jobs, &without, 2);
}

/// Memory per finished job.
pub(crate) fn memory(report: &mut Report) {
    let (filled, empty) = (Place::filled(FINISHED_JOBS), Place::new());
    let (mut in_files, mut in_memory) = (Series::default(), Series::default());
    for _ in 0..MEMORY_ROUNDS {
        in_files.push(bytes_per_job(Kind::Files, &filled, &empty));
        in_memory.push(bytes_per_job(Kind::Memory, &empty, &empty));
    }
    report.add("resident memory per finished job, bytes", &in_files, &in_memory, 0);
}

fn bytes_per_job(kind: Kind, filled: &Place, empty: &Place) -> f64 {
    let resident = |place: &Place, count: usize, status: &'static str| {
        let server = UnderTest::start(kind, place, count);
        client::get(server.address(), FINISHED_JOBS, status, GET_TIME);
        server.resident_bytes()
    };
    (resident(filled, FINISHED_JOBS, "200") - resident(empty, 0, "404")) / FINISHED_JOBS as f64
}
