//! What the databases have in common where they keep accounts.

use registry_core::{
    BoxError, Login,
    auth::{AuthStoreError, Groups},
};

/// Groups as a query has gathered them: their logins with blanks between them, which no login has.
pub(crate) fn groups(logins: Option<&str>) -> Result<Groups, BoxError> {
    let logins = logins.unwrap_or_default().split_ascii_whitespace();
    Ok(logins.map(Login::new).collect::<Result<_, _>>()?)
}

pub(crate) fn failed(backend: &'static str, source: BoxError) -> AuthStoreError {
    AuthStoreError { backend, source }
}
