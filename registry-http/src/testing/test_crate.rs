use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use registry_core::conformance::fixture;
use serde::Serialize;
use serde_json::{Value, json};

/// A crate to be put into a [`TestRegistry`](super::TestRegistry): a library without content,
/// dependencies or features, unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct TestCrate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) yanked: bool,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
    files: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Dependency {
    name: String,
    requirement: String,
    optional: bool,
}

impl TestCrate {
    /// A version of a crate.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            yanked: false,
            dependencies: Vec::new(),
            features: BTreeMap::new(),
            files: BTreeMap::from([("src/lib.rs".into(), String::new())]),
        }
    }

    /// What `src/lib.rs` is.
    #[must_use]
    pub fn source(self, rust: &str) -> Self {
        self.file("src/lib.rs", rust)
    }

    /// Adds a file, in place of one that has the same path. Not `Cargo.toml`, which is written from
    /// all the rest.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }

    /// Adds a dependency on a crate of the same registry. Whether it has one is not looked at.
    #[must_use]
    pub fn dependency(mut self, name: &str, requirement: &str) -> Self {
        let (name, requirement) = (name.into(), requirement.into());
        self.dependencies.push(Dependency { name, requirement, optional: false });
        self
    }

    /// The same, but optional.
    #[must_use]
    pub fn optional_dependency(mut self, name: &str, requirement: &str) -> Self {
        let (name, requirement) = (name.into(), requirement.into());
        self.dependencies.push(Dependency { name, requirement, optional: true });
        self
    }

    /// Adds a feature, and what it turns on.
    #[must_use]
    pub fn feature(mut self, name: &str, values: &[&str]) -> Self {
        self.features.insert(name.into(), values.iter().map(|value| (*value).into()).collect());
        self
    }

    /// Yanked, as soon as it is published.
    #[must_use]
    pub fn yanked(mut self) -> Self {
        self.yanked = true;
        self
    }

    /// What cargo would send to a registry of this index URL.
    pub(super) fn publish_body(&self, index_url: &str) -> Bytes {
        let manifest = self.manifest(index_url);
        let manifest = [("Cargo.toml", manifest.as_str())];
        let files = self.files.iter().map(|(path, content)| (path.as_str(), content.as_str()));
        let file =
            fixture::crate_file_of(&self.name, &self.version, manifest.into_iter().chain(files));
        fixture::publish_body_of(self.metadata().to_string().as_bytes(), &file).into()
    }

    fn metadata(&self) -> Value {
        let deps = self.dependencies.iter().map(|Dependency { name, requirement, optional }| {
            json!({
                "name": name, "version_req": requirement, "features": [], "optional": optional,
                "default_features": true, "target": null, "kind": "normal",
            })
        });
        json!({
            "name": self.name, "vers": self.version,
            "deps": deps.collect::<Vec<_>>(), "features": self.features,
        })
    }

    fn manifest(&self, index_url: &str) -> String {
        let mut toml = format!(
            "[package]\nname = {}\nversion = {}\nedition = \"2021\"\n\n[features]\n",
            quoted(&self.name),
            quoted(&self.version),
        );
        for (name, values) in &self.features {
            let _ = writeln!(toml, "{} = {}", quoted(name), quoted(values));
        }
        for Dependency { name, requirement, optional } in &self.dependencies {
            let _ = writeln!(
                toml,
                "\n[dependencies.{}]\nversion = {}\noptional = {optional}\nregistry-index = {}",
                quoted(name),
                quoted(requirement),
                quoted(index_url),
            );
        }
        toml
    }
}

/// Strings and arrays of them are written in TOML as JSON has them.
fn quoted(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings can be written")
}
