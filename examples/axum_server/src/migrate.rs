//! `axum_server migrate`.

use std::{io::Write, time::SystemTime};

use registry_core::{
    Login,
    auth::CredentialId,
    migrate::{Migration, migrate, migrate_users},
    record::{Origin, Stamp, Timestamp},
};

use crate::{
    End,
    backends::{open_index, same_place},
    cli::MigrateArgs,
    error::{Error, causes},
    migrate_access::{Access, AccessStores},
    progress::Progress,
    url::{IndexUrl, storage_beside},
};

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
    let mut told = 0;
    let migration = migrate(source.index(), target.index(), stamp, |so_far| {
        for (name, error) in &so_far.failed[told..] {
            progress.note(format_args!("not copied: `{name}`: {}", causes(error)));
        }
        told = so_far.failed.len();
        progress.show(format_args!("{} of {} crates", so_far.done(), so_far.crates));
    });
    let migration = migration.await.map_err(Error::Migrate)?;
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
    Ok(if migration.is_complete() { End::Well } else { End::WithFindings })
}
