//! What is answered when something breaks: a retryable status, and nothing of the cause.

mod common;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use common::{Answer, Fixture, PUBLISHED};
use http::Method;
use registry_core::{
    BoxError, CanonicalName, CrateRecord, CrateStore, ETag, Index, IndexError, Login, Owner,
    Registry, RegistryConfig, StoreError,
    auth::{AuthError, Authenticator, Credential, Principal},
    conformance::fixture::{crate_file, publish_body},
    index::{IndexFile, Lookup, Revision, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    record::Change,
    store::{ByteRange, CrateBody, CrateFile, CrateKey, StoredCrate, StoredCrates},
};
use registry_http::RegistryService;

/// What breaks, shared by all backends of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Index,
    IndexFull,
    Conflicts,
    Unknown,
    Store,
    StoreFull,
    StoreReadOnly,
    StoreQuarantined,
    StoreRead,
    Authenticator,
    Panic,
}

#[derive(Clone, Debug, Default)]
struct Faults(Arc<Mutex<Option<Fault>>>);

fn cause() -> BoxError {
    "secret cause: SELECT * FROM crates".into()
}

impl Faults {
    fn is(&self, fault: Fault) -> bool {
        *self.0.lock().unwrap() == Some(fault)
    }

    fn index(&self) -> Result<(), IndexError> {
        let backend = "secret backend";
        match *self.0.lock().unwrap() {
            Some(Fault::Index) => Err(IndexError::Backend { backend, source: cause() }),
            Some(Fault::IndexFull) => Err(IndexError::Full { backend, source: cause() }),
            _ => Ok(()),
        }
    }

    fn store(&self) -> Result<(), StoreError> {
        let backend = "secret backend";
        match *self.0.lock().unwrap() {
            Some(Fault::Store) => Err(StoreError::Backend { backend, source: cause() }),
            Some(Fault::StoreFull) => Err(StoreError::Full { backend, source: cause() }),
            Some(Fault::StoreReadOnly) => Err(StoreError::ReadOnly { backend, source: cause() }),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct FaultyIndex(MemoryIndex, Faults);

#[async_trait::async_trait]
impl Index for FaultyIndex {
    async fn index_file(
        &self,
        name: &CanonicalName,
        known: Option<&ETag>,
    ) -> Result<Lookup<IndexFile>, IndexError> {
        assert!(!self.1.is(Fault::Panic), "secret cause");
        self.1.index()?;
        self.0.index_file(name, known).await
    }

    async fn load(
        &self,
        name: &CanonicalName,
        known: Option<&Revision>,
    ) -> Result<Lookup<Stored>, IndexError> {
        self.1.index()?;
        self.0.load(name, known).await
    }

    async fn commit(
        &self,
        expected: Option<&Revision>,
        change: &Change,
        next: &CrateRecord,
    ) -> Result<Revision, IndexError> {
        self.1.index()?;
        if self.1.is(Fault::Conflicts) {
            return Err(IndexError::Conflict { name: next.name().canonical() });
        }
        if self.1.is(Fault::Unknown) {
            let name = next.name().canonical();
            return Err(IndexError::OutcomeUnknown { name, source: cause() });
        }
        self.0.commit(expected, change, next).await
    }

    async fn names(
        &self,
        after: Option<&CanonicalName>,
        limit: NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        self.1.index()?;
        self.0.names(after, limit).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.1.index()
    }
}

#[derive(Debug)]
struct FaultyStore(MemoryCrateStore, Faults);

#[async_trait::async_trait]
impl CrateStore for FaultyStore {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.1.store()?;
        self.0.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        self.1.store()?;
        if self.1.is(Fault::StoreQuarantined) {
            return Err(StoreError::Quarantined { key: key.clone().into() });
        }
        let file = self.0.get(key, range).await?;
        Ok(file.map(|mut file| {
            if self.1.is(Fault::StoreRead) {
                // As from a disk that gives up half way.
                file.range.end += 1;
            }
            file
        }))
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        self.0.head(key).await
    }

    async fn location(&self, key: &CrateKey) -> Result<Option<String>, StoreError> {
        self.0.location(key).await
    }

    fn list(&self) -> StoredCrates<'_> {
        self.0.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.1.store()
    }
}

/// Everybody is alice.
#[derive(Debug)]
struct FaultyAuthenticator(Faults);

#[async_trait::async_trait]
impl Authenticator for FaultyAuthenticator {
    async fn authenticate(&self, _: &Credential) -> Result<Arc<Principal>, AuthError> {
        if self.0.is(Fault::Authenticator) {
            return Err(AuthError::Backend(cause()));
        }
        let login = Login::new("alice").unwrap();
        Ok(Arc::new(Owner { id: 1, login, name: None }.into()))
    }

