//! A Cargo registry in an actix-web service, beside its own routes.
//!
//! Run it with `cargo run -p in_actix_web`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder,
    body::SizedStream,
    http::StatusCode,
    web::{self, Data, Payload},
};
use futures_util::TryStreamExt as _;
use http_body::{Body as _, Frame};
use http_body_util::{BodyDataStream, StreamBody};
use registry_http::RegistryService;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    let registry = Data::new(registry.with_prefix("/main"));
    let app = move || {
        App::new()
            .app_data(registry.clone())
            .route("/", web::get().to(async || "The registry is at /main/"))
            .route("/main/{rest:.*}", web::route().to(mounted))
    };
    HttpServer::new(app).bind(address)?.run().await?;
    Ok(())
}

/// Hands a request on. actix-web 4 has the types of `http` 0.2: each is the other's by its text.
async fn mounted(
    registry: Data<RegistryService>,
    request: HttpRequest,
    body: Payload,
) -> Result<impl Responder, Box<dyn Error>> {
    let method = request.method().as_str();
    let mut incoming = http::Request::builder().method(method).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        incoming = incoming.header(name.as_str(), value.as_bytes());
    }
    let body = StreamBody::new(body.map_ok(Frame::data));
    let (parts, body) = registry.handle(incoming.body(body)?).await.into_parts();

    let mut answer = HttpResponse::build(StatusCode::from_u16(parts.status.as_u16())?);
    for (name, value) in &parts.headers {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    // In the answer to a HEAD, it is that of a body that is not sent.
    let told = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = match told {
        Some(length) => length.to_str()?.parse()?,
        None => body.size_hint().exact().ok_or("every answer says how long it is")?,
    };
    Ok(answer.body(SizedStream::new(length, BodyDataStream::new(body))))
}
