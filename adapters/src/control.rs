//! The way in for people on the machine: a socket in the state directory, which only the agent's own
//! user can reach. One line of JSON asks, one answers.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    job::{JobId, JobKey, JobStatus, JobView},
    plan::{JobKind, Phase},
    ports::{Actor, AuditAction, AuditEntry, AuditLog, CancelError, JobApi, UnlockError},
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
    pub async fn serve(self, api: Arc<dyn JobApi>, audit: Arc<dyn AuditLog>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (api, audit) = (Arc::clone(&api), Arc::clone(&audit));
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, api.as_ref(), audit.as_ref()).await {
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

async fn converse(stream: UnixStream, api: &dyn JobApi, audit: &dyn AuditLog) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let actor = Actor::Process {
        uid: peer.uid(),
        pid: peer.pid(),
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_QUESTION));
    timeout(QUESTION_TIME, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(question) => answer(&question, api, actor, audit).await,
        Err(error) => Answer {
            message: format!("the question is not understood: {error}"),
            ..Answer::default()
        },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Answers one question, and notes who wanted something changed.
pub async fn answer(question: &Question, api: &dyn JobApi, actor: Actor, audit: &dyn AuditLog) -> Answer {
    let answer = answer_unnoted(question, api).await;
    if let Some((action, key)) = changes(question) {
        let word = if answer.ok { "done" } else { "refused" };
        audit.record(AuditEntry {
            action,
            actor,
            kind: key.as_ref().map(|key| key.kind),
            id: key.map(|key| key.id),
            outcome: format!("{word}: {}", answer.message).as_str().into(),
        });
    }
    answer
}

/// What a question changes, and of which job, if it names one; none if it only asks.
fn changes(question: &Question) -> Option<(AuditAction, Option<JobKey>)> {
    let (action, kind, id) = match question {
        Question::Jobs => return None,
        Question::Unlock { kind, id } => (AuditAction::Unlock, kind, id),
        Question::GiveUp { kind, id } => (AuditAction::GiveUp, kind, id),
    };
    Some((action, key(kind, id).ok()))
}

async fn answer_unnoted(question: &Question, api: &dyn JobApi) -> Answer {
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
mod tests;
