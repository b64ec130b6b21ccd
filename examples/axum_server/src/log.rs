//! The log, on stderr. `REGISTRY_LOG` chooses what is in it, as in `info` or `axum_server=debug`.
//! With `debug` each request and each call to a backend has a line at its end, with its trace and how
//! long it took.

use std::{
    fmt::{self, Write},
    io::IsTerminal,
    time::Instant,
};

use axum::http::{Method, Request, Response, Uri};
use clap::ValueEnum;
use registry_http::{PeerAddress, TraceParent, masked_path};
use tracing::Level;
use tracing_subscriber::{
    filter::{EnvFilter, LevelFilter},
    fmt::format::FmtSpan,
};

/// How a line is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A line that cannot be written, because the disk is full or whoever reads the log has gone, is
/// lost: a registry without a log still serves.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::builder()
        .with_env_var("REGISTRY_LOG")
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_span_events(FmtSpan::CLOSE)
        // It would report on stderr, of all places, and panic when that fails, too.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// A request that is being answered, of which one line is logged.
///
/// Of the request it holds the client's address, the method and the path, and nothing else: tokens
/// are in headers, and people put secrets into queries. `id` is what the client was told, and what
/// other lines about the same request have.
pub(crate) struct Answering {
    started: Instant,
    client: PeerAddress,
    method: Method,
    uri: Uri,
    trace: Option<TraceParent>,
}

impl Answering {
    /// Nothing, if nobody wants the line.
    pub(crate) fn begin<B>(request: &Request<B>, client: PeerAddress) -> Option<Self> {
        if !tracing::enabled!(Level::INFO) {
            return None;
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let trace = TraceParent::of(request.headers());
        Some(Self { started: Instant::now(), client, method, uri, trace })
    }

    pub(crate) fn end<B>(self, response: &Response<B>) {
        let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        tracing::info!(
            id,
            trace_id = self.trace.as_ref().map(TraceParent::trace_id),
            client = %self.client.0,
            method = %Escaped(self.method.as_str()),
            path = %Escaped(&masked_path(self.uri.path())),
            status = response.status().as_u16(),
            duration = ?self.started.elapsed(),
            "request"
        );
    }
}

/// Text of a request, such that it cannot end the line or speak to a terminal.
struct Escaped<'a>(&'a str);

impl Escaped<'_> {
    /// Enough for every method, and for every path that leads somewhere.
    const MAX_CHARS: usize = 400;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars().take(Self::MAX_CHARS).flat_map(char::escape_debug) {
            f.write_char(char)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_on_its_line() {
        assert_eq!(Escaped("/main/dl/a/1.0.0+b").to_string(), "/main/dl/a/1.0.0+b");
        assert_eq!(Escaped("/\n\u{1b}[2J\u{202e}").to_string(), r"/\n\u{1b}[2J\u{202e}");
        assert_eq!(Escaped(&"é".repeat(401)).to_string(), "é".repeat(400));
    }
}
