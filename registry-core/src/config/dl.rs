//! Where clients are told that crate files are.

use std::{fmt, str::FromStr};

/// What cargo replaces in a template. Source: Cargo book, "Registry Index", Index Configuration.
const MARKERS: [&str; 5] =
    ["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"];

/// A URL by which clients find every crate file, as `dl` of `config.json` has it.
///
/// An absolute `http` or `https` URL. May contain `{crate}`, `{version}`, `{prefix}`,
/// `{lowerprefix}` and `{sha256-checksum}`, and then has as many of them as it takes to tell files
/// apart; without any of them, cargo appends `/{crate}/{version}/download`. Slashes at the end are
/// dropped then.
///
/// ```
/// use registry_core::config::DlTemplate;
///
/// // Straight into a bucket of registry-storage, past the registry.
/// let bucket = "https://cdn.example.com/{lowerprefix}/{crate}/{version}-{sha256-checksum}.crate";
/// assert_eq!(bucket.parse::<DlTemplate>()?.as_str(), bucket);
/// assert!("https://cdn.example.com/{name}".parse::<DlTemplate>().is_err());
/// # Ok::<(), registry_core::config::DlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlTemplate(Box<str>);

impl DlTemplate {
    /// As clients are told it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DlTemplate {
    type Err = DlError;

    fn from_str(text: &str) -> Result<Self, DlError> {
        match checked(text) {
            Ok(dl) => Ok(Self(dl.into())),
            Err(reason) => Err(DlError { dl: text.into(), reason: reason.into() }),
        }
    }
}

fn checked(dl: &str) -> Result<&str, String> {
    let refuse = |reason: &str| Err(reason.to_owned());
    let Some((_, rest)) =
        dl.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
    else {
        return refuse("it must begin with http:// or https://");
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() {
        return refuse("it names no host");
    }
    if authority.contains('@') {
        return refuse("it must not contain a user name or password");
    }
    if authority.contains(['{', '}']) {
        return refuse("its host must be the same for all crates");
    }
    if !dl.bytes().all(|b| b.is_ascii_graphic()) || dl.contains(['#', '"', '\\']) {
        return refuse("it must be a plain URL without spaces, fragment or quotes");
    }
    let markers = markers(rest).map_err(|unknown| {
        let [first, second, third, fourth, last] = MARKERS;
        format!(
            "`{unknown}` is no marker: there are {first}, {second}, {third}, {fourth} and {last}"
        )
    })?;
    let has = |marker| markers.contains(&marker);
    if markers.is_empty() {
        if dl.contains('?') {
            return refuse("without a marker, cargo appends a path, which a query is not");
        }
        // Cargo would append a second slash, and mean another path.
        return Ok(dl.trim_end_matches('/'));
    }
    let tells_apart = has("{sha256-checksum}") || has("{crate}") && has("{version}");
    if !tells_apart {
        return refuse(
            "it leads to one file for all: it needs {sha256-checksum}, or {crate} and {version}",
        );
    }
    Ok(dl)
}

/// What is in braces; fails with what is no marker.
fn markers(text: &str) -> Result<Vec<&str>, &str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        rest = &rest[start..];
        let Some(marker) = MARKERS.into_iter().find(|marker| rest.starts_with(marker)) else {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            return Err(&rest[..end]);
        };
        found.push(marker);
        rest = &rest[marker.len()..];
    }
    Ok(found)
}

/// A text is no place where clients could find crate files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{dl}` cannot be where crate files are: {reason}")]
pub struct DlError {
    dl: Box<str>,
    reason: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_every_file_is_taken_as_it_is() {
        for dl in [
            "https://cdn/crates",
            "http://[::1]:80/a%20b",
            "https://cdn/{crate}/{version}/",
            "https://cdn/{sha256-checksum}",
            "https://cdn/{prefix}/{crate}-{version}.crate",
            "https://cdn/{lowerprefix}/{crate}/{version}-{sha256-checksum}.crate",
            "https://cdn/get?crate={crate}&version={version}",
        ] {
            assert_eq!(dl.parse::<DlTemplate>().unwrap().as_str(), dl);
        }
    }

    #[test]
    fn a_place_without_markers_ends_as_cargo_goes_on() {
        for dl in ["https://cdn/crates/", "https://cdn/crates//"] {
            assert_eq!(dl.parse::<DlTemplate>().unwrap().as_str(), "https://cdn/crates");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        const MARKERS: &str =
            "there are {crate}, {version}, {prefix}, {lowerprefix} and {sha256-checksum}";
        const ONE: &str =
            "it leads to one file for all: it needs {sha256-checksum}, or {crate} and {version}";
        const PLAIN: &str = "it must be a plain URL without spaces, fragment or quotes";
        for (dl, reason) in [
            ("", "it must begin with http:// or https://"),
            ("cdn/{crate}/{version}", "it must begin with http:// or https://"),
            ("file:///crates", "it must begin with http:// or https://"),
            ("https:///{crate}/{version}", "it names no host"),
            ("https://u:p@cdn/{crate}/{version}", "it must not contain a user name or password"),
            ("https://{crate}.cdn/{version}", "its host must be the same for all crates"),
            ("https://cdn/{crate} {version}", PLAIN),
            ("https://cdn/#{crate}{version}", PLAIN),
            (
                "https://cdn/crates?x",
                "without a marker, cargo appends a path, which a query is not",
            ),
            ("https://cdn/{crate}", ONE),
            ("https://cdn/{prefix}/{version}", ONE),
            ("https://cdn/{crate}/{Version}", &format!("`{{Version}}` is no marker: {MARKERS}")),
            ("https://cdn/{checksum}", &format!("`{{checksum}}` is no marker: {MARKERS}")),
            ("https://cdn/{}", &format!("`{{}}` is no marker: {MARKERS}")),
            ("https://cdn/{crate", &format!("`{{crate` is no marker: {MARKERS}")),
            ("https://cdn/crate}", &format!("`}}` is no marker: {MARKERS}")),
            ("https://cdn/{{crate}}", &format!("`{{{{crate}}` is no marker: {MARKERS}")),
        ] {
            let error = dl.parse::<DlTemplate>().unwrap_err().to_string();
            assert_eq!(error, format!("`{dl}` cannot be where crate files are: {reason}"));
        }
    }
}
