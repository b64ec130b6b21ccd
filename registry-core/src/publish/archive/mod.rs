//! The crate file: a gzip member holding a tar archive that every reader reads alike.
//!
//! Cargo's own packer writes one gzip member with a GNU tar of regular files in it. Whatever two
//! readers could take for two different things is refused, rather than read as well as we can: the
//! checks here are of no use if cargo then unpacks another file.

mod paths;
mod tar;
#[cfg(test)]
pub(super) mod tests;

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

use self::{
    paths::Paths,
    tar::{Member, MemberType, TarReader},
};
use super::rules::ValidationRules;
use crate::{echo::Echo, store::CrateBody};

/// Bytes that are read at a time, which a file in a spool is asked for.
const READ_BYTES: usize = 64 * 1024;

type Unpacked<R> = Limited<GzDecoder<BufReader<Source<R>>>>;

/// A file as an archive, before anybody has looked into it.
fn open(file: &CrateBody, rules: &ValidationRules) -> TarReader<Unpacked<impl Read + use<>>> {
    let gzip = GzDecoder::new(BufReader::with_capacity(READ_BYTES, Source(file.reader())));
    TarReader::new(Limited::new(gzip, file.len(), rules), rules.max_extension_bytes)
}

/// What the rest of validation needs of a crate file that has passed.
#[derive(Debug)]
pub(super) struct Archive {
    /// The manifest at the root.
    pub(super) manifest: Vec<u8>,
    /// Paths, below the root, that cannot be unpacked on Windows.
    pub(super) windows_reserved: Vec<String>,
}

/// Checks a crate file from its first byte to its last; everything in it stands below `root`.
///
/// Streams: memory is bounded by the manifest and the paths, whatever comes out of the gzip member.
pub(super) fn check(
    file: &CrateBody,
    root: &str,
    rules: &ValidationRules,
) -> Result<Archive, ArchiveError> {
    let mut tar = open(file, rules);
    let mut paths = Paths::new(root, rules);
    let mut manifests = Manifests::default();
    let mut entries = 0;
    while let Some(member) = tar.next_member()? {
        entries += 1;
        if entries > rules.max_entries {
            return Err(ArchiveError::TooManyEntries { max: rules.max_entries });
        }
        check_member(&member)?;
        let path = paths.add(&member)?;
        if member.kind == MemberType::File
            && !path.contains('/')
            && path.eq_ignore_ascii_case("Cargo.toml")
        {
            if member.size > u64::from(rules.max_manifest_bytes) {
                return Err(ArchiveError::Malformed);
            }
            manifests.add(path, tar.read_data()?)?;
        } else {
            tar.skip_data()?;
        }
    }
    let windows_reserved = paths.finish()?;
    // Reading to the end makes the decoder compare CRC-32 and length, and stop behind them.
    let mut gzip = tar.finish()?.inner;
    if !gzip.get_mut().fill_buf()?.is_empty() {
        return Err(ArchiveError::DataAfterEnd);
    }
    Ok(Archive { manifest: manifests.finish()?, windows_reserved })
}

/// The manifest below `root` in a file that nobody has checked; `None` if it is not found.
///
/// Reads up to the manifest, under the same limits, and does not look at what else there is.
pub(super) fn find_manifest(
    file: &CrateBody,
    root: &str,
    rules: &ValidationRules,
) -> Option<Vec<u8>> {
    let mut tar = open(file, rules);
    let path = format!("{root}/Cargo.toml");
    for _ in 0..rules.max_entries {
        let member = tar.next_member().ok()??;
        if member.kind == MemberType::File && member.path == path.as_bytes() {
            let fits = member.size <= u64::from(rules.max_manifest_bytes);
            return fits.then(|| tar.read_data().ok())?;
        }
        tar.skip_data().ok()?;
    }
    None
}

/// The folder that the first member is in: the name of the package, with its version, in a file
/// that passes [`check`].
pub(super) fn find_root(file: &CrateBody, rules: &ValidationRules) -> Result<String, ArchiveError> {
    let mut tar = open(file, rules);
    let member = tar.next_member()?.ok_or(ArchiveError::NoManifest)?;
    let path = std::str::from_utf8(&member.path);
    match path.ok().and_then(|path| path.split_once('/')) {
        Some((root, _)) => Ok(root.into()),
        None => Err(ArchiveError::Path { path: member.shown_path() }),
    }
}

fn check_member(member: &Member) -> Result<(), ArchiveError> {
    match member.kind {
        MemberType::File => {}
        MemberType::Directory if member.size == 0 => {}
        MemberType::Directory => return Err(ArchiveError::Header),
        MemberType::Other(byte) => {
            let kind = char::from(byte);
            return Err(ArchiveError::EntryType { kind, path: member.shown_path() });
        }
    }
    // No setuid, and nobody but the owner may write (CVE-2023-38497).
    if member.mode & !0o755 != 0 {
        return Err(ArchiveError::Mode { path: member.shown_path() });
    }
    Ok(())
}

