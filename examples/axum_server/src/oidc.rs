//! Which identity providers are believed: the file of `--oidc`.

use std::{fs, path::Path};

use registry_core::auth::oidc::{Algorithm, Issuer, LoginIssuer, OidcAuthenticator, Verifier};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{error::Error, key_source::HttpKeySource};

/// The file, in TOML.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Providers {
    /// Those whose users log in.
    #[serde(default)]
    login: Vec<Login>,
    /// The CI services whose runs may be trusted publishers.
    #[serde(default)]
    trusted_publishing: Vec<Provider>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    issuer: String,
    audience: String,
    #[serde(default, deserialize_with = "algorithms")]
    algorithms: Option<Vec<Algorithm>>,
}

/// The fields of [`Provider`] again: a flattened struct would take unknown ones, too.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Login {
    issuer: String,
    audience: String,
    #[serde(default, deserialize_with = "algorithms")]
    algorithms: Option<Vec<Algorithm>>,
    prefix: String,
    login_claim: Option<String>,
    groups_claim: Option<String>,
}

fn algorithms<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Algorithm>>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let algorithms = names.iter().map(|name| name.parse().map_err(D::Error::custom));
    algorithms.collect::<Result<_, _>>().map(Some)
}

impl Provider {
    fn issuer(self) -> Result<Issuer, String> {
        let issuer = Issuer::new(&self.issuer, &self.audience).map_err(|it| it.to_string())?;
        Ok(match self.algorithms {
            Some(algorithms) => issuer.with_algorithms(algorithms),
            None => issuer,
        })
    }
}

impl Login {
    fn issuer(self) -> Result<LoginIssuer, String> {
        let Self { issuer, audience, algorithms, prefix, login_claim, groups_claim } = self;
        let issuer = Provider { issuer, audience, algorithms }.issuer()?;
        let mut login = LoginIssuer::new(issuer, &prefix).map_err(|error| error.to_string())?;
        if let Some(claim) = login_claim {
            login = login.with_login_claim(&claim);
        }
        Ok(match groups_claim {
            Some(claim) => login.with_groups_claim(&claim),
            None => login,
        })
    }
}

/// What the file comes to.
#[derive(Debug, Default)]
pub(crate) struct Oidc {
    /// Knows the users of the providers, if there are any.
    pub(crate) authenticator: Option<OidcAuthenticator>,
    /// Verifies the tokens of CI services, if there are any.
    pub(crate) ci: Option<Verifier>,
}

impl Oidc {
    /// Reads the file.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let path = || file.to_owned();
        let text =
            fs::read_to_string(file).map_err(|source| Error::ReadFile { path: path(), source })?;
        let source = HttpKeySource::new()?;
        Self::parse(&text, &source).map_err(|reason| Error::OidcFile { path: path(), reason })
    }

    fn parse(text: &str, source: &HttpKeySource) -> Result<Self, String> {
        let providers: Providers = toml::from_str(text).map_err(|error| error.to_string())?;
        let logins: Vec<_> =
            providers.login.into_iter().map(Login::issuer).collect::<Result<_, _>>()?;
        let ci = providers.trusted_publishing.into_iter().map(Provider::issuer);
        let ci: Vec<_> = ci.collect::<Result<_, _>>()?;
        let authenticator = match logins.is_empty() {
            true => None,
            false => {
                Some(OidcAuthenticator::new(logins, source.clone()).map_err(|it| it.to_string())?)
            }
        };
        let ci = (!ci.is_empty()).then(|| Verifier::new(ci, source.clone()));
        Ok(Self { authenticator, ci })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(bool, bool), String> {
        let parsed = Oidc::parse(text, &HttpKeySource::new().unwrap())?;
        Ok((parsed.authenticator.is_some(), parsed.ci.is_some()))
    }

    const LOGIN: &str = "[[login]]\nissuer = 'https://id.example.com'\naudience = 'a'\n";

    #[test]
    fn a_file_says_who_is_believed() {
        assert_eq!(parse(""), Ok((false, false)));
        let ci = "[[trusted-publishing]]\nissuer = 'https://ci.example.com'\naudience = 'a'\n";
        assert_eq!(parse(ci), Ok((false, true)));
        let login = format!(
            "{LOGIN}prefix = 'corp:'\nlogin-claim = 'email'\ngroups-claim = 'groups'\n\
             algorithms = ['ES384', 'EdDSA']\n{ci}"
        );
        assert_eq!(parse(&login), Ok((true, true)));
    }

    #[test]
    fn a_file_that_would_believe_too_much_is_refused() {
        for wrong in [
            LOGIN.to_owned(),
            format!("{LOGIN}prefix = ''\n"),
            format!("{LOGIN}prefix = 'group:'\n"),
            format!("{LOGIN}prefix = 'corp:'\nalgorithms = ['HS256']\n"),
            format!("{LOGIN}prefix = 'corp:'\nalgorithms = ['none']\n"),
            format!("{LOGIN}prefix = 'corp:'\ngroup-claim = 'groups'\n"),
            format!("{LOGIN}prefix = 'corp:'\n{LOGIN}prefix = 'corp:'\n"),
            format!("{}prefix = 'corp:'\n", LOGIN.replace("https", "http")),
            format!("{}prefix = 'corp:'\n", LOGIN.replace("'a'", "''")),
            "[[trusted-publishing]]\nissuer = 'https://ci.example.com'\n".into(),
            "[login]".into(),
            "logins = []".into(),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }
}
