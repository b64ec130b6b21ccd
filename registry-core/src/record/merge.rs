use std::{collections::HashMap, sync::Arc};

use semver::Version;

use super::{
    About, CrateRecord, Refusal, ReleaseRecord, ReleaseState, Stamp, Transition,
    lines_hash::LinesHash,
};
use crate::{
    checksum::Checksum,
    entry::{IndexLine, IndexLineError},
    name::{CanonicalName, CrateName, NameError},
    owner::{Owner, Owners},
    version::UniqueVersion,
};

/// The lines of one crate in an index that is nothing but lines, in their order there.
#[derive(Debug)]
pub(crate) struct SourceLines {
    name: CrateName,
    /// How the first line, or the record that is here, spells the name.
    spelling: Option<CrateName>,
    lines: Vec<SourceLine>,
    positions: HashMap<UniqueVersion, usize>,
}

#[derive(Debug)]
struct SourceLine {
    line: IndexLine,
    /// Length of the file in bytes, if it was brought along.
    size: Option<u64>,
}

impl SourceLines {
    /// No lines yet of the crate that has this name in some case.
    pub(crate) fn new(name: CrateName, here: Option<&CrateRecord>) -> Self {
        let spelling = here.map(|record| record.name().clone());
        Self { name, spelling, lines: Vec::new(), positions: HashMap::new() }
    }

    pub(crate) fn name(&self) -> CanonicalName {
        self.name.canonical()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether [`SourceLines::push`] may take this line: what can be said without the record. The
    /// name as the line spells it.
    pub(crate) fn check(&self, line: &IndexLine) -> Result<CrateName, LeftOut> {
        let name = CrateName::new(line.name())?;
        if !name.same_sparse_path(&self.name) && self.spelling.as_ref() != Some(&name) {
            return Err(LeftOut::OtherCrate { name });
        }
        if let Some(existing) = self.spelling.as_ref().filter(|existing| **existing != name) {
            return Err(LeftOut::OtherSpelling { name, existing: existing.clone().into() });
        }
        match self.positions.get(&UniqueVersion::from(line.version())) {
            Some(&first) => {
                Err(LeftOut::SecondLine { first: self.lines[first].line.version().clone() })
            }
            None => Ok(name),
        }
    }

    /// Takes a line that passed [`SourceLines::check`].
    pub(crate) fn push(&mut self, line: IndexLine, size: Option<u64>) {
        if self.spelling.is_none() {
            self.spelling = CrateName::new(line.name()).ok();
        }
        self.positions.insert(UniqueVersion::from(line.version()), self.lines.len());
        self.lines.push(SourceLine { line, size });
    }

    /// The step from the record that is here, if there is one, to one that has these lines, too;
    /// `None` if it has them already. Beside it, what became of each line.
    ///
    /// Lines that are not here yet are appended in their order. Whether a line that is here is
    /// yanked follows the source; if it differs in anything else it stays as it is. Nothing that
    /// is here is taken away. `newest` is what a crate says of itself in one of the versions: that
    /// counts if it is new here, and becomes the highest one that is not yanked.
    ///
    /// # Errors
    /// None that a caller could bring about: [`CrateRecord::follow`] checks that nothing is lost.
    pub(crate) fn merge(
        &self,
        here: Option<&CrateRecord>,
        owner: &Owner,
        newest: Option<&(Version, About)>,
        stamp: &Stamp,
    ) -> Result<(Option<Transition>, Vec<LineOutcome>), Refusal> {
        let mut merge = Merge::new(here);
        let outcomes = self.lines.iter().map(|source| merge.add(source, stamp)).collect();
        let Some(name) = here.map(CrateRecord::name).or(self.spelling.as_ref()) else {
            return Ok((None, outcomes));
        };
        let mut next = CrateRecord {
            name: name.clone(),
            owners: here.map_or_else(|| Owners::from_iter([owner.clone()]), |r| r.owners.clone()),
            about: here.map(|record| record.about.clone()).unwrap_or_default(),
            releases: Arc::new(merge.releases),
            hash: LinesHash::default(),
        };
        if let Some((version, about)) = newest
            && next.max_version() == Some(version)
            && here.is_none_or(|record| record.release(version).is_none())
        {
            next.about = Arc::new(about.clone());
        }
        let transition = match here {
            Some(here) => here.follow(&next, stamp.clone())?,
            None if next.releases.is_empty() => None,
            None => Some(next.imported(stamp.clone())),
        };
        Ok((transition, outcomes))
    }
}

/// A merge under way.
struct Merge {
    spelling: Option<CrateName>,
    releases: Vec<Arc<ReleaseRecord>>,
    positions: HashMap<UniqueVersion, usize>,
    /// Of all index lines, with their line ends.
    bytes: usize,
}

impl Merge {
    fn new(here: Option<&CrateRecord>) -> Self {
        let releases = here.map(|record| record.releases.to_vec()).unwrap_or_default();
        let versions = releases.iter().map(|release| UniqueVersion::from(release.version()));
        Self {
            spelling: here.map(|record| record.name.clone()),
            positions: versions.zip(0..).collect(),
            bytes: releases.iter().map(|release| release.line.as_bytes().len() + 1).sum(),
            releases,
        }
    }

