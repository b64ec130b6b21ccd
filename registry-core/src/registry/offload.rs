use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

/// Runs long computations (unpacking and checking a crate file) where they hold up nobody.
///
/// This crate has no runtime; a service that has one hands the work to its blocking threads:
///
/// ```
/// use registry_core::registry::Offload;
///
/// #[derive(Debug)]
/// struct BlockingThreads;
///
/// #[async_trait::async_trait]
/// impl Offload for BlockingThreads {
///     async fn run(&self, work: Box<dyn FnOnce() + Send>) {
///         let _ = tokio::task::spawn_blocking(work).await;
///     }
/// }
/// ```
#[async_trait]
pub trait Offload: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` to its end, or to its panic, and returns after that.
    async fn run(&self, work: Box<dyn FnOnce() + Send>);
}

/// Runs the work at once, on the thread that asks: for tests, and for a service of few users.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

#[async_trait]
impl Offload for Inline {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Runs `work` on `offload` and brings its result back; `None` if it did not come to its end.
pub(super) async fn run<T: Send + 'static>(
    offload: &dyn Offload,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    offload
        .run(Box::new(move || {
            let done = work();
            *place.lock().expect("nobody panics while holding it") = Some(done);
        }))
        .await;
    result.lock().expect("nobody panics while holding it").take()
}
