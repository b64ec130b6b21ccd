//! Where a crate file lies: `se/rd/Serde-JSON/1.0.0_build-<checksum>.crate`.
//!
//! To cargo that is `{lowerprefix}/{crate}/{version}-{sha256-checksum}.crate`, so that a `dl`
//! template can lead straight to a bucket, for all versions without build metadata: `+` in a
//! version is written `_`, which no version has, because not every store and tool leaves a `+` in a
//! key alone. Source of the markers: Cargo book, "Registry Index", Index Configuration.
//!
//! The checksum makes the path one of this file alone, on disks that ignore case as well: names
//! that differ only in case are one crate, in one spelling.
//!
//! What is aside lies below `aside/` and the path of its place, as
//! `aside/se/rd/Serde-JSON/1.0.0_build-<checksum>.crate/<seconds>-<nonce>.unnamed`, or `.damaged`:
//! when it was put there, in seconds since 1970, and 16 hexadecimal digits by chance, so that no two
//! entries meet. The time is in the name because a rename leaves that of the file alone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::path::Path;
use registry_core::{
    CrateName,
    store::{AsideReason, CrateKey},
    version::parse_version,
};

const EXTENSION: &str = ".crate";
const CHECKSUM_DIGITS: usize = 64;
const NONCE_DIGITS: usize = 16;

/// What is above all that is aside; no place of a file is below it.
pub(crate) const ASIDE: &str = "aside";

/// The path of a file.
pub fn path_of(key: &CrateKey) -> Path {
    // Parsed rather than made by `Path::from`, which would look for what has to be escaped, and
    // take several times as long: each download has a path made.
    Path::parse(text_of(key)).expect("names, versions and checksums have nothing to escape")
}

/// The file that lies at a path; `None` if no file of ours does.
pub fn key_at(path: &Path) -> Option<CrateKey> {
    key_of(path.as_ref())
}

fn key_of(text: &str) -> Option<CrateKey> {
    let (folder, file) = text.rsplit_once('/')?;
    let name = CrateName::new(folder.rsplit('/').next()?).ok()?;
    let stem = file.strip_suffix(EXTENSION)?;
    let (rest, checksum) = stem.split_at_checked(stem.len().checked_sub(CHECKSUM_DIGITS)?)?;
    let version = parse_version(&rest.strip_suffix('-')?.replace('_', "+")).ok()?;
    let key = CrateKey { name, version, checksum: checksum.parse().ok()? };
    // One file has one path: any other spelling of it is not ours.
    (text_of(&key) == text).then_some(key)
}

/// Below which path the file is while it is aside, once for each time.
pub(crate) fn aside_of(key: &CrateKey) -> Path {
    Path::from(format!("{ASIDE}/{}", text_of(key)))
}

/// What a file is called there.
pub(crate) fn aside_name(since: u64, nonce: u64, reason: AsideReason) -> String {
    format!("{since}-{nonce:016x}.{}", word_of(reason))
}

/// The file that is aside at a path, with the reason, the time and its name there; `None` if no
/// file of ours is.
pub(crate) fn aside_at(path: &Path) -> Option<(CrateKey, AsideReason, SystemTime, &str)> {
    let (folder, name) = path.as_ref().strip_prefix(ASIDE)?.strip_prefix('/')?.rsplit_once('/')?;
    let (stem, word) = name.rsplit_once('.')?;
    let (seconds, nonce) = stem.split_once('-')?;
    let mut reasons = [AsideReason::Unnamed, AsideReason::Damaged].into_iter();
    let reason = reasons.find(|reason| word_of(*reason) == word)?;
    let nonce = (nonce.len() == NONCE_DIGITS).then(|| u64::from_str_radix(nonce, 16).ok())??;
    let seconds = seconds.parse().ok()?;
    let since = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let is_ours = aside_name(seconds, nonce, reason) == name;
    is_ours.then_some((key_of(folder)?, reason, since, name))
}

fn word_of(reason: AsideReason) -> &'static str {
    match reason {
        AsideReason::Unnamed => "unnamed",
        AsideReason::Damaged => "damaged",
    }
}

