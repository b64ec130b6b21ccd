//! A Cargo registry in a warp service, beside its own routes.
//!
//! Run it with `cargo run -p in_warp`, with an address behind it if not 127.0.0.1:8080.

use std::error::Error;

use futures_util::TryStreamExt;
use http::{HeaderMap, Method, Request, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame};
use http_body_util::{BodyDataStream, StreamBody};
use registry_http::RegistryService;
use warp::{Filter as _, Reply as _, filters::path::FullPath, reply::Response};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let registry = demo_registry::service(&format!("http://{address}/main")).await?;

    let home = warp::path::end().map(|| "The registry is at /main/");
    let routes = home.or(warp::path("main").and(mounted(registry.with_prefix("/main"))));
    warp::serve(routes).bind(address).await.run().await;
    Ok(())
}

/// Puts together the request that warp has taken apart, and hands it on.
fn mounted(
    registry: RegistryService,
) -> impl warp::Filter<Extract = (Response,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let head =
        warp::method().and(warp::path::full()).and(query).and(warp::header::headers_cloned());
    head.and(warp::body::stream()).then(
        move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
            let registry = registry.clone();
            async move {
                let uri = format!("{}?{query}", path.as_str());
                let mut request =
                    Request::new(StreamBody::new(TryStreamExt::map_ok(body, Frame::data)));
                *request.method_mut() = method;
                *request.uri_mut() = uri.parse().expect("it was one before");
                *request.headers_mut() = headers;
                let (mut parts, body) = registry.handle(request).await.into_parts();
                if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
                    // A stream would be sent in chunks, for want of a length.
                    parts.headers.insert(CONTENT_LENGTH, length.into());
                }
                let body = warp::reply::stream(BodyDataStream::new(body)).into_response();
                Response::from_parts(parts, body.into_body())
            }
        },
    )
}
