//! Telling other processes of commits.
//!
//! A notification inside the committing transaction would never be lost, but holds a lock on the
//! whole database until that commit is on disk, so that each commit waits for its own disk write.
//! On a disk that takes 160 writes a second, 16 writers came to 170 commits a second so, and to 5,400
//! without it; one writer came to 170 either way. So notifications are sent behind the commits, as
//! many together as have come up meanwhile, by one task for each open database, and may be lost with
//! it: caches have a time limit of their own.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

type OnChange = Arc<dyn Fn(Option<&CanonicalName>) + Send + Sync>;

/// A listener that panics, of which a message was printed, does not keep the others from hearing.
fn tell(on_change: &OnChange, name: Option<&CanonicalName>) {
    let _ = catch_unwind(AssertUnwindSafe(|| on_change(name)));
}

/// Those who listen to a database: all over one connection, which is there as long as any of them.
pub(super) struct Listeners {
    settings: Settings,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    /// Of each registry, with a number of its own for each.
    by_registry: HashMap<Arc<str>, Vec<(u64, OnChange)>>,
    hearing: Option<Hearing>,
    last_number: u64,
}

/// The task that has the connection.
struct Hearing {
    number: u64,
    task: AbortHandle,
    /// Whether commits are heard at the moment.
    connected: bool,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listeners {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, all: Mutex::default() })
    }

    pub(super) fn add(self: &Arc<Self>, registry: &str, on_change: OnChange) -> Listener {
        let registry: Arc<str> = registry.into();
        let (number, connected) = {
            let all = &mut *self.all();
            let number = all.next_number();
            let of_registry = all.by_registry.entry(registry.clone()).or_default();
            of_registry.push((number, on_change.clone()));
            if all.hearing.is_none() {
                let number = all.next_number();
                let task = tokio::spawn(self.clone().listen(number)).abort_handle();
                all.hearing = Some(Hearing { number, task, connected: false });
            }
            (number, all.hearing.as_ref().is_some_and(|hearing| hearing.connected))
        };
        // Otherwise that is told when it is.
        if connected {
            on_change(None);
        }
        Listener { listeners: self.clone(), registry, number }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, registry: &str, number: u64) {
        let all = &mut *self.all();
        let Some(of_registry) = all.by_registry.get_mut(registry) else { return };
        of_registry.retain(|(one, _)| *one != number);
        if of_registry.is_empty() {
            all.by_registry.remove(registry);
        }
        if all.by_registry.is_empty() {
            all.hearing = None;
        }
    }

    async fn listen(self: Arc<Self>, number: u64) {
        let mut pause = PAUSE;
        loop {
            let started = Instant::now();
            let Err(_) = self.listen_once(number).await;
            self.set_connected(number, false);
            // One that has lasted is followed by the next at once.
            pause = if started.elapsed() > LONGEST_PAUSE { PAUSE } else { pause };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Listens for as long as the connection lasts.
    async fn listen_once(&self, number: u64) -> Result<Infallible, BoxError> {
        let Settings { config, tls } = &self.settings;
        let (client, mut connection) = config.connect(tls.clone()).await?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let hearing = async {
            while let Some(message) = messages.try_next().await? {
                if let AsyncMessage::Notification(notification) = message
                    && let Some((registry, name)) = notification.payload().rsplit_once('\n')
                    // Whoever may use the database may have sent anything.
                    && let Ok(name) = CanonicalName::new(name)
                {
                    // Told without the lock: whoever is told may drop a listener.
                    let told = self.all().by_registry.get(registry).cloned();
                    told.iter().flatten().for_each(|(_, on_change)| tell(on_change, Some(&name)));
                }
            }
            Ok::<(), BoxError>(())
        };
        let listening = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            // Whatever was committed before.
            self.set_connected(number, true).iter().for_each(|on_change| tell(on_change, None));
            Ok(client)
        };
        try_join(hearing, listening).await?;
        Err("the server closed the connection".into())
    }

    /// Answers who listens, unless the task of this number has been ended.
    fn set_connected(&self, number: u64, connected: bool) -> Vec<OnChange> {
        let all = &mut *self.all();
        match &mut all.hearing {
            Some(hearing) if hearing.number == number => hearing.connected = connected,
            _ => return Vec::new(),
        }
        all.by_registry.values().flatten().map(|(_, on_change)| on_change.clone()).collect()
    }
}

impl All {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Hears of the commits to one registry, until it is dropped.
#[must_use = "nothing is heard once this is dropped"]
pub struct Listener {
    listeners: Arc<Listeners>,
    registry: Arc<str>,
    number: u64,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listeners.remove(&self.registry, self.number);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("registry", &self.registry).finish_non_exhaustive()
    }
}
