//! Connections of HTTP/2: many requests at a time, and so a client with more ways to hold things up.

mod usage;
mod watch;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
};
use hyper::{
    Request, Response,
    body::Incoming,
    rt::{Read, Write},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use registry_core::BoxError;
use tokio::{
    sync::Semaphore,
    time::{Instant, interval, timeout},
};

use self::{
    usage::{Sent, Usage},
    watch::{Verdict, Watch},
};
use crate::{
    connection::{Answers, Stop},
    routes,
};

/// Most requests of a connection at a time. Cargo asks for all it needs at once; RFC 9113, section
/// 6.5.2, recommends no fewer.
const MAX_STREAMS: u32 = 100;
/// Most requests that may be taken back before anybody has looked at them; then the connection ends.
/// As many as the library has by itself.
const MAX_RESETS: usize = 20;
/// Most requests that break the rules of the protocol; then the connection ends. Ours.
const MAX_MISTAKES: usize = 64;
/// Most bytes of the headers of a request, each counted with 32 more. Source: RFC 9113, section
/// 6.5.2; the number is ours.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Most bytes that a client may send before somebody reads them: of all connections together they
/// are no more than what answers take. Ours.
const WINDOW_BYTES: u32 = 256 * 1024;
/// Most bytes of an answer that wait to be sent, beside the piece that is being sent. Ours.
const SEND_BYTES: usize = 32 * 1024;
/// After how long a silent client is asked whether it is still there, and has how long to say so.
/// Ours.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// How often somebody looks whether the connection is still of use.
const LOOK: Duration = Duration::from_secs(5);
/// How long a request waits while the server has as much to do as it takes on. Ours.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(crate) async fn serve(
    stream: impl Read + Write + Unpin + Send + 'static,
    answers: Answers,
    slots: Arc<Semaphore>,
    mut stop: Stop,
) -> Result<(), BoxError> {
    let usage = Arc::new(Usage::default());
    let answer = Answer { answers, slots: slots.clone(), usage: usage.clone() };
    let service = service_fn(move |request| answer.clone().to(request));
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_MISTAKES)
            // It takes what is less.
            .max_header_list_size(MAX_HEADER_BYTES + 1)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .serve_connection(stream, service)
    );
    let (mut watch, mut look) = (Watch::new(Instant::now()), interval(LOOK));
    let mut is_ending = false;
    loop {
        let end = tokio::select! {
            biased;
            ended = connection.as_mut() => return Ok(ended?),
            _ = stop.changed(), if !is_ending => true,
            now = look.tick() => {
                let is_wanted = slots.available_permits() == 0;
                match watch.look(now, &usage.now(), is_wanted) {
                    Verdict::GoOn => false,
                    Verdict::NoMore => true,
                    Verdict::Over(why) => return Err(why.into()),
                }
            }
        };
        if end && !is_ending {
            is_ending = true;
            // What is under way is answered, and whatever is asked now is asked elsewhere.
            connection.as_mut().graceful_shutdown();
        }
    }
}

#[derive(Clone)]
struct Answer {
    answers: Answers,
    slots: Arc<Semaphore>,
    usage: Arc<Usage>,
}

impl Answer {
    async fn to(self, request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
        let (under_way, is_first) = self.usage.begin();
        // The first is the one for which the connection has its slot.
        let slot = match is_first {
            true => None,
            false => match timeout(PATIENCE, self.slots.acquire_owned()).await {
                Ok(slot) => Some(slot.expect("nobody closes it")),
                Err(_) => {
                    let response = busy();
                    self.answers.refused(&request, &response);
                    return Ok(response.map(|body| Sent::new(body, under_way, None)));
                }
            },
        };
        let Ok(mut response) = self.answers.answer(request).await;
        // There is none in HTTP/2: an unread body is no matter of the connection's. RFC 9113, 8.2.2.
        response.headers_mut().remove(header::CONNECTION);
        Ok(response.map(|body| Sent::new(body, under_way, slot)))
    }
}

fn busy() -> Response<Body> {
    let mut response = routes::error(StatusCode::SERVICE_UNAVAILABLE, "server is busy, try again");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(PATIENCE.as_secs()));
    response
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::{Router, routing::get};
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty};
    use hyper::client::conn::http2 as client;
    use hyper_util::rt::TokioIo;
    use registry_http::{ForwardedBy, TrustedProxies};
    use tokio::{sync::watch, task::JoinHandle};

    use super::*;
    use crate::connection::Served;

    type Sender = client::SendRequest<Empty<Bytes>>;
    type Ended = JoinHandle<(Result<(), String>, u64)>;

    const LARGE: usize = 8 << 20;

    /// A client, and how and after how many seconds the connection of the server ends. The clock
    /// moves on whenever both wait.
    async fn connected() -> (Sender, Ended, watch::Sender<()>) {
        let router = Router::new()
            .route("/small", get(async || "small"))
            .route("/large", get(async || vec![0; LARGE]));
        let proxies = TrustedProxies::new([], ForwardedBy::XForwardedFor).into();
        let slots = Arc::new(Semaphore::new(10));
        let served = Served {
            router,
            max_body_bytes: 100,
            proxies,
            slots: slots.clone(),
            hsts: None,
            tls: None,
        };
        let answers = Answers::new(served, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (here, there) = tokio::io::duplex(1 << 16);
        let (stopping, stop) = watch::channel(());
        let began = Instant::now();
        let ended = tokio::spawn(async move {
            let ended = serve(TokioIo::new(here), answers, slots, stop).await;
            (ended.map_err(|error| error.to_string()), began.elapsed().as_secs())
        });
        let (sender, connection) = client::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 16)
            .handshake(TokioIo::new(there))
            .await
            .unwrap();
        tokio::spawn(connection);
        (sender, ended, stopping)
    }

    async fn ask(sender: &mut Sender, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("http://localhost{path}"));
        sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_ended_in_good_order() {
        let (_sender, ended, _stopping) = connected().await;
        // How does not count: a client that is told so may leave without a word.
        assert_eq!(ended.await.unwrap().1, 10);
        let (mut sender, ended, _stopping) = connected().await;
        let body = ask(&mut sender, "/small").await.into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "small");
        // A minute after the first look behind it.
        assert_eq!(ended.await.unwrap().1, 65);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_more_of_an_answer_is_let_go() {
        let (mut sender, ended, _stopping) = connected().await;
        let unread = ask(&mut sender, "/large").await;
        let why = "the client takes too little of its answers";
        assert_eq!(ended.await.unwrap(), (Err(why.into()), 120));
        assert!(unread.into_body().collect().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_served_and_other_requests_do_not_hide_a_stalled_one() {
        let (mut sender, ended, _stopping) = connected().await;
        let mut slow = ask(&mut sender, "/large").await.into_body();
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(slow.frame().await.unwrap().is_ok());
        }
        // Now it takes nothing, and asks for little things again and again.
        let others = tokio::spawn(async move {
            loop {
                ask(&mut sender, "/small").await.into_body().collect().await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let (why, after) = ended.await.unwrap();
        assert_eq!(why, Err("the client takes too little of its answers".into()));
        assert!((360..=420).contains(&after), "{after}");
        others.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_comes_to_its_end_when_the_server_stops() {
        let (mut sender, ended, stopping) = connected().await;
        let answer = ask(&mut sender, "/large").await;
        stopping.send_replace(());
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
        assert_eq!(ended.await.unwrap(), (Ok(()), 0));
    }
}
