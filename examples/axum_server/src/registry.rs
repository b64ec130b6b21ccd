//! `axum_server registry`: the registries of a database, beside `main`.

use std::{io::Write, num::NonZeroUsize, sync::Arc};

use clap::{Args, Subcommand, builder::BoolishValueParser};
use registry_core::{
    RegistryName,
    audit::{AuditAction, AuditEntry},
    registries::{Deletion, RegistryDescription, RegistryRecord, RegistrySettings, RegistryStore},
};

use crate::{
    audit,
    backends::OpenIndex,
    cli::{IndexArgs, RegistryArgs},
    error::Error,
    routes::REGISTRY,
};

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Make a registry. Every server over the index has it from now on, at /NAME/.
    Create(CreateArgs),
    /// Print what is said of a registry, and how many crates are in it.
    Describe(DescribeArgs),
    /// Say something else of a registry. A server may take a second to know.
    Change(ChangeArgs),
    /// Print the registries beside `main` by their names: name, `private` or `public`, `read-only` or
    /// `writable`, when it was made, and what it is for, with tabs between them.
    List(ListArgs),
    /// Delete a registry.
    ///
    /// Its index and all else that is its own is gone, but for its audit trail; a new one of the same
    /// name has nothing of it. Crate files stay until `storage gc` finds that no registry names them.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Lowercase letters, digits, `-` and `_`.
    #[arg(value_name = "NAME")]
    name: RegistryName,
    /// Ask for a token at every read of it, also if the server does not for others.
    #[arg(long)]
    private: bool,
    /// Refuse every write to it.
    #[arg(long)]
    read_only: bool,
    /// What it is for, in one line.
    #[arg(long, value_name = "TEXT")]
    description: Option<RegistryDescription>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The registry.
    #[arg(value_name = "NAME")]
    name: RegistryName,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// The registry.
    #[arg(value_name = "NAME")]
    name: RegistryName,
    /// Whether it asks for a token at every read; default: as it is.
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    private: Option<bool>,
    /// Whether it refuses every write; default: as it is.
    #[arg(long, value_name = "BOOL", value_parser = BoolishValueParser::new())]
    read_only: Option<bool>,
    /// What it is for, in one line, or "" for nothing; default: as it is.
    #[arg(long, value_name = "TEXT")]
    description: Option<RegistryDescription>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those whose names begin so.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Only those behind this name.
    #[arg(long, value_name = "NAME")]
    after: Option<RegistryName>,
    /// Most registries; default: all.
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    index: IndexArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The registry.
    #[arg(value_name = "NAME")]
    name: RegistryName,
    /// That it is meant.
    #[arg(long)]
    yes: bool,
    /// Also if there are crates in it.
    #[arg(long)]
    with_crates: bool,
    #[command(flatten)]
    index: IndexArgs,
}

pub(crate) async fn run(command: RegistryCommand) -> Result<(), Error> {
    match command {
        RegistryCommand::Create(args) => create(args).await,
        RegistryCommand::Describe(args) => describe(args).await,
        RegistryCommand::Change(args) => change(args).await,
        RegistryCommand::List(args) => list(args).await,
        RegistryCommand::Delete(args) => delete(args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Error> {
    let CreateArgs { name, private, read_only, description, index } = args;
    not_main(&name)?;
    let (opened, list) = open(&index).await?;
    let description = description.unwrap_or_default();
    let settings = RegistrySettings { private, read_only, description };
    match list.create(&name, &settings).await? {
        Some(_) => note(&opened, AuditAction::CREATE_REGISTRY, &name).await,
        None => Err(Error::RegistryExists { name }),
    }
}

async fn describe(DescribeArgs { name, index }: DescribeArgs) -> Result<(), Error> {
    not_main(&name)?;
    let (_, list) = open(&index).await?;
    let record = list.find(&name).await?.ok_or(Error::NoRegistry { name: name.clone() })?;
    let opened = RegistryArgs { index, registry: name }.open_there().await?;
    const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
    let (mut crates, mut after) = (0, None);
    loop {
        let page = opened.index().names(after.as_ref(), PAGE).await?;
        crates += page.len();
        after = page.into_iter().next_back();
        if after.is_none() {
            break;
        }
    }
    let RegistryRecord { name, settings, created_at, .. } = &record;
    let RegistrySettings { private, read_only, description } = settings;
    let made = created_at.to_rfc3339().unwrap_or_default();
    writeln!(
        std::io::stdout(),
        "name: {name}\ndescription: {description}\nprivate: {private}\nread-only: {read_only}\n\
         made: {made}\ncrates: {crates}"
    )
    .map_err(Error::Print)
}

async fn change(args: ChangeArgs) -> Result<(), Error> {
    let ChangeArgs { name, private, read_only, description, index } = args;
    not_main(&name)?;
    let (opened, list) = open(&index).await?;
    let before = list.find(&name).await?.ok_or(Error::NoRegistry { name: name.clone() })?.settings;
    let settings = RegistrySettings {
        private: private.unwrap_or(before.private),
        read_only: read_only.unwrap_or(before.read_only),
        description: description.unwrap_or(before.description),
    };
    match list.change(&name, &settings).await? {
        true => note(&opened, AuditAction::CHANGE_REGISTRY, &name).await,
        false => Err(Error::NoRegistry { name }),
    }
}

async fn list(args: ListArgs) -> Result<(), Error> {
    const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
    let (_, registries) = open(&args.index).await?;
    let mut left = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut after = args.after;
    let mut out = std::io::stdout().lock();
    while let Some(limit) = NonZeroUsize::new(left.min(PAGE.get())) {
        let page = registries.list(&args.prefix, after.as_ref(), limit).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        left -= page.len();
        for RegistryRecord { name, settings, created_at, .. } in &page {
            let reads = if settings.private { "private" } else { "public" };
            let writes = if settings.read_only { "read-only" } else { "writable" };
            let made = created_at.to_rfc3339().unwrap_or_default();
            let description = &settings.description;
            writeln!(out, "{name}\t{reads}\t{writes}\t{made}\t{description}")
                .map_err(Error::Print)?;
        }
    }
    Ok(())
}

async fn delete(args: DeleteArgs) -> Result<(), Error> {
    let DeleteArgs { name, yes, with_crates, index } = args;
    not_main(&name)?;
    if !yes {
        return Err(Error::NotSure);
    }
    let (opened, list) = open(&index).await?;
    match list.delete(&name, with_crates).await? {
        Deletion::Deleted { crates } => {
            note(&opened, AuditAction::DELETE_REGISTRY, &name).await?;
            writeln!(std::io::stdout(), "deleted, with {crates} crates").map_err(Error::Print)
        }
        Deletion::HasCrates { crates } => Err(Error::HasCrates { name, crates }),
        Deletion::Unknown => Err(Error::NoRegistry { name }),
    }
}

fn not_main(name: &RegistryName) -> Result<(), Error> {
    match name.as_str() {
        REGISTRY => Err(Error::MainRegistry),
        _ => Ok(()),
    }
}

async fn open(index: &IndexArgs) -> Result<(OpenIndex, Arc<dyn RegistryStore>), Error> {
    let opened = index.open_there().await?;
    let list = opened.registries().ok_or(Error::OneRegistry)?;
    Ok((opened, list))
}

/// In the trail of `main`: that of a registry ends with it.
async fn note(opened: &OpenIndex, action: AuditAction, name: &RegistryName) -> Result<(), Error> {
    let entry = AuditEntry::command(None, action, name.as_str());
    audit::administered(opened.audit(), entry).await
}
