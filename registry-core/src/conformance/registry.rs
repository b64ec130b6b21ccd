//! The promises of a whole registry, for a pair of backends under it.

mod crashes;
mod races;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use semver::Version;

pub use self::{
    crashes::{
        a_change_of_owners_that_fails_at_any_call_is_done_or_not,
        a_first_publish_that_fails_at_any_call_is_whole_or_nothing,
        a_second_publish_that_fails_at_any_call_is_whole_or_nothing,
        a_yank_that_fails_at_any_call_is_done_or_not,
    },
    races::{
        changes_by_two_processes_are_all_kept, fifty_changes_of_one_crate_are_all_kept,
        of_fifty_publishes_of_one_version_one_wins_and_its_file_is_served,
        owners_who_leave_at_once_leave_one, owners_who_remove_each_other_leave_one,
    },
};
use super::{
    Bench,
    fixture::{crate_file, publish_body_of},
};
use crate::{
    auth::{AuthError, Authenticator, Caller, Credential, Principal},
    config::RegistryConfig,
    index::{Index, Lookup},
    name::{CanonicalName, CrateName},
    owner::{Login, Owner},
    registry::{PublishError, Published, Registry},
    store::{CrateKey, CrateStore},
};

/// Makes a test of each promise that a whole registry keeps over a pair of backends, at every
/// failure and crash on the way. The set-up gives the index and the crate store.
///
/// ```
/// use registry_core::memory::{MemoryCrateStore, MemoryIndex};
///
/// registry_core::registry_conformance!(
///     memory, volatile: async || (MemoryIndex::new(), MemoryCrateStore::new())
/// );
/// ```
#[macro_export]
macro_rules! registry_conformance {
    ($module:ident, $lifetime:ident $(if $service:literal)?: $set_up:expr) => {
        $crate::__conformance_suite! {
            $module, {$lifetime $(if $service)?}: $set_up, registry;
            any:
                a_first_publish_that_fails_at_any_call_is_whole_or_nothing
                a_second_publish_that_fails_at_any_call_is_whole_or_nothing
                a_yank_that_fails_at_any_call_is_done_or_not
                a_change_of_owners_that_fails_at_any_call_is_done_or_not
                of_fifty_publishes_of_one_version_one_wins_and_its_file_is_served
                fifty_changes_of_one_crate_are_all_kept
                changes_by_two_processes_are_all_kept
                owners_who_remove_each_other_leave_one
                owners_who_leave_at_once_leave_one
                a_refused_publish_leaves_no_trace;
            durable:;
            absent:;
        }
    };
}

/// The two backends that a registry stands on.
#[derive(Debug)]
pub struct Backends {
    index: Arc<dyn Index>,
    crates: Arc<dyn CrateStore>,
}

#[doc(hidden)]
pub fn share<I: Index, S: CrateStore>((index, crates): (I, S)) -> Arc<Backends> {
    Arc::new(Backends { index: Arc::new(index), crates: Arc::new(crates) })
}

/// Bad uploads of every stage are refused, and neither backend holds anything afterwards.
#[doc(hidden)]
pub async fn a_refused_publish_leaves_no_trace(bench: Bench<Backends>) {
    let backends = bench.open().await;
    let registry = registry(&backends.index, &backends.crates);
    let metadata = br#"{"name":"foo","vers":"1.0.0","deps":[],"features":{}}"#;
    let good = crate_file("foo", "1.0.0", "");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let whole = publish_body_of(metadata, &good);
    let bodies = [
        vec![],
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], b"x"].concat(),
        publish_body_of(b"{}", &good),
        publish_body_of(br#"{"name":"../foo","vers":"1.0.0"}"#, &good),
        publish_body_of(metadata, b"no archive"),
        publish_body_of(metadata, &good[..good.len() - 1]),
        publish_body_of(metadata, &flipped),
        publish_body_of(metadata, &crate_file("bar", "1.0.0", "")),
        publish_body_of(metadata, &crate_file("foo", "1.0.1", "")),
        publish_body_of(metadata, &crate_file("foo", "1.0.0", "[dependencies]\nbar = \"1\"\n")),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let outcome = publish(&registry, alice(), body).await;
        let refused = matches!(outcome, Err(PublishError::Frame(_) | PublishError::Invalid(_)));
        assert!(refused, "body {number}: {outcome:?}");
    }
    assert_eq!(backends.index.names(None, limit(10)).await.unwrap(), []);
    assert_eq!(backends.crates.list().try_collect::<Vec<_>>().await.unwrap(), []);
}