fn text_of(key: &CrateKey) -> String {
    let version = key.version.to_string().replace('+', "_");
    format!("{}/{}/{version}-{}{EXTENSION}", key.name.lower_prefix(), key.name, key.checksum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHECKSUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn key(name: &str, version: &str) -> CrateKey {
        CrateKey {
            name: CrateName::new(name).unwrap(),
            version: parse_version(version).unwrap(),
            checksum: CHECKSUM.parse().unwrap(),
        }
    }

    #[test]
    fn a_file_lies_beside_those_of_its_crate() {
        for (name, version, path) in [
            ("a", "1.0.0", "1/a/1.0.0"),
            ("ab", "1.0.0-rc.1", "2/ab/1.0.0-rc.1"),
            ("abc", "0.0.0-A-b+c.-d", "3/a/abc/0.0.0-A-b_c.-d"),
            ("Serde-JSON", "1.0.0+build", "se/rd/Serde-JSON/1.0.0_build"),
        ] {
            let (key, path) = (key(name, version), format!("{path}-{CHECKSUM}.crate"));
            assert_eq!(path_of(&key).as_ref(), path);
            assert_eq!(key_at(&Path::parse(path).unwrap()), Some(key));
        }
    }

    #[test]
    fn the_longest_file_name_fits_every_file_system() {
        let path = path_of(&key("a", &format!("1.0.0-{}", "a".repeat(144))));
        assert_eq!(path.filename().unwrap().len(), 221);
    }

    #[test]
    fn what_is_not_at_the_path_of_a_key_is_foreign() {
        for path in [
            "".to_owned(),
            "ready".into(),
            format!("1.0.0-{CHECKSUM}.crate"),
            format!("a/1.0.0-{CHECKSUM}.crate"),
            format!("A/A/1.0.0-{CHECKSUM}.crate"),
            format!("x/1/a/1.0.0-{CHECKSUM}.crate"),
            format!("Se/rd/Serde-json/1.0.0-{CHECKSUM}.crate"),
            format!("1/a/1.0-{CHECKSUM}.crate"),
            format!("1/a/1.0.0+b-{CHECKSUM}.crate"),
            format!("1/a/1.0.0{CHECKSUM}.crate"),
            format!("1/a/{CHECKSUM}.crate"),
            format!("1/a/1.0.0-{CHECKSUM}"),
            format!("1/a/1.0.0-{CHECKSUM}.crate#1"),
            format!("1/a/1.0.0-{}.crate", CHECKSUM.to_uppercase()),
            format!("1/a/1.0.0-{}.crate", "é".repeat(32)),
            format!("1/a/1.0.0-é{}.crate", &CHECKSUM[1..]),
        ] {
            assert_eq!(key_at(&Path::from(path.as_str())), None, "{path:?}");
        }
    }

    #[test]
    fn a_file_that_is_aside_is_told_by_its_path() {
        let key = key("Serde-JSON", "1.0.0+build");
        let seconds = 1_700_000_000;
        for (reason, word) in [(AsideReason::Unnamed, "unnamed"), (AsideReason::Damaged, "damaged")]
        {
            let name = aside_name(seconds, 0xab, reason);
            assert_eq!(name, format!("1700000000-00000000000000ab.{word}"));
            let path = format!("aside/se/rd/Serde-JSON/1.0.0_build-{CHECKSUM}.crate/{name}");
            assert_eq!(aside_of(&key).join(&*name).as_ref(), path);
            let path = Path::parse(path).unwrap();
            let since = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(aside_at(&path), Some((key.clone(), reason, since, &*name)));
            assert_eq!(key_at(&path), None);
        }
    }

    #[test]
    fn what_is_aside_under_another_path_is_foreign() {
        let place = format!("1/a/1.0.0-{CHECKSUM}.crate");
        for path in [
            place.clone(),
            format!("aside/{place}"),
            format!("aside/{place}/README"),
            format!("asides/{place}/1-00000000000000ab.damaged"),
            format!("aside/1/{place}/1-00000000000000ab.damaged"),
            format!("aside/{place}/1-00000000000000ab.lost"),
            format!("aside/{place}/1-00000000000000ab"),
            format!("aside/{place}/1-00000000000000AB.damaged"),
            format!("aside/{place}/1-ab.damaged"),
            format!("aside/{place}/01-00000000000000ab.damaged"),
            format!("aside/{place}/+1-00000000000000ab.damaged"),
            format!("aside/{place}/1-+0000000000000ab.damaged"),
            format!("aside/{place}/{}-00000000000000ab.damaged", u64::MAX),
            format!("aside/{place}/1-00000000000000ab.damaged#1"),
        ] {
            assert_eq!(aside_at(&Path::from(path.as_str())), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_leads_back_to_its_key(
            name in "[A-Za-z][A-Za-z0-9_-]{0,63}",
            numbers in any::<[u64; 3]>(),
            pre in prop::option::of("[A-Za-z-][A-Za-z0-9-]{0,9}(\\.[A-Za-z-][0-9A-Za-z-]{0,9}){0,3}"),
            build in prop::option::of("[0-9A-Za-z-]{1,9}(\\.[0-9A-Za-z-]{1,9}){0,2}"),
            checksum in any::<[u8; 32]>(),
        ) {
            let pre = pre.map(|pre| format!("-{pre}")).unwrap_or_default();
            let build = build.map(|build| format!("+{build}")).unwrap_or_default();
            let [major, minor, patch] = numbers;
            let version = format!("{major}.{minor}.{patch}{pre}{build}");
            prop_assume!(version.len() <= 150);
            let key = CrateKey { checksum: checksum.into(), ..key(&name, &version) };
            prop_assert_eq!(key_at(&path_of(&key)), Some(key));
        }

        #[test]
        fn any_text_is_a_key_or_none(text in ".*") {
            let path = Path::from(text);
            if let Some(key) = key_at(&path) {
                prop_assert_eq!(path_of(&key), path.clone());
            }
            let aside = Path::from(format!("aside/1/a/1.0.0-{CHECKSUM}.crate/{}", path));
            if let Some((key, _, _, name)) = aside_at(&aside) {
                prop_assert_eq!(aside_of(&key).join(name), aside.clone());
            }
        }
    }
}
