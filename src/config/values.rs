//! How values are written. Problems are fragments that follow the variable's name.

use std::{net::IpAddr, path::PathBuf, time::Duration};

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "must be a number from 0 to 65535".to_owned())
}

pub(super) fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address of this machine, or 0.0.0.0 or :: for all".to_owned())
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "must be a number, 0 or more".to_owned())
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        Ok(_) | Err(_) => Err("must be a number, 1 or more".to_owned()),
    }
}

/// Longer than anybody means, and short enough to be added to any instant.
const LONGEST_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// `90s`, `10m`, `2h`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let problem = || "must be a duration like 90s, 10m or 2h, of a year at most".to_owned();
    let unit_seconds: u64 = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some(_) | None => return Err(problem()),
    };
    let digits = &text[..text.len() - 1];
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|number| is_plain && *number > 0);
    number
        .and_then(|number| number.checked_mul(unit_seconds))
        .map(Duration::from_secs)
        .filter(|duration| *duration <= LONGEST_DURATION)
        .ok_or_else(problem)
}

/// How often something is tried again.
pub(super) fn retries(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if number <= 20 => Ok(number),
        Ok(_) | Err(_) => Err("must be a number from 0 to 20".to_owned()),
    }
}

/// `64MiB`, `1GiB`
pub(super) fn size(text: &str) -> Result<u64, String> {
    let problem = || "must be a size like 64MiB or 1GiB, 1MiB or more".to_owned();
    let (digits, unit_bytes) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(digits), _) => (digits, 1024 * 1024),
        (None, Some(digits)) => (digits, 1024 * 1024 * 1024),
        (None, None) => return Err(problem()),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits.parse().ok().filter(|number| is_plain && *number > 0);
    number
        .and_then(|number| number.checked_mul(unit_bytes))
        .ok_or_else(problem)
}

/// The same, or `0`.
pub(super) fn size_or_nothing(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { size(text) }
}

/// What all transfers together may hold of files. Two parts are the least that one gets along with.
pub(super) fn transfer_memory(text: &str) -> Result<u64, String> {
    const LEAST_BYTES: u64 = 16 * 1024 * 1024;
    size(text)
        .ok()
        .filter(|bytes| *bytes >= LEAST_BYTES)
        .ok_or_else(|| "must be a size like 32MiB or 1GiB, 16MiB or more".to_owned())
}

/// Names of buckets with commas between them.
pub(super) fn buckets(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if names.iter().all(|name| name.bytes().all(name_byte)) {
        Ok(names)
    } else {
        Err("must be names of buckets with commas between them".to_owned())
    }
}

/// Absolute paths with colons between them.
pub(super) fn absolute_paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths: Vec<PathBuf> = text
        .split(':')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect();
    if paths.iter().all(|path| path.is_absolute()) {
        Ok(paths)
    } else {
        Err("must be absolute paths with colons between them".to_owned())
    }
}

/// One word of a short list.
pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    chosen.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// A filter of log lines, as the tracing crates write it: `info`, `adapters=debug` …
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    // Their parser takes a blank before a directive for a letter of its name, so that the directive means
    // nothing; and it panics where that tears a character.
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    let filter = directives.join(",");
    // Values of fields are regular expressions there, some of which take longer to prepare than anybody
    // waits.
    if filter.contains('{') {
        return Err("must be a log filter like info or adapters=debug, without values of fields".to_owned());
    }
    match tracing_subscriber::EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(_) => Err("must be a log filter like info or adapters=debug".to_owned()),
    }
}
