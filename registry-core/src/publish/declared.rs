//! What a resolver goes by: dependencies, features, links and the oldest Rust.
//!
//! The metadata and the manifest both say it, each in its own spelling; both are brought into this
//! one form under the same rules, and must then be equal.

use std::borrow::Cow;

use cargo_platform::Platform;
use semver::VersionReq;
use url::{Url, form_urlencoded};

use super::{
    Invalid,
    features::{check_features, is_feature_name},
    rules::ValidationRules,
    text::{check_count, check_text},
};
use crate::{
    auth::Token,
    config::RegistryConfig,
    echo::Echo,
    entry::{DependencyKind, Features, IndexDependency},
    name::{CrateName, check_dependency_alias},
};

/// How a manifest's dependency on crates.io is written down elsewhere, whichever protocol cargo
/// fetches its index by. Source: cargo, `CRATES_IO_INDEX`; measured.
pub(super) const CRATES_IO_INDEX: &str = "https://github.com/rust-lang/crates.io-index";

/// What a resolver goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) dependencies: Vec<IndexDependency>,
    /// Old and new syntax together.
    pub(super) features: Features,
    pub(super) links: Option<String>,
    pub(super) rust_version: Option<String>,
}

/// A dependency as it was written, nothing checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// The name the manifest knows it by.
    pub(super) name: String,
    /// The package's own name, if that is another.
    pub(super) package: Option<String>,
    pub(super) req: String,
    pub(super) features: Vec<String>,
    pub(super) optional: bool,
    pub(super) default_features: Option<bool>,
    pub(super) target: Option<String>,
    pub(super) kind: DependencyKind,
    pub(super) registry: Option<String>,
    pub(super) public: Option<bool>,
    pub(super) artifact: Option<Vec<String>>,
    pub(super) bindep_target: Option<String>,
    pub(super) lib: bool,
}

impl Declared {
    /// Checks everything, and puts it in the form and order of an index line.
    pub(super) fn check(
        dependencies: Vec<Written>,
        features: Features,
        links: Option<String>,
        rust_version: Option<String>,
        rules: &ValidationRules,
    ) -> Result<Self, Invalid> {
        check_count("dependencies", dependencies.len(), rules.max_dependencies)?;
        check_count("features", features.len(), rules.max_features)?;
        let mut dependencies = dependencies
            .into_iter()
            .map(|written| {
                let name = written.name.clone();
                check_dependency(written, rules)
                    .map_err(|reason| Invalid::Dependency { dependency: name, reason })
            })
            .collect::<Result<Vec<_>, _>>()?;
        // Normal ones of a name first: old cargos took `optional` from the first they met. The rest
        // of the order only has to be the same for the same dependencies.
        dependencies.sort_by_cached_key(sort_key);
        check_features(&features, &dependencies, rules)?;
        let links = links.filter(|links| !links.is_empty());
        links.iter().try_for_each(|links| check_text("links", links, rules))?;
        let rust_version = rust_version.filter(|version| !version.is_empty());
        rust_version.iter().try_for_each(|version| check_rust_version(version))?;
        Ok(Self { dependencies, features, links, rust_version })
    }

    /// Writes dependencies on this very registry as the index does: without a registry.
    pub(super) fn with_own_registry(mut self, config: &RegistryConfig) -> Self {
        for dependency in &mut self.dependencies {
            if dependency.registry.as_ref().is_some_and(|url| config.is_own_index(url)) {
                dependency.registry = None;
            }
        }
        // The order goes by the registry, too.
        self.dependencies.sort_by_cached_key(sort_key);
        self
    }

    /// Compares the metadata with the manifest, whose `declared` is the argument.
    pub(super) fn must_equal(&self, manifest: &Self) -> Result<(), Invalid> {
        let differs = |part| Err(Invalid::Mismatch { part });
        // Cargo does not send this one.
        let sent =
            |dependency: &IndexDependency| IndexDependency { public: None, ..dependency.clone() };
        if !self.dependencies.iter().map(sent).eq(manifest.dependencies.iter().map(sent)) {
            return match self.unknown_own_index(manifest) {
                Some(url) => Err(Invalid::UnknownIndex { registry: without_secrets(&url) }),
                None => differs("dependencies"),
            };
        }
        if self.features != manifest.features {
            return differs("features");
        }
        if self.links != manifest.links {
            return differs("links");
        }
        // Cargo before 1.71 does not send it.
        if self.rust_version.is_some() && self.rust_version != manifest.rust_version {
            return differs("rust-version");
        }
        Ok(())
    }

