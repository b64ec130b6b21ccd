use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use registry_core::{
    auth::oidc::Algorithm, conformance::identity_provider::IdentityProvider, record::Timestamp,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An identity provider on this machine, which serves its discovery document and its keys.
pub(crate) struct IdentityServer {
    provider: Arc<Mutex<IdentityProvider>>,
    folder: TempDir,
    tokens: AtomicU64,
}

/// For whom its tokens are made.
pub(crate) const AUDIENCE: &str = "crates.example.com";

impl IdentityServer {
    /// Answers until the test has ended.
    pub(crate) fn start(algorithm: Algorithm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Arc::new(Mutex::new(IdentityProvider::new(&url, algorithm)));
        let served = provider.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Who does not read the answer has none.
                let _ = answer(stream.unwrap(), &served);
            }
        });
        Self { provider, folder: TempDir::new().unwrap(), tokens: AtomicU64::new(0) }
    }

    pub(crate) fn url(&self) -> String {
        self.provider.lock().unwrap().url().to_owned()
    }

    /// Takes another key, and forgets the one it has.
    pub(crate) fn rotate(&self) {
        self.provider.lock().unwrap().rotate();
    }

    /// A file for `--oidc` that believes this provider: `section` is `login` or
    /// `trusted-publishing`, `more` further lines of it.
    pub(crate) fn file(&self, section: &str, more: &str) -> String {
        let path = self.folder.path().join("oidc.toml");
        let url = self.url();
        let toml =
            format!("[[{section}]]\nissuer = \"{url}\"\naudience = \"{AUDIENCE}\"\n{more}\n");
        std::fs::write(&path, toml).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A token that counts now, of a number that no other has, with these claims besides or instead.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let now = Timestamp::from(SystemTime::now()).0;
        let number = self.tokens.fetch_add(1, Relaxed);
        let mut all = json!({
            "iss": self.url(), "aud": AUDIENCE, "sub": "7", "jti": format!("id-{number}"),
            "iat": now, "nbf": now, "exp": now + 300,
        });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.provider.lock().unwrap().sign(&all)
    }
}

fn answer(stream: TcpStream, provider: &Mutex<IdentityProvider>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let document = {
        let provider = provider.lock().unwrap();
        match request.split(' ').nth(1) {
            Some("/.well-known/openid-configuration") => Some(provider.discovery()),
            Some("/jwks") => Some(provider.jwks()),
            _ => None,
        }
    };
    let (status, body) = match document {
        Some(document) => ("200 OK", document.to_string()),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    write!(
        &stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
