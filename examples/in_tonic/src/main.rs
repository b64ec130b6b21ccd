//! A Cargo registry beside gRPC services, on one port.
//!
//! Run it with `cargo run -p in_tonic`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use tonic::{service::Routes, transport::Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    let (_, health) = tonic_health::server::health_reporter();
    let routes = Routes::new(health).into_axum_router().nest_service("/main", registry);
    // gRPC is HTTP/2; cargo speaks HTTP/1.1 where there is no TLS.
    let server = Server::builder().accept_http1(true).add_routes(Routes::from(routes));
    server.serve(address).await?;
    Ok(())
}
