//! Mounts a Cargo registry in any Rust web service.
//!
//! [`RegistryService`] is a [`tower_service::Service`] over [`http::Request`]: it brings no
//! framework, no runtime and no server, and takes any request body that is an
//! [`http_body::Body`]. What the registry decides is in [`registry_core`]; here is only what HTTP
//! adds: paths, headers, and a status for every outcome.
//!
//! # Mounting it
//!
//! ```
//! use http::{Request, StatusCode};
//! use http_body_util::{BodyExt as _, Empty};
//! use registry_core::{
//!     Registry, RegistryConfig,
//!     memory::{MemoryCrateStore, MemoryIndex},
//! };
//! use registry_http::RegistryService;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The address under which clients reach it: not read from requests.
//! let config = RegistryConfig::new("https://crates.example.com/main")?;
//! let registry =
//!     Registry::builder(config, MemoryIndex::default(), MemoryCrateStore::default()).build();
//! let service = RegistryService::new(registry);
//!
//! // In a server: `axum::Router::new().nest_service("/main", service)`, or what the framework
//! // has for a tower service. Here, without one:
//! let request = Request::get("/index/config.json").body(Empty::<&[u8]>::new())?;
//! let response = service.handle(request).await;
//! assert_eq!(response.status(), StatusCode::OK);
//! let config = response.into_body().collect().await?.to_bytes();
//! assert!(config.starts_with(br#"{"dl":"https://crates.example.com/main/dl/"#));
//! # Ok(())
//! # }
//! ```
//!
//! A framework that strips the path at which it mounts a service needs nothing more; for any
//! other, [`RegistryService::with_prefix`] says where the service is.
//!
//! # Its own URL
//!
//! What is told of addresses (`config.json`, `/me`, where to log in) is the registry's configuration,
//! and no header of a request changes it. Behind proxies whose clients come by URLs that are not
//! known beforehand, [`RegistryService::with_forwarded_url`] takes the word of those proxies, and of
//! nobody else; the index URL in a publish or in a signed token may then be the one they name.
//!
//! # Several registries
//!
//! [`Registries`] is a service as well, of several registries: by the first segment of the path,
//! `/NAME/…`, by the first two, `/OWNER/NAME/…`, or by the host. Which ones there are says a map, or
//! a [`ResolveRegistry`] of the host's own, which is asked at each request: a registry may be made
//! while the service runs.
//!
//! # What it answers
//!
//! | Method, path below the mount point | |
//! |---|---|
//! | `GET /index/config.json` | where everything is |
//! | `GET /index/se/rd/serde` | the index file of a crate |
//! | `GET /dl/{crate}/{version}/{checksum}` | a crate file, as `config.json` names it |
//! | `GET /api/v1/crates/{crate}/{version}/download` | the same, for a client with a URL of its own |
//! | `GET /api/v1/crates?q=…` | `cargo search` |
//! | `GET /api/v1/crates` without `q` | a list of the crates |
//! | `GET /api/v1/crates/{crate}/versions` | a list of the versions of a crate |
//! | `PUT /api/v1/crates/new` | `cargo publish` |
//! | `DELETE /api/v1/crates/{crate}/{version}/yank` | `cargo yank` |
//! | `PUT /api/v1/crates/{crate}/{version}/unyank` | `cargo yank --undo` |
//! | `GET`, `PUT`, `DELETE /api/v1/crates/{crate}/owners` | `cargo owner` |
//! | `GET /api/v1/me` | whose credential it is |
//! | `GET`, `PUT /api/v1/me/tokens` | the tokens one has; a new one |
//! | `GET`, `DELETE /api/v1/me/tokens/{id}` | one of them; revokes it |
//! | `GET`, `PUT /api/v1/me/keys`, `DELETE …/{id}` | the keys one signs tokens with; a new one; revokes one |
//! | `DELETE /api/v1/tokens/current` | revokes the token that the request came with |
//! | `POST`, `PUT`, `DELETE /api/v1/trusted_publishing/tokens` | a CI run exchanges its identity token, and gives the token back |
//! | `GET`, `POST /api/v1/trusted_publishing/github_configs`, `DELETE …/{id}` | whose runs are trusted; the same for `gitlab_configs` |
//! | `GET /me` | how to configure cargo, for people; `?format=toml` and `?format=json` for scripts |
//!
//! `HEAD` is answered wherever `GET` is. [`route::parse`] is the whole of it, as a function.
//!
//! # Credentials
//!
//! A credential is in the one `Authorization` header: a token alone, as cargo sends it, or behind
//! `Bearer` or `Token`, or a user name with a password or a token behind `Basic`.
//! [`RegistryService::with_credential_forms`] switches each of them off, and one more on: a token in
//! front of the path, `/t/TOKEN/index/config.json`, for clients that send no header. `config.json`
//! then has the token in `dl` and `api`, and asks for no other; of two credentials none is taken.
//! Whoever logs paths logs what [`masked_path`] makes of them.
//!
//! A host that knows its users by itself puts a [`HostPrincipal`] into the extensions of a request.
//! It is then who is asking, and no credential is looked at.
//!
//! # Tokens
//!
//! Paths and shapes are those of crates.io. They are there if the registry was given
//! [`tokens`](registry_core::registry::RegistryBuilder::tokens). Only who has come without a token, such
//! as by a password, makes, lists and revokes them; `tokens/current` is for whoever has the token. A new
//! token is asked for by `{"api_token":{"name":"ci"}}`, with `endpoint_scopes` and `crate_scopes` if it
//! is to be for less than everything, and with `expired_at` or `expires_in` (as in `"12h"`, or
//! `"never"`) if it is to expire at another time than the registry's
//! [rules](registry_core::auth::TokenRules) say.
//!
//! # Trusted publishing
//!
//! There if the registry was given
//! [`trusted_publishing`](registry_core::registry::RegistryBuilder::trusted_publishing). A CI run sends
//! `{"jwt":"…"}` and gets `{"token":"…"}`, by `POST` as at crates.io or by `PUT` as in RFC 3691. Shapes of
//! configurations are those of crates.io; `repository_owner_id` and `namespace_id`, which crates.io finds
//! out by itself, have to be said, and `issuer` may be.
//!
//! # Downloads
//!
//! A crate file is sent whole, with its length, its checksum as a strong `ETag`, and, if its address
//! has the checksum in it, leave to keep it for ever. Who asks for one part of it by
//! `Range: bytes=…` gets that as 206, on condition of `If-Range` if it names the tag; who asks for
//! several parts, or for another unit, gets the whole. Cargo never asks for a part. `HEAD` and
//! `If-None-Match` are answered without opening the file; `If-Match` with another tag is answered
//! with 412.
//!
//! If the crate store has a URL of its own for a file ([`CrateStore::location`]), `GET` is answered
//! with 302 and that URL, once it is certain that the caller may read: the file itself then does not
//! pass through the server. `HEAD` is answered as ever, since URLs are signed for `GET` alone.
//!
//! [`CrateStore::location`]: registry_core::CrateStore::location
//!
//! # Compression
//!
//! With the feature `compression` and `RegistryService::with_compression`, index files, `config.json`
//! and the lists of the web API are compressed for who asks for it. A compressed index file has a tag
//! of its own, by which it is found unchanged as by the plain one's. Crate files never are, and
//! nothing that holds a credential is: not answers about tokens, and not a `config.json` with the token
//! of the path in it.
//!
//! # Lists
//!
//! The crates are listed with `prefix=…` for how their names begin, `status=…` for those that have
//! a version of that status, and `sort=alphabetical` (the default) or `sort=new` for those first
//! published last; the versions with `status=…`, and `sort=semver` (the default: the highest first)
//! or `sort=date` (the newest first). A status is `published`, `yanked`, `unlisted`, `archived`,
//! `disposed` or `deleted`. Both are paged with `per_page`, at most 100, and `page`, and say in
//! `meta` how many there are in `total` and what to ask for as `next_page`. A crate that the caller
//! may not see is left out, and not counted. Of a large registry, the first 20,000 names with the
//! prefix are listed, and `status` and `sort=new` ask for a prefix that no more than 5,000 have.
//! [`Registry::crates`](registry_core::Registry::crates) says what a list costs.
//!
//! # What it refuses, and how
//!
//! Refusals of the web API are `{"errors":[{"detail":"…"}]}`, which cargo shows to its user; those
//! of the index and of downloads are a line of text, but for what is not in the index: that is a
//! 404 in the shape of the web API, which nothing takes for an index file. Whatever broke inside is
//! answered with `internal error (request ID)` and nothing else; the cause is logged under that id
//! as a [`tracing`] event of level `ERROR`, for which the embedding program brings a subscriber.
//! The id is in the header `X-Request-Id` of every answer: the one a proxy in front has given the
//! request, if that is a plain word; otherwise trace and parent of its `traceparent`, with a `-`
//! between them; otherwise one of ours.
//!
//! # What it tells its host
//!
//! Everything is done for a request in a [`tracing`] span `request` of the target `registry_http` and
//! the level `DEBUG`. It has the `id`; `trace_id` and `parent_id`, if the request has a well-formed
//! `traceparent` ([`TraceParent`]); the `method`; the `route`, which is [`route::Route::name`]; the
//! `crate`, if the path or a publish names one; `status` and `duration` when the answer is there. No
//! path and no query is in it, for secrets may be in them. What backends log of their part is in that
//! span, too.
//!
//! For the recorder of the crate [`metrics`](::metrics), if one is installed by the first request of
//! a route:
//!
//! | metric | labels | |
//! |---|---|---|
//! | `registry_http_requests_total` | `registry`, `route`, `status` | a status is a number, or `abandoned` |
//! | `registry_http_requests_in_flight` | `registry` | a gauge of those whose answer has no head yet |
//! | `registry_http_request_duration_seconds` | `registry`, `route` | a histogram, to the head of the answer |
//! | `registry_http_received_bytes_total` | `registry`, `route` | of bodies, as they are read |
//! | `registry_http_sent_bytes_total` | `registry`, `route` | of bodies, as they are handed to the server |
//! | `registry_publishes_total` | `registry`, `outcome` | `published`, or in a word why not, as `version_taken` |
//!
//! A registry has the name of [`with_name`](RegistryService::with_name); what [`Registries`] answers
//! by itself, for there is no such registry, is counted with an empty one. Whoever asks for nothing
//! that there is has the route `none`. No label is chosen by a client.
//!
//! Why a release was not published is the client's doing (`unauthenticated`, `forbidden`,
//! `rate_limited`, `malformed`, `too_large`, `body_lost`, `invalid`, `rejected_by_policy`,
//! `version_taken`, `name_taken`, `refused`), how the registry is set up (`read_only`), how much it has
//! to do (`busy`, `contended`), or that something is broken (`authentication_failed`, `index_failed`,
//! `storage_full`, `storage_failed`, `panicked`, `failed`). What is `abandoned` nobody waited for: the
//! client has gone, or the server has a limit on time.
//!
//! # What it leaves to the server
//!
//! - Time limits and limits on request heads and connections: they need a clock and a socket. Set
//!   them on the server or proxy; a request that is dropped half way leaves nothing behind.
//! - What a publish costs, which the [registry](registry_core::Registry::builder) is told:
//!   [`uploads`](registry_core::registry::RegistryBuilder::uploads) says how many bytes are taken in
//!   at a time, and in which folder large crate files are collected. Without a folder they are in
//!   memory until they are stored, 176 MiB of them at most. Without a
//!   [`runtime`](registry_core::registry::RegistryBuilder::runtime) a crate file is unpacked and
//!   checked on the thread that polls the request, and a publish that finds no room is refused at
//!   once instead of waiting.
//! - Closing gently. A publish that is refused after its metadata were read is read to its end. One
//!   that is refused before, for want of a right credential or by its announced length, is not: the
//!   answer says `Connection: close`. A server that reads on for a while after it, and drops what
//!   comes, spares the client a reset in which the answer may be lost.
//! - A limit on bodies: the service has its own, the registry's limit for publishes. A framework
//!   that has one of its own, often 2 MB, must be told to leave it.
//! - TLS, `Strict-Transport-Security`, and compression, unless the service does it. A compression
//!   layer must leave `application/gzip` alone: a crate file with a `Content-Encoding` does not match
//!   its checksum once cargo has unpacked it. Index files may be compressed.
//! - A proxy in front must be strict about message framing.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `compression` | `RegistryService::with_compression`: index files and answers of the web API by zstd, brotli or gzip |
//! | `testing` | `testing::TestRegistry`: a whole registry for the tests of tools, with faults on demand (with hyper and tokio, to serve it) |

mod body;
mod caching;
mod catch_panic;
mod coding;
#[cfg(feature = "compression")]
mod compression;
mod conditional;
mod crates;
mod digits;
mod download;
mod forwarded;
mod host;
mod index;
mod keys;
mod listing;
mod log;
mod me;
mod metrics;
mod path_token;
mod peer;
mod proxy_user;
mod publish;
mod query;
pub mod range;
mod registries;
mod request_body;
mod request_id;
mod respond;
pub mod route;
mod service;
mod span;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;
mod trace_parent;
mod trusted;

#[cfg(feature = "compression")]
pub use self::compression::Compression;
pub use self::{
    body::{Body, BodyError},
    host::HostPrincipal,
    me::RegistryNameError,
    path_token::masked_path,
    peer::{ForwardedBy, Network, NetworkParseError, Peer, PeerAddress, TrustedProxies},
    proxy_user::{FromTrustedProxy, ProxyUserHeaders},
    registries::{HostName, InvalidHostName, Registries, RegistryPlace, ResolveRegistry},
    service::{RegistryService, ResponseFuture},
    trace_parent::TraceParent,
};

/// The page of the package, so that the program in it is compiled.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
