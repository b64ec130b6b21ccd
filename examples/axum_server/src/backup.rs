//! `axum_server index backup`.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use registry_index::sqlite::SqliteDatabase;

use crate::{backends::OpenIndex, cli::IndexArgs, error::Error, url::IndexUrl};

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    index: IndexArgs,
}

/// Copies the database of the index while it is in use.
pub(crate) async fn run(args: BackupArgs) -> Result<(), Error> {
    let url = args.index.url()?;
    url.must_be_there()?;
    let instead = match args.index.open().await? {
        OpenIndex::Sqlite(database, _) => return copy(&database, &args.file, &url).await,
        OpenIndex::Folder(..) => {
            "copy the folder with all that is in it, and its tokens by \
             `index backup --index sqlite:DATA/index.sqlite`"
        }
        OpenIndex::Bucket(..) => {
            "let the bucket keep versions, or copy it by its provider's own tools"
        }
        OpenIndex::Postgres(..) => "use `pg_dump`",
    };
    Err(Error::NoBackup { place: url.to_string(), instead })
}

async fn copy(database: &SqliteDatabase, file: &Path, url: &IndexUrl) -> Result<(), Error> {
    database.backup(file).await.map_err(|source| Error::Backup(source.into()))?;
    let done =
        format_args!("`{url}` is copied to `{}`; copy the crate files after it", file.display());
    writeln!(std::io::stdout(), "{done}").map_err(Error::Print)
}
