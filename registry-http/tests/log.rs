//! What the log says of a failure. Alone in its file: a log is one for the whole process.

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
};

use common::Fixture;
use registry_core::{
    Login, Owner,
    auth::{AuthError, Authenticator, Credential, Principal},
};

/// Fails, with a cause that has a cause.
#[derive(Debug)]
struct Down;

#[derive(Debug, thiserror::Error)]
#[error("no connection")]
struct NoConnection(#[source] io::Error);

#[async_trait::async_trait]
impl Authenticator for Down {
    async fn authenticate(&self, _: &Credential) -> Result<Arc<Principal>, AuthError> {
        let refused = io::Error::other("refused\nERROR forged line");
        Err(AuthError::Backend(NoConnection(refused).into()))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(None)
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_the_causes_under_the_id_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let registry = Fixture::with(|config| config, |builder| builder.authenticator(Down)).await;
    let call = registry.get("/api/v1/crates?q=the-secret").token("the-secret");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = call.header("x-request-id", "r-7").header("traceparent", trace);
    call.await.assert_refused(503, "internal error (request r-7)");
    // What is the client's fault is the client's to know.
    assert_eq!(registry.get("/x").await.status, 404);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        log,
        "ERROR request{id=\"r-7\" trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\" \
         parent_id=\"00f067aa0ba902b7\" method=GET route=\"search\"}: \
         registry_http: authentication backend failed request=\"r-7\" \
         causes=\"no connection: refused ERROR forged line\"\n"
    );
}
