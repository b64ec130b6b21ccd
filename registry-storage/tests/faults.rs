//! What a store in a bucket does when requests to it go wrong: it repeats what may be repeated,
//! tells what may not, and never takes a part of a file for the whole.
#![cfg(feature = "aws")]

mod common;

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateName, CrateStore, StoreError,
    conformance::{run, service},
    store::{ByteRange, CrateBody, CrateKey, SpooledFile},
};
use registry_storage::{ObjectCrateStore, StorageOptions};

use crate::common::{
    http,
    proxy::{Fault, Proxy},
    unused,
};

const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code></Error>";
const INTERNAL: &str = "<Error><Code>InternalError</Code></Error>";

/// How often a request is sent: once, and then repeated twice.
const TRIES: usize = 3;
/// How long a server may be silent: more than a busy one is.
const PATIENCE: &str = "2s";

struct Fixture {
    proxy: Proxy,
    /// Through the proxy.
    store: ObjectCrateStore,
    /// Past it.
    direct: ObjectCrateStore,
    upstream: String,
    bucket: String,
    prefix: String,
}

impl Fixture {
    async fn new(service: &str) -> Self {
        let (upstream, bucket) = service.rsplit_once('/').unwrap();
        let address = upstream.strip_prefix("http://").unwrap();
        let proxy = Proxy::start(address).await;
        let prefix = unused();
        let open = |endpoint: &str| {
            let options = StorageOptions::new()
                .with("endpoint", endpoint)
                .with("allow_http", "true")
                .with("max_retries", "2")
                .with("retry_timeout", "20s")
                .with("read_timeout", PATIENCE);
            ObjectCrateStore::s3(bucket, &prefix, &options).unwrap()
        };
        let (store, direct) = (open(&proxy.endpoint()), open(upstream));
        let (upstream, bucket) = (address.into(), bucket.into());
        Self { proxy, store, direct, upstream, bucket, prefix }
    }

    /// Whether the file is there, and nothing but the whole of it.
    async fn stored(&self, (key, bytes): &(CrateKey, Bytes)) -> bool {
        let listed: Vec<_> = self.direct.list().try_collect().await.unwrap();
        let listed = listed.iter().filter(|stored| stored.key == *key).count();
        let Some(file) = self.direct.get(key, None).await.unwrap() else {
            assert_eq!(listed, 0);
            return false;
        };
        assert!(file.bytes().await.unwrap() == bytes, "a part of a file was stored");
        assert_eq!(listed, 1);
        true
    }

    /// Uploads in parts that nobody has ended or given up.
    async fn open_uploads(&self) -> usize {
        let listed = http(&self.upstream, &format!("GET /{}?uploads", self.bucket)).await;
        listed.matches(&format!("<Key>{}/", self.prefix)).count()
    }
}

fn file(bytes: impl Into<Bytes>) -> (CrateKey, Bytes) {
    let bytes = bytes.into();
    let (name, version) = (CrateName::new("foo").unwrap(), "1.0.0".parse().unwrap());
    (CrateKey { name, version, checksum: Checksum::of(&bytes) }, bytes)
}

