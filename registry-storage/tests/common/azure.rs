//! A server in this process that speaks as much of Azure Blob Storage as crate files take. Source:
//! "Blob service REST API" of Azure Storage. What it does not know is answered with 400.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::proxy::{length_of, read_head};

/// Most blobs of one answer: so few that every listing takes several.
const PAGE: usize = 2;

#[derive(Clone)]
struct Blob {
    bytes: Vec<u8>,
    modified: String,
    etag: String,
}

#[derive(Default)]
struct Container {
    blobs: BTreeMap<String, Blob>,
    /// By blob and id.
    blocks: HashMap<(String, String), Vec<u8>>,
    writes: u64,
    copies_later: bool,
}

impl Container {
    fn put(&mut self, path: &str, bytes: Vec<u8>) -> Answer {
        self.writes += 1;
        let modified = httpdate::fmt_http_date(SystemTime::now());
        let blob = Blob { bytes, modified, etag: format!("\"0x{:X}\"", self.writes) };
        let answer =
            Answer::new(201).with("etag", &blob.etag).with("last-modified", &blob.modified);
        self.blobs.insert(path.into(), blob);
        answer
    }
}

/// A server that ends with its runtime, with one container, `crates`.
pub(crate) struct Azure {
    container: Arc<Mutex<Container>>,
    address: String,
}

impl Azure {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { container: Arc::default(), address };
        let container = server.container.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, container.clone()));
            }
        });
        server
    }

    /// `http://HOST:PORT`
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether copies are only begun, from now on, and never end.
    pub(crate) fn copy_later(&self, later: bool) {
        self.container.lock().unwrap().copies_later = later;
    }

    /// The names of all blobs.
    pub(crate) fn names(&self) -> Vec<String> {
        self.container.lock().unwrap().blobs.keys().cloned().collect()
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

struct Asked<'a> {
    method: &'a str,
    /// In the container.
    path: &'a str,
    query: HashMap<&'a str, String>,
    head: &'a str,
    body: Vec<u8>,
}

