//! Cargo, through the function: what AWS has around one is played here, as far as it takes part.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use real_cargo::{Registry, smoke_test};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, oneshot},
};

#[test]
fn cargo_publishes_to_it_and_builds_from_it() {
    smoke_test(&Function::start(env!("CARGO_BIN_EXE_in_lambda")));
}

/// A running function, and the gateway in front of it. Killed when dropped.
struct Function {
    process: Child,
    index_url: String,
    token: String,
}

impl Function {
    fn start(program: &str) -> Self {
        let address = Gateway::start();
        // Source: AWS Lambda, "Using the Lambda runtime API" and "Defined runtime environment variables".
        let mut process = Command::new(program)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "registry")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("PUBLIC_URL", format!("http://{address}/main"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut value = |name: &str| {
            let line = lines.next().unwrap();
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).expect(&line).to_owned()
        };
        let index_url = value("CARGO_REGISTRIES_MAIN_INDEX");
        let token = value("CARGO_REGISTRIES_MAIN_TOKEN");
        Self { process, index_url, token }
    }
}

impl Registry for Function {
    fn index_url(&self) -> String {
        self.index_url.clone()
    }

    fn token(&self, _: &str) -> String {
        self.token.clone()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP API, and the runtime API by which the function gets what the first has taken.
struct Gateway {
    events: AsyncMutex<tokio::sync::mpsc::UnboundedReceiver<(String, Value)>>,
    new_event: tokio::sync::mpsc::UnboundedSender<(String, Value)>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
}

impl Gateway {
    /// Where it listens, until the process ends.
    fn start() -> SocketAddr {
        let (send, address) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                Self::new().serve(listener).await;
            });
        });
        address.recv().unwrap()
    }

    fn new() -> Arc<Self> {
        let (new_event, events) = tokio::sync::mpsc::unbounded_channel();
        Arc::new(Self { events: AsyncMutex::new(events), new_event, waiting: Mutex::default() })
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let gateway = self.clone();
            let service = service_fn(move |request| {
                let gateway = gateway.clone();
                async move { Ok::<_, Infallible>(gateway.answer(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let segments: Vec<&str> = parts.uri.path().split('/').collect();
        match segments[..] {
            ["", "2018-06-01", "runtime", "invocation", "next"] => self.next().await,
            ["", "2018-06-01", "runtime", "invocation", id, "response"] => {
                let answer = serde_json::from_slice(&body).unwrap();
                let waiting = self.waiting.lock().unwrap().remove(id).unwrap();
                // Whoever has gone away waits no longer.
                let _ = waiting.send(answer);
                Response::new(Full::default())
            }
            ["", "2018-06-01", ..] => panic!("{}: {body:?}", parts.uri),
            _ => self.invoke(&parts, &body).await,
        }
    }

    /// The function asks what there is to do.
    async fn next(&self) -> Response<Full<Bytes>> {
        let (id, event) = self.events.lock().await.recv().await.unwrap();
        Response::builder()
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", u64::MAX / 2)
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:1:function:registry",
            )
            .body(Full::from(event.to_string()))
            .unwrap()
    }

    /// Cargo asks. Source: AWS, "Create AWS Lambda proxy integrations for HTTP APIs", format 2.0.
    async fn invoke(&self, parts: &http::request::Parts, body: &[u8]) -> Response<Full<Bytes>> {
        static IDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = IDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let headers = parts.headers.iter();
        let headers: HashMap<_, _> =
            headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let (path, method) = (parts.uri.path(), parts.method.as_str());
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path,
            "rawQueryString": parts.uri.query().unwrap_or_default(), "headers": headers,
            "requestContext": {
                "accountId": "1", "apiId": "1", "domainName": "localhost", "domainPrefix": "",
                "requestId": id, "routeKey": "$default", "stage": "$default",
                "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1_773_342_238_000_u64,
                "http": {
                    "method": method, "path": path, "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": "cargo",
                },
            },
            "body": BASE64.encode(body), "isBase64Encoded": true,
        });
        let (send, answer) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id.clone(), send);
        self.new_event.send((id, event)).unwrap();
        let answer = answer.await.unwrap();

        let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
        let mut response = Response::builder().status(status);
        for (name, value) in answer["headers"].as_object().unwrap() {
            response = response.header(name, value.as_str().unwrap());
        }
        let body = answer["body"].as_str().unwrap();
        let body = match answer["isBase64Encoded"].as_bool().unwrap() {
            true => BASE64.decode(body).unwrap(),
            false => body.into(),
        };
        response.body(Full::from(body)).unwrap()
    }
}
