//! What stands behind the `?` of a URL.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    job::{JobId, JobKey, Outcome},
    plan::JobKind,
    ports::{JobQuery, PageQuery, Place, Standing},
};
use url::form_urlencoded;

use super::operation::{Form, Parameter};

/// Nobody waits longer: whoever is between client and agent would take the connection for dead.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many jobs a page has where nobody says.
const USUAL_LIMIT: usize = 50;
/// The most jobs of a page.
const HIGHEST_LIMIT: usize = 500;

/// A place of the list, as one word that needs no escapes: nanoseconds since 1970, kind and id.
const CURSOR: &str = r"^-?[0-8]?[0-9]{1,18}\.(?:backup|restore)\.[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}$";

/// What a poll takes.
pub(super) const OF_POLL: &[Parameter] = &[Parameter {
    name: "wait",
    form: Form::Pattern("^[0-9]{1,6}(?:ms|s|m)?$"),
    tells: "Answer at the next change of state, at the job's end, or after this time, whichever comes first: 30s, \
            1m. At most a minute is waited; a number alone means seconds.",
}];

/// What the list of jobs takes.
pub(super) const OF_LIST: &[Parameter] = &[
    Parameter {
        name: "kind",
        form: Form::OneOf(&["backup", "restore"]),
        tells: "Jobs of this kind alone.",
    },
    Parameter {
        name: "status",
        form: Form::OneOf(&["RUNNING", "SUCCEEDED", "FAILED"]),
        tells: "Jobs of this status alone.",
    },
    Parameter {
        name: "outcome",
        form: Form::OneOf(&["succeeded", "failed", "cancelled", "interrupted"]),
        tells: "Jobs that ended so.",
    },
    Parameter {
        name: "database",
        form: Form::Any,
        tells: "Jobs of this database alone, on whatever host.",
    },
    Parameter {
        name: "since",
        form: Form::Time,
        tells: "Jobs that were accepted then or later.",
    },
    Parameter {
        name: "until",
        form: Form::Time,
        tells: "Jobs that were accepted before.",
    },
    Parameter {
        name: "limit",
        form: Form::UpTo(HIGHEST_LIMIT),
        tells: "At most so many jobs; 50 if it is absent.",
    },
    Parameter {
        name: "cursor",
        form: Form::Pattern(CURSOR),
        tells: "The next of the answer before: the jobs behind those. With the same filters.",
    },
];

/// How long a poll is to wait; not at all if it does not say.
///
/// # Errors
///
/// If it says something else than a time.
pub(super) fn wait(query: &str) -> Result<Option<Duration>, String> {
    let given = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "wait");
    // Of two of one name the last counts, as in bodies.
    let Some((_, text)) = given.last() else {
        return Ok(None);
    };
    let wrong = || format!("wait must be a time like 30s or 1m, but is {text:?}");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    Ok(Some(Duration::from_millis(number.saturating_mul(ms)).min(LONGEST_WAIT)))
}

/// Which jobs are to be listed.
///
/// # Errors
///
/// With all that is wrong. A filter that is not understood must not be passed over: the answer would
/// be of other jobs than those that were asked about.
pub(super) fn page(query: &str) -> Result<PageQuery, String> {
    let (mut jobs, mut after, mut most) = (JobQuery::default(), None, USUAL_LIMIT);
    let mut faults = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let read = match &*name {
            "kind" => one_of(JobKind::ALL, JobKind::as_str, &value).map(|kind| jobs.kind = Some(kind)),
            "status" => one_of(Standing::ALL, Standing::as_str, &value).map(|status| jobs.standing = Some(status)),
            "outcome" => one_of(Outcome::ALL, Outcome::as_str, &value).map(|outcome| jobs.outcome = Some(outcome)),
            "database" => {
                jobs.database = Some(value.into_owned());
                Ok(())
            }
            "since" => time(&value).map(|at| jobs.since = Some(at)),
            "until" => time(&value).map(|at| jobs.until = Some(at)),
            "limit" => limit(&value).map(|limit| most = limit),
            "cursor" => place(&value).map(|place| after = Some(place)),
            _ => Err("is no parameter of this path".to_owned()),
        };
        if let Err(problem) = read {
            faults.push(format!("{name} {problem}"));
        }
    }
    match faults.is_empty() {
        true => Ok(PageQuery { jobs, after, most }),
        false => Err(faults.join("; ")),
    }
}

