//! `axum_server migrate`.

use std::{io::Write, num::NonZeroUsize, time::SystemTime};

use clap::Args;
use registry_core::{
    Login,
    auth::CredentialId,
    migrate::{Migration, migrate, migrate_users},
    record::{Origin, Stamp, Timestamp},
    registries::RegistryRecord,
};

use crate::{
    End,
    backends::{OpenIndex, open_index, same_place},
    cli::DataArgs,
    error::{Error, causes},
    migrate_access::{Access, AccessStores},
    progress::Progress,
    url::{IndexUrl, UrlText, storage_beside},
};

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The index to copy, as --index of `serve` names it.
    #[arg(long, value_name = "URL")]
    from: UrlText,
    /// The index to copy to; made if it is not there. Nobody else may write there meanwhile.
    #[arg(long, value_name = "URL")]
    to: UrlText,
    #[command(flatten)]
    data: DataArgs,
}

/// Copies every crate from one index to another.
pub(crate) async fn run(args: MigrateArgs) -> Result<End, Error> {
    let url = |flag, text| IndexUrl::parse(text).map_err(|source| Error::Url { flag, source });
    let (from, to) = (url("--from", &args.from)?, url("--to", &args.to)?);
    if same_place(&from, &to) {
        return Err(Error::SamePlace { place: from.to_string() });
    }
    from.must_be_there()?;
    let source = open_index(&from, &args.data.folder).await?;
    let target = open_index(&to, &args.data.folder).await?;

    let registries = registries_of(&source).await?;
    if target.registries().is_none() && !registries.is_empty() {
        let names = registries.iter().map(|record| record.name.as_str()).collect::<Vec<_>>();
        return Err(Error::RegistriesStay { place: to.to_string(), names: names.join(", ") });
    }
    let there = AccessStores::of(&target);
    let access = match AccessStores::of(&source) {
        Some(stores) => Access::read(&stores).await?,
        None => Access::default(),
    };
    match &there {
        Some(there) => access.write_accounts(there).await?,
        None => access.must_be_plain(to.to_string())?,
    }
    // As they are: what is under a key from outside stays so.
    let users = migrate_users(&*source.tokens(None), &*target.tokens(None)).await;
    let users = users.map_err(Error::MigrateUsers)?;
    if let Some(there) = &there {
        access.write_rest(there).await?;
    }
    let by = Login::new("migrate").expect("it is a plain word");
    let origin = Origin { credential: Some(CredentialId::Command), ..Origin::default() };
    let stamp = Stamp { by, at: Timestamp::from(SystemTime::now()), origin };
    let mut progress = Progress::new();
    let migration = copy(&source, &target, stamp.clone(), &mut progress).await?;
    let mut others = Vec::new();
    for record in &registries {
        let (source, target) = (source.with_key(&record.key), made_there(record, &target).await?);
        if let (Some(from), Some(to)) = (AccessStores::of(&source), AccessStores::of(&target)) {
            Access::read(&from).await?.write_rest(&to).await?;
        }
        others.push(copy(&source, &target, stamp.clone(), &mut progress).await?);
    }
    let seconds = progress.end().as_secs_f64();
    let Migration { crates, new, followed, same, failed, .. } = &migration;
    writeln!(
        std::io::stdout(),
        "{crates} crates in `{from}`: {new} copied to `{to}`, {followed} brought up to date there, \
         {same} were there, {} not copied; {users} users with their tokens; {}; compared, \
         in {seconds:.1} s",
        failed.len(),
        access.told(),
    )
    .map_err(Error::Print)?;
    for (record, migration) in registries.iter().zip(&others) {
        let Migration { crates, new, followed, same, failed, .. } = migration;
        writeln!(
            std::io::stdout(),
            "{crates} crates in registry `{}`: {new} copied, {followed} brought up to date, {same} \
             were there, {} not copied",
            record.name,
            failed.len(),
        )
        .map_err(Error::Print)?;
    }
    if source.audit().is_some() {
        let place = format_args!("the audit trail stays in `{from}`");
        writeln!(std::io::stdout(), "{place}").map_err(Error::Print)?;
    }
    let expected = storage_beside(&to, &args.data.folder);
    if expected != storage_beside(&from, &args.data.folder) {
        // A server on the new index that does not find them would serve lines without files.
        let place = format_args!("the crate files are where they were, and not in `{expected}`");
        writeln!(std::io::stdout(), "{place}: say so by --storage").map_err(Error::Print)?;
    }
    let is_complete = others.iter().chain([&migration]).all(Migration::is_complete);
    Ok(if is_complete { End::Well } else { End::WithFindings })
}

/// Copies the crates of one registry.
async fn copy(
    source: &OpenIndex,
    target: &OpenIndex,
    stamp: Stamp,
    progress: &mut Progress,
) -> Result<Migration, Error> {
    let mut told = 0;
    let migration = migrate(source.index(), target.index(), stamp, |so_far| {
        for (name, error) in &so_far.failed[told..] {
            progress.note(format_args!("not copied: `{name}`: {}", causes(error)));
        }
        told = so_far.failed.len();
        progress.show(format_args!("{} of {} crates", so_far.done(), so_far.crates));
    });
    migration.await.map_err(Error::Migrate)
}

/// Those beside `main`.
async fn registries_of(source: &OpenIndex) -> Result<Vec<RegistryRecord>, Error> {
    match source.registries() {
        Some(list) => Ok(list.list("", None, NonZeroUsize::MAX).await?),
        None => Ok(Vec::new()),
    }
}

/// The same registry in another database, made if it is not there.
async fn made_there(record: &RegistryRecord, target: &OpenIndex) -> Result<OpenIndex, Error> {
    let list = target.registries().ok_or(Error::OneRegistry)?;
    if list.create(&record.name, &record.settings).await?.is_none() {
        list.change(&record.name, &record.settings).await?;
    }
    target.clone().registry(&record.name).await
}
