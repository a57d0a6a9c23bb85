//! The story itself: backup, disaster, restore, comparison.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    agent::{Agent, Credentials},
    client::{Client, curl_poll, curl_start},
    data,
    failure::{Failure, while_doing},
    inventory::Inventory,
    job::{BACKUP, JobType, RESTORE, Snapshot},
    progress::Progress,
    scratch::Scratch,
    show::{Mark, Show, count, duration, size},
    target::Target,
};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A job of a few MiB that takes longer has got stuck.
const JOB_TIME_LIMIT: Duration = Duration::from_secs(180);

/// Differences that are listed one by one.
const LISTED_DIFFERENCES: usize = 10;

/// What is played, and what is left on the stage if it ends before its end.
pub(super) struct Story<'a> {
    show: &'a Show,
    target: &'a Target,
    scratch: &'a Scratch,
    /// To be stopped by whoever plays the story.
    pub(super) agent: Option<Agent>,
    /// What the backup wrote, and where.
    pub(super) object: Option<String>,
}

impl<'a> Story<'a> {
    pub(super) fn new(show: &'a Show, target: &'a Target, scratch: &'a Scratch) -> Self {
        Self {
            show,
            target,
            scratch,
            agent: None,
            object: None,
        }
    }

    /// All four acts. May be dropped at any time; the agent stays in the story then.
    pub(super) async fn play(&mut self) -> Result<(), Failure> {
        self.show.heading("A backup and a restore by a real agent");
        self.show.fact(
            "scratch",
            format_args!("{}, paths are relative to it", self.scratch.root().display()),
        );
        let before = self.lay_out_data().await?;
        self.show.fact("data", format_args!("data/: {}", describe(&before)));
        self.show.fact("scripts", "scripts/, those of deploy/scripts/directory");
        self.show.fact("destination", self.target.describe());
        let credentials = Credentials::random();
        let agent = self.agent.insert(Agent::spawn(self.scratch, &credentials)?);
        let client = Client::new(agent.address().await?, &credentials)?;
        self.show
            .fact("agent", format_args!("{}, logs to agent.log", client.base()));

        let filename = self.back_up(&client).await?;
        self.destroy(&before).await?;
        self.restore(&client, &filename).await?;
        self.compare(before).await
    }

    async fn lay_out_data(&self) -> Result<Inventory, Failure> {
        let data = self.scratch.data();
        let laid_out = blocking(move || {
            data::lay_out(&data)?;
            Inventory::take(&data)
        });
        laid_out.await.map_err(while_doing("lay out the sample data"))
    }

    /// Returns the name under which the artifact is in the destination.
    async fn back_up(&mut self, client: &Client<'_>) -> Result<String, Failure> {
        self.show.heading("1. The backup");
        let finished = self.run(client, &BACKUP, |destination| {
            json!({
                "id": "demo-backup",
                "destination": destination,
                "backup": self.database(),
            })
        });
        let Snapshot {
            filename, size_bytes, ..
        } = finished.await?;
        let object = self.target.locate(&filename);
        self.show
            .event(Mark::Good, &format!("the backup is in {object}, {}", size(size_bytes)));
        self.object = Some(object);
        Ok(filename)
    }

    async fn destroy(&self, before: &Inventory) -> Result<(), Failure> {
        self.show.heading("2. The disaster");
        let data = self.scratch.data();
        blocking(move || std::fs::remove_dir_all(data))
            .await
            .map_err(while_doing("remove the data"))?;
        match self.scratch.data().symlink_metadata() {
            Err(error) => self.show.event(Mark::Good, &format!("data/ is removed: {error}")),
            Ok(_) => return Err(Failure::broken("data/ is still there after its removal")),
        }
        let files = count(before.files(), "file", "files");
        self.show
            .event(Mark::Good, &format!("{files} gone, {} lost", size(before.size_bytes())));
        Ok(())
    }

    async fn restore(&self, client: &Client<'_>, filename: &str) -> Result<(), Failure> {
        self.show.heading("3. The restore");
        let finished = self.run(client, &RESTORE, |mut destination| {
            destination.insert("filename".to_owned(), json!(filename));
            json!({
                "id": "demo-restore",
                "destination": destination,
                "restore": self.database(),
            })
        });
        finished.await.map(drop)
    }