fn one_of<T: Copy, const N: usize>(all: [T; N], word: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let found = all.into_iter().find(|known| word(*known).eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("must be one of {}", all.map(word).join(", ")))
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    // A plus that was not escaped has become a space.
    let parsed = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc3339(&text.replace(' ', "+")));
    parsed
        .map(|at| at.to_utc())
        .map_err(|_| "must be a time like 2026-01-31T08:00:00Z".to_owned())
}

fn limit(text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|limit| (1..=HIGHEST_LIMIT).contains(limit));
    parsed.ok_or_else(|| format!("must be a number from 1 to {HIGHEST_LIMIT}"))
}

/// What clients get as a cursor, and give back as it is.
pub(super) fn cursor(place: &Place) -> String {
    let Place { accepted_at, key } = place;
    // The clock would have to be wrong by centuries.
    let nanoseconds = accepted_at.timestamp_nanos_opt().unwrap_or_default();
    format!("{nanoseconds}.{}.{}", key.kind, key.id)
}

fn place(cursor: &str) -> Result<Place, String> {
    let read = || {
        let mut parts = cursor.splitn(3, '.');
        let accepted_at = DateTime::from_timestamp_nanos(parts.next()?.parse().ok()?);
        let kind = one_of(JobKind::ALL, JobKind::as_str, parts.next()?).ok()?;
        let id = JobId::parse(parts.next()?).ok()?;
        let key = JobKey::new(kind, id);
        Some(Place { accepted_at, key })
    };
    read().ok_or_else(|| "must be the next of an answer, as it was".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_and_bounded() {
        let seconds = Duration::from_secs;
        for (query, expected) in [
            ("", None),
            ("x=1", None),
            ("wait=30s", Some(seconds(30))),
            ("wait=30", Some(seconds(30))),
            ("wait=0", Some(seconds(0))),
            ("wait=1m", Some(seconds(60))),
            ("wait=250ms", Some(Duration::from_millis(250))),
            ("wait=2m", Some(seconds(60))),
            ("wait=18446744073709551615m", Some(seconds(60))),
            ("wait=1s&x&wait=2s", Some(seconds(2))),
        ] {
            assert_eq!(wait(query), Ok(expected), "{query}");
        }
        for query in [
            "wait=",
            "wait",
            "wait=s",
            "wait=-1s",
            "wait=1h",
            "wait=1.5s",
            "wait=99999999999999999999",
        ] {
            assert!(wait(query).is_err(), "{query}");
        }
    }

    #[test]
    fn filters_are_read() {
        let at = |text: &str| Some(DateTime::parse_from_rfc3339(text).expect("a time").to_utc());
        let all = page(
            "kind=backup&status=failed&outcome=cancelled&database=my+db%2B&since=2026-01-31T08:00:00Z\
             &until=2026-01-31T10:00:00+01:00&limit=7",
        );
        let expected = JobQuery {
            kind: Some(JobKind::Backup),
            standing: Some(Standing::Failed),
            outcome: Some(Outcome::Cancelled),
            database: Some("my db+".to_owned()),
            since: at("2026-01-31T08:00:00Z"),
            until: at("2026-01-31T09:00:00Z"),
        };
        let read = all.expect("no faults");
        assert_eq!((read.jobs, read.most, read.after), (expected, 7, None));
        assert_eq!(page("").expect("no faults").most, USUAL_LIMIT);
    }

    #[test]
    fn what_is_not_understood_is_refused_all_at_once() {
        let text = page("kinds=backup&limit=0&since=yesterday&status=DONE&cursor=x").expect_err("faults");
        for name in [
            "kinds is no parameter",
            "limit must",
            "since must",
            "status must be one of RUNNING",
            "cursor",
        ] {
            assert!(text.contains(name), "{name}: {text}");
        }
        assert!(page("limit=501").is_err());
        assert!(page("limit=500").is_ok());
    }

    #[test]
    fn cursors_lead_back_to_their_places_and_need_no_escapes() {
        let accepted_at = DateTime::from_timestamp(1_541_523_939, 123_456_789).expect("a time");
        for kind in JobKind::ALL {
            let id = JobId::parse("_a.b~c-d").expect("an id");
            let place = Place {
                accepted_at,
                key: JobKey::new(kind, id),
            };
            let text = cursor(&place);
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)),
                "{text}"
            );
            let read = page(&format!("cursor={text}")).expect("no faults");
            assert_eq!(read.after, Some(place));
        }
    }

    #[test]
    fn every_parameter_that_is_told_is_taken() {
        for parameter in OF_LIST {
            let text = page(&format!("{}=%00", parameter.name)).err().unwrap_or_default();
            assert!(!text.contains("is no parameter"), "{text}");
        }
    }
}
