//! A Cargo registry in an axum service: under a prefix, beside the service's own routes, and for
//! those who the service itself knows.
//!
//! Run it with `cargo run -p in_axum`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use axum::{Router, routing::get};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    let routes = Router::new()
        .route("/", get(async || "The registry is at /main/"))
        .nest_service("/main", registry);
    axum::serve(TcpListener::bind(address).await?, routes).await?;
    Ok(())
}
