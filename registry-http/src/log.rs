//! What is not told to clients.

use std::{error::Error, fmt::Write as _};

/// Writes an error and its causes to the log, under the id that the client was told.
pub(crate) fn error(request: &str, error: &dyn Error) {
    let mut causes = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let separator = if causes.is_empty() { "" } else { ": " };
        write!(causes, "{separator}{cause}").expect("a string takes everything");
        source = cause.source();
    }
    // The target is what a filter names: not to change with the files here.
    tracing::error!(target: "registry_http", request, causes, "{error}");
}
