//! How artifacts and objects are named.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::job::JobId;

/// What every artifact's name ends with, whatever the scripts put into the file.
const ENDING: &str = ".tar.gz";
/// The names of the original's first generation; also the default.
const SEED: &str = "{host}_{date}_{database}";
/// The names of its later generations.
const LATEST: &str = "{date}_{minute}_{host}_{database}";

/// How artifacts are named, parsed from the operator's `backup_name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Database,
    Date,
    Time,
    Minute,
    Id,
}

/// Text that cannot be a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// A placeholder that is none.
    #[error("has an unknown placeholder {{{0}}}; known are {{host}} {{database}} {{date}} {{time}} {{id}}")]
    UnknownPlaceholder(String),
    /// A brace without its partner.
    #[error("has a brace without its partner")]
    UnpairedBrace,
    /// Not a file name.
    #[error("must make a file name: not empty, without / and control characters, not beginning with . or -")]
    NoFileName,
}

impl Default for NamePattern {
    fn default() -> Self {
        Self::pieces(SEED).expect("the preset is a pattern")
    }
}

impl NamePattern {
    /// Parses `seed`, `latest`, or a pattern with `{host} {database} {date} {time} {id}`, where date
    /// is `YYYY_MM_DD` and time `HH_MM_SS`; a `.tar.gz` at its end may be left out.
    ///
    /// # Errors
    ///
    /// If it is neither, or would not make file names.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        match text {
            "seed" => Self::pieces(SEED),
            "latest" => Self::pieces(LATEST),
            _ if text.contains("{minute}") => Err(InvalidPattern::UnknownPlaceholder("minute".to_owned())),
            _ => {
                let stem = text.strip_suffix(ENDING).unwrap_or(text);
                if stem.is_empty()
                    || stem.starts_with(['.', '-'])
                    || stem.contains(|c: char| c == '/' || c.is_control())
                {
                    return Err(InvalidPattern::NoFileName);
                }
                Self::pieces(stem)
            }
        }
    }

    fn pieces(mut rest: &str) -> Result<Self, InvalidPattern> {
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (text, after) = rest.split_once('{').unwrap_or((rest, ""));
            if text.contains('}') {
                return Err(InvalidPattern::UnpairedBrace);
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            if text.len() == rest.len() {
                break;
            }
            let (placeholder, after) = after.split_once('}').ok_or(InvalidPattern::UnpairedBrace)?;
            pieces.push(match placeholder {
                "host" => Piece::Host,
                "database" => Piece::Database,
                "date" => Piece::Date,
                "time" => Piece::Time,
                "minute" => Piece::Minute,
                "id" => Piece::Id,
                unknown => return Err(InvalidPattern::UnknownPlaceholder(unknown.to_owned())),
            });
            rest = after;
        }
        Ok(Self(pieces))
    }

    /// The name of the artifact of a job that leaves the queue at `at`.
    #[must_use]
    pub fn name(&self, host: &str, database: &str, id: &JobId, at: DateTime<Utc>) -> ArtifactName {
        let stem = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Host => host.to_owned(),
                Piece::Database => database.to_owned(),
                Piece::Date => at.format("%Y_%m_%d").to_string(),
                Piece::Time => at.format("%H_%M_%S").to_string(),
                Piece::Minute => at.format("%H_%M").to_string(),
                Piece::Id => id.to_string(),
            })
            .collect();
        ArtifactName { stem }
    }
}

/// The name of a job's artifact, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactName {
    stem: String,
}

impl ArtifactName {
    /// A name that was made before and kept, by its [stem](Self::stem).
    #[must_use]
    pub fn from_stem(stem: String) -> Self {
        Self { stem }
    }

    /// The name without its ending, which some scripts get as an argument.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The name with its ending: the file that the backup script is to make.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}{ENDING}", self.stem)
    }
}

/// A file name without the ending of artifacts, if it has that.
#[must_use]
pub fn without_ending(file_name: &str) -> &str {
    file_name.strip_suffix(ENDING).unwrap_or(file_name)
}

/// The names that an object may get, the wished one first: `x.tar.gz`, `x_2.tar.gz`, `x_3.tar.gz` …
#[derive(Debug, Clone)]
pub struct ObjectNames {
    before: String,
    after: String,
}

