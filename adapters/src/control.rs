//! The way in for people on the machine: a socket in the state directory, which only the agent's own
//! user can reach. One line of JSON asks, one answers.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    job::{JobId, JobKey, JobStatus, JobView},
    plan::{JobKind, Phase},
    ports::{CancelError, JobApi, UnlockError},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

/// The socket's name in the state directory.
pub const SOCKET: &str = "socket";
/// A question is short.
const LONGEST_QUESTION: u64 = 4096;
/// Whoever connects asks at once.
const QUESTION_TIME: Duration = Duration::from_secs(5);

/// What may be asked.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Question {
    /// What runs, what waits, and what is locked.
    Jobs,
    /// Run the unlock script that a job owes, now.
    Unlock {
        /// `backup` or `restore`
        kind: String,
        /// The job's id.
        id: String,
    },
    /// Stop trying to unlock the service of a job.
    GiveUp {
        /// `backup` or `restore`
        kind: String,
        /// The job's id.
        id: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Answer {
    /// Whether what was asked for was done.
    pub ok: bool,
    /// A sentence for the one who asked.
    pub message: String,
    /// The jobs that were asked for, or the one that was changed.
    pub jobs: Vec<JobLine>,
    /// What somebody should see to.
    pub problems: Vec<String>,
}

/// A job, as people see it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct JobLine {
    /// `backup` or `restore`
    pub kind: String,
    /// The caller's id.
    pub id: String,
    /// The database's host.
    pub host: String,
    /// The database.
    pub database: String,
    /// The phase at work, `queued`, or `unlock owed`.
    pub state: String,
    /// When the job was accepted.
    pub accepted_at: String,
    /// Since when the service may be locked; empty if it is not.
    pub locked_since: String,
    /// What went wrong; empty if nothing did.
    pub error_message: String,
}

impl From<&JobView> for JobLine {
    fn from(view: &JobView) -> Self {
        let state = match &view.status {
            JobStatus::Queued => "queued",
            JobStatus::Between { .. } | JobStatus::Running { .. } => view.phase.map_or("queued", Phase::as_str),
            JobStatus::Succeeded | JobStatus::Failed { .. } if view.owes_unlock => "unlock owed",
            JobStatus::Succeeded | JobStatus::Failed { .. } => "finished",
        };
        Self {
            kind: view.key.kind.to_string(),
            id: view.key.id.to_string(),
            host: view.host.clone(),
            database: view.database.clone(),
            state: state.to_owned(),
            accepted_at: text_of(view.accepted_at),
            locked_since: view.locked_since.map(text_of).unwrap_or_default(),
            error_message: view.error_message().unwrap_or_default(),
        }
    }
}

fn text_of(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A socket that can be asked.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
}

impl ControlSocket {
    /// Makes the socket in the state directory, in place of one that a dead agent has left. Whoever
    /// calls this holds the state directory's lock.
    ///
    /// # Errors
    ///
    /// If it cannot be made, as where the path is too long for a socket.
    pub fn bind(state_directory: &Path) -> io::Result<Self> {
        let path = state_directory.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Answers until it is dropped.
    pub async fn serve(self, api: Arc<dyn JobApi>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let api = Arc::clone(&api);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, api.as_ref()).await {
                            tracing::debug!(%error, "a conversation over the socket broke off");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the socket in the state directory cannot be listened on");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

async fn converse(stream: UnixStream, api: &dyn JobApi) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_QUESTION));
    timeout(QUESTION_TIME, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(question) => answer(&question, api).await,
        Err(error) => Answer {
            message: format!("the question is not understood: {error}"),
            ..Answer::default()
        },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Answers one question.
pub async fn answer(question: &Question, api: &dyn JobApi) -> Answer {
    match question {
        Question::Jobs => Answer {
            ok: true,
            message: String::new(),
            jobs: api.unsettled().iter().map(JobLine::from).collect(),
            problems: api.problems(),
        },
        Question::Unlock { kind, id } => match key(kind, id) {
            Ok(key) => unlock(&key, api).await,
            Err(message) => refused(message),
        },
        Question::GiveUp { kind, id } => match key(kind, id) {
            Ok(key) => give_up(&key, api).await,
            Err(message) => refused(message),
        },
    }
}

async fn unlock(key: &JobKey, api: &dyn JobApi) -> Answer {
    tracing::warn!(job = %key, "unlock by hand requested");
    match api.unlock(key).await {
        Ok(view) => done(format!("{key}: the unlock script succeeded"), &view),
        Err(UnlockError::NotOwed(view)) => {
            let why = if view.status.is_finished() {
                "no unlock is owed: none was needed, or it was done"
            } else {
                "the job has not ended, and unlocks by itself when it does; cancel it to make it end"
            };
            Answer {
                ok: false,
                ..done(format!("{key}: {why}"), &view)
            }
        }
        Err(error) => refused(format!("{key}: {error}")),
    }
}

async fn give_up(key: &JobKey, api: &dyn JobApi) -> Answer {
    tracing::warn!(job = %key, "giving an unlock up by hand requested");
    let owes = api.unsettled().iter().any(|view| view.key == *key && view.owes_unlock);
    if !owes {
        return refused(format!(
            "{key}: no unlock is owed for this job; osb-backup-agent jobs shows those that are"
        ));
    }
    match api.cancel(key).await {
        Ok(view) => done(
            format!("{key}: the agent stops trying; the service may still be locked"),
            &view,
        ),
        Err(error @ (CancelError::Unknown | CancelError::Ended(_) | CancelError::Store(_))) => {
            refused(format!("{key}: {error}"))
        }
    }
}

fn done(message: String, view: &JobView) -> Answer {
    Answer {
        ok: true,
        message,
        jobs: vec![view.into()],
        problems: Vec::new(),
    }
}

fn refused(message: String) -> Answer {
    Answer {
        message,
        ..Answer::default()
    }
}

/// The job that a kind and an id name.
///
/// # Errors
///
/// If they cannot name one.
pub fn key(kind: &str, id: &str) -> Result<JobKey, String> {
    let found = JobKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let kind = found.ok_or_else(|| format!("the kind must be backup or restore, but is {kind:?}"))?;
    let id = JobId::parse(id).map_err(|error| format!("the id {error}"))?;
    Ok(JobKey::new(kind, id))
}

/// Asks the agent that listens in the state directory; none if there is no agent.
///
/// # Errors
///
/// If an agent is there but does not answer.
pub async fn ask(state_directory: &Path, question: &Question) -> io::Result<Option<Answer>> {
    let stream = match UnixStream::connect(state_directory.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut text = serde_json::to_vec(question)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).await?;
    Ok(Some(serde_json::from_str(&line)?))
}

#[cfg(test)]
mod tests {
    use domain::{
        job::Job,
        plan::{FailurePolicy, Transfer},
        ports::MockJobApi,
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
        let serving = tokio::spawn(socket.serve(Arc::new(api)));
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
        tokio::spawn(socket.serve(Arc::new(MockJobApi::new())));
        let mut stream = UnixStream::connect(place.path().join(SOCKET)).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("not understood"), "{text}");
    }
}
