//! What is measured.

use std::{fs, path::Path, process::Command};

use crate::{
    floor,
    jobs::{Jobs, Work},
    link, measured, own,
    place::{self, Artifact, Place},
    report::Report,
    store::Store,
    table::{AGENT, Table},
    tools::{self, Direction, Tool},
};

const MIB: u64 = 1 << 20;
/// Jobs at a time, and rounds of them.
const JOBS: [(usize, usize); 3] = [(1, 3), (4, 3), (16, 1)];
/// The size of each one's artifact.
const JOB_BYTES: u64 = 256 * MIB;
const LINK_BYTES: u64 = 128 * MIB;
const LINK_MIB_PER_SECOND: u64 = 50;
const LINK_ROUNDS: usize = 3;

/// A size of files.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    text: &'static str,
    bytes: u64,
    rounds: usize,
}

/// All sizes that are wanted, the least first.
pub(crate) fn sizes() -> Vec<Size> {
    let size = |name, text, bytes, rounds| Size {
        name,
        text,
        bytes,
        rounds,
    };
    let mut sizes = vec![
        size("small", "1 MiB", MIB, 5),
        size("middle", "256 MiB", 256 * MIB, 3),
        size("large", "2 GiB", 2048 * MIB, 3),
    ];
    if std::env::var_os("OSB_BENCH_HUGE").is_some() {
        sizes.push(size("huge", "8 GiB", 8192 * MIB, 1));
    }
    sizes
}

/// All that is needed to measure.
#[derive(Debug)]
pub(crate) struct Bench {
    // Ends before the place in which it works.
    store: Store,
    place: Place,
    tools: Vec<Tool>,
}

impl Bench {
    pub(crate) fn new(report: &mut Report) -> Self {
        let (tools, left_out) = tools::find();
        // The file, the object to fetch, an object in its parts and as a whole, and what is fetched.
        let largest = sizes().last().map_or(0, |size| size.bytes);
        let place = Place::new(5 * largest.max(JOB_BYTES * 8));
        let store = Store::start(&place.path().join("store"));
        report.tell_of(&tools, &left_out, &place.file_system());
        Self { store, place, tools }
    }

    /// One file up, then down, by all clients in turns.
    pub(crate) fn one_file(&self, size: &Size, report: &mut Report) {
        let artifact = self.place.artifact(size.bytes);
        let endpoint = format!("http://{}", self.store.address);
        let tables = Direction::BOTH.map(|direction| Table::new(size.text, direction, artifact.bytes));
        let [up, down] = self.race(tables, &artifact, &endpoint, size.rounds);
        report.add(self.with_floor(up, &artifact, size.rounds));
        report.add(self.with_floor(down, &artifact, size.rounds));
    }

    /// The same over a link that is slower than all of them.
    pub(crate) fn slow_link(&self, report: &mut Report) {
        let artifact = self.place.artifact(LINK_BYTES);
        let bytes_per_second = (LINK_MIB_PER_SECOND * MIB) as f64;
        let endpoint = format!("http://{}", link::start(self.store.address, bytes_per_second));
        let tables = Direction::BOTH.map(|direction| {
            let mut table = Table::new("128 MiB", direction, artifact.bytes);
            table.link = Some(format!(", over a link of {LINK_MIB_PER_SECOND} MiB/s"));
            table
        });
        for table in self.race(tables, &artifact, &endpoint, LINK_ROUNDS) {
            report.add(table);
        }
    }

