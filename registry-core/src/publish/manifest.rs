//! The packaged `Cargo.toml`.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Invalid,
    declared::{CRATES_IO_INDEX, Declared, Written},
    rules::ValidationRules,
    text::Texts,
    toml_scan,
};
use crate::{
    echo::Echo,
    entry::{DependencyKind, Features},
};

/// What a packaged manifest says.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) declared: Declared,
    pub(super) texts: Texts,
}

impl Manifest {
    /// Reads a manifest as `cargo package` writes it: no part of it may need another file.
    pub(super) fn parse(content: &[u8], rules: &ValidationRules) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(content).map_err(|error| invalid(error.to_string()))?;
        toml_scan::check(text, rules.max_manifest_tokens).map_err(invalid)?;
        let table = DeTable::parse(text).map_err(|error| toml_error(&error, text))?;
        check_self_contained(table.get_ref())?;
        let read = Toml::deserialize(toml::de::Deserializer::from(table))
            .map_err(|error| toml_error(&error, text))?;
        read.check(rules)
    }
}

fn invalid(reason: impl Into<String>) -> Invalid {
    Invalid::Manifest(reason.into())
}

fn toml_error(error: &toml::de::Error, text: &str) -> Invalid {
    let message = Echo(error.message()).to_string();
    let before = error.span().and_then(|span| text.get(..span.start));
    invalid(match before {
        Some(before) => format!("{message} at line {}", before.split('\n').count()),
        None => message,
    })
}

/// Refuses what cargo takes out when it packages: other packages' values, other packages' sources.
fn check_self_contained(manifest: &DeTable<'_>) -> Result<(), Invalid> {
    let tables = |parent: &DeTable<'_>, name: &str| -> Vec<String> {
        let Some(DeValue::Table(table)) = parent.get(name).map(Spanned::get_ref) else {
            return Vec::new();
        };
        let inherits = |value: &DeValue<'_>| matches!(value, DeValue::Table(table) if table.contains_key("workspace"));
        table
            .iter()
            // This one is other tools' to fill as they like.
            .filter(|(key, value)| inherits(value.get_ref()) && key.get_ref() != "metadata")
            .map(|(key, _)| format!("{name}.{}", key.get_ref()))
            .collect()
    };
    let mut inherited = tables(manifest, "package");
    if let Some(DeValue::Table(lints)) = manifest.get("lints").map(Spanned::get_ref)
        && lints.contains_key("workspace")
    {
        inherited.push("lints".into());
    }
    if let Some(key) = inherited.first() {
        return Err(invalid(format!("`{}` is inherited from a workspace", Echo(key))));
    }
    for name in ["patch", "replace"] {
        if manifest.contains_key(name) {
            return Err(invalid(format!("[{name}] has no place in a package")));
        }
    }
    Ok(())
}

/// The tables that matter. What cargo reads under two spellings is read under both here; both at
/// once are refused, as which of them counts differs between versions of cargo.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Toml {
    package: TomlPackage,
    #[serde(default)]
    features: Features,
    #[serde(default)]
    dependencies: TomlTable,
    #[serde(default, alias = "dev_dependencies")]
    dev_dependencies: TomlTable,
    #[serde(default, alias = "build_dependencies")]
    build_dependencies: TomlTable,
    #[serde(default)]
    target: BTreeMap<String, TomlTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TomlTarget {
    #[serde(default)]
    dependencies: TomlTable,
    #[serde(default, alias = "dev_dependencies")]
    dev_dependencies: TomlTable,
    #[serde(default, alias = "build_dependencies")]
    build_dependencies: TomlTable,
}

type TomlTable = BTreeMap<String, TomlDependency>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TomlPackage {
    name: String,
    version: String,
    #[serde(default)]
    authors: Vec<String>,
    description: Option<String>,
    documentation: Option<String>,
    homepage: Option<String>,
    repository: Option<String>,
    readme: Option<TextOrBool>,
    license: Option<String>,
    license_file: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    links: Option<String>,
    rust_version: Option<String>,
}