fn limit(limit: usize) -> std::num::NonZeroUsize {
    limit.try_into().expect("not 0")
}

/// A registry of which every login is a user.
fn registry(index: &Arc<dyn Index>, crates: &Arc<dyn CrateStore>) -> Registry {
    builder(index.clone(), crates.clone()).build()
}

fn builder(index: impl Index, crates: impl CrateStore) -> crate::registry::RegistryBuilder {
    let config = RegistryConfig::new("https://crates.example.com").expect("a plain URL");
    Registry::builder(config, index, crates).authenticator(EverybodyIsKnown)
}

#[derive(Debug)]
struct EverybodyIsKnown;

#[async_trait::async_trait]
impl Authenticator for EverybodyIsKnown {
    async fn authenticate(&self, credential: &Credential) -> Result<Arc<Principal>, AuthError> {
        let login = Login::new(credential.expose()).map_err(|_| AuthError::Rejected)?;
        Ok(Arc::new(user(login.as_str()).into()))
    }

    async fn find_user(&self, login: &Login) -> Result<Option<Owner>, AuthError> {
        Ok(Some(user(login.as_str())))
    }
}

fn user(login: &str) -> Owner {
    let id = login.bytes().fold(0, |id: u32, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
    Owner { id, login: Login::new(login).expect("a login"), name: None }
}

fn alice() -> Caller {
    Caller::from(Principal::from(user("alice")))
}

fn crate_name(name: &str) -> (CrateName, CanonicalName) {
    let name = CrateName::new(name).expect("a crate name");
    (name.clone(), name.canonical())
}

/// A publish body whose file differs from that of any other `variant`.
fn body(name: &str, version: &str, variant: usize) -> (Vec<u8>, Vec<u8>) {
    let file = crate_file(name, version, &format!("description = \"variant {variant}\"\n"));
    let metadata = format!(
        r#"{{"name":"{name}","vers":"{version}","deps":[],"features":{{}},"description":"variant {variant}"}}"#
    );
    (publish_body_of(metadata.as_bytes(), &file), file)
}

async fn publish(
    registry: &Registry,
    caller: Caller,
    body: &[u8],
) -> Result<Published, PublishError> {
    let mut publish = registry.begin_publish(caller, Some(body.len() as u64)).await?;
    for chunk in body.chunks(1000) {
        publish.write(chunk).await?;
    }
    publish.finish().await
}

/// The lines of a crate as everybody reads them.
async fn lines(registry: &Registry, name: &CrateName) -> Vec<String> {
    match registry.index_file(&Caller::anonymous(), name, None).await.unwrap() {
        Lookup::Absent => vec![],
        Lookup::Unchanged => panic!("nothing is known"),
        Lookup::Found(file) => {
            let text = std::str::from_utf8(&file.body).unwrap();
            assert!(text.ends_with('\n'), "{text:?}");
            text.lines().map(str::to_owned).collect()
        }
    }
}

/// The file of a version as everybody downloads it.
async fn download(registry: &Registry, name: &CanonicalName, version: &Version) -> Bytes {
    let anonymous = Caller::anonymous();
    let key: CrateKey = registry.crate_key(&anonymous, name, version).await.unwrap();
    let download = registry.download(&anonymous, &key).await.unwrap();
    download.open(None).await.unwrap().bytes().await.unwrap()
}
