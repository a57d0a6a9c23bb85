//! Requests with a token, which is renewed before its time is up and when a server refuses it.

use std::time::Duration;

use hyper::header::HeaderValue;
use object_store::client::{HttpClient, HttpResponse};
use tokio::{sync::Mutex, time::Instant};

use super::{
    address::Account,
    ask::Ask,
    error::SwiftFault,
    login::{Grant, Login},
};
use crate::blob_store::{
    fault::{ConnectionFault, Fault},
    redaction::Redaction,
};

/// A token is renewed this long before its time is up, or when a quarter of its time is left.
const LONGEST_MARGIN: Duration = Duration::from_secs(60);
/// A renewal ahead of time that failed is not tried again for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Why a renewal failed is told for so long to all who need it: many wrong passwords in a row lock a
/// user out.
const FRESH: Duration = Duration::from_secs(1);
/// A token this young was hardly refused.
const YOUNG: Duration = Duration::from_secs(30);

/// An account, with a token for it.
#[derive(Debug)]
pub(super) struct Session {
    login: Login,
    /// To who gives tokens.
    authority: HttpClient,
    /// To the object store.
    storage: HttpClient,
    /// It stays the same: an account does not move in the middle of a transfer.
    account: Account,
    answer_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    token: Token,
    /// When it is to be renewed though no server has refused it.
    renew_at: Option<Instant>,
    /// When and why the last renewal failed.
    failure: Option<(Instant, SwiftFault)>,
}

#[derive(Debug, Clone)]
struct Token {
    value: HeaderValue,
    /// Tells it from the one before, which may look the same.
    generation: u64,
    since: Instant,
}

impl State {
    fn new(grant: &Grant, generation: u64) -> Self {
        let now = Instant::now();
        // One that ends beyond all time need not be renewed.
        let early = |lifetime: Duration| now.checked_add(lifetime - LONGEST_MARGIN.min(lifetime / 4));
        Self {
            token: Token {
                value: grant.token.clone(),
                generation,
                since: now,
            },
            renew_at: grant.lifetime.and_then(early),
            failure: None,
        }
    }
}

impl Session {
    pub(super) fn new(
        login: Login,
        authority: HttpClient,
        storage: HttpClient,
        grant: Grant,
        answer_timeout: Duration,
    ) -> Self {
        Self {
            login,
            authority,
            storage,
            state: Mutex::new(State::new(&grant, 0)),
            account: grant.account,
            answer_timeout,
        }
    }

    pub(super) fn redaction(&self) -> &Redaction {
        self.login.redaction()
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Makes a request; and once more, with a new token, if the token was refused.
    pub(super) async fn execute(&self, ask: &Ask) -> Result<HttpResponse, SwiftFault> {
        let token = self.token().await;
        let fault = match self.once(ask, &token).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        if fault.status() == Some(401) {
            let token = self.renewed(token.generation).await?;
            return self.once(ask, &token).await;
        }
        if ask.has_body() && is_broken(&fault) && token.since.elapsed() > YOUNG {
            self.doubt(token.generation).await;
        }
        Err(fault)
    }

    /// Makes a request that needs no token.
    pub(super) async fn execute_openly(&self, ask: &Ask) -> Result<HttpResponse, SwiftFault> {
        ask.send(&self.storage, None).await
    }

    async fn once(&self, ask: &Ask, token: &Token) -> Result<HttpResponse, SwiftFault> {
        let answer = ask.send(&self.storage, Some(&token.value)).await;
        let secret = token.value.to_str().unwrap_or_default();
        answer.map_err(|fault| fault.without([self.login.secret(), secret]))
    }

    /// The token to use now. Where it cannot be renewed ahead of time the old one is good enough.
    async fn token(&self) -> Token {
        let mut state = self.state.lock().await;
        if state.renew_at.is_some_and(|at| Instant::now() >= at) && self.renew(&mut state).await.is_err() {
            state.renew_at = Some(Instant::now() + PAUSE);
        }
        state.token.clone()
    }

    /// Another token than the one of that generation, which a server has refused.
    async fn renewed(&self, refused: u64) -> Result<Token, SwiftFault> {
        let mut state = self.state.lock().await;
        if state.token.generation == refused {
            if let Some((at, failure)) = &state.failure
                && at.elapsed() < FRESH
            {
                return Err(failure.clone());
            }
            self.renew(&mut state).await?;
        }
        Ok(state.token.clone())
    }

    /// The lock is held meanwhile, so that there is one renewal however many need it. Who is dropped in
    /// the middle of it leaves it to the next.
    async fn renew(&self, state: &mut State) -> Result<(), SwiftFault> {
        let grant = self.login.authenticate(&self.authority, self.answer_timeout).await;
        match grant {
            Ok(grant) => {
                *state = State::new(&grant, state.token.generation + 1);
                Ok(())
            }
            Err(failure) => {
                tracing::warn!("the token for the object store could not be renewed");
                state.failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// A server that refuses a token may end the connection without waiting for the body, and then its
    /// refusal is lost. So the next request comes with a new one.
    async fn doubt(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.token.generation == generation {
            state.renew_at = Some(Instant::now());
        }
    }

    /// Makes the token one that no server knows, as if its time were up.
    #[cfg(test)]
    pub(super) async fn spoil_token(&self) {
        self.state.lock().await.token.value = HeaderValue::from_static("spoilt-token");
    }

    /// Has the token used until a server refuses it.
    #[cfg(test)]
    pub(super) async fn never_renew_early(&self) {
        self.state.lock().await.renew_at = None;
    }
}

fn is_broken(fault: &SwiftFault) -> bool {
    let broken = |fault: &Fault| {
        matches!(
            fault,
            Fault::Connection {
                kind: ConnectionFault::Broken,
                ..
            }
        )
    };
    match fault {
        SwiftFault::Request(fault) => broken(fault),
        SwiftFault::Denied(_) | SwiftFault::Strange(_) => false,
    }
}
