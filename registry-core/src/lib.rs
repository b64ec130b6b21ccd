//! The heart of a Cargo registry, to build into any service, over backends of your choice.
//!
//! # The model
//!
//! **A crate is one record.** A [`CrateRecord`] holds the crate's name as first published, its
//! owners, and each release with its index line, verbatim. Whatever changes a crate (publish, yank,
//! a new owner) is a pure function from one record to the next, in [`record`]: there, and nowhere
//! else, is decided what is allowed.
//!
//! **An index is a compare-and-swap store of records.** An [`Index`] replaces a record if it is
//! still the one that was looked at, and otherwise says that it is not. That one step is the moment
//! at which anything becomes real; rights, duplicates and the new line are decided on the very
//! record that it replaces, so no race can come between them.
//!
//! **Crate files are addressed by their content.** A [`CrateStore`] keeps each file under its
//! checksum, durably, before the index names it. A file that no line names is harmless, and no
//! failure deletes one; so every line that can be seen has its file.
//!
//! **Nothing of a client is believed.** An upload passes [`publish`], where a [`Release`] can only
//! be made from an archive that every reader reads alike, and whose packaged manifest says what
//! the index will say.
//!
//! **Who asks is a [`Caller`](auth::Caller)**, made from a token by an
//! [`Authenticator`](auth::Authenticator); an [`Authorizer`](auth::Authorizer) says what they may
//! do. The [`Registry`] tells the story of each request with these parts. It knows no transport:
//! `registry-http` puts it behind HTTP.
//!
//! # A first program
//!
//! ```
//! use registry_core::{
//!     CrateName, Login, Owner, Registry, RegistryConfig,
//!     auth::{Caller, Principal},
//!     index::Lookup,
//!     memory::{MemoryCrateStore, MemoryIndex},
//! };
//!
//! # async fn program(publish_body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let config = RegistryConfig::new("https://crates.example.com")?;
//! let registry =
//!     Registry::builder(config, MemoryIndex::default(), MemoryCrateStore::default()).build();
//!
//! let alice = Owner { id: 1, login: Login::new("alice")?, name: None };
//! let mut publish = registry.begin_publish(Caller::from(Principal::from(alice)), None).await?;
//! publish.write(publish_body).await?;
//! let published = publish.finish().await?;
//! println!("{} was published", published.change.name);
//!
//! let name = CrateName::new("hello")?;
//! if let Lookup::Found(file) = registry.index_file(&Caller::anonymous(), &name, None).await? {
//!     println!("{}", String::from_utf8_lossy(&file.body));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Write your own backend
//!
//! These pages open with a complete implementation: [`index`], [`store`], [`policy`],
//! [`Authenticator`](auth::Authenticator) and [`Observer`](observer::Observer). The source of
//! [`OwnersMayWrite`](auth::OwnersMayWrite) is one of an [`Authorizer`](auth::Authorizer), that of
//! [`NameSearch`](search::NameSearch) one of a [`Search`](search::Search), and [`memory`] has one
//! of a [`TokenStore`](auth::TokenStore). The easiest index of all is a [`RecordStore`], which keeps
//! one value per crate: [`record_store`] opens with a complete one.
//!
//! Prove a backend with the suites that the feature `conformance` brings: `index_conformance!`,
//! `record_store_conformance!`, `crate_store_conformance!`, `crate_upkeep_conformance!`,
//! `account_store_conformance!`, `token_store_conformance!`, `token_transfer_conformance!`,
//! `key_store_conformance!`, `single_use_conformance!`, `trusted_publishers_conformance!`,
//! `audit_log_conformance!`, `search_conformance!`, and `registry_conformance!` for an index and a
//! crate store together.
//!
//! # Look after what is stored
//!
//! Beside a registry that goes on serving: [`migrate`] copies what a backend holds to another,
//! [`scrub`] holds crate files against their checksums, puts damaged ones aside and mends them, and
//! [`gc`] removes those that no line names. The latter two need a store that is a
//! [`CrateUpkeep`](store::CrateUpkeep).
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `conformance` | suites for backends of one's own, wrappers that fail on demand, fixtures (with tokio, to run them) |
//! | `oidc` | `auth::oidc`: tokens of identity providers (JWT), verified with keys that the host fetches |
//! | `passwords` | `PasswordAuthenticator`, and hashing by argon2id (with argon2) |
//! | `paseto` | tokens that their holders sign by themselves (`auth::paseto`, RFC 3231), as cargo does with `-Zasymmetric-token` |
//! | `telemetry` | calls to backends as spans and metrics (`telemetry`), for the facades `tracing` and `metrics` |

pub mod audit;
pub mod auth;
mod causes;
pub mod checksum;
pub mod codec;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod echo;
pub mod entry;
pub mod gc;
pub mod index;
mod index_file;
pub mod limits;
pub mod listing;
pub mod memory;
pub mod migrate;
pub mod name;
pub mod observer;
pub mod owner;
pub mod policy;
pub mod publish;
pub mod record;
pub mod record_store;
pub mod registries;
pub mod registry;
pub mod scrub;
pub mod search;
mod short_text;
pub mod store;
#[cfg(feature = "telemetry")]
pub mod telemetry;
pub mod version;

pub use self::{
    causes::Causes,
    checksum::Checksum,
    config::RegistryConfig,
    echo::Echo,
    entry::{IndexDependency, IndexEntry, IndexLine},
    index::{ETag, Index, IndexError, IndexFile},
    name::{CanonicalName, CrateName, NameError},
    owner::{Login, Owner, Owners},
    publish::{Release, ValidationRules},
    record::CrateRecord,
    record_store::{RecordIndex, RecordStore},
    registries::RegistryName,
    registry::Registry,
    store::{CrateStore, StoreError},
    version::VersionError,
};

/// Versions and requirements, in the types of which they are told here and by registry-http.
pub use semver;

/// An error of any kind, as the source of one of ours.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The page of the package, so that the program in it is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
