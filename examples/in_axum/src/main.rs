//! A Cargo registry in an axum service: under a prefix, beside the service's own routes, and behind
//! its own login.
//!
//! Run it with `cargo run -p in_axum`, with an address behind it if not 127.0.0.1:8080.

use std::{error::Error, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use registry_core::{Login, Owner, auth::Principal};
use registry_http::{HostPrincipal, RegistryService};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = demo_registry::address()?;
    let url = format!("http://{address}/main");
    let registry = RegistryService::new(demo_registry::builder(&url)?.build());
    let users = Users::new(Owner { id: 1, login: Login::new("alice")?, name: None });
    demo_registry::print(&url, &users.secret);

    let routes = Router::new()
        .route("/", get(async || "The registry is at /main/"))
        .nest_service("/main", registry)
        .layer(middleware::from_fn_with_state(users, log_in));
    axum::serve(TcpListener::bind(address).await?, routes).await?;
    Ok(())
}

/// How the service knows its users: here one, by a secret that is made anew at each start. It might
/// ask for a session, a certificate or another service as well.
#[derive(Clone)]
struct Users {
    secret: Arc<str>,
    user: Arc<Principal>,
}

impl Users {
    fn new(user: Owner) -> Self {
        let secret = registry_core::auth::Token::generate();
        let secret = secret.expect("the system has random numbers").expose().into();
        Self { secret, user: Arc::new(user.into()) }
    }
}

/// Tells the registry who is asking. It knows no credential of its own, and lets everybody read.
async fn log_in(State(users): State<Users>, mut request: Request, next: Next) -> Response {
    let secret = request.headers().get(AUTHORIZATION);
    if secret.is_some_and(|secret| secret == &*users.secret) {
        request.extensions_mut().insert(HostPrincipal(users.user));
    }
    next.run(request).await
}
