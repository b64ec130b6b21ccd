//! `axum_server trusted-publisher`: whose CI runs may publish a crate.

use std::{collections::BTreeMap, io::Write, time::SystemTime};

use clap::{ArgGroup, Args, Subcommand};
use registry_core::{
    CrateName, Login,
    audit::{AuditAction, AuditEntry},
    auth::trusted::{TrustedPublisher, TrustedPublisherRecord, TrustedPublishing},
};

use crate::{audit, backends::OpenIndex, cli::RegistryArgs, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum TrustedPublisherCommand {
    Add(Box<AddArgs>),
    /// Print the trusted publishers of a crate, or of all: the id, the crate, the login of the runs if it
    /// is known before they come, and what has to match.
    List(ListArgs),
    /// Let the runs of a publisher no longer publish, by tokens that they have got, either.
    Remove(RemoveArgs),
}

/// Let the runs of a CI workflow publish a crate without a stored token.
///
/// A run exchanges its identity token for a token of half an hour, by which it publishes versions of
/// this crate; it must be there. The server has to trust the CI service: see --oidc of `serve`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("service").required(true))]
pub(crate) struct AddArgs {
    /// The crate that the runs may publish.
    #[arg(long = "crate", value_name = "CRATE")]
    name: CrateName,
    /// A repository of GitHub.
    #[arg(long, value_name = "OWNER/REPO", group = "service", requires = "owner_id")]
    #[arg(requires = "workflow")]
    github: Option<String>,
    /// A project of GitLab.
    #[arg(long, value_name = "NAMESPACE/PROJECT", group = "service", requires = "owner_id")]
    #[arg(requires = "workflow")]
    gitlab: Option<String>,
    /// A repository of Forgejo or Gitea, with --issuer.
    #[arg(long, value_name = "OWNER/REPO", group = "service", requires = "issuer")]
    #[arg(requires = "workflow")]
    forgejo: Option<String>,
    /// A pipeline of Buildkite.
    #[arg(long, value_name = "ORGANIZATION/PIPELINE", group = "service")]
    buildkite: Option<String>,
    /// What the tokens of any other issuer have to claim, with --issuer; once for each claim.
    #[arg(long = "claim", value_name = "NAME=VALUE", group = "service", requires = "issuer")]
    claims: Vec<String>,
    /// The issuer, if it is not that of github.com, gitlab.com or buildkite.com.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The number of the owner or namespace, which stays when names change hands.
    ///
    /// `id` at `https://api.github.com/users/OWNER`, at
    /// `https://gitlab.com/api/v4/namespaces/NAMESPACE`, or at `/api/v1/users/OWNER` of a Forgejo whose
    /// tokens tell it, as those of newer ones do.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["buildkite", "claims"])]
    owner_id: Option<u64>,
    /// The UUID of the organization, which stays when names change hands.
    ///
    /// Buildkite tells it to a run that asks for it: `buildkite-agent oidc request-token --claim
    /// organization_id`.
    #[arg(long, value_name = "UUID", requires = "buildkite")]
    organization_id: Option<String>,
    /// The workflow's file: for GitHub its name in .github/workflows, for others its path.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["buildkite", "claims"])]
    workflow: Option<String>,
    /// The environment that the job has to run in.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["forgejo", "buildkite", "claims"])]
    environment: Option<String>,
    #[command(flatten)]
    index: RegistryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those of this crate.
    #[arg(long = "crate", value_name = "CRATE")]
    name: Option<CrateName>,
    #[command(flatten)]
    index: RegistryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// As `list` prints it.
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    index: RegistryArgs,
}

pub(crate) async fn run(command: TrustedPublisherCommand) -> Result<(), Error> {
    match command {
        TrustedPublisherCommand::Add(args) => add(*args).await,
        TrustedPublisherCommand::List(args) => {
            let publishers = args.index.open_there().await?.trusted_publishers()?;
            let name = args.name.map(|name| name.canonical());
            let found = publishers.list(name.as_ref()).await.map_err(Error::TrustedPublisher)?;
            found.iter().try_for_each(print)
        }
        TrustedPublisherCommand::Remove(args) => {
            let opened = args.index.open_there().await?;
            let publishers = opened.trusted_publishers()?;
            let removed = publishers.remove(args.id).await.map_err(Error::TrustedPublisher)?;
            match removed {
                Some(record) => note(&opened, "removed", &record).await,
                None => Err(Error::NoTrustedPublisher { id: args.id }),
            }
        }
    }
}

async fn add(args: AddArgs) -> Result<(), Error> {
    let name = args.name.canonical();
    let publisher = args.publisher()?.checked().map_err(|it| usage(it.to_string()))?;
    let opened = args.index.open_there().await?;
    let publishers = opened.trusted_publishers()?;
    // A publisher of a name that is free would be one of whoever takes it.
    if opened.index().load(&name, None).await?.found().is_none() {
        return Err(Error::NoCrate { name: args.name });
    }
    let there = publishers.list(Some(&name)).await.map_err(Error::TrustedPublisher)?;
    if there.len() >= TrustedPublishing::MAX_PUBLISHERS {
        let most = TrustedPublishing::MAX_PUBLISHERS;
        return Err(usage(format!("a crate has at most {most} trusted publishers")));
    }
    let by = Login::new("operator").expect("a word");
    let now = SystemTime::now().into();
    let added = publishers.add(&name, &publisher, now, &by).await;
    let added = added.map_err(Error::TrustedPublisher)?;
    note(&opened, "added", &added).await?;
    print(&added)
}

/// Adds to the audit trail what became of a trusted publisher.
async fn note(
    opened: &OpenIndex,
    what: &str,
    record: &TrustedPublisherRecord,
) -> Result<(), Error> {
    let action = AuditAction::CONFIGURE_TRUSTED_PUBLISHING;
    let detail = format!("trusted publisher {} {what}", record.id);
    let entry = AuditEntry::command(None, action, &detail).about(&record.name);
    audit::administered(opened.audit(), entry).await
}

impl AddArgs {
    fn publisher(&self) -> Result<TrustedPublisher, Error> {
        let issuer = |default: &str| self.issuer.clone().unwrap_or_else(|| default.to_owned());
        let (owner_id, environment) = (self.owner_id.unwrap_or_default(), self.environment.clone());
        let workflow = self.workflow.clone().unwrap_or_default();
        if let Some(repository) = &self.github {
            let (repository_owner, repository) = project(repository)?;
            Ok(TrustedPublisher::GitHub {
                issuer: issuer(TrustedPublisher::GITHUB),
                repository_owner,
                repository_owner_id: owner_id,
                repository,
                workflow,
                environment,
            })
        } else if let Some(path) = &self.gitlab {
            let (namespace, project) = project(path)?;
            Ok(TrustedPublisher::GitLab {
                issuer: issuer(TrustedPublisher::GITLAB),
                namespace,
                namespace_id: owner_id,
                project,
                workflow,
                environment,
            })
        } else if let Some(repository) = &self.forgejo {
            let (repository_owner, repository) = project(repository)?;
            Ok(TrustedPublisher::Forgejo {
                issuer: issuer(""),
                repository_owner,
                repository_owner_id: self.owner_id,
                repository,
                workflow,
            })
        } else if let Some(pipeline) = &self.buildkite {
            let (organization, pipeline) = project(pipeline)?;
            Ok(TrustedPublisher::Buildkite {
                issuer: issuer(TrustedPublisher::BUILDKITE),
                organization,
                organization_id: self.organization_id.clone(),
                pipeline,
            })
        } else {
            let claim = |text: &String| {
                let (name, value) = text
                    .split_once('=')
                    .ok_or_else(|| usage(format!("`{text}` is not of the form NAME=VALUE")))?;
                Ok((name.to_owned(), value.to_owned()))
            };
            let claims: BTreeMap<_, _> =
                self.claims.iter().map(claim).collect::<Result<_, Error>>()?;
            Ok(TrustedPublisher::Generic { issuer: issuer(""), claims })
        }
    }
}

/// Owner and name; the owner may have several parts.
fn project(text: &str) -> Result<(String, String), Error> {
    let parts = text.rsplit_once('/').map(|(owner, name)| (owner.to_owned(), name.to_owned()));
    parts.ok_or_else(|| usage(format!("`{text}` is not of the form OWNER/NAME")))
}

fn usage(reason: String) -> Error {
    Error::NotATrustedPublisher { reason }
}

/// One on a line: what it is by its id, and the rest as JSON, which has no surprises for a terminal.
fn print(record: &TrustedPublisherRecord) -> Result<(), Error> {
    let publisher = serde_json::to_value(&record.publisher).expect("texts and numbers");
    let login = record.publisher.login().map_or_else(|| "-".into(), |login| login.to_string());
    let line = format!("{} {} {login} {publisher}", record.id, record.name);
    writeln!(std::io::stdout(), "{line}").map_err(Error::Print)
}
