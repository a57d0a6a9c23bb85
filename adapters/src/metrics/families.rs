//! Every metric, with its name, labels and meaning.

use std::fmt;

use domain::{job::Outcome, plan::JobKind, ports::Direction, request::StoreKind};
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder, core::Collector,
};

/// What all names begin with.
const NAMESPACE: &str = "osb_backup_agent";
/// From a small database to one that takes a day, in seconds.
const LONG_TIMES: [f64; 12] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
];
const STORES: [StoreKind; 5] = [
    StoreKind::S3,
    StoreKind::Swift,
    StoreKind::File,
    StoreKind::Gcs,
    StoreKind::Azure,
];
const OUTCOMES: [Outcome; 4] = [
    Outcome::Succeeded,
    Outcome::Failed,
    Outcome::Cancelled,
    Outcome::Interrupted,
];

/// All metrics.
pub(super) struct Families {
    registry: Registry,
    pub(super) jobs: IntCounterVec,
    pub(super) job_time: HistogramVec,
    pub(super) phase_time: HistogramVec,
    pub(super) queued: GaugeVec,
    pub(super) running: GaugeVec,
    pub(super) last_success: GaugeVec,
    pub(super) last_failure: GaugeVec,
    pub(super) last_artifact: GaugeVec,
    pub(super) locks: GaugeVec,
    pub(super) lock_since: GaugeVec,
    pub(super) lock_time: HistogramVec,
    pub(super) unlock_failures: IntCounterVec,
    pub(super) owed: GaugeVec,
    pub(super) moved: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) problems: Gauge,
}

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Families").finish_non_exhaustive()
    }
}

impl Families {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let of_database = ["kind", "host", "database"];
        let families = Self {
            jobs: make.counter("jobs_total", "Jobs that have ended.", &["kind", "outcome"]),
            job_time: make.times(
                "job_duration_seconds",
                "From a job's acceptance to its end, its time in the queue included.",
                &["kind", "outcome"],
            ),
            phase_time: make.times(
                "phase_duration_seconds",
                "How long a phase was at work in a job; uploads belong to backup, downloads to restore.",
                &["phase"],
            ),
            queued: make.gauge("jobs_queued", "Jobs that wait for their turn.", &["kind"]),
            running: make.gauge("jobs_running", "Jobs at work.", &["kind"]),
            last_success: make.gauge(
                "last_success_timestamp_seconds",
                "When the last job of a database succeeded.",
                &of_database,
            ),
            last_failure: make.gauge(
                "last_failure_timestamp_seconds",
                "When the last job of a database failed or was interrupted.",
                &of_database,
            ),
            last_artifact: make.gauge(
                "last_artifact_bytes",
                "Length of the last artifact of a database.",
                &["host", "database"],
            ),
            locks: make.gauge(
                "locks_held",
                "Services that may be locked now, but for those that are left locked on purpose.",
                &["kind"],
            ),
            lock_since: make.gauge(
                "lock_held_since_timestamp_seconds",
                "Since when a service may be locked; absent if it is not, or is left locked on purpose.",
                &of_database,
            ),
            lock_time: make.times(
                "lock_held_seconds",
                "From the start of a lock script to the success of an unlock script.",
                &["kind"],
            ),
            unlock_failures: make.counter(
                "unlock_failures_total",
                "Runs of unlock scripts that did not succeed.",
                &["kind"],
            ),
            owed: make.gauge(
                "unlocks_owed",
                "Jobs that have ended and whose lock the agent goes on trying to release.",
                &["kind"],
            ),
            moved: make.counter(
                "transferred_bytes_total",
                "Bytes that stores took or gave.",
                &["direction", "store"],
            ),
            retries: make.counter(
                "transfer_retries_total",
                "Requests to stores that failed and were made again.",
                &["direction", "store"],
            ),
            problems: make.problems(),
            registry: registry.clone(),
        };
        make.build_info();
        families.begin_at_zero();
        families
    }

    /// What has not happened yet is told as such: a rate can be taken from its first time on.
    fn begin_at_zero(&self) {
        for kind in JobKind::ALL {
            for outcome in OUTCOMES {
                self.jobs.with_label_values(&[kind.as_str(), outcome.as_str()]);
            }
            self.unlock_failures.with_label_values(&[kind.as_str()]);
        }
        for direction in Direction::ALL {
            for store in STORES {
                let labels = [direction.as_str(), store.as_str()];
                self.moved.with_label_values(&labels);
                self.retries.with_label_values(&labels);
            }
        }
    }

    /// All of them, in Prometheus' text format.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Makes metrics and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(options(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.registered(GaugeVec::new(options(name, help), labels))
    }

    fn times(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).namespace(NAMESPACE);
        self.registered(HistogramVec::new(options.buckets(LONG_TIMES.to_vec()), labels))
    }

    fn problems(&self) -> Gauge {
        let help = "What somebody should see to, as /status names it.";
        self.registered(Gauge::with_opts(options("problems", help)))
    }

    fn build_info(&self) {
        let build = self.gauge("build_info", "The agent's version; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    }

    fn registered<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let made = made.expect("names and labels are valid, as the tests show");
        let registered = self.0.register(Box::new(made.clone()));
        registered.expect("no name is given twice, as the tests show");
        made
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}
