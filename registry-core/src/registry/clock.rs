use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// One moment by both clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    pub(super) monotonic: Instant,
}

impl Moment {
    fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }
}

/// Tells how much time has gone by.
#[derive(Clone)]
pub(super) struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    #[cfg(test)]
    pub(super) fn new(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> Moment {
        (self.0)()
    }

    /// The time since a moment, by the clock that shows more of it: one stands still while the
    /// machine sleeps, the other one can be set back.
    pub(super) fn since(&self, then: Moment) -> Duration {
        let now = self.now();
        let by_wall = now.wall.duration_since(then.wall).unwrap_or_default();
        by_wall.max(now.monotonic.saturating_duration_since(then.monotonic))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Moment::now))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
