//! A whole registry in one process, without a socket: what a test of a tool, or a function behind
//! somebody else's gateway, wants.
//!
//! Run it with `cargo run -p in_process`. It publishes a crate twice over, once by calls of
//! `Registry` and once by `http::Request` values, and prints what cargo would read.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use registry_core::{
    Login, Owner, Registry, RegistryConfig,
    auth::{Caller, Principal, TokenAuthenticator, TokenCaller, TokenRequest, Tokens},
    conformance::fixture::publish_body,
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
};
use registry_http::RegistryService;
use tower_service::Service;

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (index, tokens) = (MemoryIndex::new(), MemoryTokens::new());
    let config = RegistryConfig::new("http://registry.invalid")?;
    let registry = Registry::builder(config, index.clone(), MemoryCrateStore::new())
        .search(index)
        .authenticator(TokenAuthenticator::new(tokens.clone()))
        .build();

    // By calls: no token is needed where the caller is known.
    let alice = Owner { id: 1, login: Login::new("alice")?, name: None };
    let mut publish = registry.begin_publish(Caller::from(Principal::from(alice)), None).await?;
    publish.write(&publish_body("called", "0.1.0")).await?;
    publish.finish().await?;

    // By requests, as cargo sends them.
    let bob = TokenRequest::new(&Login::new("bob")?);
    let token = Tokens::new(tokens).issue(TokenCaller::Operator, &bob).await?.token;
    let mut service = RegistryService::new(registry);
    let publish = Request::builder()
        .method(Method::PUT)
        .uri("/api/v1/crates/new")
        .header(http::header::AUTHORIZATION, token.expose())
        .body(Full::new(Bytes::from(publish_body("requested", "0.1.0"))))?;
    println!("publish: {}", text(service.call(publish).await?).await?);

    for path in ["/index/ca/ll/called", "/index/re/qu/requested", "/api/v1/crates?q=requested"] {
        let request = Request::get(path).body(Full::<Bytes>::default())?;
        println!("{path}: {}", text(service.call(request).await?).await?.trim_end());
    }
    Ok(())
}

async fn text(response: Response<registry_http::Body>) -> Result<String, Error> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(String::from_utf8(body.to_vec())?)
}
