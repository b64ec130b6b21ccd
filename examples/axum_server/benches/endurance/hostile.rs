//! Clients that mean harm, each from another address of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    http::{connect, get, request, status},
    population::{LARGE, Population, frame, publish_request},
    tally::Tally,
};

/// Most of them at a time, and so of the server's connections.
const MOST: usize = 200;
/// Longer than any limit of the server that is met here.
const PATIENCE: Duration = Duration::from_secs(90);
/// For how long somebody takes nothing of an answer.
const STALL: Duration = Duration::from_secs(45);

const PUBLISH: &str = "/main/api/v1/crates/new";

/// What is done once connected.
enum Attack {
    /// Sends this, and reads until the server closes.
    Send(Vec<u8>),
    /// Sends this, and then one byte in each second.
    Drip(Vec<u8>),
    /// Sends this, and goes away.
    Leave(Vec<u8>),
    /// Asks for this, and takes nothing.
    Stall(Vec<u8>),
    /// Asks for this, takes some of it, and goes away.
    Abort(Vec<u8>),
    /// Sends chunks of a body without end.
    Endless(Vec<u8>),
}

struct Kind {
    name: &'static str,
    /// What may be answered; whatever it is, not that the server has failed. Without any, the
    /// connection is just closed.
    statuses: &'static [u16],
    attack: Attack,
}

/// Who attacks.
pub(crate) struct Attackers {
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
    /// In a second.
    pub(crate) rate: f64,
    kinds: Vec<Kind>,
}

impl Attackers {
    pub(crate) fn new(
        address: SocketAddr,
        population: &Population,
        token: &str,
        tally: Arc<Tally>,
        rate: f64,
    ) -> Self {
        Self { address, tally, rate, kinds: kinds(population, token) }
    }

    /// Attacks in turns until `stop`; whoever is still connected then goes away.
    pub(crate) async fn run(self, mut stop: watch::Receiver<()>) {
        let this = Arc::new(self);
        let room = Arc::new(Semaphore::new(MOST));
        let mut ticks = interval(Duration::from_secs_f64(1. / this.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = tokio::task::JoinSet::new();
        for turn in 0.. {
            tokio::select! {
                _ = stop.changed() => break,
                _ = ticks.tick() => {}
            }
            while tasks.try_join_next().is_some() {}
            let slot = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
            let this = this.clone();
            tasks.spawn(async move {
                this.attack(turn).await;
                drop(slot);
            });
        }
        tasks.shutdown().await;
    }

    async fn attack(&self, turn: usize) {
        let kind = &self.kinds[turn % self.kinds.len()];
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, (turn % 200) as u8 + 1));
        let attack = async {
            let stream = connect(from, self.address).await?;
            Ok::<_, io::Error>(perform(&kind.attack, stream).await.unwrap_or_default())
        };
        let answer = match timeout(PATIENCE, attack).await {
            Ok(Ok(answer)) => answer,
            // Nobody is refused a connection.
            Ok(Err(error)) => return self.tally.fail(kind.name, error),
            Err(_) => return self.tally.fail(kind.name, "the server let it go on"),
        };
        match status(&answer) {
            Some(status) => {
                self.tally.count(kind.name, status);
                if !kind.statuses.contains(&status) {
                    self.tally.fail(kind.name, status);
                }
            }
            None if kind.statuses.is_empty() => self.tally.count(kind.name, "closed"),
            None => self.tally.fail(kind.name, "no answer"),
        }
    }
}

/// What was answered until the connection ended.
async fn perform(attack: &Attack, mut stream: TcpStream) -> io::Result<Vec<u8>> {
    match attack {
        Attack::Send(bytes) => {
            // A server that has had enough closes before it has all of it.
            let _ = stream.write_all(bytes).await;
            read_to_end(stream).await
        }
        Attack::Drip(bytes) => {
            stream.write_all(bytes).await?;
            let (reading, mut writing) = stream.into_split();
            let dripping = async {
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if writing.write_all(b"x").await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                answer = read_to_end(reading) => answer,
                () = dripping => unreachable!("it goes on for ever"),
            }
        }
        Attack::Leave(bytes) => {
            stream.write_all(bytes).await?;
            Ok(Vec::new())
        }
        Attack::Stall(bytes) => {
            stream.write_all(bytes).await?;
            sleep(STALL).await;
            // Of an answer that was not given up, all comes now; otherwise, what the system had taken in.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            Ok(if rest.len() as u64 > LARGE / 2 { rest } else { Vec::new() })
        }
        Attack::Abort(bytes) => {
            stream.write_all(bytes).await?;
            let mut some = vec![0; 10_000];
            stream.read_exact(&mut some).await?;
            Ok(some)
        }
        Attack::Endless(head) => {
            stream.write_all(head).await?;
            let chunk = [b"10000\r\n".as_slice(), &[0xff; 0x10000], b"\r\n"].concat();
            let (reading, mut writing) = stream.into_split();
            let sending = async {
                while writing.write_all(&chunk).await.is_ok() {}
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = read_to_end(reading) => answer,
                () = sending => unreachable!("it goes on for ever"),
            }
        }
    }
}

