use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Runtime,
    task::JoinHandle,
};

use super::{Answer, Server};

/// One connection of HTTP/2 to a server that is known to speak it.
pub(crate) struct Http2 {
    runtime: Runtime,
    sender: http2::SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
    base: String,
    token: Option<String>,
}

impl Http2 {
    pub(crate) fn connect(server: &Server) -> Self {
        let address = server.address().to_owned();
        let stream = async move { TcpStream::connect(address).await.unwrap() };
        Self::over(stream, format!("http://{}", server.address()))
    }

    /// Over a stream that is opened first.
    pub(crate) fn over<S>(stream: impl Future<Output = S>, base: String) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, connection) = runtime.block_on(async {
            let stream = TokioIo::new(stream.await);
            let mut builder = http2::Builder::new(TokioExecutor::new());
            // Answers that nobody reads leave room for others.
            builder.initial_stream_window_size(1 << 16).initial_connection_window_size(1 << 24);
            builder.max_header_list_size(1 << 20);
            let (sender, connection) = builder.handshake(stream).await.unwrap();
            (sender, tokio::spawn(connection))
        });
        Self { runtime, sender, connection, base, token: None }
    }

    /// Sends `token` as the whole `Authorization` header.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sends a request; what is returned ends when the head of the answer is there, or there is none.
    pub(crate) fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> JoinHandle<hyper::Result<Response<Incoming>>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let token = self.token.iter().map(|token| ("authorization", token.as_str()));
        for (name, value) in token.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(body.to_vec())).unwrap();
        let mut sender = self.sender.clone();
        self.runtime.spawn(async move {
            sender.ready().await?;
            sender.send_request(request).await
        })
    }

    /// The head of an answer.
    pub(crate) fn head(
        &self,
        begun: JoinHandle<hyper::Result<Response<Incoming>>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.runtime.block_on(begun).unwrap()
    }

    /// A whole answer.
    pub(crate) fn end(
        &self,
        begun: JoinHandle<hyper::Result<Response<Incoming>>>,
    ) -> hyper::Result<Answer> {
        let response = self.head(begun)?;
        let (head, body) = response.into_parts();
        let body = self.runtime.block_on(body.collect())?.to_bytes();
        let header = |(name, value): (_, &http::HeaderValue)| {
            (ToString::to_string(&name), value.to_str().unwrap().to_owned())
        };
        let headers = head.headers.iter().map(header).collect();
        Ok(Answer { status: head.status.as_u16(), headers, body: body.to_vec() })
    }

    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> hyper::Result<Answer> {
        self.end(self.begin(method, path, headers, body))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.try_send("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn publish(&self, frame: &[u8]) -> Answer {
        self.try_send("PUT", "/main/api/v1/crates/new", &[], frame).unwrap()
    }

    /// Whether either side has ended the connection.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_finished()
    }
}