impl ObjectNames {
    /// The names for a file that was found, in a job whose artifact has the name `name`.
    ///
    /// The number goes after the generated name, or before the last ending of a file that is not
    /// named after it.
    #[must_use]
    pub fn new(file_name: &str, name: &ArtifactName) -> Self {
        let (before, after) = match file_name.strip_prefix(name.stem()) {
            Some(after) => (name.stem(), after),
            None => match file_name.rfind('.') {
                Some(dot) if dot > 0 => file_name.split_at(dot),
                Some(_) | None => (file_name, ""),
            },
        };
        Self {
            before: before.to_owned(),
            after: after.to_owned(),
        }
    }

    /// The `n`th name, counted from 1.
    #[must_use]
    pub fn nth(&self, n: u32) -> String {
        let Self { before, after } = self;
        if n <= 1 {
            format!("{before}{after}")
        } else {
            format!("{before}_{n}{after}")
        }
    }
}

/// The full name of an object in its store: prefix and file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Puts the two together, character by character.
    #[must_use]
    pub fn new(prefix: &str, filename: &str) -> Self {
        Self(format!("{prefix}{filename}"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn name_by(pattern: &str) -> String {
        let at = Utc.with_ymd_and_hms(2018, 11, 6, 7, 5, 9).single().expect("a time");
        let id = JobId::parse("job-1").expect("an id");
        NamePattern::parse(pattern)
            .expect("a pattern")
            .name("10.0.0.1", "my db", &id, at)
            .file_name()
    }

    #[test]
    fn names_follow_the_pattern() {
        for (pattern, name) in [
            ("seed", "10.0.0.1_2018_11_06_my db.tar.gz"),
            ("latest", "2018_11_06_07_05_10.0.0.1_my db.tar.gz"),
            ("{database}-{id}", "my db-job-1.tar.gz"),
            ("{id}.tar.gz", "job-1.tar.gz"),
            ("a{date}T{time}b{id}", "a2018_11_06T07_05_09bjob-1.tar.gz"),
            ("{database}@{host}", "my db@10.0.0.1.tar.gz"),
            ("plain", "plain.tar.gz"),
        ] {
            assert_eq!(name_by(pattern), name, "{pattern}");
        }
        assert_eq!(NamePattern::default(), NamePattern::parse("seed").expect("a preset"));
    }

    #[test]
    fn what_makes_no_file_name_is_refused() {
        for (pattern, reason) in [
            ("", InvalidPattern::NoFileName),
            (".tar.gz", InvalidPattern::NoFileName),
            ("a/{id}", InvalidPattern::NoFileName),
            (".{id}", InvalidPattern::NoFileName),
            ("-{id}", InvalidPattern::NoFileName),
            ("a\n{id}", InvalidPattern::NoFileName),
            ("{id", InvalidPattern::UnpairedBrace),
            ("id}", InvalidPattern::UnpairedBrace),
            ("{id}}", InvalidPattern::UnpairedBrace),
            ("{user}", InvalidPattern::UnknownPlaceholder("user".to_owned())),
            ("{minute}", InvalidPattern::UnknownPlaceholder("minute".to_owned())),
            ("{}", InvalidPattern::UnknownPlaceholder(String::new())),
        ] {
            assert_eq!(NamePattern::parse(pattern), Err(reason), "{pattern:?}");
        }
    }

    #[test]
    fn a_taken_name_gets_a_number_in_the_right_place() {
        let id = JobId::parse("j").expect("an id");
        let name =
            NamePattern::parse("{host}_{database}")
                .expect("a pattern")
                .name("h", "db", &id, DateTime::UNIX_EPOCH);
        for (file, second) in [
            ("h_db.tar.gz", "h_db_2.tar.gz"),
            ("h_db", "h_db_2"),
            ("h_db.sql.gz.enc", "h_db_2.sql.gz.enc"),
            ("h_db-part.tar", "h_db_2-part.tar"),
            ("dump.sql", "dump_2.sql"),
            ("dump.tar.gz", "dump.tar_2.gz"),
            ("dump", "dump_2"),
        ] {
            let names = ObjectNames::new(file, &name);
            assert_eq!(names.nth(1), file);
            assert_eq!(names.nth(2), second);
            assert_eq!(names.nth(13), second.replace("_2", "_13"));
        }
    }
}
