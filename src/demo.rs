//! `demo`: one backup, one disaster and one restore, by the real agent, for a person to watch.
//!
//! ```text
//!  demo ──starts──▶ osb-backup-agent serve ──runs──▶ the scripts of deploy/scripts/directory ──▶ data/
//!    └──HTTP on loopback──▲   └──moves the artifact──▶ a directory, or a bucket
//! ```
//!
//! It takes no shortcut into the code: what it knows of the agent it learns over HTTP and from the agent's log.

mod agent;
mod client;
mod data;
mod failure;
mod inventory;
pub(crate) mod job;
pub(crate) mod progress;
mod scratch;
pub(crate) mod show;
mod story;
mod target;

use std::{process::ExitCode, time::Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    agent::{Agent, Ending, log_tail},
    failure::{Failure, while_doing},
    scratch::Scratch,
    show::{Mark, Show, duration},
    story::Story,
    target::Target,
};

/// Lines of the agent's log that are shown after a failure.
const LOG_TAIL_LINES: usize = 15;

/// The exit code for options that make no sense, as of every other subcommand.
const USAGE: u8 = 2;

/// What `demo` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// Use this S3 store in place of a local directory; the keys to it are taken from the variables AWS_ACCESS_KEY_ID
    /// and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "URL", requires = "bucket")]
    pub(crate) endpoint: Option<String>,
    /// The bucket to use there; the demo leaves one object in it
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) bucket: Option<String>,
    /// The bucket's region; without it the agent asks the store
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) region: Option<String>,
    /// Keep the scratch directory, to look around in it
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Plays the demo, and says by the exit code how it went: 0 if everything came back as it was, 1 if not, 2 if the
/// options make no sense.
///
/// Needs the process's default TLS provider. Whatever happens, the agent that it starts is gone afterwards.
pub(crate) async fn run(options: DemoOptions) -> ExitCode {
    let target = match Target::choose(&options, |name| std::env::var(name).ok()) {
        Ok(target) => target,
        Err(fault) => {
            show::complain(&fault);
            return ExitCode::from(USAGE);
        }
    };
    // Before there is anything to clear away: from here on, Ctrl-C takes the same way out as everything else.
    let prepared = Interruption::catch().and_then(|interruption| Ok((interruption, Scratch::create()?)));
    let (mut interruption, scratch) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            show::complain(&failure.to_string());
            return ExitCode::FAILURE;
        }
    };

    let show = Show::for_stdout();
    let began = Instant::now();
    let mut story = Story::new(&show, &target, &scratch);
    let mut outcome = tokio::select! {
        outcome = story.play() => outcome,
        failure = interruption.come() => Err(failure),
    };
    let Story { agent, object, .. } = story;

    show.heading("The end");
    if let Some(agent) = agent {
        let stopped = stop(&show, agent, &outcome).await;
        outcome = outcome.and(stopped);
    }
    match (&target, object) {
        (Target::Directory, _) => {}
        (Target::Bucket(_), Some(object)) => {
            show.event(
                Mark::Unknown,
                &format!("{object} stays there: the agent never deletes objects"),
            );
        }
        (Target::Bucket(_), None) => {
            show.event(
                Mark::Unknown,
                &format!("there may be an object below {}", target.locate("")),
            );
        }
    }
    clear_away(&show, scratch, options.keep, &outcome);
    conclude(&show, &outcome, began)
}

async fn stop(show: &Show, agent: Agent, outcome: &Result<(), Failure>) -> Result<(), Failure> {
    if let Err(Failure::Interrupted) = outcome {
        show.event(Mark::Unknown, "the agent is asked to stop; it ends first what it is at");
    }
    match agent.stop().await {
        Ending::Stopped => {
            show.event(Mark::Good, "the agent has stopped");
            Ok(())
        }
        Ending::Unexpected(text) => {
            show.event(Mark::Bad, &text);
            Err(Failure::broken(text))
        }
    }
}

/// Leaves the scratch directory only to somebody who wants it, or who needs it to find a cause.
fn clear_away(show: &Show, mut scratch: Scratch, keep: bool, outcome: &Result<(), Failure>) {
    let path = scratch.root().display().to_string();
    let is_broken = matches!(outcome, Err(Failure::Broken { .. }));
    if is_broken {
        show.event(Mark::Unknown, "the end of the agent's log:");
        show.details(&log_tail(&scratch.log(), LOG_TAIL_LINES));
    }
    if keep || is_broken {
        scratch.keep();
        show.event(Mark::Unknown, &format!("everything is left for you in {path}"));
        return;
    }
    match scratch.remove() {
        Ok(()) => show.event(Mark::Good, &format!("{path} is removed (--keep leaves it there)")),
        Err(error) => show.event(Mark::Bad, &format!("{path} could not be removed: {error}")),
    }
}

fn conclude(show: &Show, outcome: &Result<(), Failure>, began: Instant) -> ExitCode {
    match outcome {
        Ok(()) => {
            let time = duration(began.elapsed());
            let text = format!("Backed up, destroyed, restored, and everything is as it was: {time}");
            show.verdict(Mark::Good, &text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            show.verdict(Mark::Bad, &failure.to_string());
            show.details(failure.details());
            ExitCode::FAILURE
        }
    }
}

/// The ways in which a person, or who speaks for one, says that it is enough.
struct Interruption {
    signals: [Signal; 3],
}

impl Interruption {
    /// From now on these signals end the process no more.
    fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(while_doing("listen for signals"));
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Self {
            signals: [catch(interrupt)?, catch(terminate)?, catch(hangup)?],
        })
    }

    async fn come(&mut self) -> Failure {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Failure::Interrupted
    }
}
