//! Connections of HTTP/2: many requests at a time, and so a client with more ways to hold things up.

mod usage;
mod watch;

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::http::header;
use hyper::{
    Request, Response,
    body::Incoming,
    rt::{Read, Write},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use registry_core::BoxError;
use tokio::time::{Instant, interval};

use self::{
    usage::{Sent, UnderWay, Usage},
    watch::{Verdict, Watch},
};
use crate::{
    connection::{Answers, Stop},
    health,
    refusal::Refusal,
    slots::Place,
};

/// Most requests of a connection at a time, if its client may have as many slots: it is not to be asked for
/// more than can be answered. Cargo asks for all it needs at once; RFC 9113, section 6.5.2, recommends no
/// fewer.
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

/// Serves a connection to its end.
pub(crate) async fn serve(
    stream: impl Read + Write + Unpin + Send + 'static,
    answers: Answers,
    place: Place,
    mut stop: Stop,
) -> Result<(), BoxError> {
    let (usage, client) = (Arc::new(Usage::default()), place.client().clone());
    let answer = Answer { answers, place: place.into(), usage: usage.clone() };
    let service = service_fn(move |request| answer.clone().to(request));
    let streams = u32::try_from(client.most()).map_or(MAX_STREAMS, |most| most.min(MAX_STREAMS));
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams)
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
                match watch.look(now, &usage.at(now), client.left()) {
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
    place: Arc<Place>,
    usage: Arc<Usage>,
}

impl Answer {
    async fn to(self, request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
        let (under_way, is_first) = self.usage.begin();
        // Before anything waits, for what waits is held in memory.
        if let Some(refusal) = Refusal::of_headers(&request) {
            return Ok(self.refuse(&request, refusal, under_way));
        }
        let slot = if health::is_asked(request.uri().path()) {
            Some(None)
        } else if is_first {
            // The first is the one for which the connection has its slot.
            self.place.has_slot().await.then_some(None)
        } else {
            self.place.client().slot().await.map(Some)
        };
        let Some(slot) = slot else {
            return Ok(self.refuse(&request, Refusal::Busy, under_way));
        };
        let Ok(mut response) = self.answers.answer(request).await;
        // There is none in HTTP/2: an unread body is no matter of the connection's. RFC 9113, 8.2.2.
        response.headers_mut().remove(header::CONNECTION);
        Ok(response.map(|body| Sent::new(body, under_way, slot)))
    }

    fn refuse(
        &self,
        request: &Request<Incoming>,
        refusal: Refusal,
        under_way: UnderWay,
    ) -> Response<Sent> {
        let response = self.answers.refuse(request, refusal);
        response.map(|body| Sent::new(body, under_way, None))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        net::{IpAddr, Ipv4Addr},
    };

    use axum::{Router, http::StatusCode, routing::get};
    use bytes::Bytes;
    use futures_util::future::join_all;
    use http_body_util::{BodyExt as _, Empty};
    use hyper::client::conn::http2 as client;
    use hyper_util::rt::TokioIo;
    use registry_http::{ForwardedBy, Registries, TrustedProxies};
    use tokio::{sync::watch, task::JoinHandle};

    use super::*;
    use crate::{connection::Served, routes::Routes, slots::Slots};

    type Sender = client::SendRequest<Empty<Bytes>>;
    type Ended = JoinHandle<(Result<(), String>, u64)>;

    const LARGE: usize = 8 << 20;

    /// A client, and how and after how many seconds the connection of the server ends. The clock
    /// moves on whenever both wait.
    async fn connected() -> (Sender, Ended, watch::Sender<()>) {
        connected_with(Slots::new(10, Some(9)), 1 << 16).await
    }

    /// Each answer has a window of so many bytes.
    async fn connected_with(slots: Arc<Slots>, window: u32) -> (Sender, Ended, watch::Sender<()>) {
        let pages = Router::new()
            .route("/small", get(async || "small"))
            .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(1)).await))
            .route("/large", get(async || vec![0; LARGE]));
        let routes = Routes::new(Registries::by_name(HashMap::new()), pages);
        let proxies = TrustedProxies::new([], ForwardedBy::XForwardedFor).into();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let place = slots.client(peer, false).enter().unwrap();
        let served = Served { routes, max_body_bytes: 100, proxies, slots, hsts: None, tls: None };
        let answers = Answers::new(served, peer);
        let (here, there) = tokio::io::duplex(1 << 16);
        let (stopping, stop) = watch::channel(());
        let began = Instant::now();
        let ended = tokio::spawn(async move {
            let ended = serve(TokioIo::new(here), answers, place, stop).await;
            (ended.map_err(|error| error.to_string()), began.elapsed().as_secs())
        });
        let (sender, connection) = client::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
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
    async fn a_client_is_offered_no_more_than_it_may_have() {
        let (sender, _ended, _stopping) = connected_with(Slots::new(4, Some(3)), 1 << 16).await;
        let answers = (0..20).map(|_| {
            let mut sender = sender.clone();
            async move { ask(&mut sender, "/slow").await.status() }
        });
        assert_eq!(join_all(answers).await, [StatusCode::OK; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_wait_than_may() {
        let slots = Slots::new(4, Some(3));
        let (mut one, _one_ended, _stopping) = connected_with(slots.clone(), 1 << 16).await;
        let (other, _other_ended, _stopping) = connected_with(slots.clone(), 1 << 16).await;
        let mut at_work = Vec::new();
        for sender in [&one, &one, &other] {
            at_work.push(ask(&mut sender.clone(), "/large").await);
        }
        assert!(at_work.iter().all(|answer| answer.status() == 200));
        let (third, _third_ended, _stopping) = connected_with(slots, 1 << 16).await;
        let began = Instant::now();
        let waiting = [other.clone(), other, third].map(|mut sender| {
            tokio::spawn(async move {
                let answer = ask(&mut sender, "/large").await;
                (answer.status().as_u16(), began.elapsed().as_secs())
            })
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Three wait in vain, and one more is told at once.
        assert_eq!(ask(&mut one, "/large").await.status(), 503);
        assert_eq!(began.elapsed().as_secs(), 1);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), (503, 10));
        }
        // Whoever asks how the server is, is told.
        assert_eq!(ask(&mut one, "/healthz").await.status(), 404);
        drop(at_work);
        assert_eq!(ask(&mut one, "/small").await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_taken_back_before_a_look_count_with_their_time() {
        let (mut sender, ended, _stopping) = connected_with(Slots::new(10, Some(9)), 1 << 12).await;
        // One is taken as slowly as may be, seven others are stalled but for the moment of a look.
        let mut slow = ask(&mut sender, "/large").await.into_body();
        let attack = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            loop {
                let mut stalled = Vec::new();
                for _ in 0..7 {
                    stalled.push(ask(&mut sender, "/large").await);
                }
                for _ in 0..29 {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    slow.frame().await.unwrap().unwrap();
                }
                drop(stalled);
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
        let (why, after) = ended.await.unwrap();
        assert_eq!(why, Err("the client takes too little of its answers".into()));
        assert!(after <= 120, "{after}");
        attack.abort();
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
