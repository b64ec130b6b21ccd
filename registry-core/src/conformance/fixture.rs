//! Crate files and publish bodies as cargo makes them, for tests.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

/// A valid crate file: the least manifest and an empty `src/lib.rs`.
///
/// `manifest_extra` is TOML appended to the `[package]` table; it may open further tables.
///
/// # Panics
/// If the texts are longer than a tar header can hold.
pub fn crate_file(name: &str, version: &str, manifest_extra: &str) -> Vec<u8> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n{manifest_extra}"
    );
    crate_file_of(name, version, [("Cargo.toml", manifest.as_str()), ("src/lib.rs", "")])
}

/// A crate file of these files, each given with its path in the package and its content.
///
/// # Panics
/// If a path or a content is longer than a tar header can hold, or a path leads out of the package.
pub fn crate_file_of<'a>(
    name: &str,
    version: &str,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // The time that cargo gives every file.
        header.set_mtime(1_153_704_088);
        tar.append_data(&mut header, format!("{name}-{version}/{path}"), content.as_bytes())
            .expect("a `Vec` takes every write, and the path is a valid one");
    }
    let tar = tar.into_inner().expect("a `Vec` takes every write");
    let mut gzip = GzBuilder::new()
        .filename(format!("{name}-{version}.crate"))
        .write(Vec::new(), Compression::best());
    gzip.write_all(&tar).expect("a `Vec` takes every write");
    gzip.finish().expect("a `Vec` takes every write")
}

/// A valid publish body for the crate file of [`crate_file`], without dependencies.
///
/// # Panics
/// As [`crate_file`].
pub fn publish_body(name: &str, version: &str) -> Vec<u8> {
    let metadata = format!(r#"{{"name":"{name}","vers":"{version}","deps":[],"features":{{}}}}"#);
    publish_body_of(metadata.as_bytes(), &crate_file(name, version, ""))
}

/// Frames any metadata and any crate file as a publish body.
///
/// # Panics
/// If one of them is longer than 4 GiB.
pub fn publish_body_of(metadata: &[u8], crate_file: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("less than 4 GiB").to_le_bytes();
    [&length(metadata)[..], metadata, &length(crate_file)[..], crate_file].concat()
}
