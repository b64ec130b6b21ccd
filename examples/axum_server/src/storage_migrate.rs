//! `axum_server storage migrate`.

use std::{io::Write, sync::Arc};

use clap::Args;
use registry_core::migrate::{FileMigration, MigratedFiles};

use crate::{
    End,
    backends::{
        open_storage, same_storage, spool, storage_must_be_there, storage_options, storage_url,
    },
    cli::DataArgs,
    error::{Error, causes},
    progress::{Amount, Progress},
    runtime::TokioRuntime,
    url::UrlText,
};

#[derive(Debug, Args)]
pub(crate) struct StorageMigrateArgs {
    /// The place to copy from, as --storage of `serve` names it.
    #[arg(long, value_name = "URL")]
    from: UrlText,
    /// The place to copy to; a folder is made if it is not there.
    #[arg(long, value_name = "URL")]
    to: UrlText,
    /// A setting of the bucket to copy from, as --storage-option of `serve` has it.
    #[arg(long = "from-option", value_name = "KEY=VALUE")]
    from_options: Vec<UrlText>,
    /// A setting of the bucket to copy to.
    #[arg(long = "to-option", value_name = "KEY=VALUE")]
    to_options: Vec<UrlText>,
    /// Read every file back, and hold what was there already against its checksum, too.
    #[arg(long)]
    verify: bool,
    // For large files on their way to a bucket.
    #[command(flatten)]
    data: DataArgs,
}

/// Copies every crate file from one place to another.
pub(crate) async fn run(args: StorageMigrateArgs) -> Result<End, Error> {
    let (from, to) = (storage_url("--from", &args.from)?, storage_url("--to", &args.to)?);
    let from_options = storage_options("--from-option", &args.from_options)?;
    let to_options = storage_options("--to-option", &args.to_options)?;
    if same_storage(&from, &to) {
        return Err(Error::SamePlace { place: from.to_string() });
    }
    storage_must_be_there(&from)?;
    let source = Arc::new(open_storage(&from, &from_options)?);
    let target = Arc::new(open_storage(&to, &to_options)?);
    let spool = spool(&to, &args.data.folder)?;
    let migration = FileMigration::new(source.clone(), target).with_aside(source);
    let mut migration = migration.with_spool(spool, TokioRuntime::new());
    if args.verify {
        migration = migration.with_read_back();
    }

    let mut progress = Progress::new();
    let migrated = migration.run(|so_far, failure| {
        if let Some((key, error)) = failure {
            progress.note(format_args!("not copied: {key}: {}", causes(error)));
        }
        let (done, found) = (Amount(so_far.done()), Amount(so_far.found));
        progress.show(format_args!("{done} of {found}"));
    });
    let migrated = migrated.await.map_err(Error::MigrateFiles)?;
    let seconds = progress.end().as_secs_f64();
    let MigratedFiles { copied, same, failed, .. } = migrated;
    let (seen, copied, same) = (Amount(migrated.done()), Amount(copied), Amount(same));
    writeln!(
        std::io::stdout(),
        "{seen} in `{from}`: {copied} copied to `{to}`, {same} were there, {} not copied; \
         in {seconds:.1} s",
        Amount(failed),
    )
    .map_err(Error::Print)?;
    Ok(if failed.files == 0 { End::Well } else { End::WithFindings })
}
