//! How long a client has for the head of its next request.

use std::{
    pin::Pin,
    sync::{
        Arc,
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
/// the client is as good as silent, and has no longer than one that is.
#[derive(Clone, Debug)]
pub(crate) struct HeadTimer {
    reads: Reads,
    client: Client,
}

impl HeadTimer {
    /// While no slots are left, somebody may wait for that of the connection.
    pub(crate) fn new(reads: Reads, client: Client) -> Self {
        Self { reads, client }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        Box::pin(Head {
            timer: self.clone(),
            since: now,
            before: self.reads.0.load(Relaxed),
            has_begun: false,
            next: Box::pin(tokio::time::sleep_until(now + HEAD)),
        })
    }

    fn sleep_until(&self, _: time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(HEAD)
    }

    fn now(&self) -> time::Instant {
        Instant::now().into()
    }
}

/// Completes when the client has had its time for the head.
struct Head {
    timer: HeadTimer,
    since: Instant,
    /// What had been read before it.
    before: u64,
    has_begun: bool,
    next: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.has_begun && this.timer.reads.0.load(Relaxed) != this.before {
            this.has_begun = true;
            this.next.as_mut().reset(Instant::now() + HEAD);
        }
        loop {
            ready!(this.next.as_mut().poll(cx));
            let is_over = Instant::now() >= this.since + IDLE;
            if this.has_begun || is_over || this.timer.client.left() != Left::Some {
                return Poll::Ready(());
            }
            this.next.as_mut().reset(Instant::now() + HEAD);
        }
    }
}