    fn add(&mut self, source: &SourceLine, stamp: &Stamp) -> LineOutcome {
        let line = &source.line;
        match &self.spelling {
            // The record came into being after the lines were read.
            Some(existing) if existing.as_str() != line.name() => {
                let (name, existing) = (CrateName::new(line.name())?, existing.clone().into());
                return Err(LeftOut::OtherSpelling { name, existing });
            }
            _ => {}
        }
        match self.positions.get(&UniqueVersion::from(line.version())) {
            Some(&position) => self.follow(position, line),
            None => self.append(source, stamp),
        }
    }

    fn follow(&mut self, position: usize, line: &IndexLine) -> LineOutcome {
        let release = &mut self.releases[position];
        if release.line != *line && release.line.with_yanked(true) != line.with_yanked(true) {
            return Err(LeftOut::Differs { here: release.version().clone() });
        }
        if !release.state.is_listed() {
            return Err(LeftOut::Unlisted);
        }
        if release.line.yanked() == line.yanked() {
            return Ok(Brought::AlreadyHere);
        }
        *release = Arc::new(ReleaseRecord {
            line: release.line.with_yanked(line.yanked()),
            state: state_of(line),
            ..ReleaseRecord::clone(release)
        });
        Ok(Brought::YankChanged)
    }

    fn append(&mut self, source: &SourceLine, stamp: &Stamp) -> LineOutcome {
        let line = &source.line;
        let size = source.size.ok_or(LeftOut::NoFile)?;
        if self.releases.len() >= CrateRecord::MAX_RELEASES {
            return Err(LeftOut::TooManyReleases);
        }
        let bytes = self.bytes + line.as_bytes().len() + 1;
        if bytes > CrateRecord::MAX_INDEX_BYTES {
            return Err(LeftOut::IndexTooLarge { bytes });
        }
        self.bytes = bytes;
        self.positions.insert(UniqueVersion::from(line.version()), self.releases.len());
        self.releases.push(Arc::new(ReleaseRecord {
            line: line.clone(),
            size,
            published_at: line.pubtime().unwrap_or(stamp.at),
            published_by: stamp.by.clone(),
            state: state_of(line),
        }));
        Ok(Brought::New)
    }
}

fn state_of(line: &IndexLine) -> ReleaseState {
    if line.yanked() { ReleaseState::Yanked } else { ReleaseState::Published }
}

/// What became of a line of another index.
pub type LineOutcome = Result<Brought, LeftOut>;

/// A line of another index is in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// It was not here before.
    New,
    /// It is here as it is there.
    AlreadyHere,
    /// It is here, and was yanked, or the yank undone, as it is there.
    YankChanged,
}

/// Why a line of another index is not brought over. All other lines still are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOut {
    /// Nobody could tell which file of which crate it is.
    #[error(transparent)]
    Unreadable(#[from] IndexLineError),
    /// No registry of ours may hold a crate of this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The line names another crate than the one that is brought over.
    #[error("the line is one of crate `{name}`")]
    OtherCrate {
        /// The name on the line.
        name: CrateName,
    },
    /// The name is spelled otherwise on an earlier line, or here.
    #[error("the line spells the name `{name}`, crate is named `{existing}`")]
    OtherSpelling {
        /// The name on the line.
        name: CrateName,
        /// The spelling of the crate. Boxed, for an error is moved at each step of its way.
        existing: Box<CrateName>,
    },
    /// An earlier line is of the same version, build metadata aside.
    #[error("version `{first}` has a line already")]
    SecondLine {
        /// The version on the earlier line.
        first: Version,
    },
    /// There is no file to go with the line: what is listed can be downloaded.
    #[error("the crate file is missing")]
    NoFile,
    /// The file is another one.
    #[error("the crate file has checksum {found}, the line says {expected}")]
    OtherFile {
        /// The checksum on the line.
        expected: Checksum,
        /// That of the file.
        found: Checksum,
    },
    /// The version is here, and its line says something else.
    #[error("version `{here}` is here with another line")]
    Differs {
        /// The version here.
        here: Version,
    },
    /// The version is here, and was taken out of the index.
    #[error("the version was taken out of the index here")]
    Unlisted,
    /// The crate has [`CrateRecord::MAX_RELEASES`] versions.
    #[error("the crate has {0} versions, limit {0}", CrateRecord::MAX_RELEASES)]
    TooManyReleases,
    /// The crate would have more than [`CrateRecord::MAX_INDEX_BYTES`] of index lines.
    #[error(
        "the index lines of the crate would be {bytes} bytes, limit {}",
        CrateRecord::MAX_INDEX_BYTES
    )]
    IndexTooLarge {
        /// How many bytes they would be.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests;
