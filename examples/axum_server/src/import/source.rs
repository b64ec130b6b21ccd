//! Finding the files of an index.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use registry_core::{CrateName, CrateRecord, NameError};

use super::{crates::read_file, report::LeftOutLine};
use crate::error::Error;

/// The files of an index, and what stands in their place and cannot be read.
#[derive(Debug, Default)]
pub(super) struct IndexFiles {
    /// By crate, in the order of names: one after the other if it has several spellings.
    pub(super) crates: Vec<Vec<SourceFile>>,
    pub(super) left_out: Vec<LeftOutLine>,
}

/// One file of an index.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    /// The crate's name in some case.
    pub(super) name: Result<CrateName, NameError>,
}

impl IndexFiles {
    /// Looks through the folder `root`.
    ///
    /// A file is one of the index if it is where cargo would look for the crate it is named after,
    /// in any case. Whatever begins with a dot is passed over; symbolic links are not followed.
    pub(super) fn find(root: &Path) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut crates: BTreeMap<String, Vec<SourceFile>> = BTreeMap::new();
        fs::read_dir(root).map_err(|source| Error::ReadFolder { folder: root.into(), source })?;
        let mut folders = vec![(Vec::<String>::new(), root.to_owned())];
        while let Some((above, folder)) = folders.pop() {
            // Opened no sooner: an index has more folders than a process may have open.
            let entries = fs::read_dir(&folder);
            let entries = entries.and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    let reason = error.to_string();
                    found.left_out.push(LeftOutLine { path: folder, line: None, reason });
                    continue;
                }
            };
            for entry in entries {
                let path = entry.path();
                // What is not UTF-8 is the name of no crate.
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.starts_with('.') {
                    continue;
                }
                let kind = match entry.file_type() {
                    Ok(kind) => kind,
                    Err(error) => {
                        let reason = error.to_string();
                        found.left_out.push(LeftOutLine { path, line: None, reason });
                        continue;
                    }
                };
                let may_be_above = above.len() < 2 && name.len() <= 2;
                if kind.is_dir() && may_be_above {
                    let above = above.iter().cloned().chain([name.to_lowercase()]).collect();
                    folders.push((above, path));
                } else if kind.is_symlink() && (may_be_above || is_place_of(&name, &above)) {
                    let reason = "symbolic links are not followed".into();
                    found.left_out.push(LeftOutLine { path, line: None, reason });
                } else if kind.is_file() && is_place_of(&name, &above) {
                    let key = name.to_lowercase().replace('-', "_");
                    let file = SourceFile { path, name: CrateName::new(&name) };
                    crates.entry(key).or_default().push(file);
                }
            }
        }
        found.crates = crates.into_values().collect();
        for files in &mut found.crates {
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        found.left_out.sort_by(|a, b| a.path.cmp(&b.path));
        match found.crates.is_empty() && found.left_out.is_empty() {
            true => Err(Error::NoIndex { folder: root.into() }),
            false => Ok(found),
        }
    }
}

/// Whether an index has a file of this name in the folder below these. Source: Cargo book,
/// "Registry Index", index files.
fn is_place_of(name: &str, above: &[String]) -> bool {
    let name = name.to_lowercase();
    let above: Vec<_> = above.iter().map(String::as_str).collect();
    match name.len() {
        1 => above == ["1"],
        2 => above == ["2"],
        3 => name.get(..1).is_some_and(|first| above == ["3", first]),
        _ => match (name.get(..2), name.get(2..4)) {
            (Some(first), Some(second)) => above == [first, second],
            _ => false,
        },
    }
}

impl SourceFile {
    /// The whole file, unless it has more lines than a crate may have.
    pub(super) async fn read(&self) -> Result<Bytes, String> {
        let most = CrateRecord::MAX_INDEX_BYTES as u64;
        read_file(self.path.clone(), most).await.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_where_cargo_looks_for_its_crate() {
        for (name, above) in [
            ("a", vec!["1"]),
            ("AB", vec!["2"]),
            ("abc", vec!["3", "a"]),
            ("Cargo", vec!["ca", "rg"]),
            ("a-b_c", vec!["a-", "b_"]),
        ] {
            let above: Vec<_> = above.into_iter().map(str::to_owned).collect();
            assert!(is_place_of(name, &above), "{name}");
        }
        for (name, above) in [
            ("config.json", vec![]),
            ("README", vec![]),
            ("a", vec!["2"]),
            ("abc", vec!["ab", "c"]),
            ("abcd", vec!["ab"]),
            ("abcd", vec!["cd", "ab"]),
            ("aäö", vec!["a", "ä"]),
        ] {
            let above: Vec<_> = above.into_iter().map(str::to_owned).collect();
            assert!(!is_place_of(name, &above), "{name}");
        }
    }
}
