use std::sync::Arc;

use registry_core::auth::Principal;

/// Who is asking, as the host has found out by itself: in the extensions of a request, it stands in
/// the place of any credential, and none is looked at.
///
/// The registry asks nobody else about them: the host sees to it that who is disabled, in its view or
/// as an account of the registry, does not come, and says in which groups of the registry they are.
///
/// The host then keeps pages of others from asking in its user's name, if they are logged in by what
/// a browser sends by itself.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{Login, Owner, auth::Principal};
/// use registry_http::HostPrincipal;
///
/// # fn middleware(request: &mut http::Request<()>) -> Result<(), registry_core::owner::LoginError> {
/// let user = Owner { id: 7, login: Login::new("alice")?, name: None };
/// request.extensions_mut().insert(HostPrincipal(Arc::new(Principal::from(user))));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPrincipal(pub Arc<Principal>);
