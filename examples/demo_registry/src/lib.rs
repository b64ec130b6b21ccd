//! The registry that the examples of mounting have in common: in memory, and with one user.

use std::{env, error::Error, net::SocketAddr};

use registry_core::{
    Login, Registry, RegistryConfig,
    auth::{TokenAuthenticator, TokenCaller, TokenRequest, Tokens},
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
};
use registry_http::RegistryService;

/// Where to listen: the first argument of the program, or `127.0.0.1:8080`.
///
/// # Errors
/// If the argument is no address with a port.
pub fn address() -> Result<SocketAddr, Box<dyn Error + Send + Sync>> {
    let argument = env::args().nth(1);
    Ok(argument.as_deref().unwrap_or("127.0.0.1:8080").parse()?)
}

/// A new registry that clients reach under `url`. Prints what cargo has to know about it.
///
/// # Errors
/// If `url` cannot be that of a registry.
pub async fn service(url: &str) -> Result<RegistryService, Box<dyn Error + Send + Sync>> {
    let (index, store) = (MemoryIndex::new(), MemoryTokens::new());
    let tokens = Tokens::new(store.clone());
    let alice = TokenRequest::new(&Login::new("alice")?);
    let token = tokens.issue(TokenCaller::Operator, &alice).await?.token;
    let registry =
        Registry::builder(RegistryConfig::new(url)?, index.clone(), MemoryCrateStore::new())
            .search(index)
            .authenticator(TokenAuthenticator::new(store))
            .build();
    println!("CARGO_REGISTRIES_MAIN_INDEX=sparse+{url}/index/");
    println!("CARGO_REGISTRIES_MAIN_TOKEN={}", token.expose());
    Ok(RegistryService::new(registry))
}
