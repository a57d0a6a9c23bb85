//! The pre-flight: what it looks at, and that it runs nothing.

use super::bench::{Bench, Failing, Setup};
use crate::{
    plan::{JobKind, Phase, Step, Transfer},
    ports::{Finding, JobApi},
    testing::{block_on, request},
};

fn subjects(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.subject.as_str()).collect()
}

#[test]
fn all_that_jobs_need_is_looked_at_and_no_script_is_run() {
    let bench = Bench::new(Setup::default());
    let findings = block_on(bench.service.examine(None));
    assert!(findings.iter().all(Finding::is_good), "{findings:?}");
    let told = subjects(&findings);
    for subject in ["directory_backup", "directory_restore", "bash", "records"] {
        assert!(told.contains(&subject), "{subject} in {told:?}");
    }
    for phase in Phase::ALL {
        assert!(
            told.contains(&format!("script {phase}").as_str()),
            "{phase} in {told:?}"
        );
    }
    assert!(bench.diary().is_empty(), "{:?}", bench.diary());
}

#[test]
fn the_destination_of_a_request_is_looked_at_where_the_agent_moves_the_bytes() {
    for kind in JobKind::ALL {
        let bench = Bench::new(Setup::default());
        block_on(bench.service.examine(Some(request(kind, "j", Transfer::ByAgent))));
        let object = match kind {
            JobKind::Backup => "nothing",
            JobKind::Restore => "prefix/h_2018_11_06_db.tar.gz",
        };
        assert_eq!(bench.diary(), [format!("examine the store with {object}")]);
        let bench = Bench::new(Setup::default());
        block_on(bench.service.examine(Some(request(kind, "j", Transfer::ByScripts))));
        assert!(bench.diary().is_empty(), "{:?}", bench.diary());
    }
}

#[test]
fn what_is_wrong_does_not_keep_the_rest_from_being_looked_at() {
    let bench = Bench::new(Setup {
        broken: vec![(Step::Prepare, Failing::Error)],
        broken_call: Some("check_writable"),
        ..Setup::default()
    });
    bench.jobs.fail(true);
    let findings = block_on(bench.service.examine(None));
    let bad: Vec<&str> = subjects(&findings)
        .into_iter()
        .zip(&findings)
        .filter(|(_, finding)| !finding.is_good())
        .map(|(subject, _)| subject)
        .collect();
    assert_eq!(bad.len(), 2 + Phase::ALL.len() + 1, "{bad:?}");
}