    /// An index URL in the manifest that the client takes for this registry's, and we do not.
    fn unknown_own_index(&self, manifest: &Self) -> Option<String> {
        manifest
            .dependencies
            .iter()
            .filter(|theirs| theirs.registry.as_deref() != Some(CRATES_IO_INDEX))
            .find_map(|theirs| {
                let registry = theirs.registry.as_ref()?;
                let as_own = |ours: &&IndexDependency| {
                    ours.registry.is_none()
                        && (&ours.name, ours.kind, &ours.target)
                            == (&theirs.name, theirs.kind, &theirs.target)
                };
                self.dependencies.iter().find(as_own).map(|_| registry.clone())
            })
    }
}

/// The URL without what may be a secret in it: user and password, a token behind `/t/`, and a query.
/// It goes into an answer and a log.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = behind.split(['?', '#']).next().unwrap_or_default();
    // Perhaps the end of a password in which there is one of those.
    let (host, path) = if behind.contains('@') { ("…", "") } else { (host, path) };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut shown = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
    let segments: Vec<_> = path.split('/').collect();
    for at in 1..segments.len() {
        shown.push('/');
        shown.push_str(if is_token(&segments[..=at]) { "…" } else { segments[at] });
    }
    shown
}

/// Whether the last one of these segments of a path is a token, or stands where one does.
fn is_token(segments: &[&str]) -> bool {
    let mut backwards = segments.iter().rev().map(|segment| decoded(segment));
    let last = backwards.next().unwrap_or_default();
    Token::is_well_formed(&last) || !last.is_empty() && backwards.next().is_some_and(|it| it == "t")
}

/// A segment of a path, for what has none of the characters that are another thing in a query.
fn decoded(segment: &str) -> Cow<'_, str> {
    form_urlencoded::parse(segment.as_bytes()).next().map(|(name, _)| name).unwrap_or_default()
}

fn sort_key(dependency: &IndexDependency) -> impl Ord + use<> {
    (
        dependency.name.clone(),
        dependency.kind,
        dependency.target.clone(),
        dependency.req.to_string(),
        dependency.registry.clone(),
        dependency.package.clone(),
        (dependency.optional, dependency.default_features, dependency.lib),
        dependency.features.clone(),
        (dependency.artifact.clone(), dependency.bindep_target.clone()),
    )
}

fn check_dependency(written: Written, rules: &ValidationRules) -> Result<IndexDependency, String> {
    check_dependency_alias(&written.name).map_err(|error| error.to_string())?;
    let package = written.package.filter(|package| *package != written.name);
    CrateName::new(package.as_deref().unwrap_or(&written.name))
        .map_err(|error| error.to_string())?;
    let req = check_req(&written.req, rules)?;
    check_count_of("features", written.features.len(), rules.max_feature_values)?;
    // An empty one asks for nothing, and cargo passes over it.
    let mut features: Vec<String> =
        written.features.into_iter().filter(|feature| !feature.is_empty()).collect();
    if let Some(feature) = features.iter().find(|feature| !is_feature_name(feature, rules)) {
        return Err(format!("`{}` is not a feature name", Echo(feature)));
    }
    // What it means is a set; two spellings of one set would make two lines.
    features.sort();
    features.dedup();
    if written.optional && written.kind == DependencyKind::Dev {
        return Err("dev-dependencies are not allowed to be optional".into());
    }
    let target = written.target.filter(|target| !target.is_empty());
    let target = target.map(|target| check_target(&target)).transpose()?;
    let registry = written.registry.filter(|registry| !registry.is_empty());
    if let Some(registry) = &registry {
        check_registry(registry, rules)?;
    }
    if let Some(artifacts) = &written.artifact {
        check_count_of("artifacts", artifacts.len(), MAX_ARTIFACTS)?;
        if let Some(artifact) = artifacts.iter().find(|artifact| !is_artifact(artifact, rules)) {
            return Err(format!("`{}` is not an artifact", Echo(artifact)));
        }
    }
    if let Some(target) = &written.bindep_target {
        check_target(target)?;
    }
    Ok(IndexDependency {
        name: written.name,
        req,
        features,
        optional: written.optional,
        default_features: written.default_features.unwrap_or(true),
        target,
        kind: written.kind,
        registry,
        package,
        public: written.public,
        artifact: written.artifact.filter(|artifacts| !artifacts.is_empty()),
        bindep_target: written.bindep_target,
        lib: written.lib,
    })
}

