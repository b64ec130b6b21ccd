//! `axum_server storage verify`.

use std::io::Write;

use clap::Args;
use registry_core::scrub::{Scrub, Scrubbed};

use crate::{
    End,
    backends::{open_storage, spool, storage_must_be_there, storage_options, storage_url},
    cli::{IndexArgs, StorageArgs},
    error::Error,
    progress::{Amount, Progress},
    runtime::TokioRuntime,
    url::UrlText,
};

#[derive(Debug, Args)]
pub(crate) struct StorageVerifyArgs {
    #[command(flatten)]
    index: IndexArgs,
    #[command(flatten)]
    storage: StorageArgs,
    /// Another index over the same crate files, as --index; once for each. All registries of an index
    /// are looked at.
    #[arg(long, value_name = "URL")]
    also_index: Vec<UrlText>,
    /// Put damaged files aside, so that they are refused with a clear error and not handed out.
    ///
    /// The index stays as it is. What is aside and should not be is put back: by this flag and by
    /// --repair-from.
    #[arg(long)]
    quarantine: bool,
    /// Put missing and damaged files anew from this place, if they are whole there.
    ///
    /// What is damaged is replaced, and purged if it was aside.
    #[arg(long, value_name = "URL")]
    repair_from: Option<UrlText>,
    /// A setting of the bucket to repair from, as --storage-option.
    #[arg(long = "repair-option", value_name = "KEY=VALUE", requires = "repair_from")]
    repair_options: Vec<UrlText>,
}

/// Checks every crate file, and mends what it is told to.
pub(crate) async fn run(args: StorageVerifyArgs) -> Result<End, Error> {
    let indexes = args.index.open_all(&args.also_index).await?;
    storage_must_be_there(&args.storage.url(&args.index)?)?;
    let mut scrub = Scrub::new(args.storage.open(&args.index)?, indexes);
    if args.quarantine || args.repair_from.is_some() {
        let spool = spool(&args.storage.url(&args.index)?, &args.index.data.folder)?;
        scrub = scrub.with_spool(spool, TokioRuntime::new());
    }
    if args.quarantine {
        scrub = scrub.with_quarantine();
    }
    if let Some(text) = &args.repair_from {
        let source = storage_url("--repair-from", text)?;
        storage_must_be_there(&source)?;
        let options = storage_options("--repair-option", &args.repair_options)?;
        scrub = scrub.with_repair_from(open_storage(&source, &options)?);
    }

    let mut progress = Progress::new();
    let scrubbed = scrub.run(|so_far, finding| {
        if let Some(finding) = finding {
            progress.note(finding);
        }
        let (named, orphans) = (Amount(so_far.named), Amount(so_far.orphans));
        progress.show(format_args!("{named} checked, and {orphans} that no line names"));
    });
    let scrubbed = scrubbed.await.map_err(Error::Verify)?;
    let seconds = progress.end().as_secs_f64();
    let Scrubbed { named, orphans, aside, mended, wrong, .. } = scrubbed;
    writeln!(
        std::io::stdout(),
        "{} checked in {seconds:.1} s: {wrong} problems, {mended} more mended; {} that no line \
         names; {} aside",
        Amount(named),
        Amount(orphans),
        Amount(aside),
    )
    .map_err(Error::Print)?;
    Ok(if wrong == 0 { End::Well } else { End::WithFindings })
}
