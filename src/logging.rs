//! The agent's log.

use std::io;

use adapters::audit;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// The crates of this workspace, which know what is secret.
const OWN: [&str; 3] = ["osb_backup_agent", "adapters", "domain"];

/// The form of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// An object of JSON for each line, for machines.
    Json,
}

/// Logs to stderr what the filter lets through.
///
/// Libraries say no more than `info`, whatever the filter is: those that speak HTTP and TLS would show
/// requests with what is in them at `trace`, or may begin to with their next version.
pub(crate) fn start(filter: &str, format: LogFormat) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(with_audit(filter)))
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.finish().with(filter_fn(may_be_logged)).init(),
        LogFormat::Json => {
            // The list of spans has the current one too.
            let lines = lines.json().flatten_event(true).with_current_span(false);
            lines.finish().with(filter_fn(may_be_logged)).init();
        }
    }
}

/// Audit lines are logged whatever the operator filters, unless the filter names them.
fn with_audit(filter: &str) -> String {
    let names_audit = filter.split(',').any(|directive| {
        let target = directive.split(['=', '[']).next().unwrap_or_default();
        target == audit::TARGET
    });
    if names_audit {
        filter.to_owned()
    } else {
        format!("{filter},{}=info", audit::TARGET)
    }
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_own(metadata.target())
}

fn is_own(target: &str) -> bool {
    let module = target.split("::").next().unwrap_or_default();
    OWN.contains(&module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_workspace_may_say_more() {
        for (target, expected) in [
            ("adapters::blob_store::retry", true),
            ("domain", true),
            (module_path!(), true),
            ("hyper::proto::h1", false),
            ("adapters_of_another", false),
            ("rustls", false),
            ("object_store::client::retry", false),
            ("", false),
        ] {
            assert_eq!(is_own(target), expected, "{target}");
        }
    }

    #[test]
    fn audit_lines_pass_every_filter_that_does_not_name_them() {
        for (filter, expected) in [
            ("info", "info,audit=info"),
            ("off", "off,audit=info"),
            ("adapters=debug,warn", "adapters=debug,warn,audit=info"),
            ("auditor=debug", "auditor=debug,audit=info"),
            ("info,audit=off", "info,audit=off"),
            ("audit", "audit"),
            ("warn,audit[x]=off", "warn,audit[x]=off"),
        ] {
            assert_eq!(with_audit(filter), expected);
            assert!(EnvFilter::try_new(expected).is_ok(), "{expected}");
        }
    }
}
