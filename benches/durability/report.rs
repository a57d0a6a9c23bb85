//! The table of the results.

use std::fmt::Write;

use crate::{machine, series::Series};

/// What was measured so far.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    load_before: String,
}

#[derive(Debug)]
struct Row {
    what: String,
    files: String,
    beside: String,
    ratio: String,
}

impl Report {
    /// To be called before anything is measured.
    pub(crate) fn begin() -> Self {
        Self {
            rows: Vec::new(),
            load_before: machine::load(),
        }
    }

    /// Adds what was measured with the records in files, what was measured beside it, and their
    /// ratio, round by round.
    pub(crate) fn add(&mut self, what: &str, files: &Series, beside: &Series, decimals: usize) {
        let row = Row {
            what: what.to_owned(),
            files: files.text(decimals),
            beside: beside.text(decimals),
            ratio: files.over(beside).text(2),
        };
        println!("{what}: {} | {} | {}", row.files, row.beside, row.ratio);
        self.rows.push(row);
    }

    /// Adds what has nothing to be compared with.
    pub(crate) fn add_alone(&mut self, what: &str, measured: &Series, decimals: usize) {
        println!("{what}: {}", measured.text(decimals));
        self.rows.push(Row {
            what: what.to_owned(),
            files: String::new(),
            beside: measured.text(decimals),
            ratio: String::new(),
        });
    }

    /// The whole file.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(HEAD);
        text.push_str(&machine::description(&self.load_before));
        text.push_str(LEGEND);
        for Row {
            what,
            files,
            beside,
            ratio,
        } in &self.rows
        {
            // A string takes all that is written to it.
            let _ = writeln!(text, "| {what} | {files} | {beside} | {ratio} |");
        }
        text.push_str(NOTES);
        text
    }
}

const HEAD: &str = "# What durability costs\n\nWritten by `cargo bench --bench durability`.\n\n";

const LEGEND: &str = "\nEvery cell is least / **median** / greatest of the rounds. The two sides are measured in turns \
within one run, and the ratio is that of neighbours.\n\n\
| what | files | beside it | ratio |\n|---|---|---|---|\n";

const NOTES: &str = "\n\
- *files* is the job store of the agent. Beside it stands the same with the jobs in memory alone; for the start, \
the same with an empty state directory.\n\
- The client is the process of the benchmark: one thread, raw TCP, requests prepared, of answers only the status and \
the length are looked at. The agent is a process of its own, built of the same parts as the real one, without a log; \
for the start it is the real binary. Both share the cores, so the rates are those of agent and client together. The \
row of the fixed answer tells what the client gets out of a server that only writes the same bytes.\n\
- Jobs are `skip_storage` jobs whose scripts are empty files: five starts of bash for a backup, four for a restore. \
They are all sent at once; 10 are at work at a time.\n\
- The ids of `GET` are random ones of 10,000 finished jobs, over 16 connections that are kept. The first round does \
not count: after it the agent holds in memory what clients see of these jobs (22 MiB at most), as it does of those that \
are really polled. For the row of what was not asked for, the agent is started anew each time, asked for 0.3 s, and \
reads a record for nearly every answer; the ratio is to the same memory as above.\n\
- Starting is measured from the start of the process until it tells its address and takes a connection.\n\
- Memory is VmRSS with 10,000 finished jobs minus VmRSS with none, after the same number of `GET`s, divided by 10,000.\n\
- The original agent, on a machine of this class, but measured earlier and by another client: 38,000 `GET`/s with a \
p99 of 6.6 ms, started in 8 ms; it forgot all \
jobs when it ended.\n";
