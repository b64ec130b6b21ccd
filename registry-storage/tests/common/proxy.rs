//! A proxy in this process, in front of an S3 server, that fails when it is told to, and takes what
//! Google's interface calls otherwise.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered so, and is not carried out.
    Answer(u16, &'static str),
    /// It is said to be done, in every detail, and is not.
    Lie,
    /// It is answered so once it has been carried out.
    AnswerAfter(u16, &'static str),
    /// The connection is closed before it is carried out.
    Refuse,
    /// The connection is closed once it has been carried out.
    LoseAnswer,
    /// It is not carried out, and never answered.
    Hang,
    /// So many bytes of the body come back, then the connection is closed.
    Cut(usize),
    /// So many bytes of the body come back, and then nothing.
    Stall(usize),
    /// The body comes back in pieces of so many bytes, with pauses between them.
    Slow(usize, Duration),
    /// It is carried out as if no part of a file had been asked for.
    WithoutRange,
    /// None.
    Pass,
}

struct State {
    faults: Mutex<VecDeque<Fault>>,
    requests: Mutex<Vec<String>>,
    upstream: String,
    /// A method, and the beginning of what follows the bucket in a target.
    counts: Mutex<&'static str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A proxy that ends with its runtime.
pub(crate) struct Proxy {
    state: Arc<State>,
    address: String,
}

impl Proxy {
    /// In front of a server at `HOST:PORT`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            faults: Mutex::default(),
            requests: Mutex::default(),
            upstream: upstream.to_owned(),
            counts: Mutex::default(),
        });
        let proxy = Self { state: state.clone(), address };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, state.clone()));
            }
        });
        proxy
    }

    /// `http://HOST:PORT`
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What becomes of the next requests by this method. Forgets what has been seen.
    pub(crate) fn fail(&self, method: &'static str, faults: impl IntoIterator<Item = Fault>) {
        *lock(&self.state.counts) = method;
        *lock(&self.state.faults) = faults.into_iter().collect();
        lock(&self.state.requests).clear();
    }

    /// The faults that nothing has met.
    pub(crate) fn faults_left(&self) -> usize {
        lock(&self.state.faults).len()
    }

    /// How many requests by this method there were since the last [`Proxy::fail`].
    pub(crate) fn count(&self, method: &str) -> usize {
        lock(&self.state.requests).iter().filter(|head| head.starts_with(method)).count()
    }

    /// The heads of the requests since the last [`Proxy::fail`].
    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.state.requests).clone()
    }
}

async fn serve(connection: TcpStream, state: Arc<State>) -> io::Result<()> {
    let mut client = BufReader::new(connection);
    let mut head = read_head(&mut client).await?;
    let mut body = vec![0; length_of(&head)];
    client.read_exact(&mut body).await?;
    let mut client = client.into_inner();
    lock(&state.requests).push(head.clone());
    let method = head.split(' ').next().unwrap().to_owned();
    let fault = match method == *lock(&state.counts) {
        true => lock(&state.faults).pop_front().unwrap_or(Fault::Pass),
        false => Fault::Pass,
    };
    match fault {
        Fault::Answer(status, text) => return answer(&mut client, status, text).await,
        Fault::Lie => {
            let head = "HTTP/1.1 200 OK\r\netag: \"lie\"\r\nconnection: close\r\n";
            let lie = format!("{head}content-length: 0\r\n\r\n");
            return client.write_all(lie.as_bytes()).await;
        }
        Fault::Refuse => return Ok(()),
        Fault::Hang => std::future::pending().await,
        Fault::WithoutRange => head = without(&head, "range"),
        _ => {}
    }
    let is_new = "x-goog-if-generation-match: 0";
    if head.contains(is_new) && exists(&state.upstream, &head).await? {
        return answer(&mut client, 412, "<Error/>").await;
    }
    head = head.replace("x-goog-copy-source: ", "x-amz-copy-source: ");
    head = without(&head, "connection").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let mut server = TcpStream::connect(&state.upstream).await?;
    server.write_all(head.as_bytes()).await?;
    server.write_all(&body).await?;
    let mut server = BufReader::new(server);
    let head = read_head(&mut server).await?;
    let mut body = Vec::new();
    server.read_to_end(&mut body).await?;
    match fault {
        Fault::AnswerAfter(status, text) => return answer(&mut client, status, text).await,
        Fault::LoseAnswer => return Ok(()),
        _ => client.write_all(head.as_bytes()).await?,
    }
    match fault {
        Fault::Cut(bytes) => client.write_all(&body[..bytes]).await,
        Fault::Stall(bytes) => {
            client.write_all(&body[..bytes]).await?;
            std::future::pending().await
        }
        Fault::Slow(bytes, pause) => {
            for piece in body.chunks(bytes) {
                client.write_all(piece).await?;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        }
        _ => client.write_all(&body).await,
    }
}

/// Whether there is something at the target of a request.
async fn exists(upstream: &str, head: &str) -> io::Result<bool> {
    // With its credentials, for not everybody may look.
    let look =
        without(&without(head, "x-goog-copy-source"), "connection").replacen("PUT", "HEAD", 1);
    let look = look.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(look.as_bytes()).await?;
    let found = read_head(&mut BufReader::new(server)).await?;
    Ok(found.starts_with("HTTP/1.1 200 "))
}

/// To the empty line, with it.
pub(super) async fn read_head(from: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

pub(super) fn length_of(head: &str) -> usize {
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    lengths.next().unwrap_or(0)
}

fn without(head: &str, header: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    let is_it = |line: &str| {
        line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(header))
    };
    lines.filter(|line| !is_it(line)).collect()
}

async fn answer(client: &mut TcpStream, status: u16, text: &str) -> io::Result<()> {
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
    client.write_all(answer.as_bytes()).await
}
