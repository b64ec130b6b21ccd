//! One connection, from its first byte to its end: which protocol it speaks, and how long it may.

use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc};

use axum::http::{
    HeaderValue,
    header::{CONNECTION, STRICT_TRANSPORT_SECURITY},
};
use hyper::{
    Request, Response,
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use registry_core::BoxError;
use registry_http::{Peer, TrustedProxies};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::TlsAcceptor;

use crate::{
    answer_body::AnswerBody,
    answer_time::{self, InTime},
    body::PunctualBody,
    head::{self, HeadTimer},
    health, http2,
    linger::{Lingering, UnreadBody},
    log::Answering,
    preface::{self, Protocol},
    refusal::Refusal,
    routes::Routes,
    slots::{Place, Slots},
    stream::PunctualStream,
    tls,
};

/// Longest head of a request, in bytes, and no less than what is read of a connection at a time.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Most bytes of an answer that the system takes in before the client has room for them, as many as
/// two pieces.
///
/// Otherwise it takes megabytes for each connection. Those of many no longer fit in a processor's
/// cache, and those of slow readers are memory that no bound here counts.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 256 * 1024;

/// Tells every connection to end in good order.
pub(crate) type Stop = watch::Receiver<()>;

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) routes: Routes,
    /// The longest body that anybody may send.
    pub(crate) max_body_bytes: u64,
    pub(crate) proxies: Arc<TrustedProxies>,
    /// `Strict-Transport-Security`, for clients who have come by https.
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) slots: Arc<Slots>,
    /// Unless it is spoken in the clear.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves a connection to its end, or when it is told to stop, to the end of what is under way.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    place: Place,
    served: Served,
    mut stop: Stop,
) -> Result<(), BoxError> {
    // Answers are small and written at once; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    match served.tls.clone() {
        None => {
            let opened = opened(preface::read(stream), &mut stop).await?;
            let Some((protocol, stream)) = opened else { return Ok(()) };
            speak(protocol, stream, served, (peer, place), stop).await
        }
        Some(tls) => {
            let opened = opened(tls.accept(stream), &mut stop).await?;
            let Some(stream) = opened else { return Ok(()) };
            let protocol = tls::protocol(stream.get_ref().1);
            speak(protocol, TokioIo::new(stream), served, (peer, place), stop).await
        }
    }
}

/// What the client has to say first; nothing if the server is to stop, for nobody has asked for
/// anything yet.
async fn opened<T>(
    opening: impl Future<Output = io::Result<T>>,
    stop: &mut Stop,
) -> Result<Option<T>, BoxError> {
    tokio::select! {
        opened = timeout(head::HEAD, opening) => Ok(Some(opened??)),
        _ = stop.changed() => Ok(None),
    }
}

async fn speak(
    protocol: Protocol,
    stream: impl Read + Write + Unpin + Send + 'static,
    served: Served,
    (peer, place): (IpAddr, Place),
    stop: Stop,
) -> Result<(), BoxError> {
    let answers = Answers::new(served, peer);
    let stream = PunctualStream::new(stream, place.client().clone());
    match protocol {
        Protocol::Http1 => Ok(http1(stream, answers, place, stop).await?),
        Protocol::Http2 => http2::serve(stream, answers, place, stop).await,
    }
}

