//! What the registry needs of tokio: threads for what takes long, and a clock.

use std::{sync::Arc, time::Duration};

use registry_core::registry::Runtime;
use tokio::sync::Semaphore;

/// The runtime's threads for blocking work, some of them at a time: more would only take turns on
/// the processors and the disk.
#[derive(Clone, Debug)]
pub(crate) struct TokioRuntime(Arc<Semaphore>);

impl TokioRuntime {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(2 * processors)))
    }
}

#[async_trait::async_trait]
impl Runtime for TokioRuntime {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let slot = Arc::clone(&self.0).acquire_owned().await.expect("nobody closes it");
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _slot = slot;
            work();
        });
        // A panic was printed by the runtime, and leaves no result: the registry notices.
        let _ = work.await;
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
