//! What is read again while the agent serves: the files of TLS, and that of the password.

use std::{io, sync::Arc, time::Duration};

use adapters::http::{Credentials, Tls};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::PasswordSource;

/// How often the files of TLS are looked at. Those that have changed are used when they are the same
/// a second time.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Reads files again on SIGHUP, and those of TLS when they have changed too.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) credentials: Credentials,
    pub(crate) password: Arc<PasswordSource>,
}

/// SIGHUP, which would end the agent if nobody received it.
pub(crate) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

impl Reload {
    /// Goes on for as long as it is let.
    pub(crate) async fn run(self, mut hangup: Signal) {
        loop {
            tokio::select! {
                _ = hangup.recv() => self.all().await,
                () = tokio::time::sleep(LOOK_INTERVAL), if self.tls.is_some() => self.what_has_changed().await,
            }
        }
    }

    async fn all(&self) {
        if let Some(tls) = self.tls.clone()
            && let Some(renewed) = on_disk(move || tls.renew()).await
        {
            tell(renewed);
        }
        match &*self.password {
            PasswordSource::Variable(_) => {}
            PasswordSource::File(path) => {
                let source = Arc::clone(&self.password);
                match on_disk(move || source.read()).await {
                    Some(Ok(password)) => {
                        self.credentials.change_password(&password);
                        tracing::info!(client_password_file = %path.display(), "the password was read again");
                    }
                    Some(Err(problem)) => {
                        tracing::error!("the password was not read again, and stays the old one: {problem}");
                    }
                    None => {}
                }
            }
        }
        if self.tls.is_none() && matches!(*self.password, PasswordSource::Variable(_)) {
            tracing::info!("SIGHUP: there is neither TLS nor a client_password_file, so nothing is read again");
        }
    }

    async fn what_has_changed(&self) {
        if let Some(tls) = self.tls.clone()
            && let Some(Some(renewed)) = on_disk(move || tls.renew_if_changed()).await
        {
            tell(renewed);
        }
    }
}

fn tell(renewed: Result<(), Vec<String>>) {
    match renewed {
        Ok(()) => tracing::info!("the files of TLS were read again; new connections use them"),
        Err(faults) => {
            let faults = faults.join("; ");
            tracing::error!("the files of TLS were refused, and new connections use what was read before: {faults}");
        }
    }
}

/// Reads where waiting for a disk holds nobody up. None if the agent is ending.
async fn on_disk<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(read).await.ok()
}