    async fn find_user(&self, _: &Login) -> Result<Option<Owner>, AuthError> {
        Err(AuthError::Backend(cause()))
    }
}

/// A registry with `foo` 1.0.0, and what is to break in it.
async fn published() -> (Fixture, Faults) {
    let faults = Faults::default();
    let mut registry = Fixture::public().await;
    let config = RegistryConfig::new(common::BASE).unwrap();
    let index = FaultyIndex(registry.index.clone(), faults.clone());
    let crates = FaultyStore(registry.crates.clone(), faults.clone());
    let broken = Registry::builder(config, index, crates)
        .authenticator(FaultyAuthenticator(faults.clone()))
        .build();
    registry.service = RegistryService::new(broken);
    registry.publish("foo", "1.0.0").await.assert_ok(PUBLISHED);
    (registry, faults)
}

async fn call(registry: &Fixture, method: &Method, path: &str) -> Answer {
    let body = match path {
        "/api/v1/crates/new" => publish_body("foo", "2.0.0"),
        _ if path.ends_with("/owners") => br#"{"users":["bob"]}"#.to_vec(),
        _ => vec![],
    };
    let call = registry.request(method.clone(), path).token(&registry.alice).body(body);
    call.header("x-request-id", "req-1").await
}

const INTERNAL: &str = "internal error (request req-1)";
const FULL: &str = "registry storage is full";
const READ_ONLY: &str = "registry storage is read-only";
const QUARANTINED: &str = "the file of crate `foo` version `1.0.0` is damaged and was put aside";
const BUSY: &str = "server is busy, try again";

#[tokio::test]
async fn each_failure_has_its_text_and_status_and_is_over_when_it_is_over() {
    let (registry, faults) = published().await;
    let (get, put, delete) = (Method::GET, Method::PUT, Method::DELETE);
    let checksum = registry_core::Checksum::of(crate_file("foo", "1.0.0", ""));
    let dl = format!("/dl/foo/1.0.0/{checksum}");
    let by_version = "/api/v1/crates/foo/1.0.0/download";
    let (new, owners) = ("/api/v1/crates/new", "/api/v1/crates/foo/owners");
    let (yank, search) = ("/api/v1/crates/foo/1.0.0/yank", "/api/v1/crates");
    for (fault, method, path, status, detail, retry) in [
        (Fault::Index, &get, "/index/3/f/foo", 503, INTERNAL, "5"),
        (Fault::Index, &get, by_version, 503, INTERNAL, "5"),
        (Fault::Index, &get, owners, 503, INTERNAL, "5"),
        (Fault::Index, &get, search, 503, INTERNAL, "5"),
        (Fault::Index, &put, new, 503, INTERNAL, "5"),
        (Fault::Index, &put, owners, 503, INTERNAL, "5"),
        (Fault::Index, &delete, yank, 503, INTERNAL, "5"),
        (Fault::IndexFull, &put, new, 503, FULL, "60"),
        (Fault::Conflicts, &put, new, 503, BUSY, "1"),
        (Fault::Conflicts, &delete, yank, 503, BUSY, "1"),
        (Fault::Unknown, &put, new, 503, INTERNAL, "5"),
        (Fault::Unknown, &delete, yank, 503, INTERNAL, "5"),
        (Fault::Store, &get, &dl, 503, INTERNAL, "5"),
        (Fault::Store, &get, by_version, 503, INTERNAL, "5"),
        (Fault::Store, &put, new, 503, INTERNAL, "5"),
        (Fault::StoreFull, &put, new, 503, FULL, "60"),
        (Fault::StoreReadOnly, &put, new, 503, READ_ONLY, "60"),
        (Fault::Authenticator, &get, "/index/3/f/foo", 503, INTERNAL, "5"),
        (Fault::StoreQuarantined, &get, &dl, 503, QUARANTINED, "60"),
        (Fault::StoreQuarantined, &get, by_version, 503, QUARANTINED, "60"),
        (Fault::Authenticator, &put, new, 503, INTERNAL, "5"),
        (Fault::Panic, &get, "/index/3/f/foo", 500, INTERNAL, ""),
    ] {
        *faults.0.lock().unwrap() = Some(fault);
        let answer = call(&registry, method, path).await;
        if path.starts_with("/api") {
            answer.assert_refused(status, detail);
        } else {
            answer.assert_plain(status, detail);
        }
        assert_eq!(answer.header("retry-after"), retry, "{fault:?} {method} {path}");
        assert_eq!(answer.header("x-request-id"), "req-1");

        *faults.0.lock().unwrap() = None;
        let answer = registry.get("/index/3/f/foo").await;
        assert_eq!((answer.status.as_u16(), answer.text().lines().count()), (200, 1));
    }
    let answer = call(&registry, &put, owners).await;
    answer.assert_refused(503, INTERNAL);
}

#[tokio::test]
async fn a_file_that_ends_early_breaks_the_connection_off() {
    use http_body_util::BodyExt as _;
    let (registry, faults) = published().await;
    *faults.0.lock().unwrap() = Some(Fault::StoreRead);
    let request = http::Request::get("/api/v1/crates/foo/1.0.0/download");
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let response = registry.service.handle(request).await;
    assert_eq!(response.status(), 200);
    let error = response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, registry_http::BodyError::Length), "{error}");
}

#[tokio::test]
async fn what_needs_no_backend_works_without_one() {
    let (registry, faults) = published().await;
    for fault in [Fault::Index, Fault::Store, Fault::Authenticator] {
        *faults.0.lock().unwrap() = Some(fault);
        for path in ["/index/config.json", "/me"] {
            assert_eq!(registry.get(path).await.status, 200, "{fault:?} {path}");
        }
    }
}
