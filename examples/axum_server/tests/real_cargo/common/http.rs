use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{CrateFile, Secrets};

/// A client that sends exactly what a test says, one request a connection.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    token: Option<String>,
    secrets: Secrets,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.into(), token: None, secrets: Secrets::default() }
    }

    /// Takes note there of what is sent and given.
    pub(crate) fn noting(self, secrets: &Secrets) -> Self {
        Self { secrets: secrets.clone(), ..self }
    }

    /// Sends `token` as the whole `Authorization` header.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.secrets.add_header(token);
        self.token = Some(token.into());
        self
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, b"")
    }

    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.send("PUT", path, &[], body)
    }

    pub(crate) fn publish(&self, frame: &[u8]) -> Answer {
        self.put("/main/api/v1/crates/new", frame)
    }

    /// Begins a publish; returns when the server has begun to read it, with what is yet to be sent.
    pub(crate) fn half_a_publish(&self, file: &CrateFile) -> (TcpStream, Vec<u8>) {
        let mut frame = file.frame();
        let rest = frame.split_off(frame.len() / 2);
        let length = (frame.len() + rest.len()).to_string();
        let headers = [("content-length", length.as_str()), ("expect", "100-continue")];
        let mut stream = self.begin("PUT", "/main/api/v1/crates/new", &headers);
        // The server asks for the body when it begins to read it.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&frame).unwrap();
        (stream, rest)
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method, path, headers, body).expect("an answer")
    }

    /// Sends a request; no answer if the server ends meanwhile.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let length = body.len().to_string();
        let mut all = headers.to_vec();
        if !body.is_empty() {
            all.push(("content-length", &length));
        }
        let mut stream = self.try_begin(method, path, &all).ok()?;
        self.secrets.add_body(body);
        // A server that refuses the body may close before it has all of it.
        let _ = stream.write_all(body);
        let answer = Answer::try_read(stream)?;
        self.secrets.add_body(&answer.body);
        if answer.status >= 400 {
            let told = self.secrets.found_in(&answer.bytes());
            assert!(told.is_empty(), "{told:?} in the answer to {method} {path}: {answer:?}");
        }
        Some(answer)
    }

    /// Sends the head of a request, and leaves body and answer to the caller.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        self.try_begin(method, path, headers).unwrap()
    }

    fn try_begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        let token = self.token.iter().map(|token| ("authorization", token.as_str()));
        for (name, value) in token.chain(headers.iter().copied()) {
            head += &format!("{name}: {value}\r\n");
        }
        head += "connection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads until the server closes.
    pub(crate) fn read(stream: TcpStream) -> Self {
        Self::try_read(stream).expect("an answer")
    }

    /// Reads until the server closes; nothing if that is before the end of the answer.
    fn try_read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A reset after the answer, because of a body that was not read, takes nothing away.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        assert_eq!(answer.header("transfer-encoding"), None, "every length is known");
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        (answer.body.len() >= length.unwrap_or_default()).then_some(answer)
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [format!("{:?}", self.headers).as_bytes(), &self.body].concat()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and the one `detail` of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        let errors = json["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{json}");
        (self.status, errors[0]["detail"].as_str().expect("detail").to_owned())
    }
}
