use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use super::checksum;

/// A server that keeps what is put and gives it back, as S3 does, and takes no notice of
/// conditions.
pub(crate) struct ObjectServer {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    heads: Vec<String>,
}

impl ObjectServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let server = Self { endpoint, state: state.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), state.clone());
                std::thread::spawn(move || while answer(&stream, &state).is_some() {});
            }
        });
        server
    }

    /// `http://HOST:PORT`
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All that is kept, by path.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().objects.clone()
    }

    /// The heads of all requests until now.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    /// The paths of all requests by this method until now, with the headers whose names begin so.
    pub(crate) fn requests(&self, method: &str, headers: &str) -> Vec<(String, Vec<String>)> {
        let state = self.state.lock().unwrap();
        let heads = state.heads.iter().filter_map(|head| {
            let mut lines = head.lines();
            let mut words = lines.next()?.split(' ');
            let path = (words.next() == Some(method)).then(|| words.next())??;
            let headers = lines.filter(|line| line.starts_with(headers)).map(str::to_owned);
            Some((path.to_owned(), headers.collect()))
        });
        heads.collect()
    }
}

/// Answers one request, if there is one more.
fn answer(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request).ok().filter(|bytes| *bytes > 0)?;
    let mut head = request.clone();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        head += &line;
        match line.to_ascii_lowercase().trim().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?.to_owned());
    let mut state = state.lock().unwrap();
    state.heads.push(head);
    let objects = &mut state.objects;
    let (status, body) = match method {
        "PUT" => {
            objects.insert(path.clone(), body);
            ("200 OK", Vec::new())
        }
        "DELETE" => {
            objects.remove(&path);
            ("204 No Content", Vec::new())
        }
        // A listing: of nothing, which is another flaw.
        _ if path.contains('?') => ("200 OK", b"<ListBucketResult></ListBucketResult>".to_vec()),
        _ => objects.get(&path).map_or(("404 Not Found", Vec::new()), |it| ("200 OK", it.clone())),
    };
    let etag = objects.get(&path).map(|object| checksum(object)).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"{etag}\"\r\n\
         last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()
}
