//! `axum_server index rebuild`.

use std::io::Write;

use crate::{backends::OpenIndex, cli::IndexArgs, error::Error};

/// Makes the files for web servers in an index folder anew.
pub(crate) async fn run(args: IndexArgs) -> Result<(), Error> {
    let url = args.url()?;
    url.must_be_there()?;
    let OpenIndex::Folder(index, _) = args.open().await? else {
        return Err(Error::NothingToRebuild { place: url.to_string() });
    };
    let rebuilt = index.rebuild().await.map_err(Error::Rebuild)?;
    let mut stdout = std::io::stdout().lock();
    let printed = rebuilt.iter().try_for_each(|what| writeln!(stdout, "mended: {what}"));
    printed
        .and_then(|()| writeln!(stdout, "{} files made anew or removed", rebuilt.len()))
        .map_err(Error::Print)
}
