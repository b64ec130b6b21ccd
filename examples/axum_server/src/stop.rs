//! How the server is told to stop.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::error::Error;

/// What tells the process to stop, and no longer kills it.
#[cfg(unix)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

#[cfg(unix)]
impl StopSignals {
    pub(crate) fn new() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(Error::Signals);
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: of(terminate)?, interrupt: of(interrupt)? })
    }

    /// Completes when it is told so again.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
pub(crate) struct StopSignals(CtrlC);

#[cfg(windows)]
impl StopSignals {
    pub(crate) fn new() -> Result<Self, Error> {
        ctrl_c().map(Self).map_err(Error::Signals)
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
