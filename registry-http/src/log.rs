//! What is not told to clients.

use std::error::Error;

use registry_core::Causes;

/// Writes an error and its causes to the log, under the id that the client was told.
pub(crate) fn error(request: &str, error: &dyn Error) {
    let causes = error.source().map(|source| Causes(source).to_string()).unwrap_or_default();
    // The target is what a filter names: not to change with the files here.
    tracing::error!(target: "registry_http", request, causes, "{error}");
}
