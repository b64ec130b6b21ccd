//! Where operators read metrics: at an address of its own, which is nobody else's business.

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::net::TcpListener;

use crate::{error::Error, prometheus::Prometheus};

/// Records metrics from now on, and serves them at `address` for as long as the process runs.
pub(crate) async fn serve(address: &Address) -> Result<(), Error> {
    let cannot_listen = |source| Error::Listen { address: address.0.clone(), source };
    let listener = TcpListener::bind(&address.0).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    let recorder = Prometheus::default();
    // Installed once: there is one server in a process.
    metrics::set_global_recorder(recorder.clone()).expect("no other recorder is installed");
    let text = get(async move || {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.to_string())
    });
    let router = Router::new().route("/metrics", text);
    tokio::spawn(async move { axum::serve(listener, router).await });
    tracing::info!(url = %format_args!("http://{bound}/metrics"), "metrics are served");
    Ok(())
}

/// An address to listen on; of a port alone, that of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Address(String);

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(match text.parse::<u16>() {
            Ok(port) => format!("127.0.0.1:{port}"),
            Err(_) => text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for (text, address) in [
            ("9180", "127.0.0.1:9180"),
            ("0.0.0.0:9180", "0.0.0.0:9180"),
            ("[::1]:9180", "[::1]:9180"),
            ("localhost:9180", "localhost:9180"),
        ] {
            assert_eq!(Address::from(text).0, address);
        }
    }
}
