//! What cargo fetches for a project with many dependencies, over one connection of HTTP/2 and over
//! two of HTTP/1.1, which is as many as cargo has then.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{Effort, processor, setting::Setting, table::middle};

/// Source: cargo, `set_max_host_connections`.
const CONNECTIONS: usize = 2;

pub(crate) fn measure(effort: Effort, setting: &Setting) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (address, process) = (&setting.public.address, setting.public.child.id());
    let (index, downloads) = setting.fetched.split_at(setting.fetched.len() / 2);
    let (mut over_http1, mut over_http2) = (Taken::default(), Taken::default());
    // More of them, for they are short.
    for _ in 0..3 * effort.rounds() {
        over_http1.add(process, || {
            runtime.block_on(async {
                http1(address, index).await;
                http1(address, downloads).await;
            });
        });
        over_http2.add(process, || runtime.block_on(http2(address, [index, downloads])));
    }
    println!("\n{} index files, then {} downloads", index.len(), downloads.len());
    println!("\n| over | time | CPU of the server |");
    println!("|---|---|---|");
    println!("| HTTP/1.1, {CONNECTIONS} connections | {over_http1}");
    println!("| HTTP/2 (h2c), 1 connection | {over_http2}");
    let ratios = over_http2.times.iter().zip(&over_http1.times).map(|(two, one)| two / one);
    println!("\nHTTP/2 takes {:.2} of the time of HTTP/1.1", middle(ratios));
}

/// In seconds.
#[derive(Default)]
struct Taken {
    times: Vec<f64>,
    processor: Duration,
}

impl Taken {
    fn add(&mut self, process: u32, fetch: impl FnOnce()) {
        let (began, before) = (Instant::now(), processor::time(process));
        fetch();
        self.times.push(began.elapsed().as_secs_f64());
        self.processor += processor::time(process) - before;
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // All together: one is of the order of the clock's tick.
        let processor = self.processor / self.times.len() as u32;
        let time = middle(self.times.iter().copied());
        write!(f, "{:.1} ms | {:.1} ms |", time * 1e3, processor.as_secs_f64() * 1e3)
    }
}

/// One after the other on each of the connections.
async fn http1(address: &str, paths: &[String]) {
    join_all(paths.chunks(paths.len() / CONNECTIONS).map(async |paths| {
        let stream = connect(address).await;
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for path in paths {
            sender.ready().await.unwrap();
            take(sender.send_request(get(path)).await.unwrap()).await;
        }
    }))
    .await;
}

/// All of a kind at a time, as many as the server allows.
async fn http2(address: &str, kinds: [&[String]; 2]) {
    let stream = connect(address).await;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        // Those of curl.
        .initial_stream_window_size(10 << 20)
        .initial_connection_window_size(1 << 30)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for paths in kinds {
        join_all(paths.iter().map(async |path| {
            let mut sender = sender.clone();
            sender.ready().await.unwrap();
            take(sender.send_request(get(path)).await.unwrap()).await;
        }))
        .await;
    }
}

async fn connect(address: &str) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    TokioIo::new(stream)
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("http://localhost{path}")).header("host", "localhost");
    request.body(Empty::new()).unwrap()
}

async fn take(response: Response<Incoming>) {
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
}
