//! Looks at a job until it has ended. An agent that stops answering is asked again for a while: it may
//! be started anew, and the job goes on or is brought to its end then.

use std::{
    fmt,
    time::{Duration, Instant},
};

use domain::job::JobId;
use reqwest::{Method, StatusCode};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{agent::Agent, story::Story, trouble::Trouble};
use crate::{
    demo::job::{BACKUP, JobType, RESTORE, Snapshot},
    out::Out,
};

/// Between two looks at first: most jobs of small databases end soon.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// For so long.
const IS_YOUNG: Duration = Duration::from_secs(3);
/// And after that.
const PAUSE: Duration = Duration::from_secs(1);

/// A job, by which it is asked for.
#[derive(Debug)]
pub(super) struct JobName {
    pub(super) job_type: &'static JobType,
    pub(super) id: JobId,
}

impl JobName {
    /// The job that arguments name.
    pub(super) fn parse(kind: &str, id: &str) -> Result<Self, Trouble> {
        let job_type = if kind == "restore" { &RESTORE } else { &BACKUP };
        match JobId::parse(id) {
            Ok(id) => Ok(Self { job_type, id }),
            Err(invalid) => Err(Trouble::Usage(format!("the id {invalid}"))),
        }
    }

    /// `backup` or `restore`
    pub(super) fn kind(&self) -> &'static str {
        self.job_type.path.trim_start_matches('/')
    }

    /// Where it is asked for.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.job_type.path, self.id)
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.id)
    }
}

/// A polling body.
#[derive(Debug)]
pub(super) struct Polled {
    /// As it came.
    pub(super) text: String,
    /// What it says.
    pub(super) snapshot: Snapshot,
}

impl Polled {
    /// None if it is something else.
    pub(super) fn of(text: String) -> Option<Self> {
        let snapshot = Snapshot::parse(serde_json::from_str(&text).ok()?)?;
        Some(Self { text, snapshot })
    }
}

/// What came of one look.
enum Look {
    Seen(Polled),
    /// It may be different the next time.
    Silent(String),
    /// It will not.
    Hopeless(Trouble),
}

/// The job as of now, of an agent that may have to be asked again.
pub(super) async fn once(agent: &Agent, job: &JobName, patience: Duration) -> Result<Polled, Trouble> {
    let mut silence = Silence::new(patience);
    loop {
        match look(agent, job).await {
            Look::Seen(polled) => return Ok(polled),
            Look::Silent(why) => silence.bear(&why, agent, job)?,
            Look::Hopeless(trouble) => return Err(trouble),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The job at its end; what happens until then is told.
pub(super) async fn to_the_end(agent: &Agent, job: &JobName, out: &Out, patience: Duration) -> Result<Polled, Trouble> {
    let began = Instant::now();
    let mut silence = Silence::new(patience);
    let mut story = Story::of(job.job_type);
    loop {
        match look(agent, job).await {
            Look::Seen(polled) => {
                if silence.ends() {
                    out.line("the agent answers again");
                }
                story.tell(&polled, out);
                if polled.snapshot.is_finished() {
                    return Ok(polled);
                }
            }
            Look::Silent(why) => {
                if !silence.has_begun() {
                    let seconds = patience.as_secs();
                    out.line(&format!("{why}; the job may go on; trying again for up to {seconds} s"));
                }
                silence.bear(&why, agent, job)?;
            }
            Look::Hopeless(trouble) => return Err(trouble),
        }
        tokio::time::sleep(if began.elapsed() < IS_YOUNG { SHORT_PAUSE } else { PAUSE }).await;
    }
}

/// The agent does not know the job.
pub(super) fn unknown(job: &JobName) -> Trouble {
    Trouble::Refused(format!(
        "{job}: the agent knows no such job; it was never accepted, or is forgotten by now"
    ))
}

async fn look(agent: &Agent, job: &JobName) -> Look {
    let answer = match agent.call(Method::GET, &job.path(), None).await {
        Ok(answer) => answer,
        Err(silence) => return Look::Silent(silence.to_string()),
    };
    match answer.status {
        StatusCode::OK => match Polled::of(answer.body.clone()) {
            Some(polled) => Look::Seen(polled),
            None => Look::Hopeless(Trouble::Refused(format!(
                "GET {}: the answer is not the state of a job: this is no osb-backup-agent, or something stands between",
                job.path()
            ))),
        },
        StatusCode::NOT_FOUND => Look::Hopeless(unknown(job)),
        status if status.is_server_error() => Look::Silent(answer.refusal(agent).to_string()),
        _ => Look::Hopeless(answer.refusal(agent)),
    }
}

/// How long there was no answer, and how long that is borne.
#[derive(Debug)]
struct Silence {
    since: Option<Instant>,
    patience: Duration,
}

impl Silence {
    fn new(patience: Duration) -> Self {
        Self { since: None, patience }
    }

    fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// Whether there was one until now.
    fn ends(&mut self) -> bool {
        self.since.take().is_some()
    }

    /// Goes on, or gives up.
    fn bear(&mut self, why: &str, agent: &Agent, job: &JobName) -> Result<(), Trouble> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.patience {
            return Ok(());
        }
        Err(Trouble::Unreachable(format!(
            "{why}\nwhat becomes of {job} is not known; {}",
            agent.look_again(job)
        )))
    }
}

/// Somebody may have enough. Until then no signal is missed, also between two pieces of work.
#[derive(Debug)]
pub(super) struct Interruption {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruption {
    /// From now on signals end nothing by themselves: all that takes long has to be waited for with [`Self::or`].
    pub(super) fn expected() -> Result<Self, Trouble> {
        let catch =
            |kind| signal(kind).map_err(|error| Trouble::Refused(format!("signals cannot be received: {error}")));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// What comes of the work, or what is to be said when somebody has enough of it.
    pub(super) async fn or<T>(
        &mut self,
        work: impl Future<Output = Result<T, Trouble>>,
        words: impl FnOnce() -> String,
    ) -> Result<T, Trouble> {
        // As a shell tells of who was ended by a signal.
        let code = tokio::select! {
            result = work => return result,
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        };
        Err(Trouble::Interrupted(code, format!("interrupted; {}", words())))
    }
}
