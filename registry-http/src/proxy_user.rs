//! Who is asking, as a proxy in front says.

use http::{HeaderMap, HeaderName};
use registry_core::{
    Login,
    auth::{Groups, ProxyUser, ProxyUsers},
};

use crate::respond::Error;

/// Marks a request that one of the host's own proxies has sent. Whoever accepts connections puts it
/// into the extensions of the request, or says so by [`Peer`](crate::Peer), by the address that the
/// connection itself has: only then are the headers of [`ProxyUserHeaders`] looked at, and those that
/// name the URL of the client
/// ([`RegistryService::with_forwarded_url`](crate::RegistryService::with_forwarded_url)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromTrustedProxy;

/// The headers in which a proxy says whom it has authenticated.
///
/// They count only in requests with [`FromTrustedProxy`], and only if there is no credential: with
/// one, it is the credential that counts, be it good or bad, since it may be meant for less than its
/// user may do. So a proxy must not pass on an `Authorization` header that was meant for itself. It
/// has to take these headers off what comes from outside, or set them in each request.
#[derive(Clone, Debug)]
pub struct ProxyUserHeaders {
    user: HeaderName,
    groups: Option<HeaderName>,
    users: ProxyUsers,
}

impl ProxyUserHeaders {
    /// The login is in the header `user`, and belongs to one of `users`.
    pub fn new(user: HeaderName, users: ProxyUsers) -> Self {
        Self { user, groups: None, users }
    }

    /// The groups are in the header `groups`, with commas between them. `group:` is put in front of
    /// those that do not begin so.
    #[must_use]
    pub fn with_groups(self, groups: HeaderName) -> Self {
        Self { groups: Some(groups), ..self }
    }

    /// Who it is; `None` if the proxy does not say, or by an empty value that it is nobody.
    pub(crate) async fn user(&self, headers: &HeaderMap) -> Result<Option<ProxyUser>, Error> {
        let Some(login) = value(headers, &self.user)? else {
            return Ok(None);
        };
        let login = Login::new(login).map_err(|_| malformed(&self.user))?;
        let groups = match &self.groups {
            Some(header) => read_groups(headers, header)?,
            None => Groups::default(),
        };
        Ok(Some(self.users.user(&login, &groups).await?))
    }
}

/// The one value of a header; `None` if it is not there, or empty.
fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    // A second one may be the client's own.
    if values.next().is_some() {
        return Err(malformed(name));
    }
    let value = value.map(|value| value.to_str().map_err(|_| malformed(name))).transpose()?;
    Ok(value.map(str::trim).filter(|value| !value.is_empty()))
}

fn read_groups(headers: &HeaderMap, name: &HeaderName) -> Result<Groups, Error> {
    let groups = value(headers, name)?.unwrap_or_default().split(',').map(str::trim);
    let groups = groups.filter(|group| !group.is_empty()).map(|group| match Login::new(group) {
        Ok(login) if login.is_group() => Ok(login),
        Ok(_) => Login::new(&format!("group:{group}")),
        Err(error) => Err(error),
    });
    groups.collect::<Result<_, _>>().map_err(|_| malformed(name))
}

fn malformed(name: &HeaderName) -> Error {
    Error::BadRequest { detail: format!("the proxy's header `{name}` is malformed") }
}
