//! An S3 server in this process that fails when it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
};
use registry_core::Checksum;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
};

pub(crate) type Objects = BTreeMap<String, Bytes>;

/// What another process does.
pub(crate) type Deed = Box<dyn FnOnce(&mut Objects) + Send>;

/// What becomes of one PUT of a record.
pub(crate) struct Fault {
    /// Whether it is carried out, as far as its condition allows.
    pub(crate) effect: bool,
    /// What others do before the answer.
    pub(crate) meanwhile: Option<Deed>,
    pub(crate) reply: Reply,
}

#[derive(Clone, Copy)]
pub(crate) enum Reply {
    Status(u16),
    /// The connection is closed without one.
    Cut,
    /// It never comes.
    Never,
}

#[derive(Default)]
struct State {
    objects: Objects,
    faults: VecDeque<Fault>,
    fails_reads: bool,
    is_gone: bool,
    requests: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct FakeS3 {
    state: Arc<Mutex<State>>,
    endpoint: String,
}

impl FakeS3 {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let fake = Self { state: state.clone(), endpoint };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, state.clone()));
            }
        });
        fake
    }

    /// A client that sends a request up to three times, and waits a second for the answer.
    pub(crate) fn client(&self) -> Arc<dyn ObjectStore> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(2),
            base: 2.0,
        };
        let client = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_bucket_name("bucket")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true")
            .with_retry(RetryConfig { backoff, max_retries: 2, ..RetryConfig::default() })
            .with_client_options(
                ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(1)),
            );
        Arc::new(client.build().unwrap())
    }

    /// What becomes of the next PUTs of records.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// From now on every GET is answered 500, or none.
    pub(crate) fn fail_reads(&self, fails: bool) {
        lock(&self.state).fails_reads = fails;
    }

    /// Whether there is no bucket from now on; what was in it is kept.
    pub(crate) fn hide(&self, is_gone: bool) {
        lock(&self.state).is_gone = is_gone;
    }

    pub(crate) fn faults_left(&self) -> usize {
        lock(&self.state).faults.len()
    }

    /// Changes what is stored, as another process would.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut lock(&self.state).objects);
    }

    /// Method and key of the requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).requests)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

/// As S3 makes it: of the content.
fn e_tag(value: &[u8]) -> String {
    format!("\"{}\"", Checksum::of(value))
}

struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Without its condition, if it does not hold.
    fn condition_fails(&self, there: Option<&Bytes>) -> bool {
        let there = there.map(|value| e_tag(value));
        let if_absent = self.header("if-none-match") == Some("*") && there.is_some();
        let if_unchanged =
            self.header("if-match").is_some_and(|e_tag| there.as_deref() != Some(e_tag));
        if_absent || if_unchanged
    }
}

async fn serve(connection: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut connection = BufStream::new(connection);
    while let Some(request) = read(&mut connection).await? {
        let answer = answer(&request, &mut lock(&state));
        match answer {
            Answer::Reply(reply) => {
                connection.write_all(&reply).await?;
                connection.flush().await?;
            }
            Answer::Cut => break,
            Answer::Never => std::future::pending().await,
        }
    }
    Ok(())
}

async fn read(connection: &mut BufStream<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if connection.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut parts = line.split(' ').map(str::to_owned);
    let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Request { method, target, headers, body: Bytes::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    request.body = body.into();
    Ok(Some(request))
}

enum Answer {
    Reply(Vec<u8>),
    Cut,
    Never,
}

fn answer(request: &Request, state: &mut State) -> Answer {
    let key = request.target.strip_prefix("/bucket").unwrap();
    let (key, query) = key.split_once('?').unwrap_or((key, ""));
    let key = key.trim_start_matches('/').to_owned();
    state.requests.push(format!("{} {}", request.method, if key.is_empty() { "?" } else { &key }));
    if state.is_gone {
        return reply(404, "", b"<Error><Code>NoSuchBucket</Code></Error>");
    }
    match request.method.as_str() {
        "PUT" => {
            let fault = match key.starts_with("records/") {
                true => state.faults.pop_front(),
                false => None,
            };
            let refused = request.condition_fails(state.objects.get(&key));
            if !refused && fault.as_ref().is_none_or(|fault| fault.effect) {
                state.objects.insert(key, request.body.clone());
            }
            let Some(fault) = fault else {
                let e_tag = e_tag(&request.body);
                return match refused {
                    true => reply(412, "", b""),
                    false => reply(200, &format!("ETag: {e_tag}\r\n"), b""),
                };
            };
            if let Some(meanwhile) = fault.meanwhile {
                meanwhile(&mut state.objects);
            }
            match fault.reply {
                Reply::Status(status) => reply(status, "", b"<Error/>"),
                Reply::Cut => Answer::Cut,
                Reply::Never => Answer::Never,
            }
        }
        "GET" if key.is_empty() => reply(200, "", listing(query, &state.objects).as_bytes()),
        "GET" if state.fails_reads => reply(500, "", b""),
        "GET" => match state.objects.get(&key) {
            None => reply(404, "", b""),
            Some(value) => {
                let e_tag = e_tag(value);
                let headers =
                    format!("ETag: {e_tag}\r\nLast-Modified: Thu, 29 Feb 2024 12:00:00 GMT\r\n");
                match request.header("if-none-match") == Some(&e_tag) {
                    true => reply(304, &headers, b""),
                    false => reply(200, &headers, value),
                }
            }
        },
        "DELETE" => {
            state.objects.remove(&key);
            reply(204, "", b"")
        }
        _ => reply(405, "", b""),
    }
}

fn listing(query: &str, objects: &Objects) -> String {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|pair| pair.0 == name).map(|pair| pair.1.replace("%2F", "/"))
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let after = parameter("start-after").unwrap_or_default();
    let mut xml = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, value) in objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after)
    {
        let size = value.len();
        write!(
            xml,
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>e</ETag>\
             <LastModified>2024-02-29T12:00:00.000Z</LastModified></Contents>"
        )
        .unwrap();
    }
    xml + "</ListBucketResult>"
}

fn reply(status: u16, headers: &str, body: &[u8]) -> Answer {
    let length = match status {
        204 | 304 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let mut reply = format!("HTTP/1.1 {status} Said\r\n{headers}{length}\r\n").into_bytes();
    reply.extend_from_slice(body);
    Answer::Reply(reply)
}