/// A dependency in the long form; `"1.2"` is `{ version = "1.2" }`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TomlDetails {
    version: Option<String>,
    package: Option<String>,
    registry_index: Option<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    optional: bool,
    #[serde(alias = "default_features")]
    default_features: Option<bool>,
    public: Option<bool>,
    artifact: Option<OneOrMore>,
    target: Option<String>,
    #[serde(default)]
    lib: bool,
    // What a package on a registry cannot have.
    workspace: Option<de::IgnoredAny>,
    path: Option<de::IgnoredAny>,
    base: Option<de::IgnoredAny>,
    git: Option<de::IgnoredAny>,
    registry: Option<de::IgnoredAny>,
}

impl Toml {
    fn check(self, rules: &ValidationRules) -> Result<Manifest, Invalid> {
        let mut dependencies = Vec::new();
        let own = [self.dependencies, self.build_dependencies, self.dev_dependencies];
        collect(own, None, &mut dependencies)?;
        for (target, tables) in self.target {
            let its = [tables.dependencies, tables.build_dependencies, tables.dev_dependencies];
            collect(its, Some(&target), &mut dependencies)?;
        }
        let package = self.package;
        let declared = Declared::check(
            dependencies,
            self.features,
            package.links,
            package.rust_version,
            rules,
        )?;
        let texts = Texts {
            authors: package.authors,
            description: package.description,
            documentation: package.documentation,
            homepage: package.homepage,
            repository: package.repository,
            license: package.license,
            license_file: package.license_file,
            readme_file: match package.readme {
                Some(TextOrBool::Text(path)) => Some(path),
                Some(TextOrBool::Bool(_)) | None => None,
            },
            keywords: package.keywords,
            categories: package.categories,
        };
        texts.check(rules)?;
        Ok(Manifest { name: package.name, version: package.version, declared, texts })
    }
}

fn collect(
    tables: [TomlTable; 3],
    target: Option<&str>,
    into: &mut Vec<Written>,
) -> Result<(), Invalid> {
    let kinds = [DependencyKind::Normal, DependencyKind::Build, DependencyKind::Dev];
    for (table, kind) in tables.into_iter().zip(kinds) {
        for (name, TomlDependency(details)) in table {
            into.push(details.into_written(name, kind, target)?);
        }
    }
    Ok(())
}

impl TomlDetails {
    fn into_written(
        self,
        name: String,
        kind: DependencyKind,
        target: Option<&str>,
    ) -> Result<Written, Invalid> {
        let refuse = |reason: &str| {
            Err(Invalid::Dependency { dependency: name.clone(), reason: reason.into() })
        };
        for (key, reason) in [
            (&self.workspace, "it is inherited from a workspace"),
            (&self.path, "it has a path"),
            (&self.base, "it has a path base"),
            (&self.git, "it has a git repository"),
            // The name means something only where it is configured.
            (&self.registry, "it names a registry, expected `registry-index`"),
        ] {
            if key.is_some() {
                return refuse(reason);
            }
        }
        let Some(req) = self.version else { return refuse("it has no version") };
        Ok(Written {
            name,
            package: self.package,
            req,
            features: self.features,
            optional: self.optional,
            default_features: self.default_features,
            target: target.map(Into::into),
            kind,
            // Nothing stands for crates.io in a manifest, for this registry in the index.
            registry: Some(self.registry_index.unwrap_or_else(|| CRATES_IO_INDEX.into())),
            public: self.public,
            artifact: self.artifact.map(|OneOrMore(artifacts)| artifacts),
            bindep_target: self.target,
            lib: self.lib,
        })
    }
}

struct TomlDependency(TomlDetails);

impl<'de> Deserialize<'de> for TomlDependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TomlDependency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version requirement or a table")
            }

            fn visit_str<E>(self, version: &str) -> Result<TomlDependency, E> {
                let version = Some(version.into());
                Ok(TomlDependency(TomlDetails { version, ..TomlDetails::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<TomlDependency, A::Error> {
                TomlDetails::deserialize(MapAccessDeserializer::new(table)).map(TomlDependency)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `"a"` or `["a", "b"]`.
struct OneOrMore(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![one.into()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, array: A) -> Result<OneOrMore, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(array)).map(OneOrMore)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A path, or whether there is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrBool {
    Text(String),
    #[expect(dead_code, reason = "only its being there counts")]
    Bool(bool),
}
