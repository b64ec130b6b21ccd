//! The part of a URL behind `?`, as the lists and searches of the web API have it.

use std::num::NonZeroUsize;

use percent_encoding::percent_decode;

use crate::respond::{Error, bad_request};

/// Crates on a page, unless the client says. Source: Cargo book, "Web API".
pub(crate) const CRATES_PER_PAGE: usize = 10;

/// Keys and values, both still encoded.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes a value as a form has it: cargo writes a space as `%20`, browsers as `+`.
pub(crate) fn decode(what: &str, value: &str) -> Result<String, Error> {
    let bytes: Vec<u8> = percent_decode(value.replace('+', " ").as_bytes()).collect();
    String::from_utf8(bytes).map_err(|_| bad_request(&format!("the {what} is not UTF-8"), value))
}

/// Which page is wanted, of how many items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    pub(crate) per_page: NonZeroUsize,
    /// Counted from 1.
    pub(crate) page: usize,
}

impl Paging {
    /// Reads `per_page` and `page`. Of a key that is there twice the last counts.
    pub(crate) fn read(query: &str, default_per_page: usize) -> Result<Self, Error> {
        let (mut per_page, mut page) = (default_per_page, 1);
        for (key, value) in pairs(query) {
            match key {
                "per_page" => per_page = number(key, value)?,
                "page" => page = number(key, value)?,
                _ => {}
            }
        }
        let refuse = |detail: &str| Error::BadRequest { detail: detail.into() };
        let per_page =
            NonZeroUsize::new(per_page).ok_or_else(|| refuse("cannot request 0 items"))?;
        // The wording is that of crates.io.
        if page == 0 {
            return Err(refuse("page indexing starts from 1, page 0 is invalid"));
        }
        Ok(Self { per_page, page })
    }

    /// How many items are before the page.
    pub(crate) fn offset(&self) -> usize {
        (self.page - 1).saturating_mul(self.per_page.get())
    }

    /// The same query for another page.
    pub(crate) fn other_page(&self, query: &str, page: usize) -> String {
        let others = query.split('&').filter(|pair| {
            let key = pair.split_once('=').map_or(*pair, |(key, _)| key);
            !key.is_empty() && key != "page"
        });
        let others: String = others.map(|pair| format!("{pair}&")).collect();
        format!("?{others}page={page}")
    }
}

/// A number of any length: beyond what a `usize` holds, it is too large in any case.
fn number(key: &str, value: &str) -> Result<usize, Error> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad_request(&format!("`{key}` is not a number"), value));
    }
    Ok(value.parse().unwrap_or(usize::MAX))
}
