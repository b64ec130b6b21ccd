use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{auth::oidc::Issuer, echo::Echo};

/// Whose runs may publish a crate: what the identity token of a run has to claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum TrustedPublisher {
    /// A workflow of GitHub Actions.
    GitHub {
        /// The issuer: [`TrustedPublisher::GITHUB`], or that of an enterprise server.
        issuer: String,
        /// The user or organization.
        repository_owner: String,
        /// Its number, which nobody else gets who takes over the name later.
        repository_owner_id: u64,
        /// The repository, without its owner.
        repository: String,
        /// The file in `.github/workflows`.
        workflow: String,
        /// The environment of the job, if it has to be one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        environment: Option<String>,
    },
    /// A pipeline of GitLab.
    GitLab {
        /// The issuer: [`TrustedPublisher::GITLAB`], or the URL of another GitLab.
        issuer: String,
        /// The user or group, with the groups above it.
        namespace: String,
        /// Its number.
        namespace_id: u64,
        /// The project, without its namespace.
        project: String,
        /// The path of the file in the project, such as `.gitlab-ci.yml`.
        workflow: String,
        /// The environment of the job, if it has to be one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        environment: Option<String>,
    },
    /// A workflow of Forgejo or Gitea.
    Forgejo {
        /// The issuer: the URL of the server and `/api/actions`.
        issuer: String,
        /// The user or organization.
        repository_owner: String,
        /// Its number, which nobody else gets who takes over the name later. Older servers do not tell
        /// it: without it, whoever has the name publishes.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        repository_owner_id: Option<u64>,
        /// The repository, without its owner.
        repository: String,
        /// The path of the file in the repository, such as `.forgejo/workflows/publish.yml`.
        workflow: String,
    },
    /// A pipeline of Buildkite.
    Buildkite {
        /// The issuer: [`TrustedPublisher::BUILDKITE`].
        issuer: String,
        /// The organization, as URLs have it.
        organization: String,
        /// Its UUID, which nobody else gets who takes over the name later. Told only if the run asks for
        /// it, by `buildkite-agent oidc request-token --claim organization_id`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        organization_id: Option<String>,
        /// The pipeline, as URLs have it.
        pipeline: String,
    },
    /// Whatever signs identity tokens.
    Generic {
        /// The issuer.
        issuer: String,
        /// What a token has to claim, letter by letter; numbers, true and false as texts.
        claims: BTreeMap<String, String>,
    },
}

impl TrustedPublisher {
    /// The issuer of github.com.
    pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
    /// The issuer of gitlab.com.
    pub const GITLAB: &str = "https://gitlab.com";
    /// The issuer of buildkite.com.
    pub const BUILDKITE: &str = "https://agent.buildkite.com";
    /// With what the logins of CI runs begin, and no others. Source: ours.
    pub const LOGIN_PREFIX: &str = "trusted-publisher:";
    /// Most claims that are compared for one publisher. Source: ours.
    pub const MAX_CLAIMS: usize = 20;
    /// Most characters of one field. Source: ours; no service has longer names.
    pub const MAX_CHARS: usize = 255;

