//! The labels of databases, of which there are only so many: each is kept by Prometheus for ever.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

/// So many databases have labels of their own. A machine seldom has more than a few.
pub(super) const MOST: usize = 100;
/// The label of all others.
pub(super) const OTHERS: &str = "_other";
/// The most of a name that becomes a label, in characters.
const LONGEST: usize = 200;

/// The databases that have labels of their own.
#[derive(Debug, Default)]
pub(super) struct Databases {
    /// With when its newest artifact was made.
    known: HashMap<Labels, Option<DateTime<Utc>>>,
}

/// Host and database.
type Labels = (String, String);

impl Databases {
    /// The labels of a database: its own, as long as there is room for more, and then those of all others.
    pub(super) fn labels(&mut self, host: &str, database: &str) -> Labels {
        let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
        let labels = (short(host), short(database));
        if self.known.contains_key(&labels) {
            return labels;
        }
        if self.known.len() >= MOST {
            return (OTHERS.to_owned(), OTHERS.to_owned());
        }
        self.known.insert(labels.clone(), None);
        labels
    }

    /// Whether no artifact of this database is newer; from then on this one is the newest.
    pub(super) fn is_newest_artifact(&mut self, host: &str, database: &str, at: DateTime<Utc>) -> bool {
        // That of all others is among the known ones only here, beyond their number.
        let newest = self.known.entry((host.to_owned(), database.to_owned())).or_default();
        let is_newest = newest.is_none_or(|known| known <= at);
        if is_newest {
            *newest = Some(at);
        }
        is_newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_have_labels_of_their_own_and_all_others_share_one() {
        let mut databases = Databases::default();
        for number in 0..MOST {
            let name = number.to_string();
            assert_eq!(databases.labels("h", &name), ("h".to_owned(), name));
        }
        let others = (OTHERS.to_owned(), OTHERS.to_owned());
        for name in ["one more", "and one"] {
            assert_eq!(databases.labels("h", name), others);
        }
        assert_eq!(databases.labels("h", "7"), ("h".to_owned(), "7".to_owned()));
        // Whoever is told of an artifact of the others does not make room for one more.
        assert!(databases.is_newest_artifact(OTHERS, OTHERS, DateTime::UNIX_EPOCH));
        assert_eq!(databases.labels("h", "one more"), others);
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut databases = Databases::default();
        let (host, _) = databases.labels(&"ä".repeat(1_000_000), "db");
        assert_eq!(host, "ä".repeat(LONGEST));
    }
}
