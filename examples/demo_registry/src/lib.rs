//! The registry that the examples of mounting have in common: in memory, and with one user.

use std::{env, error::Error, net::SocketAddr};

use registry_core::{
    Login, Registry, RegistryConfig,
    auth::{TokenAuthenticator, TokenCaller, TokenRequest, Tokens},
    config::ConfigError,
    memory::{MemoryCrateStore, MemoryIndex, MemoryTokens},
    registry::RegistryBuilder,
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

/// A new registry that clients reach under `url`, with a token for `alice`. Prints what cargo has to
/// know about it.
///
/// # Errors
/// If `url` cannot be that of a registry.
pub async fn service(url: &str) -> Result<RegistryService, Box<dyn Error + Send + Sync>> {
    let tokens = MemoryTokens::new();
    let alice = TokenRequest::new(&Login::new("alice")?);
    let token = Tokens::new(tokens.clone()).issue(TokenCaller::Operator, &alice).await?.token;
    let registry = builder(url)?.authenticator(TokenAuthenticator::new(tokens));
    print(url, token.expose());
    Ok(RegistryService::new(registry.build()))
}

/// A new registry that clients reach under `url`, and that knows no token.
///
/// # Errors
/// If `url` cannot be that of a registry.
pub fn builder(url: &str) -> Result<RegistryBuilder, ConfigError> {
    let index = MemoryIndex::new();
    let config = RegistryConfig::new(url)?;
    Ok(Registry::builder(config, index.clone(), MemoryCrateStore::new()).search(index))
}

/// Prints the variables by which cargo is told of a registry, and of a token for it.
pub fn print(url: &str, token: &str) {
    println!("CARGO_REGISTRIES_MAIN_INDEX=sparse+{url}/index/");
    println!("CARGO_REGISTRIES_MAIN_TOKEN={token}");
}
