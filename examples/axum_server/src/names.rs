//! `axum_server name`: new names that an administrator agrees to.

use std::{io::Write, sync::Arc, time::SystemTime};

use clap::{Args, Subcommand};
use registry_core::{
    CrateName, Login,
    audit::{AuditAction, AuditEntry, AuditLog},
    auth::{ApprovedName, ApprovedNames},
};

use crate::{audit, cli::RegistryArgs, error::Error};

/// Approve the names of new crates, where --new-names asks for it.
#[derive(Debug, Subcommand)]
pub(crate) enum NameCommand {
    /// Agree to a new crate of this name. What rules there are for the name no longer count.
    Approve(ApproveArgs),
    /// Print the names agreed to: name, for whom, by whom, and when, with tabs between them.
    List(RegistryArgs),
    /// No longer agree to a name. A crate that is there already stays.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The name.
    #[arg(value_name = "NAME", value_parser = CrateName::new)]
    name: CrateName,
    /// The user or group who may create it; default: everybody who may publish.
    #[arg(long = "for", value_name = "NAME")]
    login: Option<Login>,
    /// Who agrees, for the list.
    #[arg(long, value_name = "TEXT", default_value = "an administrator")]
    by: String,
    #[command(flatten)]
    index: RegistryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The name.
    #[arg(value_name = "NAME", value_parser = CrateName::new)]
    name: CrateName,
    #[command(flatten)]
    index: RegistryArgs,
}

pub(crate) async fn run(command: NameCommand) -> Result<(), Error> {
    match command {
        NameCommand::Approve(ApproveArgs { name, login, by, index }) => {
            let (name, at) = (name.canonical(), SystemTime::now().into());
            let approved = ApprovedName { name, login, at, by };
            let (names, trail) = open(&index).await?;
            names.approve(&approved).await.map_err(Error::ApprovedNames)?;
            let ApprovedName { name, login, by, .. } = approved;
            let entry = AuditEntry::command(login.as_ref(), AuditAction::APPROVE_NAME, &by);
            audit::administered(trail, entry.about(&name)).await
        }
        NameCommand::List(index) => list(&index).await,
        NameCommand::Revoke(RevokeArgs { name, index }) => {
            let (names, trail) = open(&index).await?;
            if !names.revoke(&name.canonical()).await.map_err(Error::ApprovedNames)? {
                return Err(Error::NotApproved { name });
            }
            let by = "an administrator";
            let entry = AuditEntry::command(None, AuditAction::REVOKE_NAME, by);
            audit::administered(trail, entry.about(&name.canonical())).await
        }
    }
}

type Trail = Option<Arc<dyn AuditLog>>;

async fn open(index: &RegistryArgs) -> Result<(Arc<dyn ApprovedNames>, Trail), Error> {
    let url = index.url()?;
    url.must_be_there()?;
    let place = url.to_string();
    let opened = index.open().await?;
    let names = opened.approved_names().ok_or(Error::NoApprovedNames { place })?;
    Ok((names, opened.audit()))
}

async fn list(index: &RegistryArgs) -> Result<(), Error> {
    let names = open(index).await?.0.list().await.map_err(Error::ApprovedNames)?;
    let mut out = std::io::stdout().lock();
    for ApprovedName { name, login, at, by } in names {
        let login = login.as_ref().map_or("-", Login::as_str);
        let (name, by, at) =
            (name.as_str(), by.escape_debug(), at.to_rfc3339().unwrap_or_default());
        writeln!(out, "{name}\t{login}\t{by}\t{at}").map_err(Error::Print)?;
    }
    Ok(())
}
