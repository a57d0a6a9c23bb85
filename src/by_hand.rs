//! What people do on the machine at night: look at the jobs, and unlock by hand. Through the socket
//! of the agent that runs, or on its records if none does.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use adapters::{
    audit::AuditTrail,
    control::{self, Answer, JobLine, Question, answer, ask},
    job_store::{FileJobStore, FileJobStoreSettings},
};
use domain::{
    job::JobKey,
    ports::{Actor, AuditAction, AuditEntry, AuditLog, JobApi, JobStore, Unobserved},
};

use crate::{
    cli::UnlockOptions,
    config::{Config, state_directory_alone},
    serve,
};

/// How often the end of a job is looked for.
const POLL: Duration = Duration::from_millis(50);

/// `jobs`
pub(crate) async fn jobs(state_directory: Option<&Path>) -> ExitCode {
    told(try_jobs(state_directory).await)
}

/// `unlock`
pub(crate) async fn unlock(options: &UnlockOptions) -> ExitCode {
    told(try_unlock(options).await)
}

fn told(result: Result<Answer, String>) -> ExitCode {
    match result {
        Ok(answer) => {
            for problem in &answer.problems {
                println!("PROBLEM: {problem}");
            }
            for job in &answer.jobs {
                show(job);
            }
            if !answer.message.is_empty() {
                println!("{}", answer.message);
            }
            if answer.ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn show(job: &JobLine) {
    let locked = match job.locked_since.as_str() {
        "" => "not locked".to_owned(),
        since => format!("LOCKED since {since}"),
    };
    println!(
        "{} {}  {}  {}  host {} database {}  accepted {}",
        job.kind, job.id, job.state, locked, job.host, job.database, job.accepted_at
    );
    if !job.error_message.is_empty() {
        println!("    {}", job.error_message);
    }
}

async fn try_jobs(state_directory: Option<&Path>) -> Result<Answer, String> {
    let directory = state_directory_alone(state_directory)?;
    if let Some(answer) = asked(&directory, &Question::Jobs).await? {
        return Ok(answer);
    }
    let store = open(FileJobStoreSettings::of(&directory))?;
    let jobs = store.unsettled().await.map_err(|error| error.to_string())?;
    let mut message = "No agent runs here; this is what its records say.".to_owned();
    if jobs.is_empty() {
        message.push_str(" No job is at work or waits, and no unlock is owed.");
    }
    Ok(Answer {
        ok: true,
        message,
        jobs: jobs.iter().map(|job| JobLine::from(&job.view())).collect(),
        problems: store.problems(),
    })
}

async fn try_unlock(options: &UnlockOptions) -> Result<Answer, String> {
    let key = control::key(&options.kind, &options.id)?;
    let directory = state_directory_alone(options.state_directory.as_deref())?;
    let (kind, id) = (options.kind.clone(), options.id.clone());
    let question = if options.give_up {
        Question::GiveUp { kind, id }
    } else {
        Question::Unlock { kind, id }
    };
    if let Some(answer) = asked(&directory, &question).await? {
        return Ok(answer);
    }
    without_agent(&directory, &key, &question).await
}

/// Does it in this process, with the configuration of the environment.
async fn without_agent(directory: &Path, key: &JobKey, question: &Question) -> Result<Answer, String> {
    let mut config = Config::parse(|name| std::env::var_os(name)).map_err(|faults| {
        format!(
            "no agent runs here, so its configuration is needed to run its scripts: start this with the agent's \
             environment variables\n{faults}"
        )
    })?;
    config.state_directory = directory.to_owned();
    config.records.directory = directory.to_owned();
    let store = open(config.records.clone())?;
    // To unlock needs no store: certificates that cannot be read must not be in its way.
    let trust = config.ca_certificates().unwrap_or_else(|faults| {
        eprintln!("warning: {faults}");
        Default::default()
    });
    let service = serve::service(&config, trust, Arc::new(store), Arc::new(Unobserved));
    service.recover_only(key).await.map_err(|error| error.to_string())?;
    let trail = AuditTrail::new(config.audit_log_file.clone());
    if service.at_work().is_empty() {
        let answer = answer(question, &service, this_process(), &trail).await;
        kept(&trail);
        return Ok(answer);
    }
    // It was at work when the agent ended, so it is brought to its end, and unlocked with it.
    while !service.at_work().is_empty() {
        tokio::time::sleep(POLL).await;
    }
    let view = service.find(key).await.map_err(|error| error.to_string())?;
    let view = view.ok_or_else(|| format!("{key}: its record is gone"))?;
    let message = format!("{key}: was at work when the agent ended, and has been brought to its end");
    let ok = view.lock.is_released() != Some(false);
    trail.record(AuditEntry {
        action: AuditAction::Unlock,
        actor: this_process(),
        kind: Some(key.kind),
        id: Some(key.id.clone()),
        outcome: format!("{}: {message}", if ok { "done" } else { "failed" })
            .as_str()
            .into(),
    });
    kept(&trail);
    Ok(Answer {
        ok,
        message,
        jobs: vec![JobLine::from(&view)],
        problems: Vec::new(),
    })
}

/// Who runs this command, for the audit log.
fn this_process() -> Actor {
    Actor::Process {
        uid: nix::unistd::getuid().as_raw(),
        pid: Some(nix::unistd::getpid().as_raw()),
    }
}

/// Waits until the audit log has what it was told, and says so if it could not keep it.
fn kept(trail: &AuditTrail) {
    trail.flush(serve::AUDIT_PATIENCE);
    if let Some(problem) = trail.problem() {
        eprintln!("warning: {problem}");
    }
}

async fn asked(directory: &Path, question: &Question) -> Result<Option<Answer>, String> {
    ask(directory, question)
        .await
        .map_err(|error| format!("the agent's socket in {} cannot be used: {error}", directory.display()))
}

fn open(settings: FileJobStoreSettings) -> Result<FileJobStore, String> {
    // Nothing is made where an agent has never been.
    if !settings.directory.join("open").is_dir() {
        return Err(format!(
            "there are no records in {}; name the agent's state_directory with --state-directory",
            settings.directory.display()
        ));
    }
    FileJobStore::open(settings)
}
