//! `axum_server index verify`.

use std::io::Write;

use clap::Args;
use registry_core::{Registry, RegistryConfig};

use crate::{
    End,
    backends::storage_must_be_there,
    cli::{RegistryArgs, StorageArgs},
    error::Error,
    progress::Progress,
};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    index: RegistryArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Checks every record, what is made of it, and every crate file.
pub(crate) async fn run(args: VerifyArgs) -> Result<End, Error> {
    args.index.url()?.must_be_there()?;
    storage_must_be_there(&args.storage.url(&args.index.index)?)?;
    let index = args.index.open().await?;
    let crates = args.storage.open(&args.index.index)?;
    // Nobody is told of this URL.
    let config = RegistryConfig::new("http://localhost")?;
    let registry = Registry::builder(config, index.index(), crates).build();

    let mut progress = Progress::new();
    let (mut checked, mut found) = (0_usize, 0_usize);
    for problem in index.check().await? {
        found += 1;
        progress.note(problem);
    }
    let verified = registry.verify_with(|_, problems| {
        checked += 1;
        found += problems.len();
        for problem in problems {
            progress.note(problem);
        }
        progress.show(format_args!("{checked} crates checked"));
    });
    verified.await.map_err(Error::Verify)?;
    let seconds = progress.end().as_secs_f64();
    writeln!(std::io::stdout(), "{checked} crates checked in {seconds:.1} s: {found} problems")
        .map_err(Error::Print)?;
    Ok(if found == 0 { End::Well } else { End::WithFindings })
}
