//! Where the members of an archive go when it is unpacked, on any file system.

use unicode_normalization::UnicodeNormalization as _;

use super::{
    ArchiveError,
    tar::{Member, MemberType},
};
use crate::{
    echo::Echo,
    publish::{reserved::is_windows_device, rules::ValidationRules},
};

/// Most bytes of a path, and of the part between two slashes. Source: what Linux, macOS and Windows
/// can have.
pub(super) const MAX_PATH_BYTES: usize = 1024;
pub(super) const MAX_COMPONENT_BYTES: usize = 255;

/// Most bytes of all paths together: they are kept until the end, to be compared. Source: ours.
const MAX_ALL_PATHS_BYTES: usize = 16 << 20;

/// The paths of the members so far.
pub(super) struct Paths<'a> {
    root: &'a str,
    rules: &'a ValidationRules,
    /// Folded, without the root.
    files: Vec<(String, MemberType)>,
    bytes: usize,
    windows_reserved: Vec<String>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(root: &'a str, rules: &'a ValidationRules) -> Self {
        Self { root, rules, files: Vec::new(), bytes: 0, windows_reserved: Vec::new() }
    }

    /// Takes a member's path in, and gives back what of it is below the root.
    pub(super) fn add<'m>(&mut self, member: &'m Member) -> Result<&'m str, ArchiveError> {
        let refused = || ArchiveError::Path { path: member.shown_path() };
        let path = self.below_root(member).ok_or_else(refused)?;
        // What different disks take for one file must be one text: macOS composes characters, and
        // both macOS and Windows ignore case.
        let folded = path.nfc().collect::<String>().to_ascii_lowercase();
        // Cargo's own mark that a package was unpacked whole (CVE-2022-36113).
        if folded == ".cargo-ok" || folded.starts_with(".cargo-ok/") {
            return Err(refused());
        }
        if path.split('/').any(is_windows_device) {
            if self.rules.refuse_windows_reserved_paths {
                return Err(refused());
            }
            self.windows_reserved.push(path.into());
        }
        self.bytes += folded.len();
        if self.bytes > MAX_ALL_PATHS_BYTES {
            return Err(ArchiveError::Malformed);
        }
        self.files.push((folded, member.kind));
        Ok(path)
    }

    /// Compares all paths, and gives back those that Windows cannot have.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ArchiveError> {
        // In the order of components, whatever stands below a path comes right behind it.
        self.files.sort_by(|(a, _), (b, _)| a.split('/').cmp(b.split('/')));
        for pair in self.files.windows(2) {
            let [(before, kind), (after, _)] = pair else { continue };
            let is_below = after.strip_prefix(before.as_str()).is_some_and(|r| r.starts_with('/'));
            if before == after || *kind == MemberType::File && is_below {
                let path = format!("{}/{after}", self.root);
                return Err(ArchiveError::DuplicatePath { path: Echo(&path).to_string() });
            }
        }
        Ok(self.windows_reserved)
    }

    /// The path below the root, if it is one that means the same everywhere.
    fn below_root<'m>(&self, member: &'m Member) -> Option<&'m str> {
        if member.path.len() > MAX_PATH_BYTES {
            return None;
        }
        let path = std::str::from_utf8(&member.path).ok()?;
        let is_directory = member.kind == MemberType::Directory;
        // A directory may end in a slash.
        let path = if is_directory { path.strip_suffix('/').unwrap_or(path) } else { path };
        let below = path.strip_prefix(self.root)?;
        if below.is_empty() {
            return is_directory.then_some(below);
        }
        let below = below.strip_prefix('/')?;
        below.split('/').all(is_portable).then_some(below)
    }
}

/// Whether a component names the same file, and below the same directory, on every system.
fn is_portable(component: &str) -> bool {
    !matches!(component, "" | "." | "..")
        && component.len() <= MAX_COMPONENT_BYTES
        && !component.contains(['\\', ':'])
        && !component.contains(char::is_control)
        && !component.ends_with(['.', ' '])
}
