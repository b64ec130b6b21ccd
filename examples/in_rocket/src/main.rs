//! A Cargo registry in a rocket service, beside its own routes.
//!
//! Run it with `cargo run -p in_rocket`, with an address behind it if not 127.0.0.1:8080.

use std::{error::Error, io};

use futures_util::TryStreamExt as _;
use http_body::{Body as _, Frame};
use http_body_util::{BodyDataStream, StreamBody};
use registry_http::RegistryService;
use rocket::{
    Config, Data, Request, Response, Route,
    data::ByteUnit,
    get,
    http::{Method, Status},
    route::{Handler, Outcome},
    routes,
};
use tokio_util::io::{ReaderStream, StreamReader};

#[get("/")]
fn home() -> &'static str {
    "The registry is at /main/"
}

#[rocket::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    let registry = Mounted(registry.with_prefix("/main"));
    let methods = [Method::Get, Method::Put, Method::Post, Method::Delete];
    let route = |method| Route::new(method, "/<_..>", registry.clone());
    let config = Config { address: address.ip(), port: address.port(), ..Config::default() };
    let rocket = rocket::custom(config).mount("/", routes![home]);
    rocket.mount("/main", methods.map(route)).launch().await?;
    Ok(())
}

/// The registry as rocket calls it.
#[derive(Clone)]
struct Mounted(RegistryService);

#[rocket::async_trait]
impl Handler for Mounted {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        match self.answer(request, data).await {
            Ok(response) => Outcome::Success(response),
            Err(_) => Outcome::Error(Status::BadRequest),
        }
    }
}

impl Mounted {
    /// Hands a request on. Rocket 0.5 has types of its own: each is the other's by its text.
    async fn answer<'r>(
        &self,
        request: &'r Request<'_>,
        data: Data<'r>,
    ) -> Result<Response<'r>, http::Error> {
        let method = request.method().as_str();
        let mut incoming = http::Request::builder().method(method).uri(request.uri().to_string());
        for header in request.headers().iter() {
            incoming = incoming.header(header.name.as_str(), header.value());
        }
        // The registry has limits of its own.
        let body = ReaderStream::new(data.open(ByteUnit::max_value()));
        let incoming = incoming.body(StreamBody::new(body.map_ok(Frame::data)))?;
        let (parts, body) = self.0.handle(incoming).await.into_parts();

        let mut answer = Response::build();
        answer.status(Status::new(parts.status.as_u16()));
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            answer.raw_header_adjoin(name.as_str().to_owned(), value);
        }
        if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            // A stream would be sent in chunks, for want of a length.
            answer.raw_header("content-length", length.to_string());
        }
        let body = BodyDataStream::new(body).map_err(io::Error::other);
        Ok(answer.streamed_body(StreamReader::new(body)).finalize())
    }
}
