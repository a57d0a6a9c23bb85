//! Refused logins: the first from an address has a line at once, the others are counted, and told
//! after a pause, which grows while they go on.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use domain::ports::{Actor, AuditEntry};

use super::line::Line;

/// The first pause.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: whoever goes on for days fills no disk.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many addresses have lines of their own at a time; all others are counted together.
const MAX_ADDRESSES: usize = 16;

/// What is counted at present.
#[derive(Debug)]
pub(super) struct Flood {
    addresses: HashMap<Option<IpAddr>, Counted>,
    others: Counted,
    pause: Duration,
    /// Whether somebody comes for what is counted.
    is_awaited: bool,
}

#[derive(Debug, Default)]
struct Counted {
    count: u64,
    last: Option<AuditEntry>,
}

impl Counted {
    fn add(&mut self, entry: AuditEntry) {
        self.count += 1;
        self.last = Some(entry);
    }

    fn take_line(&mut self) -> Option<Line> {
        let count = std::mem::take(&mut self.count);
        let mut line = Line::of(&self.last.take()?);
        line.count = Some(count);
        Some(line)
    }
}

impl Default for Flood {
    fn default() -> Self {
        Self {
            addresses: HashMap::new(),
            others: Counted::default(),
            pause: SHORTEST_PAUSE,
            is_awaited: false,
        }
    }
}

impl Flood {
    /// The line to write at once, if any; and whether somebody must come after the shortest pause for
    /// what is counted from now on.
    pub(super) fn refused(&mut self, entry: AuditEntry) -> (Option<Line>, bool) {
        let key = network_of(&entry.actor);
        let has_place = self.addresses.len() < MAX_ADDRESSES;
        let line = match self.addresses.get_mut(&key) {
            Some(counted) => {
                counted.add(entry);
                None
            }
            None if has_place => {
                self.addresses.insert(key, Counted::default());
                Some(Line::of(&entry))
            }
            None => {
                self.others.add(entry);
                None
            }
        };
        let begins = !std::mem::replace(&mut self.is_awaited, true);
        (line, begins)
    }

    /// Lines of what was counted; and how long to count now, none if nothing was counted.
    pub(super) fn counted(&mut self) -> (Vec<Line>, Option<Duration>) {
        let mut lines = Vec::new();
        self.addresses.retain(|_, counted| {
            let line = counted.take_line();
            let goes_on = line.is_some();
            lines.extend(line);
            goes_on
        });
        if let Some(mut line) = self.others.take_line() {
            line.user = None;
            line.address = Some("others".to_owned());
            lines.push(line);
        }
        if lines.is_empty() {
            *self = Self::default();
            return (lines, None);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        (lines, Some(self.pause))
    }
}

/// What one attacker has of addresses: one of IPv4, or a network of IPv6.
fn network_of(actor: &Actor) -> Option<IpAddr> {
    match actor {
        Actor::Caller { address, .. } => address.map(|address| match address.ip().to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
        }),
        Actor::Process { .. } => None,
    }
}