/// Reads until the server closes; of an answer only the beginning is kept. A reset takes nothing of
/// that away.
async fn read_to_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if kept.len() < 64 {
            kept.extend(&buffer[..read]);
        }
    }
    Ok(kept)
}

fn kinds(population: &Population, token: &str) -> Vec<Kind> {
    let close = |path: &str| request("GET", path, &[("connection", "close")], b"");
    let publish = |body: &[u8]| {
        let headers = [("authorization", token), ("connection", "close")];
        request("PUT", PUBLISH, &headers, body)
    };
    let announced = |length: &str| {
        request("PUT", PUBLISH, &[("authorization", token), ("content-length", length)], b"")
    };
    let metadata = br#"{"name":"hostile","vers":"1.0.0","deps":[],"features":{}}"#;
    let chunked = [("authorization", token), ("transfer-encoding", "chunked")];
    let last = if token.ends_with('x') { 'y' } else { 'x' };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    let wrong = [("authorization", wrong.as_str()), ("connection", "close")];
    let long = "x".repeat(100_000);
    let long_path = format!("/main/api/v1/crates?q={}", "x".repeat(10_000));
    let nested = [b"{\"name\":".as_slice(), &[b'['; 100_000]].concat();
    let half = publish_request(token, &frame(metadata, &[0; 100_000]));
    let kind = |name, statuses, attack| Kind { name, statuses, attack };
    use Attack::{Abort, Drip, Endless, Leave, Send, Stall};
    let malformed = b"GET / HTTP/1.1\r\nno colon\r\n\r\n".to_vec();
    let flood = request("GET", "/main/index/config.json", &[("x-long", &long)], b"");
    let mut kinds = vec![
        kind("malformed head", &[400][..], Send(malformed)),
        kind("head of 100 kB", &[431], Send(flood)),
        kind("target of 10 kB", &[414], Send(close(&long_path))),
        kind("wrong token", &[401, 403], Send(request("PUT", PUBLISH, &wrong, metadata))),
        kind("3 GiB announced", &[413], Send(announced("3221225472"))),
        kind("body without end", &[413], Endless(request("PUT", PUBLISH, &chunked, b""))),
        kind("bomb", &[400], Send(publish(&frame(metadata, &bomb())))),
        kind("nested metadata", &[400], Send(publish(&frame(&nested, b"")))),
        kind("half a body, then gone", &[], Leave(half[..half.len() / 2].to_vec())),
        kind("slow head", &[], Drip(b"GET /main/index/config.json HTTP/1.1\r\nx: ".to_vec())),
        kind("stalled body", &[400], Send([announced("100"), vec![b'x']].concat())),
        kind("slow body", &[400], Drip([announced("100000"), vec![0x60, 0xea, 0, 0]].concat())),
        kind("reader that takes nothing", &[], Stall(get(&population.large))),
        kind("aborted download", &[200], Abort(get(&population.large))),
        kind("rapid reset", &[], Send(rapid_reset())),
        kind("TLS to a plain port", &[400], Send(client_hello())),
    ];
    for path in [
        "/main/index/../../../etc/passwd",
        "/main/index/..%2f..%2fetc%2fpasswd",
        "/main/dl/hot-one/1.0.0/../../../index.sqlite",
        "/no-such-registry/index/config.json",
    ] {
        kinds.push(kind("path that leads nowhere", &[404], Send(close(path))));
    }
    kinds
}

/// 40 MiB of nothing in a file of some 40 KB.
fn bomb() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, size) in [("hostile-1.0.0/Cargo.toml", 20), ("hostile-1.0.0/bomb", 40 << 20)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, io::Read::take(io::repeat(0), size)).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Requests of HTTP/2 that are taken back at once. Source: RFC 9113, section 4.1.
fn rapid_reset() -> Vec<u8> {
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        sent.extend_from_slice(&length[1..]);
        sent.extend([kind, flags]);
        sent.extend(stream.to_be_bytes());
        sent.extend_from_slice(payload);
    };
    frame(4, 0, 0, b"");
    for number in 0..500 {
        // `GET http://x/`. Source: RFC 7541, appendix A.
        frame(1, 0x05, 2 * number + 1, &[0x82, 0x86, 0x84, 0x41, 1, b'x']);
        frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes());
    }
    sent
}

/// The beginning of a handshake. Source: RFC 8446, section 4.1.2.
fn client_hello() -> Vec<u8> {
    let hello = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], hello.as_slice()].concat()
}
