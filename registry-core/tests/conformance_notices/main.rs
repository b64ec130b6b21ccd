//! A suite is worth what it notices: each of these backends breaks one promise, and fails the
//! test of that promise.

mod account_store;
mod crate_store;
mod crate_upkeep;
mod index;
mod record_store;
mod token_store;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use registry_core::conformance::run;

/// Whether the test of a promise fails.
fn fails(test: impl Future<Output = ()>) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(test))).is_err()
}

/// Waits until `counter` is past `count`, or for so long that it seems to stay.
async fn passed(counter: &AtomicU64, count: u64) {
    for _ in 0..10_000 {
        if counter.load(Ordering::Relaxed) > count {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Asserts for each defect that these tests fail for a backend that has it. `$bench` makes a bench
/// of a defect.
macro_rules! notices {
    ($suite:ident, $bench:expr; $($defect:expr => $($case:ident),+;)*) => {$($(
        assert!(
            $crate::fails(registry_core::conformance::$suite::$case($bench($defect))),
            concat!(stringify!($case), " does not notice ", stringify!($defect)),
        );
    )+)*};
}
use notices;