    async fn compare(&self, before: Inventory) -> Result<(), Failure> {
        self.show.heading("4. The comparison");
        let data = self.scratch.data();
        let taken = blocking(move || Inventory::take(&data)).await;
        let after = taken.map_err(while_doing("read the restored data"))?;
        let differences = before.differences(&after);
        if differences.is_empty() {
            let what = describe(&after);
            self.show
                .event(Mark::Good, &format!("{what}: names, SHA-256 and modes are the same"));
            return Ok(());
        }
        let mut details: Vec<String> = differences
            .iter()
            .take(LISTED_DIFFERENCES)
            .map(ToString::to_string)
            .collect();
        let more = differences.len() - details.len();
        if more > 0 {
            details.push(format!("and {more} more"));
        }
        let number = count(differences.len(), "difference", "differences");
        Err(Failure::with_details(
            format_args!("The data came back with {number}"),
            details,
        ))
    }

    /// What both requests say of the database. These scripts care for the parameter alone.
    fn database(&self) -> Value {
        json!({
            "host": "localhost",
            "database": "demo",
            "parameters": [{ "DATA_DIRECTORY": self.scratch.data() }],
        })
    }

    /// Starts a job and follows it to its end, which has to be a good one. `body` makes the request of a destination.
    async fn run(
        &self,
        client: &Client<'_>,
        job_type: &JobType,
        body: impl Fn(Map<String, Value>) -> Value,
    ) -> Result<Snapshot, Failure> {
        let shown = body(self.target.destination_without_keys(self.scratch));
        self.show.command(&curl_start(client.base(), job_type, &shown));
        let began = Instant::now();
        let location = client
            .start(job_type, &body(self.target.destination(self.scratch)))
            .await?;
        self.show.event(Mark::Good, "accepted; and this says how far it is:");
        self.show.command(&curl_poll(client.base(), &location));
        let finished = self.follow(client, job_type, &location, began).await?;

        let elapsed = duration(began.elapsed());
        let Snapshot {
            status, error_message, ..
        } = &finished;
        if status == "SUCCEEDED" && error_message.is_empty() {
            self.show.event(Mark::Good, &format!("{status} in {elapsed}"));
            return Ok(finished);
        }
        let mut details = vec![format!("error_message: {}", self.scratch.shorten(error_message))];
        details.extend(
            finished
                .errors(job_type.phases)
                .iter()
                .map(|line| self.scratch.shorten(line)),
        );
        Err(Failure::with_details(
            format_args!("{} ended as {status} after {elapsed}", job_type.path),
            details,
        ))
    }

    /// Polls a job until it is finished, and tells of each phase as it ends.
    async fn follow(
        &self,
        client: &Client<'_>,
        job_type: &JobType,
        location: &str,
        began: Instant,
    ) -> Result<Snapshot, Failure> {
        let mut progress = Progress::of(job_type);
        loop {
            let snapshot = client.poll(location).await?;
            for line in progress.advance(&snapshot) {
                self.show.step(
                    line.mark,
                    &line.name,
                    began.elapsed(),
                    &self.scratch.shorten(&line.note),
                );
            }
            if snapshot.is_finished() {
                return Ok(snapshot);
            }
            if began.elapsed() > JOB_TIME_LIMIT {
                let limit = duration(JOB_TIME_LIMIT);
                return Err(Failure::broken(format_args!(
                    "{location} is still at {} after {limit}",
                    snapshot.state
                )));
            }
            self.show.doing(&snapshot.activity(), began.elapsed());
            sleep(POLL_INTERVAL).await;
        }
    }
}

fn describe(inventory: &Inventory) -> String {
    let files = count(inventory.files(), "file", "files");
    let directories = count(inventory.directories(), "directory", "directories");
    format!("{files} in {directories}, {}", size(inventory.size_bytes()))
}

/// Files are read and written beside the runtime, so that Ctrl-C is heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
