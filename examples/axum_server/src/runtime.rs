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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn two_works_a_processor_are_done_at_a_time_and_one_more_waits() {
        let runtime = TokioRuntime::new();
        let most = runtime.0.available_permits();
        assert_eq!(most, 2 * std::thread::available_parallelism().map_or(1, usize::from));
        let [begun, ended] = [(); 2].map(|()| Arc::new(Barrier::new(most + 1)));
        let works = (0..most).map(|_| {
            let (begun, ended) = (begun.clone(), ended.clone());
            runtime.run(Box::new(move || {
                begun.wait();
                ended.wait();
            }))
        });
        let mut works = Box::pin(join_all(works));
        assert!(works.as_mut().now_or_never().is_none());
        // All of them are under way at the same time, or this would not go on.
        begun.wait();
        let mut next = runtime.run(Box::new(|| {}));
        assert!(next.as_mut().now_or_never().is_none());
        assert_eq!(runtime.0.available_permits(), 0);
        ended.wait();
        works.await;
        next.await;
        assert_eq!(runtime.0.available_permits(), most);
    }
}
