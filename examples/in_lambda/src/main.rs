//! A Cargo registry as an AWS Lambda function behind an HTTP API: no socket, a request and an answer
//! at a time.
//!
//! Clients reach it under the URL in the variable `PUBLIC_URL`. Lambda takes requests of at most
//! 6 MB, and so crate files of some 4 MB. What the demo registry has in memory is gone with the
//! function: a real one has its index in PostgreSQL or a bucket.

use std::env;

use bytes::Bytes;
use http_body_util::Full;
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let registry = demo_registry::service(&env::var("PUBLIC_URL")?).await?;
    let registry = &registry.with_prefix("/main");
    run(service_fn(async |request: Request| {
        let request = request.map(|body| Full::new(Bytes::from(body.to_vec())));
        Ok::<_, Error>(registry.handle(request).await)
    }))
    .await
}