async fn http1(
    stream: PunctualStream<impl Read + Write + Unpin>,
    answers: Answers,
    place: Place,
    mut stop: Stop,
) -> hyper::Result<()> {
    let timer = HeadTimer::new(stream.reads(), place.client().clone());
    let place = Arc::new(place);
    let unread = UnreadBody::default();
    let stream = Lingering::new(stream, unread.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (answers, place, unread) = (answers.clone(), place.clone(), unread.clone());
        async move {
            // Before anything waits, for what waits is held in memory.
            let refusal = match Refusal::of_headers(&request) {
                Some(refusal) => Some(refusal),
                None if health::is_asked(request.uri().path()) || place.has_slot().await => None,
                None => Some(Refusal::Busy),
            };
            let response = match refusal {
                None => answers.answer(request).await,
                Some(refusal) => Ok(closing(answers.refuse(&request, refusal))),
            };
            // Only said of answers to requests whose body was not read to its end.
            if response.as_ref().is_ok_and(|response| response.headers().contains_key(CONNECTION)) {
                unread.set();
            }
            response.map(|response| response.map(InTime::new))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(timer)
            .header_read_timeout(head::IDLE)
            .max_buf_size(MAX_HEAD_BYTES)
            // The buffer may come to hold more.
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(stream, service)
    );
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// What answers the requests of one connection.
///
/// Here rather than in layers of a router, each of which would take as long as the routing.
#[derive(Clone)]
pub(crate) struct Answers(Arc<Shared>);

struct Shared {
    routes: Routes,
    max_body_bytes: u64,
    proxies: Arc<TrustedProxies>,
    hsts: Option<HeaderValue>,
    peer: IpAddr,
    /// Whether the peer is a proxy whose word is taken.
    is_trusted: bool,
}

impl Answers {
    pub(crate) fn new(served: Served, peer: IpAddr) -> Self {
        let Served { routes, max_body_bytes, proxies, hsts, .. } = served;
        let is_trusted = proxies.contains(peer);
        Self(Arc::new(Shared { routes, max_body_bytes, proxies, hsts, peer, is_trusted }))
    }

    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let shared = &*self.0;
        let request = request.map(|body| PunctualBody::new(body, shared.max_body_bytes));
        let client = shared.proxies.client(shared.peer, request.headers());
        let (method, id) = (request.method().clone(), shared.routes.request_id(request.headers()));
        let peer = Peer {
            address: Some(client),
            from_trusted_proxy: shared.is_trusted,
            request_id: Some(id.clone()),
        };
        let answering = Answering::begin(&request, client);
        let time = answer_time::of_head(request.body().time());
        let refuse = |refusal| closing(shared.routes.refuse(&method, &id, refusal));
        let mut response = match Refusal::of_target(&request) {
            None => {
                // It may be dropped at any time: a publish is whole then, or not there.
                let answer = pin!(shared.routes.answer(peer, request));
                timeout(time, answer).await.unwrap_or_else(|_| refuse(Refusal::TooLate))
            }
            Some(refusal) => refuse(refusal),
        };
        if let Some(hsts) = &shared.hsts {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if let Some(answering) = answering {
            answering.end(&response);
        }
        Ok(response)
    }

    /// Refuses a request before it is begun, and logs it.
    pub(crate) fn refuse(
        &self,
        request: &Request<Incoming>,
        refusal: Refusal,
    ) -> Response<AnswerBody> {
        let Shared { routes, proxies, peer, .. } = &*self.0;
        let client = proxies.client(*peer, request.headers());
        let answering = Answering::begin(request, client);
        let id = routes.request_id(request.headers());
        let response = routes.refuse(request.method(), &id, refusal);
        if let Some(answering) = answering {
            answering.end(&response);
        }
        response
    }
}

/// An answer to a request of which nobody has looked whether there is a body.
fn closing(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::Ipv4Addr, sync::Mutex};

    use axum::{
        Extension, Router,
        body::Body,
        routing::{any, get},
    };
    use futures_util::stream::{self, Stream, StreamExt as _};
    use registry_core::auth::RequestId;
    use registry_http::{ForwardedBy, Registries};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
        time::{Duration, Instant, sleep},
    };

    use super::*;

    /// After how many seconds the server ends a connection on which this is sent, each after so many
    /// seconds, and how many answers there are. There are `slots` left.
    async fn ends_after(sent: &[(u64, &str)], slots: usize) -> (u64, usize) {
        let (ended, answers) = answers_to(sent, Slots::new(slots + 1, Some(slots + 1))).await;
        (ended, answers.matches("HTTP/1.1 200 OK").count())
    }

    async fn answers_to(sent: &[(u64, &str)], slots: Arc<Slots>) -> (u64, String) {
        let (client, _stopping, _served) = connected(slots);
        let (mut reader, mut writer) = tokio::io::split(client);
        let began = Instant::now();
        let writing = async {
            for (seconds, text) in sent {
                sleep(Duration::from_secs(*seconds)).await;
                writer.write_all(text.as_bytes()).await.unwrap();
            }
        };
        let mut answers = String::new();
        let (_, read) = tokio::join!(writing, reader.read_to_string(&mut answers));
        read.unwrap();
        (began.elapsed().as_secs(), answers)
    }

    /// A client, what tells the server to stop, and the connection as the server has it.
    fn connected(
        slots: Arc<Slots>,
    ) -> (DuplexStream, watch::Sender<()>, JoinHandle<Result<(), BoxError>>) {
        let pages = Router::new()
            .route("/", get(async || "answer"))
            .route("/healthz", get(async || "well"))
            .route("/hung", any(hang))
            .route("/half", get(async || Body::from_stream(half_an_answer())))
            .route("/large", get(async || vec![0; 1 << 20]));
        let routes = Routes::new(Registries::by_name(HashMap::new()), pages);
        let proxies = TrustedProxies::new([], ForwardedBy::XForwardedFor).into();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let place = slots.client(peer, false).enter().unwrap();
        let served = Served { routes, max_body_bytes: 100, proxies, slots, hsts: None, tls: None };
        let (here, there) = duplex(1 << 16);
        let (stopping, stop) = watch::channel(());
        let speaking = speak(Protocol::Http1, TokioIo::new(here), served, (peer, place), stop);
        (there, stopping, tokio::spawn(speaking))
    }

    /// Under which ids it was begun.
    static HUNG: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// As if the disk hung.
    async fn hang(Extension(id): Extension<RequestId>) {
        HUNG.lock().unwrap().push(id.to_string());
        std::future::pending().await
    }

    fn half_an_answer() -> impl Stream<Item = Result<&'static str, Infallible>> {
        stream::iter([Ok("half")]).chain(stream::pending())
    }

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_while_nobody_waits_for_it() {
        assert_eq!(ends_after(&[(0, GET)], 1).await, (60, 1));
        assert_eq!(ends_after(&[(0, GET), (59, GET)], 1).await, (119, 2));
        assert_eq!(ends_after(&[(0, GET)], 0).await, (10, 1));
        assert_eq!(ends_after(&[(0, GET), (9, GET)], 0).await, (19, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds_from_its_first_byte() {
        assert_eq!(ends_after(&[(0, "GET")], 1).await.0, 10);
        let (first, rest) = GET.split_at(10);
        assert_eq!(ends_after(&[(30, first), (9, rest)], 1).await, (99, 1));
        // However often another byte of it comes.
        let slow = [(0, GET), (30, "G"), (4, "E"), (4, "T"), (1, " ")];
        assert_eq!(ends_after(&slow, 1).await, (40, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_slot_waits_and_is_told_to_come_back() {
        // The only one is another's.
        let slots = || {
            let slots = Slots::new(1, None);
            let other = slots.client([192, 0, 2, 1].into(), false).enter();
            (slots, other)
        };
        let (left, _other) = slots();
        let (ended, answer) = answers_to(&[(0, GET), (0, GET)], left).await;
        assert_eq!(ended, 10);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.contains("\r\nretry-after: 10\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
        // How the server is, is said meanwhile.
        let health = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        let (left, _other) = slots();
        let (ended, answer) = answers_to(&[(0, health)], left).await;
        assert!(ended == 10 && answer.starts_with("HTTP/1.1 200 OK\r\n"), "{ended} {answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
        let (mut client, _stopping, served) = connected(Slots::new(4, None));
        client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        let began = Instant::now();
        assert!(served.await.unwrap().is_err());
        assert_eq!(began.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_not_waited_for() {
        let slots = || Slots::new(4, None);
        let hung = "GET /hung HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n";
        let publish = "PUT /hung HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123456789";
        for (request, seconds) in [(hung, 60), (publish, 150)] {
            let (ended, answer) = answers_to(&[(0, request)], slots()).await;
            assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
            assert!(answer.contains("\r\nretry-after: 10\r\n"), "{answer}");
            assert!(answer.ends_with("the server took too long, try again\"}]}"), "{answer}");
            let (_, id) = answer.split_once("\r\nx-request-id: ").expect("an id");
            let id = id.lines().next().unwrap();
            assert!(HUNG.lock().unwrap().iter().any(|begun| begun == id), "{id}");
            assert_eq!(id == "mine", request == hung, "{id}");
            assert_eq!(ended, seconds);
        }
        let half = "GET /half HTTP/1.1\r\nhost: x\r\n\r\n";
        let (ended, answer) = answers_to(&[(0, half)], slots()).await;
        assert!(ended == 60 && answer.ends_with("4\r\nhalf\r\n"), "{ended} {answer}");
    }
}
