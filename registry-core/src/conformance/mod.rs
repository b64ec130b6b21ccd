//! The promises of every backend trait as tests, for backends of this project and of others.
//!
//! With `registry-core = { version = "…", features = ["conformance"] }` among the development
//! dependencies, a backend proves itself in a file under `tests/`, one `#[test]` per promise:
//!
//! ```
//! use registry_core::memory::MemoryIndex;
//!
//! registry_core::index_conformance!(memory, volatile: async || MemoryIndex::new());
//! ```
//!
//! The set-up is run once for each test and makes a fresh backend without content; a temporary
//! directory that it needs must not end with the set-up, so keep it in the backend. A backend whose
//! data outlives its handles says `durable`, and its set-up gives an async closure that opens the
//! data, each time again. What the data needs to live on, such as a temporary directory, is moved
//! into that closure, and dropped with it when the test is over:
//!
//! ```
//! # use registry_core::memory::MemoryIndex;
//! # struct TempDir(MemoryIndex); impl TempDir { fn new() -> Self { Self(MemoryIndex::new()) } }
//! # struct MyIndex; impl MyIndex { async fn open(dir: &TempDir) -> MemoryIndex { dir.0.clone() } }
//! registry_core::index_conformance!(my_index, durable: async || {
//!     let dir = TempDir::new();
//!     async move || MyIndex::open(&dir).await
//! });
//! ```
//!
//! A backend that needs a service around it, such as a database server, names the environment
//! variable that says where that is, and its set-up is given the value:
//!
//! ```
//! # use registry_core::memory::MemoryIndex;
//! # struct Server(MemoryIndex);
//! # impl Server { async fn connect(url: &str) -> MemoryIndex { MemoryIndex::new() } }
//! registry_core::index_conformance!(my_server, durable if "MY_SERVER_URL": async |url: String| {
//!     async move || Server::connect(&url).await
//! });
//! ```
//!
//! Without that variable the tests do nothing, and each suite says so on stderr, unless `CI` is
//! `true`: there they fail.
//!
//! The tests about restarts and about two handles on one set of data are shown as ignored for a
//! `volatile` backend. [`faulty`] has wrappers that fail at a chosen call, to test what stands on
//! top of a backend.

pub mod account_store;
pub mod approved_names;
pub mod audit_log;
pub mod crate_store;
pub mod crate_upkeep;
pub mod faulty;
pub mod fixture;
#[cfg(feature = "oidc")]
pub mod identity_provider;
pub mod index;
pub mod key_store;
pub mod record_fixture;
pub mod record_store;
pub mod registry;
pub mod search;
pub mod single_use;
pub mod token_store;
pub mod token_transfer;
pub mod trusted_publishers;

use std::{
    collections::BTreeSet,
    fmt,
    future::poll_fn,
    io::Write as _,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

/// How long one test may take: far more than any takes, so that one that hangs is seen.
const DEADLINE: Duration = Duration::from_secs(180);

/// The service that an environment variable leads to; `None` if it is not set, which is said on
/// stderr once for each module of tests.
///
/// # Panics
/// If it is not set where `CI` is `true`, which is to test everything.
pub fn service(variable: &'static str) -> Option<String> {
    static MISSING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if let Ok(service) = std::env::var(variable) {
        return Some(service);
    }
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!in_ci, "the environment variable `{variable}` is not set");
    let notice = skipped(std::thread::current().name(), variable);
    if MISSING.lock().unwrap_or_else(PoisonError::into_inner).insert(notice.clone()) {
        // Past the harness, which would keep what a passing test prints to itself.
        let _ = std::io::stderr().write_all(notice.as_bytes());
    }
    None
}

/// Says that the tests beside that of this thread are skipped. The harness calls the thread of a
/// test by the test's path, unless it runs all on the main thread.
fn skipped(thread: Option<&str>, variable: &str) -> String {
    let tests = match thread {
        None | Some("main") => "tests".to_owned(),
        Some(test) => match test.rsplit_once("::") {
            Some((suite, _)) => format!("tests of `{suite}`"),
            None => format!("the test `{test}`"),
        },
    };
    format!("skipped: {tests}, for want of the environment variable `{variable}`\n")
}

/// Runs one test on a runtime with several threads.
///
/// # Panics
/// If the test has not ended after three minutes.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("the operating system gives threads");
    let runtime = Abandoned(Some(runtime));
    let runtime = runtime.0.as_ref().expect("taken only when dropped");
    let result = runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await });
    result.unwrap_or_else(|_| panic!("the test has not ended after {DEADLINE:?}"))
}

