//! The client's JSON.

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;

use super::{
    Invalid,
    declared::{Declared, Written},
    json::{self, or_default},
    manifest::Manifest,
    rules::ValidationRules,
    text::{Texts, check_bytes, check_text},
};
use crate::{
    echo::Echo,
    entry::{DependencyKind, Features},
    name::CrateName,
    version::parse_version,
};

/// What the client says it publishes.
///
/// Parsed before the crate file is read, so that a publish can be refused for its name, its version
/// or its publisher at the price of the metadata. What ends up in the index is what the packaged
/// manifest says: the metadata must agree with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    name: CrateName,
    version: Version,
    pub(super) declared: Declared,
}

impl Metadata {
    /// Reads and checks the JSON.
    ///
    /// All but `name` and `vers` may be absent or `null`, and keys we do not know are passed over,
    /// as old and new cargos send less or more. Source: Cargo book, "Registry Web API", Publish.
    ///
    /// # Errors
    /// [`Invalid`] if it is not strict JSON, if a value is not of its kind, or if a limit is
    /// passed.
    pub fn parse(json: &[u8], rules: &ValidationRules) -> Result<Self, Invalid> {
        let text = json::check(json).map_err(|error| request(&error))?;
        let read: Json = serde_json::from_str(text).map_err(|error| request(&error))?;
        let name = CrateName::new(&read.name)?;
        let version = parse_version(&read.vers)?;
        if rules.is_reserved(&name.canonical()) {
            return Err(Invalid::ReservedName);
        }
        check_badges(&read.badges, rules)?;
        if let Some(readme) = &read.readme {
            check_bytes("readme", readme, rules.max_readme_bytes)?;
        }
        let texts = Texts {
            authors: read.authors,
            description: read.description,
            documentation: read.documentation,
            homepage: read.homepage,
            repository: read.repository,
            license: read.license,
            license_file: read.license_file,
            readme_file: read.readme_file,
            keywords: read.keywords,
            categories: read.categories,
        };
        texts.check(rules)?;
        let dependencies =
            read.deps.into_iter().map(JsonDependency::into_written).collect::<Result<_, _>>()?;
        let declared =
            Declared::check(dependencies, read.features, read.links, read.rust_version, rules)?;
        Ok(Self { name, version, declared })
    }

    /// The metadata with which cargo would publish a package of this manifest.
    pub(super) fn of_manifest(
        manifest: Manifest,
        rules: &ValidationRules,
    ) -> Result<Self, Invalid> {
        let name = CrateName::new(&manifest.name)?;
        let version = parse_version(&manifest.version)?;
        if rules.is_reserved(&name.canonical()) {
            return Err(Invalid::ReservedName);
        }
        Ok(Self { name, version, declared: manifest.declared })
    }

    /// The crate.
    pub fn name(&self) -> &CrateName {
        &self.name
    }

    /// Its version, with build metadata.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

/// Texts of a parser may hold values from the request.
fn request(error: &dyn std::error::Error) -> Invalid {
    Invalid::Request(Echo(&error.to_string()).to_string())
}

fn check_badges(
    badges: &BTreeMap<String, BTreeMap<String, String>>,
    rules: &ValidationRules,
) -> Result<(), Invalid> {
    for (badge, attributes) in badges {
        check_text("badges", badge, rules)?;
        for (name, value) in attributes {
            check_text("badges", name, rules)?;
            check_text("badges", value, rules)?;
        }
    }
    Ok(())
}

/// The JSON as cargo writes it, name by name. Source: cargo, `crates-io` library, `NewCrate`.
#[derive(Deserialize)]
struct Json {
    name: String,
    vers: String,
    #[serde(default, deserialize_with = "or_default")]
    deps: Vec<JsonDependency>,
    #[serde(default, deserialize_with = "or_default")]
    features: Features,
    #[serde(default, deserialize_with = "or_default")]
    authors: Vec<String>,
    description: Option<String>,
    documentation: Option<String>,
    homepage: Option<String>,
    readme: Option<String>,
    readme_file: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    keywords: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    categories: Vec<String>,
    license: Option<String>,
    license_file: Option<String>,
    repository: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    badges: BTreeMap<String, BTreeMap<String, String>>,
    links: Option<String>,
    rust_version: Option<String>,
}

#[derive(Deserialize)]
struct JsonDependency {
    name: String,
    version_req: String,
    #[serde(default, deserialize_with = "or_default")]
    features: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    optional: bool,
    default_features: Option<bool>,
    target: Option<String>,
    kind: Option<String>,
    registry: Option<String>,
    explicit_name_in_toml: Option<String>,
    artifact: Option<Vec<String>>,
    bindep_target: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    lib: bool,
}

impl JsonDependency {
    fn into_written(self) -> Result<Written, Invalid> {
        let kind = match self.kind.as_deref() {
            None | Some("" | "normal") => DependencyKind::Normal,
            Some("build") => DependencyKind::Build,
            Some("dev") => DependencyKind::Dev,
            Some(kind) => {
                let reason = format!("`{}` is not a kind of dependency", Echo(kind));
                return Err(Invalid::Dependency { dependency: self.name, reason });
            }
        };
        let alias = self.explicit_name_in_toml.filter(|alias| !alias.is_empty());
        let (name, package) = match alias {
            Some(alias) => (alias, Some(self.name)),
            None => (self.name, None),
        };
        Ok(Written {
            name,
            package,
            req: self.version_req,
            features: self.features,
            optional: self.optional,
            default_features: self.default_features,
            target: self.target,
            kind,
            registry: self.registry,
            public: None,
            artifact: self.artifact,
            bindep_target: self.bindep_target.filter(|target| !target.is_empty()),
            lib: self.lib,
        })
    }
}
