//! A Cargo registry on hyper, without any framework.
//!
//! Run it with `cargo run -p in_hyper`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use registry_http::PeerAddress;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;
    let listener = TcpListener::bind(address).await?;

    let registry = registry.with_prefix("/main");
    loop {
        let (stream, peer) = listener.accept().await?;
        let registry = registry.clone();
        let service = service_fn(move |mut request| {
            let registry = registry.clone();
            // So that rate limits and the audit trail know who it was.
            request.extensions_mut().insert(PeerAddress(peer.ip()));
            async move { Ok::<_, std::convert::Infallible>(registry.handle(request).await) }
        });
        // The timer ends connections that never send a head.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