/// A runtime that is left to itself in the end, also by a test that fails: waiting for a call that
/// hangs, or for a task that spins, would hide the failure.
struct Abandoned(Option<tokio::runtime::Runtime>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The backend under test, ready to be opened.
pub struct Bench<T: ?Sized>(Opener<T>);

type Opener<T> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Arc<T>>>>>;

impl<T: ?Sized + 'static> Bench<T> {
    /// A backend whose content goes with its last handle.
    pub fn volatile<B>(backend: B, share: fn(B) -> Arc<T>) -> Self {
        let shared = share(backend);
        Self(Box::new(move || {
            let shared = shared.clone();
            Box::pin(async move { shared })
        }))
    }

    /// A backend whose content outlives its handles. Each call of `open` gives one more handle.
    pub fn durable<B: 'static>(
        open: impl AsyncFn() -> B + 'static,
        share: fn(B) -> Arc<T>,
    ) -> Self {
        let open = Rc::new(open);
        Self(Box::new(move || {
            let open = open.clone();
            Box::pin(async move { share(open().await) })
        }))
    }

    /// The same backend, shown as what `show` makes of each handle.
    fn map<U: ?Sized + 'static>(self, show: fn(Arc<T>) -> Arc<U>) -> Bench<U> {
        let open = Rc::new(self.0);
        Bench(Box::new(move || {
            let open = open.clone();
            Box::pin(async move { show(open().await) })
        }))
    }

    /// Opens the backend: for the first time, once more beside, or again after a restart.
    pub async fn open(&self) -> Arc<T> {
        (self.0)().await
    }
}

impl<T: ?Sized> fmt::Debug for Bench<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

/// More polls than any write needs, so that the last round of a test that abandons writes is not
/// abandoned at all.
const MOST_POLLS: usize = 200;

/// Polls `future` up to `polls` times, each time it asks for it, and drops it unless it is done.
async fn abandoned_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Makes one module of tests: `any` for all backends, `durable` for those that outlive a handle,
/// `absent` for what a backend has declared not to do.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_suite {
    (
        $module:ident, $backend:tt: $set_up:expr, $suite:ident;
        any: $($any:ident)*; durable: $($durable:ident)*; absent: $($absent:ident)*;
    ) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $($crate::__conformance_suite!(@case $backend, $set_up, $suite, $any);)*
            $($crate::__conformance_suite!(@durable $backend, $set_up, $suite, $durable);)*
            $(
                #[test]
                #[ignore = "the backend is declared without this"]
                fn $absent() {}
            )*
        }
    };
    (@durable {volatile $($rest:tt)*}, $set_up:expr, $suite:ident, $case:ident) => {
        #[test]
        #[ignore = "declared volatile: nothing outlives a handle"]
        fn $case() {}
    };
    (@durable $backend:tt, $set_up:expr, $suite:ident, $case:ident) => {
        $crate::__conformance_suite!(@case $backend, $set_up, $suite, $case);
    };
    (
        @case {$lifetime:ident $(if $service:literal)?}, $set_up:expr, $suite:ident, $case:ident
    ) => {
        #[test]
        fn $case() {
            $(
                let Some(service) = $crate::conformance::service($service) else { return };
            )?
            $crate::conformance::run(async {
                let set_up = $set_up;
                let bench = $crate::conformance::Bench::$lifetime(
                    $crate::__conformance_suite!(@set_up set_up $(service $service)?),
                    $crate::conformance::$suite::share,
                );
                $crate::conformance::$suite::$case(bench).await;
            });
        }
    };
    (@set_up $set_up:ident) => { $set_up().await };
    (@set_up $set_up:ident $service:ident $variable:literal) => { $set_up($service).await };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_is_skipped_is_told_with_the_variable() {
        for (thread, tests) in [
            (Some("s3_server::index::a_create_is_refused"), "tests of `s3_server::index`"),
            (Some("a_test_alone"), "the test `a_test_alone`"),
            (Some("main"), "tests"),
            (None, "tests"),
        ] {
            assert_eq!(
                skipped(thread, "MY_SERVER_URL"),
                format!("skipped: {tests}, for want of the environment variable `MY_SERVER_URL`\n")
            );
        }
    }
}
