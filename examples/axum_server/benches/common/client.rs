//! A client that costs little: one connection, kept alive, one request after the other.

use std::{
    io::{BufRead, BufReader, BufWriter, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Size of the buffer that answers are read into. Large, so that reading costs few system calls
/// and what is measured is the server.
const BUFFER_BYTES: usize = 256 << 10;

pub(crate) struct Connection(BufReader<TcpStream>);

/// Status and headers of an answer.
struct Head(Vec<String>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Head,
    pub(crate) body: Vec<u8>,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn status(&self) -> u16 {
        self.0[0].split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// How long the body is that follows.
    fn length(&self) -> u64 {
        match self.status() {
            304 => 0,
            _ => self.header("content-length").map_or(0, |length| length.parse().unwrap()),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::with_capacity(BUFFER_BYTES, stream))
    }

    pub(crate) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, 0);
        self.answer()
    }

    /// Reads a body without keeping it; status and length.
    pub(crate) fn skim(&mut self, path: &str, headers: &[(&str, &str)]) -> (u16, u64) {
        self.send("GET", path, headers, 0);
        let head = self.head();
        let mut left = head.length();
        while left > 0 {
            let read = self.0.fill_buf().unwrap().len() as u64;
            assert_ne!(read, 0, "the server hung up");
            let part = read.min(left);
            self.0.consume(part as usize);
            left -= part;
        }
        (head.status(), head.length())
    }

    /// Publishes, and says how long it took.
    pub(crate) fn publish(&mut self, token: &str, body: &[u8]) -> Duration {
        self.publish_from(token, body.len() as u64, |stream| stream.write_all(body).unwrap())
    }

    /// Publishes a body of which `write` writes each of its `length` bytes.
    pub(crate) fn publish_from(
        &mut self,
        token: &str,
        length: u64,
        write: impl FnOnce(&mut dyn Write),
    ) -> Duration {
        let started = Instant::now();
        self.send("PUT", "/main/api/v1/crates/new", &[("authorization", token)], length);
        let mut body = BufWriter::with_capacity(BUFFER_BYTES, self.0.get_ref());
        write(&mut body);
        body.flush().unwrap();
        drop(body);
        let answer = self.answer();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        started.elapsed()
    }

    /// Sends the head of a request with a body of so many bytes.
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], length: u64) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-length: {length}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut body = vec![0; head.length() as usize];
        self.0.read_exact(&mut body).unwrap();
        Answer { status: head.status(), head, body }
    }

    fn head(&mut self) -> Head {
        let mut head = vec![];
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the server hung up");
            match line.trim_end() {
                "" => return Head(head),
                line => head.push(line.to_owned()),
            }
        }
    }
}
