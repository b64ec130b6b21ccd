use std::{collections::BTreeMap, io::Read};

use bytes::Bytes;
use registry_core::{
    Checksum, RegistryConfig, Release, ValidationRules, publish::Metadata, store::CrateBody,
};

/// The package that every archive of the corpus claims to be.
pub(crate) const METADATA: &[u8] = br#"{"name":"foo","vers":"0.1.0"}"#;

/// An archive that is accepted reads the same to another reader, the `tar` crate: plain files and
/// folders, each once, all below the package's own folder.
pub fn archive(data: &[u8]) {
    let mut rules = ValidationRules::private();
    // A fuzzer is not to spend its time on unpacking zeros.
    rules.max_unpacked_bytes = 4 * 1024 * 1024;
    let config = RegistryConfig::new("https://crates.example.com").expect("a plain URL");
    let metadata = Metadata::parse(METADATA, &rules).expect("name and version are all it needs");
    let file = CrateBody::from(Bytes::copy_from_slice(data));
    let checksum = Checksum::of(data);
    let Ok(release) = Release::validate(&metadata, file, checksum, &rules, &config) else { return };
    assert_eq!(release.checksum(), checksum);

    let mut seen = BTreeMap::new();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(data));
    for entry in tar.entries().expect("an accepted archive") {
        let mut entry = entry.expect("an accepted archive");
        let path = entry.path().expect("an accepted path").into_owned();
        let path = path.to_str().expect("an accepted path").trim_end_matches('/').to_owned();
        assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
        assert!(path == "foo-0.1.0" || path.starts_with("foo-0.1.0/"), "{path}");
        let kind = entry.header().entry_type();
        assert!(kind.is_file() || kind.is_dir(), "{kind:?}");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("an accepted member");
        assert_eq!(seen.insert(path.to_lowercase(), content), None, "{path}");
    }
    assert!(seen.contains_key("foo-0.1.0/cargo.toml"));
}
