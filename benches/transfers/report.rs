//! The text of the results.

use std::fmt::Write;

use crate::{
    machine,
    series::MIDDLE,
    table::Table,
    tools::{Direction, Tool},
};

/// Below this a rate per GiB says nothing.
const LEAST_FOR_RATES: u64 = 16 << 20;
/// What one transfer may take of the processors, in seconds per GiB.
const MOST_CPU: [(Direction, f64); 2] = [(Direction::Up, 1.8), (Direction::Down, 1.7)];
/// What the agent may need at its peak, in MiB.
const MOST_MEMORY: f64 = 48.0;

/// What was measured so far.
#[derive(Debug)]
pub(crate) struct Report {
    tables: Vec<Table>,
    beside: Vec<String>,
    file_system: String,
    load_before: String,
}

impl Report {
    /// To be called before anything is measured.
    pub(crate) fn begin() -> Self {
        Self {
            tables: Vec::new(),
            beside: Vec::new(),
            file_system: String::new(),
            load_before: machine::load(),
        }
    }

    /// Says with whom the agent is compared, and where the files are.
    pub(crate) fn tell_of(&mut self, tools: &[Tool], left_out: &[String], file_system: &str) {
        let there = tools.iter().map(|tool| format!("{} {}", tool.name(), tool.version));
        self.beside.extend(there);
        self.beside
            .extend(left_out.iter().map(|why| format!("**left out**, {why}")));
        file_system.clone_into(&mut self.file_system);
    }

    pub(crate) fn add(&mut self, table: Table) {
        println!("{}", text_of(&table));
        self.tables.push(table);
    }

    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The whole file.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(HEAD);
        text.push_str(&machine::description(&self.load_before));
        // A string takes all that is written to it.
        let _ = writeln!(text, "| files | {} |", self.file_system);
        let _ = writeln!(text, "| beside the agent | {} |", self.beside.join("; "));
        text.push_str(&self.aims());
        text.push_str("\nEvery cell is least / **median** / greatest of the rounds.\n");
        for table in &self.tables {
            text.push_str(&text_of(table));
        }
        text.push_str(NOTES);
        text
    }

    /// What was to be reached, and whether it was; of the largest file that was moved.
    fn aims(&self) -> String {
        let mut text = String::from("\n| aim | measured | |\n|---|---|---|\n");
        let mut aim = |what: String, value: f64, most: f64| {
            let verdict = if value <= most { "reached" } else { "**missed**" };
            let _ = writeln!(text, "| {what} | {value:.2} | {verdict} |");
        };
        for (direction, most) in MOST_CPU {
            let races = self.tables.iter().filter(|table| table.is_race && table.link.is_none());
            let largest = races
                .filter(|table| table.direction == direction)
                .max_by_key(|table| table.bytes);
            let Some((table, agent)) = largest.and_then(|table| Some((table, table.agent()?))) else {
                continue;
            };
            let rate = agent.cpu_s_per_gib.at(MIDDLE);
            aim(
                format!("{}: CPU seconds per GiB, at most {most}", table.title()),
                rate,
                most,
            );
            if let Some(peer) = table.fastest_peer() {
                let ratio = agent.wall_s.over(&peer.wall_s).at(MIDDLE);
                aim(
                    format!("{}: wall as a multiple of {}'s, at most 1", table.title(), peer.who),
                    ratio,
                    1.0,
                );
            }
        }
        let peaks = self.tables.iter().filter_map(Table::agent);
        let peak = peaks.map(|agent| agent.peak_mib.at(1.0)).fold(0.0, f64::max);
        aim(
            format!("the agent's peak memory in all rounds, MiB, at most {MOST_MEMORY}"),
            peak,
            MOST_MEMORY,
        );
        text
    }
}

fn text_of(table: &Table) -> String {
    let mut text = format!("\n## {}\n\n", table.title());
    text.push_str("| who | wall, s | CPU, s | CPU, s per GiB | peak memory, MiB |\n|---|---|---|---|---|\n");
    for row in &table.rows {
        let rate = match table.bytes < LEAST_FOR_RATES {
            true => String::new(),
            false => row.cpu_s_per_gib.text(2),
        };
        // A string takes all that is written to it.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {rate} | {} |",
            row.who,
            row.wall_s.text(2),
            row.cpu_s.text(2),
            row.peak_mib.text(1),
        );
    }
    text
}

const HEAD: &str = "# What transfers cost\n\nWritten by `cargo bench --bench transfers`.\n\n\
![wall time, CPU time and memory of the largest file](transfers.svg)\n\n";

const NOTES: &str = "\n\
- All clients move the same file of random bytes to and from the same store, in turns, round after round, of which \
each begins with another one; each is started for each transfer, the agent too. The store is `s3s-fs` in a process of \
its own, over plain HTTP on loopback, and shares the cores with the client: wall times are those of both together.\n\
- Where the files lie in memory (tmpfs), no disk is measured, and syncing costs nothing. Elsewhere the agent's restores \
wait for the disk, and nobody else's do.\n\
- CPU is user and system time of the client alone, with all processes that it starts; for the agent the scripts' too: \
five starts of bash for a backup, four for a restore. The kernel counts the agent's in units of 10 ms. Peak memory is \
that of the client's largest process.\n\
- The agent's backup is a job whose script puts the artifact there as a hard link. The whole job is from the request to \
its end, with all scripts; its transfer alone is from the end of the script before it to the beginning of the script \
after it.\n\
- The agent hashes (SHA-256) what it sends, and over plain HTTP signs every byte, which is a second SHA-256. It hashes \
what it fetches, and compares it with the digest that the request names. The others run with their own defaults: \
none of them has a digest of the whole to check a download by.\n\
- The plain socket is a process that reads the file and writes it to one that throws it away; the other way, one that \
reads what such a process sends in large pieces, and writes the file. `s3s-fs` reads 4 KiB \
at a time, which are put together to 256 KiB before they are sent, as other stores do. A file's fresh pages cost much on a virtual machine that must ask its host for them.\n";
