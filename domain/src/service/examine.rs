//! The pre-flight: looks at all that a job needs, one thing after another, and runs no script.

use std::{fmt, time::Duration};

use super::{JobService, race::unless};
use crate::{
    artifact::ObjectKey,
    plan::{JobKind, Transfer},
    ports::{Finding, Verdict, WorkDirectory},
    request::{JobRequest, Work},
};

/// So long each look is waited for. One at a mount whose server is gone may never end.
const PATIENCE: Duration = Duration::from_secs(5);

impl JobService {
    pub(super) async fn examine_all(&self, request: Option<JobRequest>) -> Vec<Finding> {
        let ports = &self.inner.ports;
        let mut findings = Vec::new();
        for directory in [WorkDirectory::Backup, WorkDirectory::Restore] {
            let look = self.look_at(directory);
            findings.push(self.timed(directory.to_string(), look).await);
        }
        let interpreter = async { ports.scripts.check_interpreter().await };
        findings.push(self.timed("bash".to_owned(), interpreter).await);
        for phase in JobKind::ALL.iter().flat_map(|kind| kind.phases()) {
            let look = async { ports.scripts.check(&[*phase]).await.map(|()| String::new()) };
            findings.push(self.timed(format!("script {phase}"), look).await);
        }
        let records = async { ports.jobs.check().await.map(|()| String::new()) };
        findings.push(self.timed("records".to_owned(), records).await);
        let Some(request) = request else { return findings };
        match request.transfer {
            Transfer::ByAgent => {
                let store = &request.destination.store;
                // Of a restore only what it reads: its rights may be no more than that.
                let object = match &request.work {
                    Work::Backup => None,
                    Work::Restore { filename, .. } => Some(ObjectKey::new(store.prefix(), filename)),
                };
                findings.extend(ports.blobs.examine(store, object).await);
            }
            Transfer::ByScripts => findings.push(Finding {
                subject: "destination".to_owned(),
                verdict: Verdict::Good("not looked at: scripts move the bytes themselves".to_owned()),
                took: Duration::ZERO,
            }),
        }
        findings
    }

    async fn look_at(&self, directory: WorkDirectory) -> Result<String, String> {
        let workspace = &self.inner.ports.workspace;
        if let Some(shortcoming) = self.shortcoming_of(directory).await {
            return Err(shortcoming);
        }
        let free = workspace.free_bytes(directory).await.map_err(|error| error.0)?;
        Ok(free.map_or_else(
            || "there is none: scripts move the bytes themselves".to_owned(),
            |free| format!("{free} bytes are free"),
        ))
    }

    async fn timed<E: fmt::Display>(&self, subject: String, look: impl Future<Output = Result<String, E>>) -> Finding {
        let clock = &self.inner.ports.clock;
        let begun = clock.now();
        let verdict = match unless(look, clock.sleep(PATIENCE)).await {
            Some(Ok(detail)) => Verdict::Good(detail),
            Some(Err(problem)) => Verdict::Bad(problem.to_string()),
            None => Verdict::Bad(format!(
                "no answer within {} s; is a disk or a mount gone?",
                PATIENCE.as_secs()
            )),
        };
        Finding {
            subject,
            verdict,
            // The time of day may be set meanwhile.
            took: (clock.now() - begun).to_std().unwrap_or_default(),
        }
    }
}