    fn race(&self, tables: [Table; 2], artifact: &Artifact, endpoint: &str, rounds: usize) -> [Table; 2] {
        let [mut up, mut down] = tables;
        let work = |direction, key| Work {
            direction,
            key,
            artifact,
            endpoint,
            count: 1,
        };
        // The object that all fetch. The store has made it, so it knows the ETag without a look.
        let made = work(Direction::Up, "fetched").run(self.place.path());
        let fetched = made.keys.concat();
        for round in 0..rounds {
            for client in self.clients(round) {
                let Some(tool) = client else {
                    let jobs = work(Direction::Up, "by-agent").run(self.place.path());
                    push_jobs(&mut up, &jobs);
                    self.remove_all(&jobs);
                    continue;
                };
                let key = format!("by-{}", tool.name());
                let command = tool.command(Direction::Up, endpoint, &artifact.path, &key);
                up.push(tool.name(), true, measured::run(&command, self.place.path()));
                self.check(&self.store.path(&key), artifact);
            }
            for client in self.clients(round) {
                let Some(tool) = client else {
                    push_jobs(&mut down, &work(Direction::Down, &fetched).run(self.place.path()));
                    continue;
                };
                let file = self.place.path().join("fetched");
                let command = tool.command(Direction::Down, endpoint, &file, &fetched);
                down.push(tool.name(), true, measured::run(&command, self.place.path()));
                self.check(&file, artifact);
            }
        }
        self.remove_all(&made);
        [up, down]
    }

    /// The agent, which is none of the tools, and all others, another one first in each round: what was
    /// done before is not the same for all.
    fn clients(&self, round: usize) -> impl Iterator<Item = Option<&Tool>> {
        let count = self.tools.len() + 1;
        let all = move |index: usize| self.tools.get((round + index) % count);
        (0..count).map(all)
    }

    fn with_floor(&self, mut table: Table, artifact: &Artifact, rounds: usize) -> Table {
        let own = |word: &str| {
            let mut command = Command::new(own::path());
            command.arg(word);
            command
        };
        let fetched = self.place.path().join("fetched");
        for _ in 0..rounds {
            let (who, command) = match table.direction {
                Direction::Up => {
                    let mut send = own("send");
                    send.arg(&artifact.path).arg(floor::sink().to_string());
                    ("a plain socket", send)
                }
                Direction::Down => {
                    let mut receive = own("receive");
                    receive.arg(&fetched).arg(floor::source(&artifact.path).to_string());
                    ("a plain socket into a file", receive)
                }
            };
            table.push(who, false, measured::run(&command, self.place.path()));
            if table.direction == Direction::Down {
                self.check(&fetched, artifact);
            }
            let mut hash = own("hash");
            hash.arg(&artifact.path);
            table.push(
                "SHA-256 once, no transfer",
                false,
                measured::run(&hash, self.place.path()),
            );
        }
        table
    }

    /// Many jobs of one agent at a time.
    pub(crate) fn many_jobs(&self, report: &mut Report) {
        let artifact = self.place.artifact(JOB_BYTES);
        let endpoint = format!("http://{}", self.store.address);
        for direction in Direction::BOTH {
            for (count, rounds) in JOBS {
                let what = format!("{count} × 256 MiB");
                let mut table = Table::new(&what, direction, artifact.bytes * count as u64);
                table.is_race = false;
                let work = |direction, key, count| Work {
                    direction,
                    key,
                    artifact: &artifact,
                    endpoint: &endpoint,
                    count,
                };
                let made = work(Direction::Up, "fetched", 1).run(self.place.path());
                let key = made.keys.concat();
                for _ in 0..rounds {
                    let jobs = work(direction, &key, count).run(self.place.path());
                    table.push(AGENT, false, jobs.cost);
                    if direction == Direction::Up {
                        self.remove_all(&jobs);
                    }
                }
                self.remove_all(&made);
                report.add(table);
            }
        }
    }

    fn remove_all(&self, jobs: &Jobs) {
        jobs.keys.iter().for_each(|key| place::remove(&self.store.path(key)));
    }

    /// Sees to it that the whole file is there, and removes it.
    fn check(&self, path: &Path, artifact: &Artifact) {
        let length = fs::metadata(path).map(|metadata| metadata.len());
        assert_eq!(length.ok(), Some(artifact.bytes), "{}", path.display());
        place::remove(path);
    }
}

fn push_jobs(table: &mut Table, jobs: &Jobs) {
    table.push(&format!("{AGENT}, the whole job"), false, jobs.cost);
    table.push_wall("its transfer alone", jobs.transfer_s);
}
