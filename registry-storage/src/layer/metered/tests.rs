use std::{cell::Cell, sync::Mutex};

use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateName,
    conformance::faulty::{Fault, Faults, FaultyCrateStore},
    memory::MemoryCrateStore,
    version::parse_version,
};

use super::*;

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A clock that goes on by a second at each look.
fn clock() -> Instant {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    LOOKS.set(LOOKS.get() + 1);
    *START.get_or_init(Instant::now) + Duration::from_secs(LOOKS.get())
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Measurement>>>);

impl Seen {
    fn around<S>(&self, inner: S) -> MeteredCrateStore<S> {
        let seen = self.0.clone();
        let meter = move |measured: &Measurement| seen.lock().unwrap().push(*measured);
        MeteredCrateStore { now: clock, ..MeteredCrateStore::new(inner, meter) }
    }

    /// What was measured since the last look.
    fn take(&self) -> Vec<(Operation, Outcome, u64, u64)> {
        let measured = std::mem::take(&mut *self.0.lock().unwrap()).into_iter();
        measured.map(|it| (it.operation, it.outcome, it.elapsed.as_secs(), it.bytes)).collect()
    }
}

fn key(bytes: &'static str) -> CrateKey {
    CrateKey {
        name: CrateName::new("foo").unwrap(),
        version: parse_version("1.0.0").unwrap(),
        checksum: Checksum::of(bytes),
    }
}

fn body(bytes: &'static str) -> CrateBody {
    Bytes::from(bytes).into()
}

#[tokio::test]
async fn every_call_is_measured_once() {
    let (seen, faults) = (Seen::default(), Faults::none());
    let store = seen.around(FaultyCrateStore::new(MemoryCrateStore::new(), faults.clone()));
    let (abc, nothing) = (key("abc"), key(""));

    store.ready().await.unwrap();
    assert!(store.get(&abc, None).await.unwrap().is_none());
    assert_eq!(store.head(&abc).await.unwrap(), None);
    store.put(&abc, body("abc")).await.unwrap();
    store.put(&nothing, body("")).await.unwrap();
    store.head(&abc).await.unwrap().unwrap();
    assert_eq!(store.location(&abc).await.unwrap(), None);
    let part = store.get(&abc, Some(ByteRange::From(1))).await.unwrap().unwrap();
    assert_eq!(part.bytes().await.unwrap(), "bc");
    let empty = store.get(&nothing, None).await.unwrap().unwrap();
    assert_eq!(empty.bytes().await.unwrap(), "");
    assert_eq!(store.list().try_collect::<Vec<_>>().await.unwrap().len(), 2);
    use Operation as On;
    use Outcome::{Abandoned, Absent, Failed, Found, Succeeded};
    assert_eq!(
        seen.take(),
        [
            (On::Ready, Succeeded, 1, 0),
            (On::Get, Absent, 1, 0),
            (On::Head, Absent, 1, 0),
            (On::Put, Succeeded, 1, 3),
            (On::Put, Succeeded, 1, 0),
            (On::Head, Found, 1, 0),
            (On::Location, Absent, 1, 0),
            // To open it, and for each piece or the end of a stream.
            (On::Get, Found, 2, 2),
            (On::Get, Found, 3, 0),
            (On::List, Succeeded, 3, 0),
        ]
    );

    for fault in Fault::ALL {
        faults.arm(0, fault);
        drop(faults.run(store.put(&abc, body("abc"))).await);
    }
    faults.arm(0, Fault::Before);
    store.get(&abc, None).await.unwrap_err();
    faults.arm(0, Fault::Before);
    store.list().try_collect::<Vec<_>>().await.unwrap_err();
    faults.lift();
    // Opened and not read; listed to no end; and one that is never polled, so never called.
    drop(store.get(&abc, None).await.unwrap().unwrap());
    let _ = store.list().try_next().await.unwrap().unwrap();
    drop(store.ready());
    assert_eq!(
        seen.take(),
        [
            (On::Put, Failed, 1, 0),
            (On::Put, Failed, 1, 0),
            (On::Put, Abandoned, 1, 0),
            (On::Put, Abandoned, 1, 0),
            (On::Get, Failed, 1, 0),
            (On::List, Failed, 1, 0),
            (On::Get, Abandoned, 1, 0),
            (On::List, Abandoned, 1, 0),
        ]
    );
}

#[tokio::test]
async fn upkeep_is_measured_too() {
    let seen = Seen::default();
    let store = seen.around(MemoryCrateStore::new());
    let abc = key("abc");
    store.put(&abc, body("abc")).await.unwrap();
    store.set_aside(&abc, AsideReason::Damaged).await.unwrap();
    store.get(&abc, None).await.unwrap_err();
    let aside: Vec<_> = store.list_aside().try_collect().await.unwrap();
    store.open_aside(&aside[0]).await.unwrap().unwrap().bytes().await.unwrap();
    store.put_back(&aside[0]).await.unwrap();
    assert!(store.open_aside(&aside[0]).await.unwrap().is_none());
    store.purge(&aside[0]).await.unwrap();
    use Outcome::{Absent, Found, Quarantined, Succeeded};
    assert_eq!(
        seen.take(),
        [
            (Operation::Put, Succeeded, 1, 3),
            (Operation::SetAside, Succeeded, 1, 0),
            (Operation::Get, Quarantined, 1, 0),
            (Operation::ListAside, Succeeded, 2, 0),
            (Operation::OpenAside, Found, 2, 3),
            (Operation::PutBack, Succeeded, 1, 0),
            (Operation::OpenAside, Absent, 1, 0),
            (Operation::Purge, Succeeded, 1, 0),
        ]
    );
}

/// A file that comes in pieces, the last of which may be an error.
fn in_pieces(seen: &Seen, pieces: Vec<Result<Bytes, StoreError>>, size: u64) -> CrateFile {
    let mut call = seen.around(()).begin(Operation::Get);
    call.measured.elapsed = Duration::ZERO;
    let body = Box::pin(Measured {
        stream: futures_util::stream::iter(pieces),
        call: Some(call),
        weigh: |chunk: &Bytes| chunk.len() as u64,
        all: Some(size),
        outcome: Outcome::Found,
    });
    CrateFile { size, range: 0..size, modified: std::time::SystemTime::UNIX_EPOCH, body }
}

#[tokio::test]
async fn a_body_is_measured_to_its_last_byte_without_the_time_of_its_reader() {
    let seen = Seen::default();
    let mut file = in_pieces(&seen, vec![Ok("ab".into()), Ok("".into()), Ok("c".into())], 3);
    for _ in 0..3 {
        assert_eq!(seen.take(), []);
        file.next_chunk().await.unwrap().unwrap();
        // The reader takes its time.
        clock();
        clock();
    }
    // Nobody has asked whether more comes.
    assert_eq!(seen.take(), [(Operation::Get, Outcome::Found, 3, 3)]);
    assert!(file.next_chunk().await.is_none());
    drop(file);

    let broken = Err(StoreError::failed("x", "cut"));
    let mut file = in_pieces(&seen, vec![Ok("ab".into()), broken], 3);
    file.next_chunk().await.unwrap().unwrap();
    file.next_chunk().await.unwrap().unwrap_err();
    assert_eq!(seen.take(), [(Operation::Get, Outcome::Failed, 2, 2)]);
    drop(file);
    assert_eq!(seen.take(), []);
}
