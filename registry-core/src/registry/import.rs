use std::{collections::HashSet, io, time::SystemTime};

use semver::Version;

use super::{Registry, WriteError, new_files::NewFiles, runtime, write::Right};
use crate::{
    auth::CredentialId,
    checksum::Checksum,
    entry::IndexLine,
    index::IndexError,
    name::CrateName,
    owner::Owner,
    publish::read_about,
    record::{About, Change, LeftOut, LineOutcome, Origin, SourceLines, Stamp},
    store::{CrateBody, CrateKey, StoreError},
    version::UniqueVersion,
};

impl Registry {
    /// Begins to bring a crate over from an index that is nothing but lines, such as a checkout of
    /// a git index or the files of a sparse one.
    ///
    /// Lines are kept byte for byte, and refused as little as cargo itself would. `name` is the
    /// crate's in any case, say that of its index file; `owner` becomes the owner if the crate is
    /// new here, and is named as the one who wrote.
    ///
    /// An administrator's work on what is their own: no authorizer and no policy is asked, so no
    /// request of a client may come to this.
    ///
    /// ```
    /// use registry_core::{
    ///     Checksum, CrateName, IndexLine, Login, Owner, Registry, RegistryConfig,
    ///     memory::{MemoryCrateStore, MemoryIndex}, record::Brought,
    /// };
    ///
    /// # async fn bring(file: bytes::Bytes, index_file: bytes::Bytes)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let config = RegistryConfig::new("https://crates.example.com")?;
    /// let registry =
    ///     Registry::builder(config, MemoryIndex::default(), MemoryCrateStore::default()).build();
    ///
    /// let alice = Owner { id: 1, login: Login::new("alice")?, name: None };
    /// let mut import = registry.begin_import(CrateName::new("hello")?, alice).await?;
    /// for (number, line) in IndexLine::in_file(&index_file) {
    ///     match line {
    ///         Ok(line) => import.add(line, Some(file.clone().into())).await?,
    ///         Err(error) => println!("line {number}: {error}"),
    ///     }
    /// }
    /// let imported = import.finish().await?;
    /// assert!(matches!(imported.lines[..], [Ok(Brought::New)]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ImportError::Write`] if the index fails or the registry is read-only.
    pub async fn begin_import(&self, name: CrateName, owner: Owner) -> Result<Import, ImportError> {
        self.check_writable()?;
        let stored = self.parts.index.load(&name.canonical(), None).await?.found();
        let record = stored.as_ref().map(|stored| &stored.record);
        let releases = record.map(|record| record.releases()).unwrap_or_default();
        Ok(Import {
            registry: self.clone(),
            owner,
            here: releases.iter().map(|release| release.version().into()).collect(),
            lines: SourceLines::new(name, record),
            files: self.new_files(),
            newest: None,
        })
    }
}

/// An import of one crate under way. Dropped before [`Import::finish`], it leaves no trace in the
/// index.
#[derive(Debug)]
pub struct Import {
    registry: Registry,
    owner: Owner,
    /// The versions that were here at the beginning.
    here: HashSet<UniqueVersion>,
    lines: SourceLines,
    files: NewFiles,
    /// The highest version so far that is new and not yanked, with what its file says.
    newest: Option<(Version, About)>,
}

impl Import {
    /// Whether a line needs its file: not if its version is here already.
    pub fn needs_file(&self, line: &IndexLine) -> bool {
        !self.here.contains(&line.version().into())
    }

    /// Takes the next line, in the order of the source, with its file. The file is stored now, so
    /// that it is durable before anything names it; one that the line does not need is not looked
    /// at.
    ///
    /// # Errors
    /// [`ImportError::LeftOut`] if the line cannot be brought over: the import goes on without it.
    /// Any other error is one of the crate store.
    pub async fn add(
        &mut self,
        line: IndexLine,
        file: Option<CrateBody>,
    ) -> Result<(), ImportError> {
        let name = self.lines.check(&line)?;
        if !self.needs_file(&line) {
            self.lines.push(line, None);
            return Ok(());
        }
        let file = file.ok_or(LeftOut::NoFile)?;
        let parts = &self.registry.parts;
        let body = file.clone();
        let found = runtime::run(&*parts.runtime, move || Checksum::of_reader(body.reader())).await;
        let found = found.ok_or(ImportError::Interrupted)?.map_err(ImportError::File)?;
        let expected = line.checksum();
        if found != expected {
            return Err(LeftOut::OtherFile { expected, found }.into());
        }
        let version = line.version().clone();
        let key = CrateKey { name, version: version.clone(), checksum: expected };
        self.files.put(key, file.clone()).await?;
        // However many there are, they are not all held until the end.
        self.files.let_go();
        if !line.yanked() && self.newest.as_ref().is_none_or(|(newest, _)| *newest < version) {
            // Read at once, so that no file is held until the end.
            let about = self.read_about(&line, file.clone()).await?;
            self.newest = Some((version, about));
        }
        self.lines.push(line, Some(file.len()));
        Ok(())
    }

    /// Commits the lines taken, all at once.
    ///
    /// Lines that are not here yet follow those that are; lines that are here change in `yanked`
    /// alone, as it is in the source; nothing is taken away. The same again changes nothing.
    ///
    /// # Errors
    /// [`ImportError::Write`] if the index failed: after that the crate is as it was, or as it
    /// would have become.
    pub async fn finish(self) -> Result<Imported, ImportError> {
        if self.lines.is_empty() {
            return Ok(Imported { change: None, lines: Vec::new() });
        }
        let Self { registry, owner, lines, files, newest, .. } = self;
        let at = SystemTime::now().into();
        let credential = Some(CredentialId::Command);
        let origin = Origin { credential, ..Origin::default() };
        let stamp = Stamp { by: owner.login.clone(), at, origin };
        let mut outcomes = Vec::new();
        let change = registry
            .transition(Right::Administrator, &lines.name(), files, |record| {
                let (transition, decided) = lines.merge(record, &owner, newest.as_ref(), &stamp)?;
                outcomes = decided;
                Ok(transition)
            })
            .await?;
        Ok(Imported { change, lines: outcomes })
    }

    async fn read_about(&self, line: &IndexLine, file: CrateBody) -> Result<About, ImportError> {
        let parts = &self.registry.parts;
        let (rules, root) = (parts.rules.clone(), format!("{}-{}", line.name(), line.version()));
        let about = runtime::run(&*parts.runtime, move || read_about(&file, &root, &rules)).await;
        about.ok_or(ImportError::Interrupted)
    }
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// What happened to the crate; `None` if it was all here already.
    pub change: Option<Change>,
    /// What became of each line that [`Import::add`] took, in their order.
    pub lines: Vec<LineOutcome>,
}

/// Why a line, or a crate, was not brought over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// This line cannot be; the others can.
    #[error(transparent)]
    LeftOut(#[from] LeftOut),
    /// The file that is to be stored could not be read.
    #[error("the crate file cannot be read")]
    File(#[source] io::Error),
    /// The crate store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The crate could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A computation did not come to its end: a bug, or a runtime that is shutting down.
    #[error("the import was interrupted")]
    Interrupted,
}

impl From<IndexError> for ImportError {
    fn from(error: IndexError) -> Self {
        Self::Write(error.into())
    }
}
