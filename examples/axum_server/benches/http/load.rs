//! A load generator of one thread, which costs less than any server: requests that are made
//! beforehand, and of answers no more is read than where they end.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::common::corpus::Random;

/// Connections that are kept, each with one request at a time.
const CONNECTIONS: usize = 64;

/// What is asked for, all of it with one status.
pub(crate) struct Requests {
    heads: Vec<Vec<u8>>,
    status: [u8; 3],
}

/// How a server answered for a while.
pub(crate) struct Answers {
    pub(crate) count: usize,
    pub(crate) time: Duration,
    /// How long each took, in ascending order.
    latencies: Vec<Duration>,
}

impl Requests {
    pub(crate) fn new(paths: &[String], headers: &[(&str, &str)], status: u16) -> Self {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = |path: &String| {
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
        };
        let status = status.to_string().into_bytes().try_into().expect("three digits");
        Self { heads: paths.iter().map(head).collect(), status }
    }

    /// Makes them in random order for so long, after a tenth of it that does not count.
    pub(crate) fn send(&self, address: &str, duration: Duration) -> Answers {
        let mut poll = Poll::new().unwrap();
        let mut random = Random::new(0);
        let mut clients: Vec<Client> = (0..CONNECTIONS)
            .map(|number| {
                // Waits until it is there.
                let stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_nonblocking(true).unwrap();
                let mut stream = TcpStream::from_std(stream);
                let interest = Interest::READABLE;
                poll.registry().register(&mut stream, Token(number), interest).unwrap();
                Client { stream, sent_at: Instant::now(), answer: Answer::default() }
            })
            .collect();
        for client in &mut clients {
            client.ask(self.any(&mut random));
        }
        let (mut events, mut buffer) = (Events::with_capacity(CONNECTIONS), vec![0; 256 << 10]);
        let warm = Instant::now() + duration / 10;
        let (mut began, mut latencies) = (None, Vec::new());
        loop {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "{address} does not answer");
            for event in &events {
                let client = &mut clients[event.token().0];
                if client.read(&mut buffer, self.status) {
                    let now = Instant::now();
                    if began.is_none() && now >= warm {
                        began = Some(now);
                    } else if let Some(began) = began {
                        latencies.push(now - client.sent_at);
                        let time = now - began;
                        if time >= duration {
                            latencies.sort_unstable();
                            return Answers { count: latencies.len(), time, latencies };
                        }
                    }
                    client.ask(self.any(&mut random));
                }
            }
        }
    }

    fn any(&self, random: &mut Random) -> &[u8] {
        &self.heads[random.below(self.heads.len())]
    }
}

impl Answers {
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }

    /// What this share of them did not take longer than, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let place = ((self.latencies.len() - 1) as f64 * share) as usize;
        self.latencies[place].as_secs_f64() * 1e6
    }
}

struct Client {
    stream: TcpStream,
    sent_at: Instant,
    answer: Answer,
}

impl Client {
    fn ask(&mut self, head: &[u8]) {
        self.sent_at = Instant::now();
        assert_eq!(self.stream.write(head).unwrap(), head.len(), "a request fits in any buffer");
    }

    /// Reads what has come; whether that is the end of the answer.
    fn read(&mut self, buffer: &mut [u8], status: [u8; 3]) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the server hung up"),
                Ok(length) => {
                    if self.answer.is_over(&buffer[..length], status) {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// As much of an answer as has come.
#[derive(Default)]
struct Answer {
    /// Of the head, while it is not whole.
    head: Vec<u8>,
    /// Bytes of the body that are to come.
    left: Option<usize>,
}

impl Answer {
    fn is_over(&mut self, bytes: &[u8], status: [u8; 3]) -> bool {
        let left = match self.left {
            Some(left) => left - bytes.len(),
            None if self.head.is_empty() => match body(bytes, status) {
                Some((start, length)) => length - (bytes.len() - start),
                None => {
                    self.head.extend_from_slice(bytes);
                    return false;
                }
            },
            None => {
                self.head.extend_from_slice(bytes);
                let Some((start, length)) = body(&self.head, status) else { return false };
                let left = length - (self.head.len() - start);
                self.head.clear();
                left
            }
        };
        self.left = (left > 0).then_some(left);
        left == 0
    }
}

/// Where the body begins and how long it is, once the head is whole.
fn body(bytes: &[u8], status: [u8; 3]) -> Option<(usize, usize)> {
    let (mut start, mut length) = (0, 0);
    loop {
        let end = start + bytes[start..].iter().position(|byte| *byte == b'\n')?;
        let line = &bytes[start..end];
        if start == 0 {
            assert_eq!(line[9..12], status, "{}", line.escape_ascii());
        }
        if let Some((name, value)) = line.split_at_checked("content-length:".len())
            && name.eq_ignore_ascii_case(b"content-length:")
        {
            length =
                value.trim_ascii().iter().fold(0, |it, digit| it * 10 + usize::from(digit - b'0'));
        }
        start = end + 1;
        if line == b"\r" {
            // Of what is not sent, the length is told all the same.
            return Some((start, if status == *b"304" { 0 } else { length }));
        }
    }
}
