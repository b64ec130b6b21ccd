//! `/healthz` and `/readyz`: what those who look after servers ask, people or machines.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use clap::Args;
use registry_core::{CrateStore, Index, IndexError, StoreError};
use registry_http::{Network, PeerAddress};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::error::causes;

/// For how long it is not asked again. To find out whether they can be written, some backends write,
/// and whoever asks need not be anybody.
const FRESH: Duration = Duration::from_secs(5);
/// How long a backend has to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Address or network of those who look after the server, as in 10.0.0.0/8: they are told by
    /// /readyz how each backend is, and everybody else only whether all are well.
    ///
    /// Give one flag for each, or several with commas between them. What is told are the words of
    /// databases and file systems, with names and paths in them.
    #[arg(long = "operator", value_name = "NET", env = "REGISTRY_OPERATOR")]
    #[arg(value_delimiter = ',')]
    operators: Vec<Network>,
}

/// Whether it is asked how the server is: that is answered whatever else there is to do.
pub(crate) fn is_asked(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// How the server is.
pub(crate) struct Health {
    index: Arc<dyn Index>,
    crates: Arc<dyn CrateStore>,
    /// The database of accounts and tokens, if that is not the index's.
    accounts: Option<Arc<dyn Index>>,
    operators: Vec<Network>,
    /// Locked while somebody finds out, so that it is found out once for all who ask.
    last: Mutex<Option<(Instant, Backends)>>,
}

impl Health {
    pub(crate) fn new(
        index: Arc<dyn Index>,
        crates: Arc<dyn CrateStore>,
        accounts: Option<Arc<dyn Index>>,
        HealthArgs { operators }: HealthArgs,
    ) -> Self {
        Self { index, crates, accounts, operators, last: Mutex::default() }
    }

    pub(crate) fn router(self) -> Router {
        let health = Arc::new(self);
        Router::new().route("/healthz", get(async || answer(StatusCode::OK, &json!({})))).route(
            "/readyz",
            get(async move |Extension(client): Extension<PeerAddress>| health.ready(client).await),
        )
    }

    async fn ready(&self, PeerAddress(client): PeerAddress) -> Response {
        let backends = self.backends().await;
        let is_operator = self.operators.iter().any(|network| network.contains(client));
        let status = match backends.are_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = answer(status, &backends.told(is_operator));
        if !backends.are_ready() {
            let later = HeaderValue::from(FRESH.as_secs());
            response.headers_mut().insert(header::RETRY_AFTER, later);
        }
        response
    }

    async fn backends(&self) -> Backends {
        let mut last = self.last.lock().await;
        if let Some((when, backends)) = &*last
            && when.elapsed() < FRESH
        {
            return backends.clone();
        }
        let accounts = async {
            match &self.accounts {
                Some(accounts) => Some(("accounts", state(accounts.ready()).await)),
                None => None,
            }
        };
        let (index, crates, accounts) =
            tokio::join!(state(self.index.ready()), state(self.crates.ready()), accounts);
        let now =
            Backends([("index", index), ("crates", crates)].into_iter().chain(accounts).collect());
        let before = last.as_ref().map(|(_, before)| before);
        if before.is_none_or(|before| *before != now) {
            now.log(before.is_some());
        }
        *last = Some((Instant::now(), now.clone()));
        now
    }
}

/// How a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// It can be read, and that is what most who come want.
    Unwritable(String),
    Failed(String),
}

impl State {
    fn told(&self) -> &str {
        match self {
            Self::Ready => "ready",
            Self::Unwritable(why) | Self::Failed(why) => why,
        }
    }
}

/// Which failures are those of writes alone.
trait Failure: std::error::Error + 'static {
    fn is_of_writes(&self) -> bool;
}

impl Failure for IndexError {
    fn is_of_writes(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

impl Failure for StoreError {
    fn is_of_writes(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::ReadOnly { .. })
    }
}

async fn state<E: Failure>(ready: impl Future<Output = Result<(), E>>) -> State {
    match timeout(PATIENCE, ready).await {
        Ok(Ok(())) => State::Ready,
        Ok(Err(error)) if error.is_of_writes() => State::Unwritable(causes(&error)),
        Ok(Err(error)) => State::Failed(causes(&error)),
        Err(_) => State::Failed(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}

/// Each by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backends(Vec<(&'static str, State)>);

impl Backends {
    /// Whether they can be read: where nothing can be written, a server is still of more use than
    /// none.
    fn are_ready(&self) -> bool {
        !self.0.iter().any(|(_, state)| matches!(state, State::Failed(_)))
    }

    fn are_writable(&self) -> bool {
        self.0.iter().all(|(_, state)| *state == State::Ready)
    }

    fn told(&self, in_detail: bool) -> Value {
        let mut told = json!({ "ready": self.are_ready(), "writable": self.are_writable() });
        if in_detail {
            told["backends"] = self.detail();
        }
        told
    }

    fn detail(&self) -> Value {
        self.0.iter().map(|(name, state)| (*name, state.told())).collect()
    }

    /// Says what is new.
    fn log(&self, is_change: bool) {
        let backends = self.detail();
        match self.are_writable() {
            true if is_change => tracing::info!(%backends, "all backends are ready again"),
            true => {}
            false => tracing::warn!(%backends, "a backend is not ready"),
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_does_not_answer_is_not_waited_for() {
        let silent = std::future::pending::<Result<(), StoreError>>();
        let why = "no answer within 5 seconds".to_owned();
        assert_eq!(state(silent).await, State::Failed(why));
    }

    #[test]
    fn a_server_is_ready_as_long_as_it_can_be_read() {
        let full = || State::Unwritable("full".into());
        let failed = || State::Failed("gone".into());
        for (index, crates, ready, writable) in [
            (State::Ready, State::Ready, true, true),
            (full(), State::Ready, true, false),
            (State::Ready, full(), true, false),
            (failed(), State::Ready, false, false),
            (full(), failed(), false, false),
        ] {
            let (one, other) = (index.told().to_owned(), crates.told().to_owned());
            let backends = Backends(vec![("index", index), ("crates", crates)]);
            let short = json!({ "ready": ready, "writable": writable });
            assert_eq!(backends.told(false), short, "{backends:?}");
            let mut long = short;
            long["backends"] = json!({ "index": one, "crates": other });
            assert_eq!(backends.told(true), long);
        }
    }
}
