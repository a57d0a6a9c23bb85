//! What durability costs: the agent with its records in files, beside the same without them.
//!
//! ```text
//!   this process: client, clock, table ──TCP──→ a child of itself: the agent's parts with one store
//!                                     └────────→ the built agent, for the time that it takes to start
//! ```
//!
//! `cargo bench --bench durability` measures all and writes `benches/results/durability.md`. Names
//! of parts (`jobs`, `get`, `start`, `memory`) behind `--` measure these alone, and write nothing.

#[path = "../common/agent.rs"]
mod agent;
mod client;
mod finished;
#[path = "../common/machine.rs"]
mod machine;
#[path = "../common/own.rs"]
mod own;
mod parts;
mod report;
#[path = "../common/series.rs"]
mod series;
mod server;
mod under_test;

use std::{path::Path, process::ExitCode};

use report::Report;
use server::Kind;

/// So many finished jobs an agent keeps, by its defaults.
const FINISHED_JOBS: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", kind, place, count] => serve(kind, place, count),
        ["fill", place, count] => server::fill(Path::new(place), number(count)),
        words if words.contains(&"--bench") => {
            measure(
                &words
                    .iter()
                    .copied()
                    .filter(|word| *word != "--bench")
                    .collect::<Vec<_>>(),
            );
        }
        // All targets may be run as tests; this one measures, and tests nothing.
        _ => println!("run it by: cargo bench --bench durability"),
    }
    ExitCode::SUCCESS
}

fn serve(kind: &str, place: &str, count: &str) {
    let kind = Kind::named(kind).expect("the parent names a kind");
    server::serve(kind, Path::new(place), number(count));
}

fn number(text: &str) -> usize {
    text.parse().expect("the parent gives a number")
}

fn measure(wanted: &[&str]) {
    let is_wanted = |part: &str| wanted.is_empty() || wanted.contains(&part);
    let mut report = Report::begin();
    if is_wanted("jobs") {
        parts::jobs(&mut report);
    }
    if is_wanted("get") {
        parts::get(&mut report);
    }
    if is_wanted("start") {
        parts::start(&mut report);
    }
    if is_wanted("memory") {
        parts::memory(&mut report);
    }
    let text = report.to_markdown();
    println!("\n{text}");
    if wanted.is_empty() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results/durability.md");
        std::fs::write(&path, text).expect("the results can be written");
        println!("written to {}", path.display());
    }
}