/// Most artifacts of one dependency. Source: ours.
const MAX_ARTIFACTS: usize = 32;

fn check_count_of(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count > max {
        return Err(format!("a maximum number of {max} {what} is allowed, found {count}"));
    }
    Ok(())
}

fn check_req(req: &str, rules: &ValidationRules) -> Result<VersionReq, String> {
    let invalid = || format!("`{}` is not a version requirement", Echo(req));
    if req.len() > rules.max_text_chars {
        return Err(invalid());
    }
    // At most 32 comparators: a limit of the parser's own.
    VersionReq::parse(req).map_err(|_| invalid())
}

/// Most bytes of a target. Not to be configured: the parser calls itself for each bracket in it.
const MAX_TARGET_BYTES: usize = 1024;

fn check_target(target: &str) -> Result<String, String> {
    let invalid = || format!("`{}` is not a target", Echo(target));
    if target.len() > MAX_TARGET_BYTES || target.chars().any(char::is_control) {
        return Err(invalid());
    }
    let parsed: Platform = target.parse().map_err(|_| invalid())?;
    Ok(parsed.to_string())
}

fn check_registry(registry: &str, rules: &ValidationRules) -> Result<(), String> {
    let shown = without_secrets(registry);
    let invalid = |reason| Err(format!("`{}` is not a registry: {reason}", Echo(&shown)));
    if registry.len() > rules.max_url_chars || !registry.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return invalid("expected a URL");
    }
    let bare = registry.strip_prefix("sparse+").unwrap_or(registry);
    if !["http://", "https://", "ssh://"].iter().any(|scheme| bare.starts_with(scheme)) {
        return invalid("expected http://, https:// or ssh://");
    }
    match Url::parse(bare) {
        Err(_) => invalid("expected a URL"),
        Ok(url) if url.password().is_some() => invalid("it holds a password"),
        // With ssh the name is the account that everybody uses, `git`.
        Ok(url) if url.scheme() != "ssh" && !url.username().is_empty() => {
            invalid("it holds a user name")
        }
        Ok(url) if holds_token(&url) => invalid(
            "it holds a token, which all who download the crate would see: name the registry by the \
             URL without `/t/TOKEN`",
        ),
        Ok(_) => Ok(()),
    }
}

/// Whether there is a token in the path. What is behind a `t` is one only if more comes after it: an
/// index of git may be the project of a user called so.
fn holds_token(url: &Url) -> bool {
    let path = url.path().trim_end_matches('/');
    let segments: Vec<_> = path.split('/').collect();
    (1..segments.len()).any(|at| {
        let is_last = at + 1 == segments.len();
        is_token(&segments[..=at]) && (!is_last || Token::is_well_formed(&decoded(segments[at])))
    })
}

fn is_artifact(artifact: &str, rules: &ValidationRules) -> bool {
    matches!(artifact, "bin" | "cdylib" | "staticlib")
        || artifact.strip_prefix("bin:").is_some_and(|name| {
            !name.is_empty()
                && name.len() <= rules.max_text_chars
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        })
}

/// Cargo takes one to three numbers, and an index line with anything else for no version at all.
fn check_rust_version(version: &str) -> Result<(), Invalid> {
    let number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u64>().is_ok_and(|number| number.to_string() == part)
    };
    if version.split('.').count() <= 3 && version.split('.').all(number) {
        return Ok(());
    }
    Err(Invalid::Value {
        field: "rust-version",
        value: version.into(),
        expected: "expected a version like `1.70`",
    })
}
