//! Whether a run is one of those that the owners of a crate have named: pure functions over the
//! verified claims of its token.

use super::{TrustedPublisher, publisher::source};
use crate::{
    auth::oidc::{ClaimFault, Claims},
    checksum::Checksum,
    owner::Login,
};

impl TrustedPublisher {
    /// Whether the run with these claims, which are verified, is one of this publisher.
    ///
    /// # Errors
    /// [`Mismatch`] names the first claim that is not as it has to be.
    pub fn matches(&self, claims: &Claims) -> Result<(), Mismatch> {
        let claim = |name| Text { name, value: claims.plain(name) };
        claim("iss").is(self.issuer())?;
        match self {
            Self::GitHub {
                repository_owner,
                repository_owner_id,
                repository,
                workflow,
                environment,
                ..
            } => {
                let project = format!("{repository_owner}/{repository}");
                claim("repository").is_ignoring_case(&project)?;
                claim("repository_owner_id").is(&repository_owner_id.to_string())?;
                claim("workflow_ref").is_file(&project, "/.github/workflows/", workflow)?;
                own_event(claim("event_name"))?;
                optional(claim("environment"), environment.as_deref())
            }
            Self::GitLab { issuer, namespace, namespace_id, project, workflow, environment } => {
                let project = format!("{namespace}/{project}");
                claim("project_path").is_ignoring_case(&project)?;
                claim("namespace_id").is(&namespace_id.to_string())?;
                let host = issuer.split_once("://").map_or("", |(_, host)| host);
                let project = format!("{}/{project}", host.trim_end_matches('/'));
                claim("ci_config_ref_uri").is_file(&project, "//", workflow)?;
                own_event(claim("pipeline_source"))?;
                optional(claim("environment"), environment.as_deref())
            }
            Self::Forgejo {
                repository_owner, repository_owner_id, repository, workflow, ..
            } => {
                let project = format!("{repository_owner}/{repository}");
                claim("repository").is_ignoring_case(&project)?;
                if let Some(id) = repository_owner_id {
                    claim("repository_owner_id").is(&id.to_string())?;
                }
                claim("workflow_ref").is_file(&project, "/", workflow)?;
                own_event(claim("event_name"))
            }
            Self::Buildkite { organization, organization_id, pipeline, .. } => {
                claim("organization_slug").is_ignoring_case(organization)?;
                optional(claim("organization_id"), organization_id.as_deref())?;
                claim("pipeline_slug").is_ignoring_case(pipeline)
            }
            Self::Generic { claims: expected, .. } => {
                for (name, value) in expected {
                    match claims.plain(name) {
                        Some(claimed) if claimed == *value => {}
                        claimed => return Err(Mismatch::of(name, claimed.is_none())),
                    }
                }
                Ok(())
            }
        }
    }

    /// The user whose tokens the runs of this publisher get: nobody who could log in otherwise, and one
    /// for each repository, project or pipeline of an issuer, whoever has named it for whichever
    /// crate; another one once its owner is another, by an id, under the same name. `None` if only
    /// the tokens tell which it is.
    pub fn login(&self) -> Option<Login> {
        let owner = match self {
            Self::GitHub { repository_owner_id, .. } => repository_owner_id.to_string(),
            Self::GitLab { namespace_id, .. } => namespace_id.to_string(),
            Self::Forgejo { repository_owner_id, .. } => repository_owner_id.as_ref()?.to_string(),
            Self::Buildkite { organization_id, .. } => organization_id.clone()?,
            Self::Generic { .. } => return None,
        };
        Some(project_login(self.issuer(), &owner, &self.project()))
    }

    /// That of a run: [`TrustedPublisher::login`] of each publisher that it matches. Of an issuer of
    /// an unknown kind, it is that of the subject of the token.
    pub(super) fn login_of(claims: &Claims) -> Login {
        let issuer = claims.issuer().unwrap_or_default();
        match project_of(claims) {
            Some((project, owner)) => {
                project_login(issuer, &claims.plain(owner).unwrap_or_default(), &project)
            }
            None => login(issuer, "sub", claims.text("sub").unwrap_or_default()),
        }
    }

    /// The repository, project or pipeline that a run is of, if its issuer is of a kind that is known.
    pub(super) fn project_of(claims: &Claims) -> Option<String> {
        project_of(claims).map(|(project, _)| project)
    }

