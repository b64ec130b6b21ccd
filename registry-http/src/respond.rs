//! What is answered: the shape of every response, and the one table from error to status.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER,
        WWW_AUTHENTICATE,
    },
};
use registry_core::{
    BoxError, CanonicalName, CrateName, Echo, Login, RegistryConfig,
    auth::{
        AuthError, CredentialError, KeyError, KeyId, KeyRefusal, TokenError, trusted::ExchangeError,
    },
    index::IndexError,
    policy::Rejection,
    publish::{FrameError, Invalid},
    record::Refusal,
    registry::{PublishError, ReadError, TrustedPublishingError, WriteError},
    search::SearchQueryError,
    store::StoreError,
};
use serde::Serialize;

use crate::{body::Body, digits, log, route::NoRoute};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer with its whole body. The length is set here, so that an answer to `HEAD`, which
/// loses its body later, still has it.
pub(crate) fn full(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Body> {
    let length = digits::header_value(body.len() as u64);
    let mut response = new(status, Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// An answer without headers, but with room for as many as any has, lest they be moved as they
/// come.
pub(crate) fn new(status: StatusCode, body: Body) -> Response<Body> {
    const MOST_HEADERS: usize = 12;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(MOST_HEADERS);
    response
}

/// An answer of the web API. Always 200 on success: cargo before 1.76 takes nothing else.
pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).expect("answers are structs of strings and numbers");
    let mut response = full(StatusCode::OK, JSON, body.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal of the web API.
pub(crate) fn refusal(status: StatusCode, detail: &str) -> Response<Body> {
    let mut response = full(status, JSON, errors(detail));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer of the web API that says by its status alone that it is done.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Everything that keeps a request from being answered with success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    NoRoute(#[from] NoRoute),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("Invalid `Authorization` header: expected one, found {count}")]
    Credentials { count: usize },
    #[error("Invalid `Authorization` header: expected none, for there is a token in the path")]
    CredentialInPath,
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("crate `{name}` does not exist")]
    UnknownCrate { name: String },
    #[error("crate `{name}` does not have a version `{version}`")]
    UnknownVersion { name: String, version: String },
    #[error("could not find {} with login `{login}`", if login.is_group() { "team" } else { "user" })]
    UnknownUser { login: Login },
    #[error("you have no key `{id}`")]
    UnknownKey { id: KeyId },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{text}")]
    NotFound { text: String },
    #[error(transparent)]
    TrustedPublishing(TrustedPublishingError),
    #[error("the identity token cannot be verified now")]
    NoKeys(#[source] BoxError),
    #[error("Content-Encoding is not supported")]
    ContentEncoding,
    #[error("max request size is: {limit}")]
    TooLarge { limit: usize },
    #[error("the request body could not be read")]
    RequestBody(#[source] BoxError),
    #[error(transparent)]
    SearchQuery(#[from] SearchQueryError),
    #[error("the crate file has {size} bytes, and none in the range asked for")]
    NotInFile { size: u64 },
    #[error("the crate file is not the one that `If-Match` names")]
    OtherFile,
    #[error("{detail}")]
    BadRequest { detail: String },
    #[error(transparent)]
    Frame(FrameError),
    #[error(transparent)]
    Invalid(Invalid),
    #[error(transparent)]
    Rejected(Rejection),
    #[error(transparent)]
    Refused(Refusal),
    #[error("too much is being uploaded")]
    Busy,
    #[error("crate `{name}` is being changed by others")]
    Contended { name: CanonicalName },
    #[error("this registry is read-only")]
    ReadOnly,
    #[error(transparent)]
    Index(IndexError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Internal(BoxError),
    #[error("the registry could not be looked up")]
    Resolver(#[source] BoxError),
    #[error("panicked while answering: {message}")]
    Panic { message: String },
}

/// What the client is told.
enum Tell {
    /// The error's own text: it is about the request.
    Cause,
    /// Who to log in with.
    Challenge,
    /// The methods there are.
    Allow(String),
    /// How many bytes there are.
    Size(u64),
    /// That it may try again after so many seconds. The cause is nobody else's business.
    Later { text: Option<&'static str>, seconds: u32 },
    /// The error's own text, and that it may try again after so many seconds.
    CauseLater { seconds: u32 },
    /// That something broke.
    Nothing,
}

impl Error {
    /// The table.
    fn answer(&self) -> (StatusCode, Tell) {
        use StatusCode as S;

        /// Cargo waits ten seconds at most.
        const BACKEND: Tell = Tell::Later { text: None, seconds: 5 };
        const BUSY: Tell = Tell::Later { text: Some("server is busy, try again"), seconds: 1 };
        const FULL: Tell = Tell::Later { text: Some("registry storage is full"), seconds: 60 };
        const READ_ONLY: Tell =
            Tell::Later { text: Some("registry storage is read-only"), seconds: 60 };

        match self {
            Self::NoRoute(NoRoute::MethodNotAllowed { allow }) => {
                (S::METHOD_NOT_ALLOWED, Tell::Allow(allow.clone()))
            }
            Self::NoRoute(_) => (S::NOT_FOUND, Tell::Cause),
            Self::Credential(_) | Self::Credentials { .. } | Self::CredentialInPath => {
                (S::UNAUTHORIZED, Tell::Challenge)
            }
            Self::Auth(AuthError::Missing | AuthError::Rejected) => {
                (S::UNAUTHORIZED, Tell::Challenge)
            }
            Self::Auth(AuthError::Forbidden { .. }) => (S::FORBIDDEN, Tell::Cause),
            Self::Auth(AuthError::TooMany { retry_after, .. }) => {
                (S::TOO_MANY_REQUESTS, Tell::CauseLater { seconds: *retry_after })
            }
            Self::Auth(_) => (S::SERVICE_UNAVAILABLE, BACKEND),
            Self::Token(error) => match error {
                TokenError::NoPerson | TokenError::OtherUser | TokenError::MoreThanCaller => {
                    (S::FORBIDDEN, Tell::Cause)
                }
                TokenError::Name
                | TokenError::Past
                | TokenError::TooLong { .. }
                | TokenError::Refused(_) => (S::BAD_REQUEST, Tell::Cause),
                TokenError::Store(_) => (S::SERVICE_UNAVAILABLE, BACKEND),
                _ => (S::INTERNAL_SERVER_ERROR, Tell::Nothing),
            },
            // Never 410 or 451: newer cargos give up on the whole resolution then.
            Self::UnknownCrate { .. } | Self::UnknownVersion { .. } => (S::NOT_FOUND, Tell::Cause),
            Self::UnknownKey { .. } => (S::NOT_FOUND, Tell::Cause),
            Self::Key(KeyError::NoPerson) => (S::FORBIDDEN, Tell::Cause),
            Self::Key(KeyError::Refused(KeyRefusal::Taken)) => (S::CONFLICT, Tell::Cause),
            Self::Key(KeyError::Refused(_)) => (S::BAD_REQUEST, Tell::Cause),
            Self::Key(_) => (S::SERVICE_UNAVAILABLE, BACKEND),
            Self::NotInFile { size } => (S::RANGE_NOT_SATISFIABLE, Tell::Size(*size)),
            Self::OtherFile => (S::PRECONDITION_FAILED, Tell::Cause),
            Self::NotFound { .. } => (S::NOT_FOUND, Tell::Cause),
            Self::NoKeys(_) => (S::SERVICE_UNAVAILABLE, Tell::CauseLater { seconds: 60 }),
            Self::UnknownUser { .. } | Self::TrustedPublishing(_) => (S::BAD_REQUEST, Tell::Cause),
            Self::ContentEncoding => (S::UNSUPPORTED_MEDIA_TYPE, Tell::Cause),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, Tell::Cause),
            Self::Frame(error) if error.is_too_large() => (S::PAYLOAD_TOO_LARGE, Tell::Cause),
            Self::Frame(_) | Self::Invalid(_) => (S::BAD_REQUEST, Tell::Cause),
            Self::RequestBody(_) | Self::SearchQuery(_) | Self::BadRequest { .. } => {
                (S::BAD_REQUEST, Tell::Cause)
            }
            Self::Rejected(_) | Self::ReadOnly => (S::FORBIDDEN, Tell::Cause),
            Self::Refused(refusal) => (
                match refusal {
                    Refusal::UnknownVersion { .. } => S::NOT_FOUND,
                    Refusal::NotAnOwner { .. } | Refusal::LastOwner => S::BAD_REQUEST,
                    _ => S::CONFLICT,
                },
                Tell::Cause,
            ),
            Self::Busy | Self::Contended { .. } => (S::SERVICE_UNAVAILABLE, BUSY),
            Self::Index(IndexError::Full { .. }) | Self::Store(StoreError::Full { .. }) => {
                (S::SERVICE_UNAVAILABLE, FULL)
            }
            // Not 404: the release is there, and its line stays in the index.
            Self::Store(StoreError::Quarantined { .. }) => {
                (S::SERVICE_UNAVAILABLE, Tell::CauseLater { seconds: 60 })
            }
            Self::Store(StoreError::ReadOnly { .. }) => (S::SERVICE_UNAVAILABLE, READ_ONLY),
            Self::Index(_) | Self::Store(_) | Self::Resolver(_) => {
                (S::SERVICE_UNAVAILABLE, BACKEND)
            }
            Self::Internal(_) | Self::Panic { .. } => (S::INTERNAL_SERVER_ERROR, Tell::Nothing),
        }
    }

    /// Whether the answer is a decision, and not a failure to come to one.
    pub(crate) fn is_refusal(&self) -> bool {
        self.answer().0.is_client_error()
    }

    /// Whether it was found before the registry was asked. A body that breaks off is not: then
    /// nothing was decided.
    pub(crate) fn is_of_transport(&self) -> bool {
        matches!(self, Self::ContentEncoding | Self::TooLarge { .. } | Self::BadRequest { .. })
    }

    /// The same, naming the crate as the request spells it.
    pub(crate) fn spelled(mut self, asked: &CrateName) -> Self {
        if let Self::UnknownCrate { name } | Self::UnknownVersion { name, .. } = &mut self {
            *name = asked.to_string();
        }
        self
    }

    /// The response, after logging the cause if that is not the client's fault.
    pub(crate) fn into_response(
        self,
        shape: Shape,
        config: Option<&RegistryConfig>,
        request: &str,
    ) -> Response<Body> {
        let (status, tell) = self.answer();
        if status.is_server_error() {
            log::error(request, &self);
        }
        let internal = || format!("internal error (request {request})");
        let detail = match &tell {
            Tell::Later { text: Some(text), .. } => (*text).to_owned(),
            Tell::Later { text: None, .. } | Tell::Nothing => internal(),
            Tell::Cause
            | Tell::CauseLater { .. }
            | Tell::Challenge
            | Tell::Allow(_)
            | Tell::Size(_) => self.to_string(),
        };
        let mut response = match shape.is_json(status) {
            true => full(status, JSON, errors(&detail)),
            false => full(status, TEXT, (detail + "\n").into()),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match tell {
            Tell::Challenge => {
                let login_url = config.map(RegistryConfig::login_url).unwrap_or_default();
                let challenge = format!("Cargo login_url=\"{login_url}\"");
                let challenge = HeaderValue::try_from(challenge);
                headers.insert(
                    WWW_AUTHENTICATE,
                    challenge.expect("a registry's URL is visible ASCII without quotes"),
                );
            }
            Tell::Allow(allow) => {
                let allow = HeaderValue::try_from(allow);
                headers.insert(ALLOW, allow.expect("method names and commas"));
            }
            Tell::Size(size) => {
                let nothing = HeaderValue::try_from(format!("bytes */{size}"));
                headers.insert(CONTENT_RANGE, nothing.expect("a number"));
            }
            Tell::Later { seconds, .. } | Tell::CauseLater { seconds } => {
                headers.insert(RETRY_AFTER, seconds.into());
            }
            Tell::Cause | Tell::Nothing => {}
        }
        response
    }
}

/// How a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"errors":[{"detail":…}]}`. Source: Cargo book, "Web API".
    Api,
    /// Below the index: what is not there as in the web API, for cargo looks at nothing but the status
    /// of that, and nobody is to take it for an index file; all else as for a download.
    Index,
    /// A line of text, for paths of which cargo reads the status, and shows the body as it is.
    Download,
}

impl Shape {
    /// The shape of refusals below a path.
    pub(crate) fn of(path: &str) -> Self {
        match path.split('/').find(|segment| !segment.is_empty()) {
            Some("index") => Self::Index,
            Some("dl") => Self::Download,
            _ => Self::Api,
        }
    }

    fn is_json(self, status: StatusCode) -> bool {
        match self {
            Self::Api => true,
            Self::Index => status == StatusCode::NOT_FOUND,
            Self::Download => false,
        }
    }
}

fn errors(detail: &str) -> Bytes {
    serde_json::json!({ "errors": [{ "detail": detail }] }).to_string().into()
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Auth(error) => Self::Auth(error),
            ReadError::UnknownCrate { name } => Self::UnknownCrate { name: name.to_string() },
            ReadError::UnknownVersion { name, version } => {
                Self::UnknownVersion { name: name.to_string(), version: version.to_string() }
            }
            error @ ReadError::TooManyCrates { .. } => {
                Self::BadRequest { detail: error.to_string() }
            }
            ReadError::Index(error) => Self::Index(error),
            ReadError::Store(error) => Self::Store(error),
            other => Self::Internal(other.into()),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Auth(error) => Self::Auth(error),
            WriteError::UnknownCrate { name } => Self::UnknownCrate { name: name.to_string() },
            WriteError::UnknownUser { login } => Self::UnknownUser { login },
            WriteError::Refused(refusal) => Self::Refused(refusal),
            WriteError::ReadOnly => Self::ReadOnly,
            WriteError::Contended { name } => Self::Contended { name },
            WriteError::Index(error) => Self::Index(error),
            WriteError::Store(error) => Self::Store(error),
            other => Self::Internal(other.into()),
        }
    }
}

impl From<TrustedPublishingError> for Error {
    fn from(error: TrustedPublishingError) -> Self {
        use TrustedPublishingError as T;
        match error {
            T::NotOffered | T::Unknown { .. } => Self::NotFound { text: error.to_string() },
            T::TooMany => Self::TrustedPublishing(error),
            T::Write(error) => error.into(),
            T::Store(error) | T::Exchange(ExchangeError::Store(error)) => {
                Self::Auth(AuthError::from(error))
            }
            T::Exchange(ExchangeError::Unavailable(error)) => Self::NoKeys(error.into()),
            T::Exchange(ExchangeError::Random(error)) => Self::Internal(error),
            T::Exchange(error) => Self::BadRequest { detail: error.to_string() },
            other => Self::Internal(other.into()),
        }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Write(error) => error.into(),
            PublishError::Busy => Self::Busy,
            PublishError::Frame(error) => Self::Frame(error),
            PublishError::Invalid(invalid) => Self::Invalid(invalid),
            PublishError::Rejected(rejection) => Self::Rejected(rejection),
            PublishError::Store(error) => Self::Store(error),
            other => Self::Internal(other.into()),
        }
    }
}

/// What is wrong with a body, without a word of it that came from outside: people paste secrets into
/// the wrong place, and the answer goes into logs.
pub(crate) fn invalid_json(what: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    // These name fields of ours.
    let is_harmless = ["missing field `", "duplicate field `"];
    let detail = match is_harmless.iter().any(|start| text.starts_with(start)) {
        true => format!("{what}: {text}"),
        false => {
            let (line, column) = (error.line(), error.column());
            let wrong = if error.is_data() { "a wrong value" } else { "not JSON" };
            format!("{what}: {wrong} at line {line} column {column}")
        }
    };
    Error::BadRequest { detail }
}

/// A refusal of something that a request contains, with a piece of it.
pub(crate) fn bad_request(what: &str, piece: &str) -> Error {
    Error::BadRequest { detail: format!("{what}: {}", Echo(piece)) }
}
