//! Ends what an earlier agent left at work.

use std::{io, path::Path, time::Duration};

use domain::job::JobKey;

use super::record::{self, Leftover};

/// Ends all that comes of the script that the record of `job` tells of; without a record nothing.
///
/// The error is a whole message. The record stays then.
pub(super) async fn end(directory: &Path, job: &JobKey, grace: Duration) -> Result<(), String> {
    let leftover = {
        let (directory, job) = (directory.to_owned(), job.clone());
        tokio::task::spawn_blocking(move || Leftover::read(&directory, &job))
            .await
            .map_err(io::Error::other)
            .and_then(|result| result)
    };
    let leftover = leftover.map_err(|error| {
        let record = record::path(directory, job);
        format!(
            "whether a script of an earlier agent is still at work for {job} is not known: cannot read {}: {error}; \
             make it readable for the agent's user",
            record.display()
        )
    })?;
    let Some(leftover) = leftover else {
        return Ok(());
    };
    if !leftover.damage.is_empty() {
        tracing::warn!(
            %job, record = %leftover.path().display(), missing = leftover.damage.join(", "),
            "the record of a script that an earlier agent left is damaged; what can be read of it is followed"
        );
    }
    if !leftover.is_of_another_boot {
        let phase = &leftover.phase;
        tracing::info!(%job, phase, "ending what an earlier agent left at work");
        let ended = match leftover.tree.clone().end(grace).await {
            Ok(tree) => tree.end_supervisor().await,
            Err(error) => Err(error),
        };
        ended.map_err(|error| {
            tracing::error!(%job, phase, %error, "what an earlier agent left at work could not be ended");
            format!("the script {phase} that an earlier agent left at work could not be ended: {error}")
        })?;
    }
    leftover.remove();
    Ok(())
}