impl<'a> Asked<'a> {
    fn new(head: &'a str, body: Vec<u8>) -> Option<Self> {
        let mut line = head.lines().next()?.split(' ');
        let (method, target) = (line.next()?, line.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (name, decoded(value))).collect();
        let path = path.strip_prefix("/crates")?.trim_start_matches('/');
        Some(Self { method, path, query, head, body })
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }

    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

async fn serve(connection: TcpStream, container: Arc<Mutex<Container>>) -> io::Result<()> {
    let mut client = BufReader::new(connection);
    let head = read_head(&mut client).await?;
    let mut body = vec![0; length_of(&head)];
    client.read_exact(&mut body).await?;
    let answer = match Asked::new(&head, body) {
        Some(asked) => answer_to(&asked, &mut container.lock().unwrap()),
        None => Answer::new(400),
    };
    let Answer { status, headers, body } = answer;
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // Known already, to who asks for the head alone.
    let length = match headers.contains("content-length") {
        true => String::new(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}{length}connection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    client.write_all(&body).await
}

fn answer_to(asked: &Asked<'_>, container: &mut Container) -> Answer {
    if !asked.header("authorization").is_some_and(|it| it.starts_with("SharedKey account:"))
        || asked.header("date").or(asked.header("x-ms-date")).is_none()
        || asked.header("x-ms-version").is_none()
    {
        return Answer::new(403);
    }
    match (asked.method, asked.query("comp")) {
        ("GET", "list") if asked.path.is_empty() => list(asked, container),
        ("POST", "batch") if asked.path.is_empty() => batch(asked, container),
        ("GET" | "HEAD", "") => read(asked, container),
        ("PUT", "block") => {
            let block = (asked.path.to_owned(), asked.query("blockid").to_owned());
            container.blocks.insert(block, asked.body.clone());
            Answer::new(201)
        }
        ("PUT", "blocklist") => put_blocks(asked, container),
        ("PUT", "") if asked.header("x-ms-copy-source").is_some() => copy(asked, container),
        ("PUT", "") if asked.header("x-ms-blob-type") == Some("BlockBlob") => {
            container.put(asked.path, asked.body.clone())
        }
        _ => Answer::new(400),
    }
}

fn read(asked: &Asked<'_>, container: &Container) -> Answer {
    let Some(blob) = container.blobs.get(asked.path) else { return Answer::new(404) };
    if asked.header("if-match").is_some_and(|tag| tag != blob.etag) {
        return Answer::new(412);
    }
    let size = blob.bytes.len();
    let (status, range) = match asked.header("range").map(|range| range.strip_prefix("bytes=")) {
        None => (200, 0..size),
        Some(range) => {
            // Parts at the end of a blob are not known.
            let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
                return Answer::new(400);
            };
            let Ok(first) = first.parse() else { return Answer::new(400) };
            if first >= size {
                return Answer::new(416);
            }
            (206, first..last.parse().map_or(size, |last: usize| size.min(last + 1)))
        }
    };
    let answer = Answer::new(status)
        .with("etag", &blob.etag)
        .with("last-modified", &blob.modified)
        .with("content-length", &range.len().to_string());
    let answer = match status {
        206 => {
            let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            answer.with("content-range", &part)
        }
        _ => answer,
    };
    match asked.method {
        "HEAD" => answer,
        _ => answer.body(&blob.bytes[range]),
    }
}

fn put_blocks(asked: &Asked<'_>, container: &mut Container) -> Answer {
    let list = String::from_utf8_lossy(&asked.body).into_owned();
    let ids = list.split("<Uncommitted>").skip(1).filter_map(|rest| rest.split_once('<'));
    let mut bytes = Vec::new();
    for (id, _) in ids {
        match container.blocks.remove(&(asked.path.to_owned(), id.to_owned())) {
            Some(block) => bytes.extend(block),
            None => return Answer::new(400),
        }
    }
    container.put(asked.path, bytes)
}

fn copy(asked: &Asked<'_>, container: &mut Container) -> Answer {
    let source = asked.header("x-ms-copy-source").and_then(|url| url.split_once("/crates/"));
    let Some(source) = source.and_then(|(_, path)| container.blobs.get(path).cloned()) else {
        return Answer::new(404);
    };
    if asked.header("if-none-match") == Some("*") && container.blobs.contains_key(asked.path) {
        return Answer::new(409);
    }
    // A blob is empty until it has been copied.
    let (bytes, state) = match container.copies_later {
        true => (Vec::new(), "pending"),
        false => (source.bytes, "success"),
    };
    let answer = container.put(asked.path, bytes).with("x-ms-copy-status", state);
    Answer { status: 202, ..answer }
}

fn list(asked: &Asked<'_>, container: &Container) -> Answer {
    let (prefix, marker) = (asked.query("prefix"), asked.query("marker"));
    let names = container.blobs.range(marker.to_owned()..);
    let mut names = names.filter(|(name, _)| name.starts_with(prefix));
    let page: Vec<_> = names.by_ref().take(PAGE).collect();
    let blobs: String = page
        .iter()
        .map(|(name, Blob { bytes, modified, etag })| {
            let size = bytes.len();
            format!(
                "<Blob><Name>{name}</Name><Properties><Last-Modified>{modified}</Last-Modified>\
                 <Etag>{etag}</Etag><Content-Length>{size}</Content-Length>\
                 <Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
            )
        })
        .collect();
    let next = names.next().map_or("", |(name, _)| name);
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults>\
         <Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    Answer::new(200).with("content-type", "application/xml").body(text)
}

/// Deletes blobs, by a request for each.
fn batch(asked: &Asked<'_>, container: &mut Container) -> Answer {
    let text = String::from_utf8_lossy(&asked.body).into_owned();
    let mut answers = String::new();
    for part in text.split("\r\n--") {
        let Some(id) = header(part, "content-id") else { continue };
        let line = part.lines().find_map(|line| line.strip_prefix("DELETE /crates/"));
        let path = line.and_then(|line| line.strip_suffix(" HTTP/1.1"));
        let status = match path {
            _ if header(part, "authorization").is_none() => 403,
            Some(path) if container.blobs.remove(path).is_some() => 202,
            Some(_) => 404,
            None => 400,
        };
        answers += &format!(
            "--answers\r\nContent-Type: application/http\r\nContent-ID: {id}\r\n\r\n\
             HTTP/1.1 {status} Said\r\nServer: this\r\n\r\n"
        );
    }
    let answer = Answer::new(202).with("content-type", "multipart/mixed; boundary=answers");
    answer.body(answers + "--answers--\r\n")
}
