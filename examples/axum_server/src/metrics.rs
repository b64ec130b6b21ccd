//! Where operators read metrics: at an address of its own, which is nobody else's business.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use metrics::{describe_gauge, gauge};
use tokio::{net::TcpListener, runtime::Handle, sync::Semaphore, time::timeout};

use crate::{error::Error, prometheus::Prometheus};

/// Most connections at a time: whoever can reach the address is not to use up the open files of those
/// who come for crates.
const MOST: usize = 8;
/// How long each of them may take. It is for one request, so that others have their turn.
const TIME: Duration = Duration::from_secs(10);

/// Records metrics from now on, and serves them at `address` for as long as the process runs.
pub(crate) async fn serve(address: &Address) -> Result<(), Error> {
    let cannot_listen = |source| Error::Listen { address: address.0.clone(), source };
    let listener = TcpListener::bind(&address.0).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    let recorder = Prometheus::default();
    // Installed once: there is one server in a process.
    metrics::set_global_recorder(recorder.clone()).expect("no other recorder is installed");
    const TASKS: &str = "registry_server_tasks";
    describe_gauge!(
        TASKS,
        "Tasks of the runtime: connections, requests of HTTP/2, and a few besides."
    );
    let (tasks, runtime) = (gauge!(TASKS), Handle::current().metrics());
    let text = get(async move || {
        tasks.set(runtime.num_alive_tasks() as f64);
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.to_string())
    });
    let router = Router::new().route("/metrics", text);
    tokio::spawn(keep_serving(listener, router));
    tracing::info!(url = %format_args!("http://{bound}/metrics"), "metrics are served");
    Ok(())
}

async fn keep_serving(listener: TcpListener, router: Router) {
    let (slots, service) = (Arc::new(Semaphore::new(MOST)), TowerToHyperService::new(router));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes it");
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _ = timeout(TIME, connection).await;
            drop(slot);
        });
    }
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
