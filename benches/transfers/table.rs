//! What was measured of several clients that did the same.

use crate::{
    measured::Cost,
    series::{MIDDLE, Series},
    tools::Direction,
};

pub(crate) const GIB: f64 = (1u64 << 30) as f64;
const MIB: f64 = (1u64 << 20) as f64;

/// The agent's name in tables.
pub(crate) const AGENT: &str = "agent";

/// One comparison.
#[derive(Debug)]
pub(crate) struct Table {
    /// What was moved.
    pub(crate) what: String,
    pub(crate) direction: Direction,
    /// The link between, if there was a slow one.
    pub(crate) link: Option<String>,
    /// All that each client moved in a round.
    pub(crate) bytes: u64,
    /// Whether all clients did it.
    pub(crate) is_race: bool,
    pub(crate) rows: Vec<Row>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) who: String,
    /// Whether it is another client, and not what none can do without.
    pub(crate) is_peer: bool,
    pub(crate) wall_s: Series,
    pub(crate) cpu_s: Series,
    pub(crate) cpu_s_per_gib: Series,
    pub(crate) peak_mib: Series,
}

impl Table {
    pub(crate) fn new(what: &str, direction: Direction, bytes: u64) -> Self {
        Self {
            what: what.to_owned(),
            direction,
            link: None,
            bytes,
            is_race: true,
            rows: Vec::new(),
        }
    }

    pub(crate) fn title(&self) -> String {
        let link = self.link.as_deref().unwrap_or_default();
        format!("{} {}{link}", self.what, self.direction.name())
    }

    /// Adds a round of a client.
    pub(crate) fn push(&mut self, who: &str, is_peer: bool, cost: Cost) {
        let gib = self.bytes as f64 / GIB;
        let row = self.row(who, is_peer);
        row.wall_s.push(cost.wall_s);
        row.cpu_s.push(cost.cpu_s);
        row.cpu_s_per_gib.push(cost.cpu_s / gib);
        row.peak_mib.push(cost.peak_bytes / MIB);
    }

    /// Adds a time alone.
    pub(crate) fn push_wall(&mut self, who: &str, wall_s: f64) {
        self.row(who, false).wall_s.push(wall_s);
    }

    fn row(&mut self, who: &str, is_peer: bool) -> &mut Row {
        let index = self.rows.iter().position(|row| row.who == who);
        let index = index.unwrap_or_else(|| {
            self.rows.push(Row {
                who: who.to_owned(),
                is_peer,
                wall_s: Series::default(),
                cpu_s: Series::default(),
                cpu_s_per_gib: Series::default(),
                peak_mib: Series::default(),
            });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    pub(crate) fn agent(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_agent())
    }

    /// The other client that was the fastest by its median.
    pub(crate) fn fastest_peer(&self) -> Option<&Row> {
        let peers = self.rows.iter().filter(|row| row.is_peer);
        peers.min_by(|a, b| a.wall_s.at(MIDDLE).total_cmp(&b.wall_s.at(MIDDLE)))
    }
}

impl Row {
    pub(crate) fn is_agent(&self) -> bool {
        self.who.starts_with(AGENT)
    }
}
