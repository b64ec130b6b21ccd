//! `axum_server export --static`: a registry as plain files, for any web server.

use std::{
    collections::HashSet,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::Args;
use registry_core::{
    Checksum, CrateRecord, CrateStore, Index, RegistryConfig, record::ReleaseRecord,
    store::CrateKey,
};

use crate::{
    backends::storage_must_be_there,
    cli::{RegistryArgs, StorageArgs},
    crate_file::checksum_of,
    error::Error,
    progress::Progress,
};

/// Where crate files are in the export: no crate's index file can be below a folder of this name.
const CRATES: &str = "crates";

/// Export the registry as files that any web server can serve to cargo, to be read only.
///
/// Export again to bring the folder up to date: only what differs is written, and what is gone is
/// removed. A web server may serve it meanwhile.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The folder: a new one, an empty one, or one that was exported to.
    #[arg(long = "static", value_name = "DIR")]
    to: PathBuf,
    /// The URL under which clients reach the folder.
    ///
    /// Cargo wants whole URLs. The default is where `python3 -m http.server` serves, to clients on
    /// the same machine.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    base_url: String,
    #[command(flatten)]
    index: RegistryArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Writes the files.
pub(crate) async fn export(args: ExportArgs) -> Result<(), Error> {
    let mut progress = Progress::new();
    let base_url = args.base_url.trim_end_matches('/');
    let config = RegistryConfig::new(base_url)?
        .with_dl(format!("{base_url}/{CRATES}/{{crate}}/{{crate}}-{{version}}.crate").parse()?)
        .with_read_only(true);
    args.index.url()?.must_be_there()?;
    storage_must_be_there(&args.storage.url(&args.index.index)?)?;
    let index = args.index.open().await?.index();
    let crates = args.storage.open(&args.index.index)?;

    let mut export = Export::begin(&args.to)?;
    let mut names = 0;
    let mut after = None;
    const PAGE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
    loop {
        let page = index.names(after.as_ref(), PAGE).await?;
        for name in &page {
            if let Some(stored) = index.load(name, None).await?.found() {
                export.add(&stored.record, &crates).await?;
            }
            names += 1;
            progress.show(format_args!("{names} crates, {} files written", export.written));
        }
        if page.len() < PAGE.get() {
            break;
        }
        after = page.into_iter().next_back();
    }
    // Last: whoever finds it finds all the rest.
    export.write("config.json".into(), &config.to_json())?;
    let (written, removed) = export.finish()?;
    let seconds = progress.end().as_secs_f64();
    writeln!(
        io::stdout(),
        "{names} crates: {written} files written, {removed} removed; {seconds:.1} s\n\n\
         [registries.NAME]\nindex = \"sparse+{base_url}/\""
    )
    .map_err(Error::Print)
}

/// An export under way.
struct Export {
    folder: PathBuf,
    /// Where a file is until it is whole.
    staged: PathBuf,
    /// Held until the end.
    _lock: File,
    /// All files of the registry as it is now.
    files: HashSet<PathBuf>,
    written: usize,
}

impl Export {
    /// A folder of our own in the export: tells it from others, and holds what is being written.
    const OWN: &str = ".registry-export";

    fn begin(folder: &Path) -> Result<Self, Error> {
        let own = folder.join(Self::OWN);
        if !own.is_dir() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::NotAnExport { folder: folder.into() });
        }
        fs::create_dir_all(&own).map_err(|source| Error::Write { path: own.clone(), source })?;
        let path = own.join("lock");
        let failed = |source| Error::Write { path: path.clone(), source };
        let lock = File::create(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::ExportUnderWay { folder: folder.into() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let staged = own.join("staged");
        let files = HashSet::new();
        Ok(Self { folder: folder.into(), staged, _lock: lock, files, written: 0 })
    }

    /// Writes the files of a crate, and then the index file that names them.
    async fn add(&mut self, record: &CrateRecord, crates: &impl CrateStore) -> Result<(), Error> {
        for release in record.releases().iter().filter(|release| release.state.is_listed()) {
            self.add_release(record, release, crates).await?;
        }
        self.write(record.name().sparse_path().into(), &record.index_file().body)
    }

    async fn add_release(
        &mut self,
        record: &CrateRecord,
        release: &ReleaseRecord,
        crates: &impl CrateStore,
    ) -> Result<(), Error> {
        let (name, version) = (record.name(), release.version());
        let checksum = release.line.checksum();
        let path = PathBuf::from(format!("{CRATES}/{name}/{name}-{version}.crate"));
        if checksum_of(&self.folder.join(&path)).is_ok_and(|found| found == checksum) {
            self.files.insert(path);
            return Ok(());
        }
        let key = CrateKey { name: name.clone(), version: version.clone(), checksum };
        let file = match crates.get(&key, None).await? {
            Some(file) => file.bytes().await?,
            None => Bytes::new(),
        };
        if Checksum::of(&file) != checksum {
            return Err(Error::NoCrateFile { name: name.clone(), version: version.clone() });
        }
        self.write(path, &file)
    }

    /// Writes a file, unless it is there already.
    fn write(&mut self, path: PathBuf, content: &[u8]) -> Result<(), Error> {
        let place = self.folder.join(&path);
        if !is_file_of(&place, content) {
            let write = || {
                fs::create_dir_all(place.parent().unwrap_or(&self.folder))?;
                fs::write(&self.staged, content)?;
                // A reader has the old file or the new one, never a part.
                fs::rename(&self.staged, &place)
            };
            write().map_err(|source| Error::Write { path: place.clone(), source })?;
            self.written += 1;
        }
        self.files.insert(path);
        Ok(())
    }

    /// Removes what is no more; how many files were written and removed.
    ///
    /// Looks only where files of a registry are, so that what others put beside them stays.
    fn finish(self) -> Result<(usize, usize), Error> {
        let (mut index_files, mut crate_files) = (Vec::new(), Vec::new());
        let failed = |source| Error::ReadFolder { folder: self.folder.clone(), source };
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            match name.to_str() {
                Some(CRATES) if is_folder => {
                    files_below(&self.folder, name.into(), &mut crate_files).map_err(failed)?;
                }
                Some(name) if is_folder && name.len() <= 2 && !name.starts_with('.') => {
                    files_below(&self.folder, name.into(), &mut index_files).map_err(failed)?;
                }
                _ => {}
            }
        }
        let mut removed = 0;
        // First what names the files.
        for path in index_files.iter().chain(&crate_files) {
            if !self.files.contains(path) {
                let path = self.folder.join(path);
                fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
                removed += 1;
            }
        }
        Ok((self.written, removed))
    }
}

/// All files below `folder`, by their paths below `root`.
fn files_below(root: &Path, folder: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(&folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => files_below(root, path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

fn is_file_of(path: &Path, content: &[u8]) -> bool {
    let length = fs::metadata(path).map(|metadata| metadata.len());
    length.is_ok_and(|length| length == content.len() as u64)
        && fs::read(path).is_ok_and(|found| found == content)
}
