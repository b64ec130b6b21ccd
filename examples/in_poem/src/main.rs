//! A Cargo registry in a poem service, beside its own routes.
//!
//! Run it with `cargo run -p in_poem`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use poem::{Route, Server, endpoint::TowerCompatExt as _, get, handler, listener::TcpListener};

#[handler]
fn home() -> &'static str {
    "The registry is at /main/"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    // `nest` takes the path off, as `RegistryService` likes it.
    let routes = Route::new().at("/", get(home)).nest("/main", registry.compat());
    Server::new(TcpListener::bind(address.to_string())).run(routes).await?;
    Ok(())
}
