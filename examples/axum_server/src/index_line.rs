//! `axum_server index line`: for an index that is kept by hand.

use std::{fs, io::Write as _, path::PathBuf};

use clap::Args;
use registry_core::{RegistryConfig, Release, ValidationRules};

use crate::error::Error;

/// Print the line that a crate file would have in an index.
///
/// The manifest in the file says what it is. What could not be published here is refused. The time
/// of publication is left out.
#[derive(Debug, Args)]
pub(crate) struct IndexLineArgs {
    /// The crate file, as `cargo package` makes it.
    #[arg(value_name = "FILE.crate")]
    file: PathBuf,
    /// The line of a version that is yanked.
    #[arg(long)]
    yanked: bool,
    /// Index URL of the registry that the line is for, so that a dependency on it is one within.
    #[arg(long, value_name = "URL")]
    index_url: Option<String>,
}

/// Prints the line.
pub(crate) fn print(args: IndexLineArgs) -> Result<(), Error> {
    let IndexLineArgs { file: path, yanked, index_url } = args;
    let content =
        fs::read(&path).map_err(|source| Error::ReadFile { path: path.clone(), source })?;
    // Only its own index URLs matter, and it has no other than the one that was given.
    let mut config = RegistryConfig::new("http://localhost").expect("a plain URL");
    if let Some(url) = index_url {
        config = config.with_index_alias(url);
    }
    let file = bytes::Bytes::from(content).into();
    let release = Release::of_file(file, &ValidationRules::private(), &config);
    let release = release.map_err(|source| Error::Invalid { path, source })?;
    let line = release.entry().to_line().with_yanked(yanked);
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line.as_bytes()).and_then(|()| writeln!(stdout)).map_err(Error::Print)
}