    /// The [sources](TrustedPublisher::source) of whatever publishers a run could be one of.
    pub fn sources_of(claims: &Claims) -> Vec<String> {
        let Some(issuer) = claims.issuer() else { return Vec::new() };
        let project = |kind, project: &str| source(kind, issuer, project);
        let mut sources = vec![project("generic", "")];
        if let Some(repository) = claims.text("repository") {
            sources.extend([project("github", repository), project("forgejo", repository)]);
        }
        if let Some(path) = claims.text("project_path") {
            sources.push(project("gitlab", path));
        }
        let pipeline = (claims.text("organization_slug"), claims.text("pipeline_slug"));
        if let (Some(organization), Some(pipeline)) = pipeline {
            sources.push(project("buildkite", &format!("{organization}/{pipeline}")));
        }
        sources
    }
}

/// The repository, project or pipeline, and the claim in which the id of its owner may be. Of a kind
/// that is known are those alone that say which file they run, if their kind does: what is called so
/// elsewhere may be chosen by whoever starts the run.
fn project_of(claims: &Claims) -> Option<(String, &'static str)> {
    let of_file = |name, file| {
        claims.text(file)?;
        claims.text(name).map(ToOwned::to_owned)
    };
    if let Some(repository) = of_file("repository", "workflow_ref") {
        return Some((repository, "repository_owner_id"));
    }
    if let Some(path) = of_file("project_path", "ci_config_ref_uri") {
        return Some((path, "namespace_id"));
    }
    let (organization, pipeline) =
        (claims.text("organization_slug")?, claims.text("pipeline_slug")?);
    Some((format!("{organization}/{pipeline}"), "organization_id"))
}

/// Case aside, as the services compare names.
fn project_login(issuer: &str, owner: &str, project: &str) -> Login {
    login(issuer, "owner", &format!("{owner} {project}").to_lowercase())
}

/// What others have registered has no part in it: who names somebody else's repository for a crate of
/// theirs must not change its login.
fn login(issuer: &str, kind: &str, run: &str) -> Login {
    const DIGITS: usize = 16;
    let digest = Checksum::of(format!("{issuer} {kind} {run}")).to_string();
    let login = format!("{}{}", TrustedPublisher::LOGIN_PREFIX, &digest[..DIGITS]);
    Login::new(&login).expect("a word, a colon and digits")
}

/// Runs that somebody outside of the project can start with code of theirs, and which nevertheless
/// run as the project's. Source: crates.io for GitHub's; GitLab's are ours.
const FOREIGN_EVENTS: [&str; 4] =
    ["pull_request_target", "workflow_run", "merge_request_event", "external_pull_request_event"];

fn own_event(event: Text<'_>) -> Result<(), Mismatch> {
    match &event.value {
        Some(value) if !FOREIGN_EVENTS.contains(&value.as_str()) => Ok(()),
        value => Err(Mismatch::of(event.name, value.is_none())),
    }
}

fn optional(claim: Text<'_>, expected: Option<&str>) -> Result<(), Mismatch> {
    expected.map_or(Ok(()), |expected| claim.is_ignoring_case(expected))
}

/// A claim and what a token has for it.
struct Text<'a> {
    name: &'a str,
    value: Option<String>,
}

impl Text<'_> {
    fn holds(&self, is_right: impl Fn(&str) -> bool) -> Result<(), Mismatch> {
        match &self.value {
            Some(value) if is_right(value) => Ok(()),
            value => Err(Mismatch::of(self.name, value.is_none())),
        }
    }

    fn is(&self, expected: &str) -> Result<(), Mismatch> {
        self.holds(|value| value == expected)
    }

    fn is_ignoring_case(&self, expected: &str) -> Result<(), Mismatch> {
        self.holds(|value| value.to_lowercase() == expected.to_lowercase())
    }

    /// Whether it is `PROJECT FOLDER FILE@REF`. The file is compared letter by letter, as files are,
    /// and whole: nothing of it may come out of the name of a branch.
    fn is_file(&self, project: &str, folder: &str, file: &str) -> Result<(), Mismatch> {
        self.holds(|value| {
            let begin = value.get(..project.len()).filter(|it| it.eq_ignore_ascii_case(project));
            let path = begin.and_then(|begin| value[begin.len()..].strip_prefix(folder));
            path.and_then(|path| path.strip_prefix(file)).is_some_and(|rest| rest.starts_with('@'))
        })
    }
}

/// A run is not one of a publisher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its claim `{claim}` {fault}")]
pub struct Mismatch {
    /// The name of the claim.
    pub claim: Box<str>,
    /// What is wrong with it.
    pub fault: ClaimFault,
}

impl Mismatch {
    fn of(claim: &str, is_missing: bool) -> Self {
        let fault = if is_missing { ClaimFault::Missing } else { ClaimFault::Mismatch };
        Self { claim: claim.into(), fault }
    }
}
