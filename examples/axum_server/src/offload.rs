//! Where the registry does what takes long: unpacking and checking crate files.

use std::sync::Arc;

use registry_core::registry::Offload;
use tokio::sync::Semaphore;

/// The runtime's threads for blocking work, some of them at a time: more would only take turns on
/// the processors, each with a crate file in memory.
#[derive(Debug)]
pub(crate) struct BlockingThreads(Arc<Semaphore>);

impl BlockingThreads {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(2 * processors)))
    }
}

#[async_trait::async_trait]
impl Offload for BlockingThreads {
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
}
