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

const PACKAGE: &str = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n";