    /// The same, if every field is one that a run could match.
    ///
    /// # Errors
    /// [`PublisherError`] names the field.
    pub fn checked(self) -> Result<Self, PublisherError> {
        let all = |fields: &[Field<'_>]| {
            for (field, value, is_right) in fields {
                if value.chars().count() > Self::MAX_CHARS || !is_right(value) {
                    return Err(PublisherError { field, value: (*value).into() });
                }
            }
            Ok(())
        };
        match &self {
            Self::GitHub {
                issuer, repository_owner, repository, workflow, environment, ..
            } => all(&[
                ("issuer", issuer, is_issuer),
                ("repository_owner", repository_owner, is_name),
                ("repository", repository, is_name),
                ("workflow", workflow, is_workflow_name),
                ("environment", environment.as_deref().unwrap_or("any"), is_text),
            ]),
            Self::GitLab { issuer, namespace, project, workflow, environment, .. } => all(&[
                ("issuer", issuer, is_issuer),
                ("namespace", namespace, is_path),
                ("project", project, is_name),
                ("workflow", workflow, is_workflow),
                ("environment", environment.as_deref().unwrap_or("any"), is_text),
            ]),
            Self::Forgejo { issuer, repository_owner, repository, workflow, .. } => all(&[
                ("issuer", issuer, is_issuer),
                ("repository_owner", repository_owner, is_name),
                ("repository", repository, is_name),
                ("workflow", workflow, is_workflow),
            ]),
            Self::Buildkite { issuer, organization, organization_id, pipeline } => all(&[
                ("issuer", issuer, is_issuer),
                ("organization", organization, is_name),
                ("organization_id", organization_id.as_deref().unwrap_or("any"), is_name),
                ("pipeline", pipeline, is_name),
            ]),
            Self::Generic { issuer, claims } => {
                all(&[("issuer", issuer, is_issuer)])?;
                // Of the others, each token of the issuer has the right one.
                let tells = claims.keys().any(|claim| !["iss", "aud"].contains(&claim.as_str()));
                if !tells || claims.len() > Self::MAX_CLAIMS {
                    return Err(PublisherError { field: "claims", value: "".into() });
                }
                let mut fields = claims.iter().flat_map(|(claim, value)| [claim, value]);
                fields.try_for_each(|text| all(&[("claims", text, is_text)]))
            }
        }?;
        Ok(self)
    }

    /// The issuer of the tokens.
    pub fn issuer(&self) -> &str {
        match self {
            Self::GitHub { issuer, .. }
            | Self::GitLab { issuer, .. }
            | Self::Forgejo { issuer, .. }
            | Self::Buildkite { issuer, .. }
            | Self::Generic { issuer, .. } => issuer,
        }
    }

    /// As the command line and the database name its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GitHub { .. } => "github",
            Self::GitLab { .. } => "gitlab",
            Self::Forgejo { .. } => "forgejo",
            Self::Buildkite { .. } => "buildkite",
            Self::Generic { .. } => "generic",
        }
    }

    /// What it is known by within its issuer: the repository, project or pipeline.
    pub fn project(&self) -> String {
        match self {
            Self::GitHub { repository_owner, repository, .. }
            | Self::Forgejo { repository_owner, repository, .. } => {
                format!("{repository_owner}/{repository}")
            }
            Self::GitLab { namespace, project, .. } => format!("{namespace}/{project}"),
            Self::Buildkite { organization, pipeline, .. } => format!("{organization}/{pipeline}"),
            Self::Generic { .. } => String::new(),
        }
    }

    /// What stores find it by, among all of a registry, when a token comes.
    pub fn source(&self) -> String {
        source(self.kind(), self.issuer(), &self.project())
    }
}

/// Name and value of a field, and whether it is one.
type Field<'a> = (&'static str, &'a str, fn(&str) -> bool);

/// Case aside, as the services compare names.
pub(super) fn source(kind: &str, issuer: &str, project: &str) -> String {
    format!("{kind} {issuer} {}", project.to_lowercase())
}

fn is_issuer(text: &str) -> bool {
    Issuer::new(text, "any").is_ok()
}

/// One segment of a URL's path, as all the services have them.
fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !["", ".", ".."].contains(&text) && text.bytes().all(is_plain)
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_name)
}

fn is_workflow_name(text: &str) -> bool {
    is_name(text) && is_workflow(text)
}

fn is_workflow(text: &str) -> bool {
    let name = text.strip_suffix(".yml").or_else(|| text.strip_suffix(".yaml"));
    name.is_some_and(|name| !name.is_empty()) && is_path(text)
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// A field of a [`TrustedPublisher`] is not what a run could match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid `{field}` of a trusted publisher", Echo(value))]
pub struct PublisherError {
    /// The field.
    pub field: &'static str,
    /// What it was to be.
    pub value: Box<str>,
}
