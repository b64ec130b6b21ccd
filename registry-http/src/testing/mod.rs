//! A whole registry for the tests of tools that talk to one: in memory, with faults on demand.
//!
//! ```
//! use http::StatusCode;
//! use registry_http::testing::{Fault, On, TestCrate, TestRegistry};
//!
//! // On a free port of this machine, until it is dropped.
//! let registry = TestRegistry::start();
//! registry.publish("foo", "1.0.0", "pub fn f() {}");
//! registry.add(TestCrate::new("bar", "0.1.0").dependency("foo", "1").yanked());
//!
//! // The next two requests for the index file of `foo` are answered with 503.
//! registry.inject(On::index("foo"), Fault::Status(StatusCode::SERVICE_UNAVAILABLE), 2);
//!
//! // Here goes what is to be tested: this is the `config.toml` by which cargo knows the registry
//! // as `test`, and has a token for it.
//! let config = registry.config_toml();
//! assert!(config.contains(&format!("index = \"{}\"", registry.index_url())));
//!
//! // And what it has asked, and was answered.
//! assert!(registry.take_exchanges().is_empty());
//! ```
//!
//! Without a socket, [`TestRegistry::handle`] answers [`http::Request`] values, on any runtime or on
//! none:
//!
//! ```
//! use http::{Request, StatusCode};
//! use http_body_util::Empty;
//! use registry_http::testing::TestRegistry;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), http::Error> {
//! let registry = TestRegistry::without_socket();
//! registry.publish("foo", "1.0.0", "pub fn f() {}");
//! let request = Request::get("/index/3/f/foo").body(Empty::<&[u8]>::new())?;
//! assert_eq!(registry.handle(request).await.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! It is the very service that is mounted in production, on the backends of
//! [`registry_core::memory`]. What is asked of it in vain panics, as in tests it should.

mod block_on;
mod builder;
mod delayed;
mod fault;
mod registry;
mod server;
mod test_crate;

pub use self::{
    builder::TestRegistryBuilder,
    fault::{Fault, On},
    registry::{Exchange, TestRegistry},
    test_crate::TestCrate,
};
