//! Metadata and manifest, from their text to the release or its refusal.

mod crates_io;
mod manifest;
mod metadata;

use serde_json::{Value, json};

use super::{archive::tests::crate_file, *};
use crate::{Checksum, RegistryConfig};

const OWN: &str = "sparse+http://h/index/";
const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

/// What cargo would send for a package without anything.
fn least() -> Value {
    json!({"name": "a", "vers": "1.0.0", "deps": [], "features": {}})
}

fn with(changes: Value) -> Value {
    let mut metadata = least();
    for (key, value) in changes.as_object().unwrap() {
        metadata[key] = value.clone();
    }
    metadata
}

fn parse_under(metadata: &Value, rules: &ValidationRules) -> Result<(), String> {
    let json = serde_json::to_vec(metadata).unwrap();
    Metadata::parse(&json, rules).map(drop).map_err(|error| error.to_string())
}

fn refused(text: impl Into<String>) -> Result<(), String> {
    Err(text.into())
}

fn release_under(
    metadata: &Value,
    manifest: &str,
    rules: &ValidationRules,
) -> Result<Release, String> {
    let json = serde_json::to_vec(metadata).unwrap();
    let metadata = Metadata::parse(&json, rules).unwrap();
    let config = RegistryConfig::new("http://h").unwrap();
    let root = format!("{}-{}", metadata.name(), metadata.version());
    Release::validate(&metadata, crate_file(&root, manifest), Checksum::of(""), rules, &config)
        .map_err(|error| error.to_string())
}

#[test]
fn what_comes_out_of_a_file_is_limited_as_cargo_limits_it() {
    let rules = ValidationRules::private();
    assert_eq!(
        [rules.max_crate_bytes, rules.max_metadata_bytes, rules.max_manifest_bytes],
        [10_485_760, 1_048_576, 1_048_576]
    );
    assert_eq!((rules.max_extension_bytes, rules.max_readme_bytes), (65_536, 1_048_576));
    // 512 MiB, or 20 times the largest file.
    for (max_crate_bytes, unpacked) in
        [(10 << 20, 536_870_912), (26_843_545, 536_870_912), (64 << 20, 1_342_177_280)]
    {
        let rules = ValidationRules::private().with_max_crate_bytes(max_crate_bytes);
        assert_eq!(rules.max_unpacked_bytes, unpacked, "{max_crate_bytes}");
    }
}

#[test]
fn a_file_without_metadata_is_what_its_manifest_says() {
    let config = RegistryConfig::new("http://h").unwrap();
    let rules = ValidationRules::private();
    let of_file = |root: &str, manifest: &str| {
        Release::of_file(crate_file(root, manifest), &rules, &config)
            .map(|release| release.entry().clone())
            .map_err(|error| error.to_string())
    };
    let manifest =
        format!("{PACKAGE}[dependencies]\nb = {{ version = \"1\", registry-index = \"{OWN}\" }}\n");
    let entry = of_file("a-1.0.0", &manifest).unwrap();
    let file = crate_file("a-1.0.0", &manifest);
    let checksum = Checksum::of(file.to_bytes().unwrap());
    let expected = json!({
        "name": "a", "vers": "1.0.0", "cksum": checksum, "features": {}, "yanked": false,
        "deps": [{
            "name": "b", "req": "^1", "features": [], "optional": false,
            "default_features": true, "kind": "normal",
        }],
    });
    assert_eq!(serde_json::to_value(entry).unwrap(), expected);

    let path = "invalid path found: a-2.0.0/Cargo.toml";
    assert_eq!(of_file("a-2.0.0", PACKAGE), Err(path.into()));
    let reserved = PACKAGE.replace("\"a\"", "\"core\"");
    let error = "cannot upload a crate with a reserved name";
    assert_eq!(of_file("core-1.0.0", &reserved), Err(error.into()));
}

const PACKAGE: &str = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
