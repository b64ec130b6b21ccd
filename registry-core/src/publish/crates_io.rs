//! What crates.io asks of a crate beyond what a registry must.

use semver::VersionReq;
use spdx::{Expression, ParseMode};

use super::{
    Invalid,
    declared::Declared,
    rules::ValidationRules,
    text::{Texts, check_bytes},
};
use crate::entry::IndexDependency;

/// Checks what the manifest says; limits that all registries have are checked already.
pub(super) fn check(
    texts: &Texts,
    declared: &Declared,
    rules: &ValidationRules,
) -> Result<(), Invalid> {
    check_said(texts)?;
    if let Some(description) = &texts.description {
        check_bytes("description", description, rules.max_description_chars)?;
    }
    texts.license.iter().try_for_each(|license| check_license(license))?;
    texts.keywords.iter().try_for_each(|keyword| check_keyword(keyword))?;
    texts.categories.iter().try_for_each(|category| check_category(category))?;
    declared.dependencies.iter().try_for_each(check_dependency)
}

fn check_said(texts: &Texts) -> Result<(), Invalid> {
    let empty = |value: &Option<String>| value.as_deref().unwrap_or_default().is_empty();
    let mut fields = Vec::new();
    if empty(&texts.description) {
        fields.push("description");
    }
    if empty(&texts.license) && empty(&texts.license_file) {
        fields.push("license");
    }
    if fields.is_empty() { Ok(()) } else { Err(Invalid::Missing { fields }) }
}

/// An empty licence is none, and stands beside a licence file.
fn check_license(license: &str) -> Result<(), Invalid> {
    const MODE: ParseMode = ParseMode {
        // Older than SPDX expressions, and still all over: `MIT/Apache-2.0`.
        allow_slash_as_or_operator: true,
        // `GPL-2.0+`, and identifiers that SPDX has given up since.
        allow_postfix_plus_on_gpl: true,
        allow_deprecated: true,
        // `Apache 2`: whoever reads it has to guess.
        allow_imprecise_license_names: false,
        allow_unknown: false,
    };
    if license.is_empty() || Expression::parse_mode(license, MODE).is_ok() {
        return Ok(());
    }
    refuse("license", license, "expected an SPDX licence expression")
}

fn check_keyword(keyword: &str) -> Result<(), Invalid> {
    let mut chars = keyword.chars();
    let valid = chars.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'));
    if valid {
        return Ok(());
    }
    let expected = "expected an ASCII letter or digit, then letters, digits, `_`, `-` or `+`";
    refuse("keywords", keyword, expected)
}

/// The form of a slug, such as `development-tools::cargo-plugins`.
fn check_category(category: &str) -> Result<(), Invalid> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if category.split("::").all(is_word) {
        return Ok(());
    }
    let expected = "expected lower-case ASCII letters, digits and `-`, levels joined by `::`";
    refuse("categories", category, expected)
}

fn refuse(field: &'static str, value: &str, expected: &'static str) -> Result<(), Invalid> {
    Err(Invalid::Value { field, value: value.into(), expected })
}

fn check_dependency(dependency: &IndexDependency) -> Result<(), Invalid> {
    let reason = if dependency.registry.is_some() {
        "cross-registry dependencies are not permitted"
    } else if dependency.req == VersionReq::STAR {
        "wildcard (`*`) dependency constraints are not allowed"
    } else {
        return Ok(());
    };
    Err(Invalid::Dependency { dependency: dependency.name.clone(), reason: reason.into() })
}
