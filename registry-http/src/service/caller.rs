//! Who is asking.

use http::{
    HeaderMap,
    header::{AUTHORIZATION, ORIGIN},
};
use registry_core::{
    audit::{AuditAction, AuditEntry},
    auth::{AuthError, Caller, Credential, ProxyUser},
};

use super::{Asked, RegistryService};
use crate::{host::HostPrincipal, respond::Error, route::Needs};

impl RegistryService {
    /// Who is asking: for whom the host says, or whose credential it is. What everybody may do, a bad
    /// credential may do as well: cargo sends what it has to public registries, too.
    pub(super) async fn caller(
        &self,
        needs: Needs,
        token: Option<&Credential>,
        asked: &Asked,
    ) -> Result<Caller, Error> {
        if let Some(HostPrincipal(principal)) = asked.parts.extensions.get() {
            return Ok(Caller { principal: Some(principal.clone()), ..asked.nobody() });
        }
        let credential = match (token, self.credential(&asked.parts.headers)?) {
            (Some(_), Some(_)) => return Err(Error::CredentialInPath),
            (token, in_header) => in_header.or_else(|| token.cloned()),
        };
        let open = !needs.is_personal() && !self.0.registry.auth_required();
        let nobody = asked.nobody();
        if credential.is_none()
            && let Some(ProxyUser { principal, is_new }) = self.proxied(asked, open).await?
        {
            let caller = Caller { principal: Some(principal), ..nobody };
            if is_new {
                let action = AuditAction::CHANGE_ACCOUNT;
                self.0.registry.audit(AuditEntry::done(&caller, action, "made as a user")).await;
            }
            return Ok(caller);
        }
        if credential.is_none() && !open {
            return Err(AuthError::Missing.into());
        }
        let (request, address) = (nobody.request.clone(), nobody.address);
        match self.0.registry.caller(credential, request, address).await {
            Err(AuthError::Rejected) if open => Ok(nobody),
            caller => Ok(caller?),
        }
    }

    /// Who it is that a trusted proxy speaks of, if one does. At what everybody may do, whoever is
    /// rejected is nobody.
    async fn proxied(&self, asked: &Asked, open: bool) -> Result<Option<ProxyUser>, Error> {
        let Asked { parts, from_trusted_proxy, .. } = asked;
        let Some(headers) = self.0.proxy_users.as_ref().filter(|_| *from_trusted_proxy) else {
            return Ok(None);
        };
        if !parts.method.is_safe() && self.is_foreign(&parts.headers) {
            let reason = "invalid origin header".into();
            return Err(AuthError::Forbidden { reason }.into());
        }
        match headers.user(&parts.headers).await {
            Err(Error::Auth(AuthError::Rejected)) if open => Ok(None),
            user => user,
        }
    }

    /// Whether a browser says that a page of somebody else's has it ask. Whoever logs in at a proxy
    /// would be there as themselves. The wording above is that of crates.io.
    ///
    /// The URL that a proxy says counts for nothing here: it may have the client's word for it.
    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let own = self.0.registry.config().login_url();
        headers.get_all(ORIGIN).iter().any(|origin| {
            let rest = origin.to_str().ok().and_then(|origin| own.strip_prefix(origin));
            rest.is_none_or(|rest| !rest.starts_with('/'))
        })
    }

    /// The one `Authorization` header. Two could be read differently by whatever stands in front.
    fn credential(&self, headers: &HeaderMap) -> Result<Option<Credential>, Error> {
        match headers.get_all(AUTHORIZATION).iter().count() {
            0 => Ok(None),
            1 => Ok(Some(Credential::from_header(
                headers[AUTHORIZATION].as_bytes(),
                self.0.credential_forms,
            )?)),
            count => Err(Error::Credentials { count }),
        }
    }
}
