//! What a crate says of itself in a file that nobody has validated.

use toml::de::{DeTable, DeValue};

use super::{archive, rules::ValidationRules, text, toml_scan};
use crate::{record::About, store::CrateBody};

/// Reads as much of [`About`] as there is in the manifest below `root`: what cannot be read, or
/// breaks a limit of `rules`, is left out, for the file was published elsewhere, under other rules.
pub(crate) fn read_about(file: &CrateBody, root: &str, rules: &ValidationRules) -> About {
    let manifest = archive::find_manifest(file, root, rules);
    let text = manifest.and_then(|manifest| String::from_utf8(manifest).ok());
    text.and_then(|text| about_in(&text, rules)).unwrap_or_default()
}

fn about_in(manifest: &str, rules: &ValidationRules) -> Option<About> {
    toml_scan::check(manifest, rules.max_manifest_tokens).ok()?;
    let manifest = DeTable::parse(manifest).ok()?.into_inner();
    let table = |name| manifest.get(name).map(toml::Spanned::get_ref);
    // The table's name before Cargo 1.0.
    let Some(DeValue::Table(package)) = table("package").or_else(|| table("project")) else {
        return None;
    };
    let value = |key| package.get(key).map(toml::Spanned::get_ref);
    let string = |key| value(key).and_then(DeValue::as_str).filter(|text| !text.is_empty());
    let url = |key| string(key).filter(|url| text::check_url(key, Some(url), rules).is_ok());
    let keywords = value("keywords").and_then(DeValue::as_array).into_iter().flatten();
    let keywords = keywords.filter_map(|keyword| keyword.get_ref().as_str());
    Some(About {
        description: string("description")
            .filter(|description| text::check_description(description, rules).is_ok())
            .map(Into::into),
        keywords: keywords
            .filter(|keyword| text::check_keyword(keyword, rules).is_ok())
            .take(rules.max_keywords)
            .map(Into::into)
            .collect(),
        homepage: url("homepage").map(Into::into),
        documentation: url("documentation").map(Into::into),
        repository: url("repository").map(Into::into),
    })
}

#[cfg(test)]
mod tests;
