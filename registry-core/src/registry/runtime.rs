use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

/// What a registry needs of the runtime around it. This crate has none.
///
/// A service that has one hands long work to its blocking threads, and waits by its clock:
///
/// ```
/// use std::time::Duration;
/// use registry_core::registry::Runtime;
///
/// #[derive(Debug)]
/// struct Tokio;
///
/// #[async_trait::async_trait]
/// impl Runtime for Tokio {
///     async fn run(&self, work: Box<dyn FnOnce() + Send>) {
///         let _ = tokio::task::spawn_blocking(work).await;
///     }
///     async fn sleep(&self, duration: Duration) {
///         tokio::time::sleep(duration).await;
///     }
/// }
/// ```
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` (unpacking and checking a crate file, writing to a spool) where it holds up
    /// nobody, to its end or to its panic, and returns after that.
    ///
    /// Work that has begun goes on if the future is dropped.
    async fn run(&self, work: Box<dyn FnOnce() + Send>);

    /// Returns when so much time has passed.
    async fn sleep(&self, duration: Duration);
}

/// Runs the work at once, on the thread that asks, and waits for nothing: for tests, and for a
/// service of few users. An upload that finds no room is refused at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

#[async_trait]
impl Runtime for Inline {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    async fn sleep(&self, _: Duration) {}
}

/// Runs `work` on `runtime` and brings its result back; `None` if it did not come to its end: it
/// panicked, or the runtime is shutting down.
pub async fn run<T: Send + 'static>(
    runtime: &dyn Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    runtime
        .run(Box::new(move || {
            let done = work();
            *place.lock().expect("nobody panics while holding it") = Some(done);
        }))
        .await;
    result.lock().expect("nobody panics while holding it").take()
}
