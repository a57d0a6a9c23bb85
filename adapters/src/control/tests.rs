use domain::{
    job::Job,
    plan::{FailurePolicy, Transfer},
    ports::{MockAuditLog, MockJobApi},
    testing::request,
};

use super::*;

fn view() -> JobView {
    let at = DateTime::from_timestamp(1_541_523_939, 0).unwrap();
    Job::accepted(
        request(JobKind::Backup, "j", Transfer::ByAgent),
        FailurePolicy::default(),
        at,
    )
    .view()
}

async fn asked(api: MockJobApi, question: Question) -> Answer {
    let place = tempfile::tempdir().unwrap();
    let socket = ControlSocket::bind(place.path()).unwrap();
    let mode = fs::metadata(place.path().join(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut audit = MockAuditLog::new();
    let changes = question != Question::Jobs;
    audit.expect_record().times(usize::from(changes)).return_once(|entry| {
        let (uid, pid) = (nix::unistd::getuid().as_raw(), nix::unistd::getpid().as_raw());
        assert_eq!(entry.actor, Actor::Process { uid, pid: Some(pid) });
        assert!(entry.outcome.as_str().starts_with("refused: "), "{entry:?}");
    });
    let serving = tokio::spawn(socket.serve(Arc::new(api), Arc::new(audit)));
    let answer = ask(place.path(), &question).await.unwrap().expect("somebody listens");
    serving.abort();
    answer
}

#[tokio::test]
async fn without_an_agent_there_is_no_answer() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(ask(place.path(), &Question::Jobs).await.unwrap(), None);
    // As a dead agent leaves it.
    drop(ControlSocket::bind(place.path()).unwrap());
    assert_eq!(ask(place.path(), &Question::Jobs).await.unwrap(), None);
    ControlSocket::bind(place.path()).unwrap();
}

#[tokio::test]
async fn jobs_and_problems_are_listed() {
    let mut api = MockJobApi::new();
    api.expect_unsettled().returning(|| vec![view()]);
    api.expect_problems()
        .returning(|| vec!["a record is damaged".to_owned()]);
    let answer = asked(api, Question::Jobs).await;
    assert!(answer.ok);
    assert_eq!(
        (answer.jobs[0].id.as_str(), answer.jobs[0].state.as_str()),
        ("j", "queued")
    );
    assert_eq!(answer.jobs[0].accepted_at, "2018-11-06T17:05:39Z");
    assert_eq!(answer.problems, ["a record is damaged"]);
}

#[tokio::test]
async fn an_unlock_that_cannot_be_run_says_why() {
    for (kind, id, error, told) in [
        (
            "backup",
            "j",
            Some(UnlockError::Failed("exit code 1".to_owned())),
            "exit code 1",
        ),
        (
            "backup",
            "j",
            Some(UnlockError::NotOwed(Box::new(view()))),
            "has not ended",
        ),
        ("backup", "j", Some(UnlockError::Unknown), "no such job"),
        ("other", "j", None, "backup or restore"),
        ("backup", "../x", None, "the id"),
    ] {
        let mut api = MockJobApi::new();
        if let Some(error) = error {
            api.expect_unlock().return_once(|_| Err(error));
        }
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let answer = asked(api, Question::Unlock { kind, id }).await;
        assert!(!answer.ok && answer.message.contains(told), "{answer:?}");
    }
}

#[tokio::test]
async fn nonsense_is_answered_as_such() {
    let place = tempfile::tempdir().unwrap();
    let socket = ControlSocket::bind(place.path()).unwrap();
    tokio::spawn(socket.serve(Arc::new(MockJobApi::new()), Arc::new(MockAuditLog::new())));
    let mut stream = UnixStream::connect(place.path().join(SOCKET)).await.unwrap();
    stream.write_all(b"hello\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("not understood"), "{text}");
}
