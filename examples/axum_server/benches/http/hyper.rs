//! The least that answering a request can cost on this machine.

use std::{
    convert::Infallible,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a process of this program is told to be this server.
const ROLE: &str = "bare-hyper";

/// A server of nothing but hyper, as a process of its own; ended when dropped.
pub(crate) struct BareHyper {
    pub(crate) address: String,
    pub(crate) child: Child,
}

impl BareHyper {
    /// Answers whatever is asked with this status and a body of `size` bytes.
    pub(crate) fn start(status: u16, size: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([ROLE, &status.to_string(), &size.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { address: address.trim().to_owned(), child }
    }
}

impl Drop for BareHyper {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Is that server, and never ends, if this process was told to.
pub(crate) fn be_told() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, status, size] = &arguments[..]
        && role == ROLE
    {
        let (status, size) = (status.parse().unwrap(), size.parse().unwrap());
        tokio::runtime::Runtime::new().unwrap().block_on(serve(status, size));
    }
}

async fn serve(status: StatusCode, size: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let body = Bytes::from(vec![b'x'; size]);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(|_| {
                let mut response = Response::new(Full::new(body.clone()));
                *response.status_mut() = status;
                async { Ok::<_, Infallible>(response) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
