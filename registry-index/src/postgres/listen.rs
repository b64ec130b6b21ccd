//! Telling other processes of commits.
//!
//! A notification inside the committing transaction would never be lost, but holds a lock on the
//! whole database until that commit is on disk, so that each commit waits for its own disk write.
//! On a disk that takes 160 writes a second, 16 writers came to 170 commits a second so, and to 5,400
//! without it; one writer came to 170 either way. So notifications are sent behind the commits, as
//! many together as have come up meanwhile, by one task for each open database, and may be lost with
//! it: caches have a time limit of their own.

use std::{
    convert::Infallible,
    fmt,
    time::{Duration, Instant},
};

use futures_util::{TryStreamExt as _, future::try_join, stream};
use registry_core::{BoxError, CanonicalName};
use tokio::{sync::mpsc, task::AbortHandle};
use tokio_postgres::AsyncMessage;

use super::{pool::Pool, settings::Settings};

const CHANNEL: &str = "registry_commit";

/// Most names that wait to be sent; those beyond are not announced. More than that come up only
/// while the server does not answer.
const WAITING: usize = 1024;

/// How long to wait before the first and before later attempts to connect again.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends the names of crates that were committed, in the background, until it is dropped.
pub(super) struct Announcer(mpsc::Sender<String>);

impl Announcer {
    pub(super) fn start(pool: Pool) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut payloads: Vec<String> = Vec::new();
            while waiting.recv_many(&mut payloads, WAITING).await > 0 {
                payloads.sort_unstable();
                payloads.dedup();
                // Lost if that fails: it makes caches faster, and not right.
                let _ = pool.read(include_str!("sql/notify.sql"), &[&CHANNEL, &payloads]).await;
                payloads.clear();
            }
        });
        Self(sender)
    }

    pub(super) fn announce(&self, registry: &str, name: &CanonicalName) {
        // Neither waits nor fails: a full queue is that of a server that does not answer.
        let _ = self.0.try_send(payload(registry, name));
    }
}

/// A canonical name has no line break in it.
fn payload(registry: &str, name: &CanonicalName) -> String {
    format!("{registry}\n{}", name.as_str())
}

/// Hears of the commits to one registry, until it is dropped.
#[must_use = "nothing is heard once this is dropped"]
pub struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) fn start(
        settings: Settings,
        registry: String,
        on_change: impl Fn(Option<&CanonicalName>) + Send + Sync + 'static,
    ) -> Self {
        let task = tokio::spawn(async move {
            let mut pause = PAUSE;
            loop {
                let started = Instant::now();
                let Err(_) = listen(&settings, &registry, &on_change).await;
                // One that has lasted is followed by the next at once.
                pause = if started.elapsed() > LONGEST_PAUSE { PAUSE } else { pause };
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        Self(task.abort_handle())
    }
}

/// Listens for as long as the connection lasts.
async fn listen(
    settings: &Settings,
    registry: &str,
    on_change: &(impl Fn(Option<&CanonicalName>) + Sync),
) -> Result<Infallible, BoxError> {
    let (client, mut connection) = settings.config.connect(settings.tls.clone()).await?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let hearing = async {
        while let Some(message) = messages.try_next().await? {
            if let AsyncMessage::Notification(notification) = message
                && let Some((of, name)) = notification.payload().rsplit_once('\n')
                && of == registry
            {
                on_change(Some(&CanonicalName::new(name)?));
            }
        }
        Ok::<(), BoxError>(())
    };
    let listening = async {
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        // Whatever was committed before.
        on_change(None);
        Ok(client)
    };
    try_join(hearing, listening).await?;
    Err("the server closed the connection".into())
}
