//! `check-scripts`: a rehearsal for authors of scripts. It calls them as the agent does, by the same code, through all
//! that may happen to them, and says which rule of the README ("Writing scripts") they break.
//!
//! Nothing runs before it was said which database is about to be touched, and somebody has agreed. Whatever happens,
//! cleanup and unlock run at the end for every job whose lock script was started.

mod hiding;
mod leftover;
mod locks;
mod options;
mod place;
mod played;
mod rehearsal;
mod report;
mod restores;
mod rule;
mod stage;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

use domain::{plan::JobKind, ports::Halt};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::options::CheckScriptsOptions;
use self::{
    place::Place,
    stage::{Stage, Stop},
};
use crate::{
    USAGE,
    out::{self, Out},
};

/// Plays the rehearsal; 0 if no rule is broken, 1 if one is or it did not come to its end, 2 for a faulty call.
pub(crate) async fn run(options: &CheckScriptsOptions) -> ExitCode {
    let out = Out::new(options.json);
    match prepare(options, &out) {
        Ok((place, mut stage)) => {
            let code = perform(options, &place, &mut stage, &out).await;
            place.clear_away(options.keep, &out);
            code
        }
        Err(fault) => {
            out::complain(&fault);
            ExitCode::from(USAGE)
        }
    }
}

/// All that can be wrong before anything is run, and the question whether to go on.
fn prepare<'a>(options: &CheckScriptsOptions, out: &'a Out) -> Result<(Place, Stage<'a>), String> {
    let settings = place::Settings::of(options)?;
    // Before anything is made anywhere.
    ask(options, &settings, out)?;
    let place = Place::make(options)?;
    let mut stage = place.stage(options, settings, out);
    match stage.job(JobKind::Backup, None) {
        Ok(_) => Ok((place, stage)),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Interrupted) => Err("interrupted; nothing was run".to_owned()),
    }
}

fn ask(options: &CheckScriptsOptions, settings: &place::Settings, out: &Out) -> Result<(), String> {
    let restores = !options.without_restore;
    out.line(&format!(
        "This runs the scripts of {}\n  against the database  {}\n  on the host           {}",
        settings.scripts_path.display(),
        options.database,
        options.host
    ));
    out.line(if restores {
        "It locks and unlocks the database, backs it up several times, and REPLACES ITS CONTENT by a backup of itself, \
         after an attempt with half of one."
    } else {
        "It locks and unlocks the database, and backs it up several times."
    });
    if options.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err("nobody can be asked here whether to go on; say so with --yes".to_owned());
    }
    // Beside the report, should that go to a file.
    let _ = write!(io::stderr(), "Type the name of the database to go on: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| format!("the answer cannot be read: {error}"))?;
    if answer.trim() == options.database {
        Ok(())
    } else {
        Err("nothing was run".to_owned())
    }
}

async fn perform(options: &CheckScriptsOptions, place: &Place, stage: &mut Stage<'_>, out: &Out) -> ExitCode {
    if let Err(problem) = heed_signals(&stage.stop) {
        out::complain(&problem);
        return ExitCode::FAILURE;
    }
    let with_restore = !options.without_restore;
    let result = if rehearsal::scripts_are_there(stage, with_restore).await {
        rehearsal::play(stage, &place.copies(), with_restore).await
    } else {
        Ok(())
    };
    stage.unlock_all().await;
    let problem = match result {
        Ok(()) => None,
        Err(Stop::Interrupted) => Some("interrupted; what was locked is unlocked, unless it is said above".to_owned()),
        Err(Stop::Fault(reason)) => Some(reason),
    };
    report::show(&stage.book, out);
    let about = json!({
        "host": options.host,
        "database": options.database,
        "scratch": place.root().display().to_string(),
    });
    let report = report::json(&stage.book, &stage.played, about, problem.as_deref());
    out.json(&report.to_string());
    if let Some(problem) = &problem {
        out::complain(&format!("the rehearsal did not come to its end: {problem}"));
    }
    if problem.is_none() && !stage.book.has_broken() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// From now on the first of these signals ends what is played, and then come the unlocks; they are not for ending.
fn heed_signals(stop: &Halt) -> Result<(), String> {
    let catch = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut terminate = catch(SignalKind::terminate())?;
    let mut hangup = catch(SignalKind::hangup())?;
    let mut quit = catch(SignalKind::quit())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = quit.recv() => {}
            }
            if stop.is_fired() {
                out::complain(
                    "have patience: what is locked is being cleaned up and unlocked, then this ends by itself",
                );
            } else {
                stop.fire();
            }
        }
    });
    Ok(())
}