/// Repeats nowhere, so that a piece in a wrong place shows.
fn long_file(bytes: u32) -> (CrateKey, Bytes) {
    file((0..bytes / 4).flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

async fn put(store: &ObjectCrateStore, (key, bytes): &(CrateKey, Bytes)) -> Result<(), StoreError> {
    store.put(key, CrateBody::from(bytes.clone())).await
}

/// Runs a test if there is a server.
fn with_server(test: impl AsyncFnOnce(Fixture)) {
    let Some(service) = service("REGISTRY_TEST_S3") else { return };
    run(async { test(Fixture::new(&service).await).await });
}

#[test]
fn a_put_that_fails_for_a_while_is_repeated() {
    use Fault::{Answer, AnswerAfter, Hang, LoseAnswer, Refuse};
    with_server(async |fixture| {
        for fault in [
            Answer(503, SLOW_DOWN),
            Answer(500, INTERNAL),
            Answer(429, ""),
            AnswerAfter(500, INTERNAL),
            AnswerAfter(503, SLOW_DOWN),
            Refuse,
            LoseAnswer,
            Hang,
        ] {
            let one = file(format!("{fault:?}"));
            fixture.proxy.fail("PUT", [fault.clone()]);
            put(&fixture.store, &one).await.unwrap();
            assert_eq!(fixture.proxy.count("PUT "), 2, "{fault:?}");
            assert!(fixture.stored(&one).await, "{fault:?}");
        }
    });
}

#[test]
fn a_put_that_goes_on_failing_is_told_and_leaves_the_whole_file_or_none() {
    use Fault::{Answer, AnswerAfter, Hang, LoseAnswer, Refuse};
    with_server(async |fixture| {
        for (fault, tries, is_stored) in [
            // Repeating would not help.
            (Answer(403, "<Error/>"), 1, false),
            (Answer(409, "<Error><Code>OperationAborted</Code></Error>"), 1, false),
            (Answer(412, "<Error><Code>PreconditionFailed</Code></Error>"), 1, false),
            (Answer(404, "<Error><Code>NoSuchBucket</Code></Error>"), 1, false),
            // Said to be done, but without what S3 says of what it has stored.
            (Answer(200, INTERNAL), 1, false),
            (Answer(503, SLOW_DOWN), TRIES, false),
            (Refuse, TRIES, false),
            (Hang, TRIES, false),
            // From here on, it is stored.
            (AnswerAfter(500, INTERNAL), TRIES, true),
            (LoseAnswer, TRIES, true),
        ] {
            let one = file(format!("{fault:?}"));
            fixture.proxy.fail("PUT", std::iter::repeat_n(fault.clone(), tries));
            let error = put(&fixture.store, &one).await.unwrap_err();
            assert!(matches!(error, StoreError::Backend { backend: "S3", .. }), "{error:?}");
            assert_eq!(fixture.proxy.count("PUT "), tries, "{fault:?}");
            assert_eq!(fixture.stored(&one).await, is_stored, "{fault:?}");
            // Once it is over, it is as if it had not been.
            put(&fixture.store, &one).await.unwrap();
            assert!(fixture.stored(&one).await, "{fault:?}");
        }
    });
}

const LENGTH: u32 = 3 << 20;

#[test]
fn a_put_is_believed_once_the_file_is_seen() {
    with_server(async |fixture| {
        let short = file("abc");
        fixture.proxy.fail("PUT", [Fault::Lie]);
        assert!(put(&fixture.store, &short).await.is_err());
        assert_eq!(fixture.proxy.faults_left(), 0);
        assert!(!fixture.stored(&short).await);
        // Half of a file is not the file either.
        let cut = CrateBody::from(short.1.slice(1..));
        fixture.direct.put(&short.0, cut).await.unwrap();
        fixture.proxy.fail("PUT", [Fault::Lie]);
        assert!(put(&fixture.store, &short).await.is_err());
        put(&fixture.store, &short).await.unwrap();
        assert!(fixture.stored(&short).await);
    });
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_was() {
    use Fault::{Answer, Cut, Hang, Refuse, Slow, Stall};
    with_server(async |fixture| {
        let one = long_file(LENGTH);
        put(&fixture.direct, &one).await.unwrap();
        let kib = 1 << 10;
        for (faults, ranges) in [
            (vec![Answer(503, SLOW_DOWN)], vec![None]),
            (vec![Refuse], vec![None]),
            (vec![Hang], vec![None]),
            (vec![Cut(0)], vec![Some(0)]),
            (vec![Cut(700 * kib)], vec![Some(700 * kib)]),
            (vec![Stall(5)], vec![Some(5)]),
            (vec![Cut(kib), Cut(2 * kib)], vec![Some(kib), Some(3 * kib)]),
            // Each piece is in time, though the whole takes longer than the server may be silent.
            (vec![Slow(256 * kib, Duration::from_millis(200))], vec![]),
        ] {
            fixture.proxy.fail("GET", faults.clone());
            let opened = fixture.store.get(&one.0, None).await.unwrap().unwrap();
            assert!(opened.bytes().await.unwrap() == one.1, "{faults:?}");
            let requests = fixture.proxy.requests();
            let asked: Vec<_> = requests.iter().skip(1).map(|head| range_of(head)).collect();
            let last = LENGTH - 1;
            let expected = ranges.iter().map(|from| from.map(|at| format!("bytes={at}-{last}")));
            assert_eq!(asked, expected.collect::<Vec<_>>(), "{faults:?}");
        }
    });
}

fn range_of(head: &str) -> Option<String> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.find(|(name, _)| *name == "range").map(|(_, range)| range.to_owned())
}

#[test]
fn a_download_that_cannot_go_on_ends_in_an_error_and_not_early() {
    use Fault::{Answer, Cut, Stall, WithoutRange};
    with_server(async |fixture| {
        let one = long_file(LENGTH);
        put(&fixture.direct, &one).await.unwrap();
        for faults in [
            vec![Cut(9_999); TRIES],
            vec![Stall(9_999), Answer(403, "<Error/>")],
            vec![Cut(9_999), Answer(404, "<Error/>")],
            vec![Cut(9_999), Answer(200, INTERNAL)],
            // From the first byte, where a later one was asked for.
            vec![Cut(9_999), WithoutRange],
        ] {
            fixture.proxy.fail("GET", faults.clone());
            let mut opened = fixture.store.get(&one.0, None).await.unwrap().unwrap();
            let mut read = Vec::new();
            let error = loop {
                match opened.next_chunk().await {
                    Some(Ok(chunk)) => read.extend_from_slice(&chunk),
                    Some(Err(error)) => break error,
                    None => panic!("{faults:?}: taken for whole at {} bytes", read.len()),
                }
            };
            assert!(matches!(error, StoreError::Backend { backend: "S3", .. }), "{error:?}");
            assert!(one.1.starts_with(&read), "{faults:?}");
            assert!(opened.next_chunk().await.is_none(), "{faults:?}");
            assert_eq!(fixture.proxy.faults_left(), 0, "{faults:?}");
        }
    });
}

#[test]
fn a_part_is_read_as_safely_as_the_whole() {
    with_server(async |fixture| {
        let one = long_file(LENGTH);
        put(&fixture.direct, &one).await.unwrap();
        let range = Some(ByteRange::FromTo(1_000, 1_999_999));
        fixture.proxy.fail("GET", [Fault::Cut(5_000)]);
        let part = fixture.store.get(&one.0, range).await.unwrap().unwrap();
        assert!(part.bytes().await.unwrap() == one.1[1_000..2_000_000]);
        let asked: Vec<_> = fixture.proxy.requests().iter().filter_map(|it| range_of(it)).collect();
        assert_eq!(asked, ["bytes=1000-1999999", "bytes=6000-1999999"]);
        // The whole, where a part was asked for.
        fixture.proxy.fail("GET", [Fault::WithoutRange]);
        let error = fixture.store.get(&one.0, range).await.unwrap_err();
        assert!(matches!(error, StoreError::Backend { backend: "S3", .. }), "{error:?}");
    });
}

#[test]
fn what_cannot_be_looked_at_is_not_taken_for_absent() {
    use Fault::Answer;
    with_server(async |fixture| {
        let (key, _) = file("nowhere");
        for (fault, tries) in [
            (Answer(500, INTERNAL), TRIES),
            (Answer(403, "<Error/>"), 1),
            // A bucket that is gone says nothing of its files, wherever they are looked for.
            (Answer(404, "<Error><Code>NoSuchBucket</Code></Error>"), 2),
        ] {
            fixture.proxy.fail("GET", std::iter::repeat_n(fault.clone(), tries));
            let error = fixture.store.get(&key, None).await.unwrap_err();
            assert!(matches!(error, StoreError::Backend { backend: "S3", .. }), "{error:?}");
            assert_eq!(fixture.proxy.requests().len(), tries, "{fault:?}");
        }
        fixture.proxy.fail("HEAD", std::iter::repeat_n(Answer(500, INTERNAL), TRIES));
        fixture.store.head(&key).await.unwrap_err();
        fixture.proxy.fail("PUT", [Answer(403, "<Error/>")]);
        fixture.store.ready().await.unwrap_err();
        fixture.store.ready().await.unwrap();
        assert!(fixture.store.get(&key, None).await.unwrap().is_none());
        assert_eq!(fixture.store.head(&key).await.unwrap(), None);
    });
}

#[test]
fn a_listing_is_whole_or_ends_in_an_error() {
    use Fault::{Answer, Cut, Refuse};
    with_server(async |fixture| {
        let one = file("listed");
        put(&fixture.direct, &one).await.unwrap();
        let list = async || fixture.store.list().try_collect::<Vec<_>>().await;
        for fault in [Answer(503, SLOW_DOWN), Refuse] {
            fixture.proxy.fail("GET", [fault]);
            let listed = list().await.unwrap();
            assert_eq!(listed.iter().map(|it| &it.key).collect::<Vec<_>>(), [&one.0]);
            assert_eq!(fixture.proxy.requests().len(), 2);
        }
        for faults in [vec![Answer(500, INTERNAL); TRIES], vec![Cut(40); TRIES]] {
            fixture.proxy.fail("GET", faults);
            let error = list().await.unwrap_err();
            assert!(matches!(error, StoreError::Backend { backend: "S3", .. }), "{error:?}");
        }
    });
}

/// In a temporary file, and so long that it is put in parts.
fn spooled((_, bytes): &(CrateKey, Bytes)) -> CrateBody {
    let (mut file, path) = tempfile::NamedTempFile::new().unwrap().keep().unwrap();
    file.write_all(bytes).unwrap();
    CrateBody::spooled(SpooledFile::new(file, path)).unwrap()
}

#[test]
fn a_file_in_parts_is_stored_whole_or_not_at_all() {
    use Fault::{Answer, AnswerAfter, LoseAnswer, Refuse};
    with_server(async |fixture| {
        let body = |count: u8| {
            let (_, bytes) = long_file(17 << 20);
            file([&bytes[..], &[count]].concat())
        };
        for (count, (method, faults, is_done)) in [
            ("PUT", vec![Answer(503, SLOW_DOWN), LoseAnswer, AnswerAfter(500, "")], true),
            ("PUT", vec![Answer(403, "<Error/>")], false),
            ("POST", vec![Fault::Pass, Answer(503, SLOW_DOWN)], true),
            // S3 sends its status before it knows how it ends.
            ("POST", vec![Fault::Pass, Answer(200, INTERNAL)], true),
            ("POST", vec![Answer(403, "<Error/>")], false),
            ("POST", [vec![Fault::Pass], vec![Refuse; TRIES]].concat(), false),
        ]
        .into_iter()
        .enumerate()
        {
            let one = body(count as u8);
            fixture.proxy.fail(method, faults.clone());
            let put = fixture.store.put(&one.0, spooled(&one)).await;
            assert_eq!(put.is_ok(), is_done, "{faults:?}: {put:?}");
            assert_eq!(fixture.proxy.faults_left(), 0, "{faults:?}");
            assert_eq!(fixture.stored(&one).await, is_done, "{faults:?}");
            assert_eq!(fixture.open_uploads().await, 0, "{faults:?}");
        }
        // Whatever is said, the file is there; and putting it again says so.
        let one = body(u8::MAX);
        fixture.proxy.fail("POST", [Fault::Pass, LoseAnswer]);
        let _ = fixture.store.put(&one.0, spooled(&one)).await;
        assert!(fixture.stored(&one).await);
        fixture.store.put(&one.0, spooled(&one)).await.unwrap();
        assert!(fixture.stored(&one).await);
        assert_eq!(fixture.open_uploads().await, 0);
    });
}
