//! Ways in to what reads the state directory, for the fuzz targets alone.

use domain::job::{Job, JobKey};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    record::{self, Form, Record},
    seal::{self, SealKey},
};

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An unsettled job, with its secrets in the seal.
    Open,
    /// A settled one.
    Finished,
}

/// Always the same key, so that the same input always does the same.
#[derive(Debug)]
pub struct Key(SealKey);

impl Default for Key {
    fn default() -> Self {
        Self(SealKey::of(Zeroizing::new([7; 32])).expect("any 32 bytes are a key"))
    }
}

impl Key {
    fn form(&self, kind: Kind) -> Form<'_> {
        match kind {
            Kind::Open => Form::Open(&self.0),
            Kind::Finished => Form::Finished,
        }
    }

    /// The job of a record, and how many of its bytes count.
    ///
    /// # Errors
    ///
    /// What is damaged.
    pub fn decode(&self, kind: Kind, bytes: &[u8], key: &JobKey) -> Result<(Job, u64), String> {
        let Record { job, sound_bytes } = record::decode(bytes, key, self.form(kind))?;
        Ok((job, sound_bytes))
    }

    /// The record of a job.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn encode(&self, kind: Kind, job: &Job) -> Result<Vec<u8>, String> {
        record::encode(job, self.form(kind))
    }

    /// A record of these lines of JSON with sums that are right, as no chance finds one; in one of an
    /// open job the second line goes into the seal of the first.
    ///
    /// # Errors
    ///
    /// If there is no header to put a seal into.
    pub fn record_of(&self, kind: Kind, key: &JobKey, lines: &[u8]) -> Result<Vec<u8>, String> {
        let mut lines = lines.split(|byte| *byte == b'\n');
        let header = lines.next().unwrap_or_default();
        let mut whole = Vec::new();
        match kind {
            Kind::Finished => record::push_line(&mut whole, header),
            Kind::Open => {
                let mut header: Value = serde_json::from_slice(header).map_err(|error| error.to_string())?;
                let request = Zeroizing::new(lines.next().unwrap_or_default().to_vec());
                let sealed = self.0.seal(&record::file_name(key), request)?;
                let members = header.as_object_mut().ok_or("the header is no object")?;
                members.insert("sealed".to_owned(), sealed.into());
                record::push_line(&mut whole, header.to_string().as_bytes());
            }
        }
        lines.for_each(|line| record::push_line(&mut whole, line));
        Ok(whole)
    }
}

/// The job whose record has this name.
#[must_use]
pub fn key_of(file_name: &str) -> Option<JobKey> {
    record::key_of(file_name)
}

/// The name of a job's record.
#[must_use]
pub fn file_name(key: &JobKey) -> String {
    record::file_name(key)
}

/// What a key file holds.
#[must_use]
pub fn key_from_hex(text: &str) -> Option<[u8; 32]> {
    seal::from_hex(text).map(|key| *key)
}
