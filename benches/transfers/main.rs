//! What transfers cost: the agent beside other clients of S3, on the same store and the same file.
//!
//! ```text
//!   this process: clock, tables ──HTTP──→ the built agent ─────┐
//!        └──starts──→ a child of itself ──→ s5cmd, rclone, aws ┴──(a slow link)──→ a child of itself: S3
//! ```
//!
//! `cargo bench --bench transfers` measures all and writes `benches/results/transfers.md` and
//! `transfers.svg`. Names of parts (`small`, `middle`, `large`, `jobs`, `link`) behind `--` measure
//! these alone, and write nothing. What others are called, if they are not found by their names, say
//! `OSB_BENCH_S5CMD`, `OSB_BENCH_RCLONE` and `OSB_BENCH_AWS`; `OSB_BENCH_DIRECTORY` says where the files
//! lie, and `OSB_BENCH_HUGE=1` adds 8 GiB, for which five times as much must be free there.

#[path = "../common/agent.rs"]
mod agent;
mod cases;
mod floor;
mod gathered;
mod jobs;
mod link;
#[path = "../common/machine.rs"]
mod machine;
mod measured;
#[path = "../common/own.rs"]
mod own;
mod place;
mod plot;
mod report;
#[path = "../common/series.rs"]
mod series;
mod store;
mod table;
mod tools;

use std::{fs, path::Path, process::ExitCode};

use cases::Bench;
use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", root] => store::serve(Path::new(root)),
        ["send", file, address] => floor::send(Path::new(file), address),
        ["receive", file, address] => floor::receive(Path::new(file), address),
        ["hash", file] => floor::hash(Path::new(file)),
        ["measure", result, command @ ..] => return measured::measure(Path::new(result), command),
        words if words.contains(&"--bench") => {
            let wanted: Vec<&str> = words.iter().copied().filter(|word| *word != "--bench").collect();
            measure(&wanted);
        }
        // All targets may be run as tests; this one measures, and tests nothing.
        _ => println!("run it by: cargo bench --bench transfers"),
    }
    ExitCode::SUCCESS
}

fn measure(wanted: &[&str]) {
    let is_wanted = |part: &str| wanted.is_empty() || wanted.contains(&part);
    let mut report = Report::begin();
    let bench = Bench::new(&mut report);
    // All takes a quarter of an hour and more: what is measured is written down at once.
    let keep = |report: &Report| {
        if wanted.is_empty() {
            write(report);
        }
    };
    if is_wanted("link") {
        bench.slow_link(&mut report);
        keep(&report);
    }
    if is_wanted("jobs") {
        bench.many_jobs(&mut report);
        keep(&report);
    }
    for size in cases::sizes() {
        if is_wanted(size.name) {
            bench.one_file(&size, &mut report);
            keep(&report);
        }
    }
    println!("\n{}", report.to_markdown());
}

fn write(report: &Report) {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    fs::write(results.join("transfers.md"), report.to_markdown()).expect("the results can be written");
    fs::write(results.join("transfers.svg"), plot::svg(report.tables())).expect("the plot can be written");
    println!("written to {}", results.display());
}
