//! A job as a file: a line for what was accepted, and one for each event.
//!
//! Each line is `<8 hex digits> <JSON>`, the digits being the beginning of the SHA-256 of the JSON.

use std::fmt::Write;

use domain::{
    job::{Job, JobEvent, JobId, JobKey},
    plan::JobKind,
    request::JobRequest,
};
use ring::digest::{SHA256, digest};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    seal::SealKey,
    stored::{
        StoredAcceptance, StoredEntry, StoredEvent, StoredHeader, StoredRequest, StoredVersion, VERSION,
        time_from_text, time_to_text,
    },
};

/// An event, and when it was.
type Entry = (chrono::DateTime<chrono::Utc>, JobEvent);

const DIGITS: usize = 8;
/// More than nearly all requests take.
const ROOM_FOR_SECRETS: usize = 16 * 1024;

/// What a record is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    /// An unsettled job, whose secrets are encrypted. Its last line may be torn.
    Open(&'a SealKey),
    /// A settled job, without secrets.
    Finished,
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) job: Job,
    /// The length of its whole lines: what follows was never acknowledged.
    pub(super) sound_bytes: u64,
}

/// The file name of a job's record.
pub(super) fn file_name(key: &JobKey) -> String {
    format!("{}.{}", key.kind, key.id)
}

/// The job whose record has this file name.
pub(super) fn key_of(file_name: &str) -> Option<JobKey> {
    let (kind, id) = file_name.split_once('.')?;
    let kind = JobKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    Some(JobKey::new(kind, JobId::parse(id).ok()?))
}

/// The whole record.
pub(super) fn encode(job: &Job, form: Form<'_>) -> Result<Vec<u8>, String> {
    let sealed = match form {
        Form::Open(key) => {
            let plain = to_secret_json(&StoredRequest::from(job.request()))?;
            Some(key.seal(&file_name(&job.key()), plain)?)
        }
        Form::Finished => None,
    };
    let header = StoredHeader {
        version: VERSION,
        accepted_at: time_to_text(job.accepted_at()),
        policy: job.policy().into(),
        request: (&job.request().clone().without_secrets()).into(),
        sealed,
    };
    let mut record = Vec::new();
    push_line(&mut record, &to_json(&header)?);
    record.append(&mut encode_events(job.events())?);
    Ok(record)
}

/// The lines of some events.
pub(super) fn encode_events(events: &[Entry]) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    for (at, event) in events {
        let entry = StoredEntry {
            at: time_to_text(*at),
            event: StoredEvent::from(event),
        };
        push_line(&mut lines, &to_json(&entry)?);
    }
    Ok(lines)
}

/// When the job was accepted whose record begins with this line.
pub(super) fn accepted_at(first_line: &[u8]) -> Result<chrono::DateTime<chrono::Utc>, String> {
    let StoredAcceptance { accepted_at } = from_json(checked(without_newline(first_line))?)?;
    time_from_text(&accepted_at)
}

/// Reads the record of `key`; an error says what is damaged.
pub(super) fn decode(bytes: &[u8], key: &JobKey, form: Form<'_>) -> Result<Record, String> {
    let sound = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let (whole, tail) = bytes.split_at(sound);
    refuse_damaged_tail(tail, form)?;
    let mut lines = whole.split_inclusive(|byte| *byte == b'\n');
    let header = lines.next().ok_or("its first line is not complete")?;
    let header = checked(without_newline(header)).map_err(|error| format!("line 1: {error}"))?;
    let StoredVersion { version } = from_json(header)?;
    if version != VERSION {
        return Err(format!("it has the version {version}; this agent reads {VERSION}"));
    }
    let header: StoredHeader = from_json(header)?;
    let request = match (form, header.sealed) {
        (Form::Open(seal), Some(sealed)) => from_json(&seal.open(&file_name(key), &sealed)?)?,
        (Form::Finished, None) => header.request,
        (Form::Open(_), None) => return Err("it has no encrypted request".to_owned()),
        (Form::Finished, Some(_)) => return Err("it still has an encrypted request".to_owned()),
    };
    let request = JobRequest::try_from(request)?;
    let mut events = Vec::new();
    for (index, line) in lines.enumerate() {
        let event = entry(without_newline(line)).map_err(|error| format!("line {}: {error}", index + 2))?;
        events.push(event);
    }
    let accepted_at = time_from_text(&header.accepted_at)?;
    let job = Job::replay(request, header.policy.into(), accepted_at, events)
        .map_err(|error| format!("its events do not follow each other: {error}"))?;
    if job.key() != *key {
        return Err(format!("it is of {}", job.key()));
    }
    // It was written when the job was settled: lines are missing.
    if matches!(form, Form::Finished) && !job.is_settled() {
        return Err("its end is missing".to_owned());
    }
    Ok(Record {
        job,
        sound_bytes: sound as u64,
    })
}

/// A write that was cut off leaves the beginning of a line; anything else has been damaged later.
fn refuse_damaged_tail(tail: &[u8], form: Form<'_>) -> Result<(), String> {
    match (tail.split_last(), form) {
        (None, _) => Ok(()),
        (Some(_), Form::Finished) => Err("its last line is not complete".to_owned()),
        // A whole line, but for a newline that was one.
        (Some((_, line)), Form::Open(_)) if checked(line).is_ok() => Err("its last line does not end".to_owned()),
        (Some(_), Form::Open(_)) => Ok(()),
    }
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    let StoredEntry { at, event } = from_json(checked(line)?)?;
    Ok((time_from_text(&at)?, event.try_into()?))
}

pub(super) fn push_line(lines: &mut Vec<u8>, json: &[u8]) {
    lines.extend_from_slice(checksum(json).as_bytes());
    lines.push(b' ');
    lines.extend_from_slice(json);
    lines.push(b'\n');
}

fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// The JSON of a line, if it is as it was written.
fn checked(line: &[u8]) -> Result<&[u8], String> {
    match line.split_at_checked(DIGITS + 1) {
        Some((sum, json)) if sum == format!("{} ", checksum(json)).as_bytes() => Ok(json),
        Some(_) | None => Err("its checksum is wrong".to_owned()),
    }
}

fn checksum(json: &[u8]) -> String {
    let mut digits = String::with_capacity(DIGITS);
    for byte in digest(&SHA256, json).as_ref().iter().take(DIGITS / 2) {
        // A string takes all that is written to it.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| format!("it cannot be put into JSON: {error}"))
}

/// The same of what holds secrets: it is wiped when it goes, and has room enough not to move before.
fn to_secret_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut json = Zeroizing::new(Vec::with_capacity(ROOM_FOR_SECRETS));
    serde_json::to_writer(&mut *json, value).map_err(|error| format!("it cannot be put into JSON: {error}"))?;
    Ok(json)
}

/// Errors of the parser may quote what was parsed, which may be a secret.
fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("it is not of the form that this agent writes (line {line}, column {column})")
    })
}
