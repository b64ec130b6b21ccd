//! What may stand in the texts of a manifest.

use url::Url;

use super::{Invalid, rules::ValidationRules};

/// What a crate says of itself, from the metadata or from the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) authors: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) documentation: Option<String>,
    pub(super) homepage: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) license: Option<String>,
    pub(super) license_file: Option<String>,
    pub(super) readme_file: Option<String>,
    pub(super) keywords: Vec<String>,
    pub(super) categories: Vec<String>,
}

impl Texts {
    /// Checks every text against its limits.
    pub(super) fn check(&self, rules: &ValidationRules) -> Result<(), Invalid> {
        if let Some(description) = &self.description {
            check_description(description, rules)?;
        }
        for (field, url) in [
            ("documentation", &self.documentation),
            ("homepage", &self.homepage),
            ("repository", &self.repository),
        ] {
            check_url(field, url.as_deref(), rules)?;
        }
        for (field, value) in [
            ("license", &self.license),
            ("license-file", &self.license_file),
            ("readme", &self.readme_file),
        ] {
            value.iter().try_for_each(|value| check_text(field, value, rules))?;
        }
        self.authors.iter().try_for_each(|author| check_text("authors", author, rules))?;
        check_count("keywords", self.keywords.len(), rules.max_keywords)?;
        for keyword in &self.keywords {
            check_keyword(keyword, rules)?;
        }
        check_count("categories", self.categories.len(), rules.max_categories)?;
        self.categories.iter().try_for_each(|category| check_text("categories", category, rules))
    }
}

pub(super) fn check_description(text: &str, rules: &ValidationRules) -> Result<(), Invalid> {
    check_length("description", text, rules.max_description_chars)?;
    check_characters("description", text, &['\n', '\t'])
}

pub(super) fn check_keyword(text: &str, rules: &ValidationRules) -> Result<(), Invalid> {
    check_length("keywords", text, rules.max_keyword_chars)?;
    check_characters("keywords", text, &[])
}

/// Checks that there are at most `max` of something.
pub(super) fn check_count(what: &'static str, count: usize, max: usize) -> Result<(), Invalid> {
    if count > max { Err(Invalid::TooMany { what, count, max }) } else { Ok(()) }
}

/// Checks a text of one line.
pub(super) fn check_text(
    field: &'static str,
    text: &str,
    rules: &ValidationRules,
) -> Result<(), Invalid> {
    check_length(field, text, rules.max_text_chars)?;
    check_characters(field, text, &[])
}

/// Checks that a text has at most `max` bytes.
pub(super) fn check_bytes(field: &'static str, text: &str, max: usize) -> Result<(), Invalid> {
    match text.len() {
        bytes if bytes > max => Err(Invalid::TooManyBytes { field, bytes, max }),
        _ => Ok(()),
    }
}

fn check_length(field: &'static str, text: &str, max: usize) -> Result<(), Invalid> {
    match text.chars().count() {
        chars if chars > max => Err(Invalid::TooLong { field, chars, max }),
        _ => Ok(()),
    }
}

/// Refuses what PostgreSQL cannot hold (U+0000), a terminal obeys (controls) or a reader is
/// deceived by (bidirectional overrides). Source: ours.
fn check_characters(field: &'static str, text: &str, allowed: &[char]) -> Result<(), Invalid> {
    let is_bidi = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match text.chars().find(|c| (c.is_control() || is_bidi(*c)) && !allowed.contains(c)) {
        Some(character) => Err(Invalid::Character { field, character }),
        None => Ok(()),
    }
}

/// An empty URL says nothing and is let pass. Source: crates.io.
pub(super) fn check_url(
    field: &'static str,
    url: Option<&str>,
    rules: &ValidationRules,
) -> Result<(), Invalid> {
    let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(()) };
    check_length(field, url, rules.max_url_chars)?;
    check_characters(field, url, &[])?;
    // As text first: the parser forgives spaces and line ends that other readers do not.
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(Invalid::UrlScheme { field, url: url.into() });
    }
    match Url::parse(url) {
        Ok(_) => Ok(()),
        Err(_) => Err(Invalid::Value { field, value: url.into(), expected: "expected a URL" }),
    }
}
