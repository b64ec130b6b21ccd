//! A Cargo registry in a salvo service, beside its own routes.
//!
//! Run it with `cargo run -p in_salvo`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use salvo::{
    Listener as _, Router, Server, conn::TcpListener, handler, http::ReqBody,
    prelude::TowerServiceCompat,
};

#[handler]
async fn home() -> &'static str {
    "The registry is at /main/"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    // Salvo leaves the path as it is.
    let registry = TowerServiceCompat::<ReqBody, _, _, _>::compat(registry.with_prefix("/main"));
    let routes = Router::new().get(home).push(Router::with_path("main/{**rest}").goal(registry));
    Server::new(TcpListener::new(address).bind().await).serve(routes).await;
    Ok(())
}