/// The files at the root that are a manifest in some spelling.
#[derive(Default)]
struct Manifests(Option<(String, Vec<u8>)>);

impl Manifests {
    fn add(&mut self, path: &str, content: Vec<u8>) -> Result<(), ArchiveError> {
        if let Some((first, _)) = &self.0 {
            let second = Echo(path).to_string();
            return Err(ArchiveError::SeveralManifests { first: Echo(first).to_string(), second });
        }
        self.0 = Some((path.into(), content));
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, ArchiveError> {
        match self.0 {
            None => Err(ArchiveError::NoManifest),
            // All in lower case is what very old packages have, and cargo still reads.
            Some((path, content)) if matches!(&*path, "Cargo.toml" | "cargo.toml") => Ok(content),
            Some((path, _)) => Err(ArchiveError::ManifestCase { path }),
        }
    }
}

/// Ends with an error once more comes out than may.
struct Limited<R> {
    inner: R,
    out: u64,
    max: u64,
}

/// How much may come out of any file, whatever the ratio: text of one kind packs very well.
const RATIO_FREE_BYTES: u64 = 32 << 20;

impl<R> Limited<R> {
    fn new(inner: R, packed: u64, rules: &ValidationRules) -> Self {
        let by_ratio = packed.saturating_mul(rules.max_ratio.max(1).into()).max(RATIO_FREE_BYTES);
        let max = rules.max_unpacked_bytes.max(rules.max_crate_bytes.into());
        Self { inner, out: 0, max: max.min(by_ratio) }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.out += count as u64;
        if self.out > self.max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(count) }
    }
}

/// The bytes of a crate file. Says of an error that they could not be read, and that it is not
/// about what they are.
struct Source<R>(R);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, Unreadable(error)),
        })
    }
}

/// The mark of such an error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Unreadable(io::Error);

/// Why a crate file is not an archive that every reader reads alike.
///
/// Paths and other values from the file are cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Not one gzip member with a whole tar archive in it, or more than a limit allows.
    #[error("uploaded tarball is malformed or too large when decompressed")]
    Malformed,
    /// The file could not be read, whatever is in it: nobody's fault who made it.
    #[error("the crate file could not be read: {reason}")]
    Unreadable {
        /// What kind of failure it was.
        kind: io::ErrorKind,
        /// What the operating system said.
        reason: String,
    },
    /// Something is hidden behind the archive.
    #[error("crate file has data after the end of the archive")]
    DataAfterEnd,
    /// More members than [`ValidationRules::max_entries`].
    #[error("uploaded tarball contains more than {max} entries")]
    TooManyEntries {
        /// The limit.
        max: u32,
    },
    /// A header with a bad checksum, or numbers not in plain octal.
    #[error("malformed tar header")]
    Header,
    /// An extension header that is not for the one member behind it, or says more than a path and
    /// what cargo does not look at.
    #[error("unsupported tar extension header")]
    Extension,
    /// One reader would take the one size, another the other.
    #[error("mismatched pax and tar header sizes")]
    PaxSize,
    /// Neither a regular file nor a directory.
    #[error("unexpected tar entry type {} found: {path}", kind.escape_debug())]
    EntryType {
        /// The type byte.
        kind: char,
        /// The member.
        path: String,
    },
    /// A path that is not below the root, or not the same everywhere.
    #[error("invalid path found: {path}")]
    Path {
        /// The member.
        path: String,
    },
    /// Two members would be one file.
    #[error("duplicate path in tarball: {path}")]
    DuplicatePath {
        /// One of them.
        path: String,
    },
    /// Permissions beyond 0755.
    #[error("unexpected file mode in tarball: {path}")]
    Mode {
        /// The member.
        path: String,
    },
    /// There is no manifest at the root.
    #[error("Cargo.toml manifest is missing")]
    NoManifest,
    /// The manifest is not called `Cargo.toml`.
    #[error("Cargo.toml manifest is incorrectly cased: {path}")]
    ManifestCase {
        /// Its name.
        path: String,
    },
    /// There are two manifests.
    #[error("more than one Cargo.toml manifest: {first} and {second}")]
    SeveralManifests {
        /// One.
        first: String,
        /// Another.
        second: String,
    },
}

impl ArchiveError {
    /// The error of a file that could not be read.
    pub(super) fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable { kind: error.kind(), reason: error.to_string() }
    }
}

// What is not said of the source is said of the bytes.
impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        inner.map_or(Self::Malformed, |Unreadable(error)| Self::unreadable(error))
    }
}
