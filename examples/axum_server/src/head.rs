//! How long a client has for the head of its next request.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{self, Duration},
};

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

use crate::slots::{Client, Left};

/// Longest time from the first byte of a head to its last.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept on which nothing is asked for, while nobody waits for it.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// How often something was read from a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads(Arc<AtomicU64>);

impl Reads {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Times heads of a connection of HTTP/1, for a server that knows of one time alone, and so would
/// give a slow head as long as a silent client.
///
/// What comes of a head together with the request before it cannot be seen here: until more of it comes,
/// the client is as good as silent, and has no longer than one that is. Clones are of the same
/// connection.
#[derive(Clone, Debug)]
pub(crate) struct HeadTimer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reads: Reads,
    client: Client,
    /// The alarm of the head before, to be used again. It goes off too early, if at all: setting it
    /// takes a lock that all connections have in common, too long to be done for each head.
    alarm: Mutex<Option<Alarm>>,
}

type Alarm = Pin<Box<tokio::time::Sleep>>;

impl HeadTimer {
    /// While no slots are left, somebody may wait for that of the connection.
    pub(crate) fn new(reads: Reads, client: Client) -> Self {
        Self(Arc::new(Shared { reads, client, alarm: Mutex::default() }))
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// The deadline is that of a client that stays silent.
    fn sleep_until(&self, deadline: time::Instant) -> Pin<Box<dyn Sleep>> {
        let since = Instant::from_std(deadline) - IDLE;
        let alarm = self.0.alarm().take();
        Box::pin(Head {
            timer: self.0.clone(),
            since,
            before: self.0.reads.0.load(Relaxed),
            begun: None,
            alarm: Some(alarm.unwrap_or_else(|| Box::pin(tokio::time::sleep_until(since + HEAD)))),
        })
    }

    fn now(&self) -> time::Instant {
        Instant::now().into()
    }
}

impl Shared {
    fn alarm(&self) -> MutexGuard<'_, Option<Alarm>> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes when the client has had its time for the head.
struct Head {
    timer: Arc<Shared>,
    since: Instant,
    /// What had been read before it.
    before: u64,
    /// When the first of it was read.
    begun: Option<Instant>,
    /// Until it is dropped.
    alarm: Option<Alarm>,
}

impl Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.begun.is_none() && this.timer.reads.0.load(Relaxed) != this.before {
            this.begun = Some(Instant::now());
        }
        let Some(alarm) = &mut this.alarm else { return Poll::Pending };
        loop {
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            let end = match this.begun {
                Some(begun) => begun + HEAD,
                None if this.timer.client.left() != Left::Some => this.since + HEAD,
                None => this.since + IDLE,
            };
            if now >= end {
                return Poll::Ready(());
            }
            // Until then, somebody may come who waits for a connection.
            let look = if now < this.since + HEAD { this.since + HEAD } else { now + HEAD };
            alarm.as_mut().reset(end.min(look));
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        *self.timer.alarm() = self.alarm.take();
    }
}
