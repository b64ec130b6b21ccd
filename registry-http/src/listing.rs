//! Lists of packages: `GET /api/v1/crates` without a search text, and the versions of a crate.
//!
//! The fields are those of crates.io, as far as a registry knows them; `status` is ours.

use std::num::NonZeroUsize;

use http::Response;
use registry_core::{
    Checksum, CrateName, CrateRecord, Login, Registry,
    auth::Caller,
    listing::{CrateListing, CrateSort, Listed, ReleaseListing, ReleaseSort},
    record::{ReleaseRecord, ReleaseState, Timestamp},
    search::{SearchQuery, SearchQueryError},
};
use semver::Version;
use serde::Serialize;

use crate::{
    body::Body,
    query::{self, Paging},
    respond::{self, Error, bad_request},
};

/// Versions on a page, unless the client says. Source: ours; the most there are on one.
const VERSIONS_PER_PAGE: usize = SearchQuery::MAX_LIMIT;

const CRATE_SORTS: [(&str, CrateSort); 2] =
    [("alphabetical", CrateSort::Name), ("new", CrateSort::New)];

const VERSION_SORTS: [(&str, ReleaseSort); 2] =
    [("semver", ReleaseSort::Version), ("date", ReleaseSort::New)];

pub(crate) async fn crates(
    registry: &Registry,
    caller: &Caller,
    query: &str,
) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Page {
        crates: Vec<Crate>,
        meta: Meta,
    }

    let (mut prefix, mut state, mut sort) = (String::new(), None, CrateSort::default());
    for (key, value) in query::pairs(query) {
        match key {
            "prefix" => prefix = query::decode("prefix", value)?,
            "status" => state = Some(status(value)?),
            "sort" => sort = choice(key, value, &CRATE_SORTS)?,
            _ => {}
        }
    }
    let paging = Paging::read(query, query::CRATES_PER_PAGE)?;
    let (offset, limit) = (paging.offset(), limit(&paging)?);
    let listing = CrateListing { prefix, state, sort, offset, limit };
    let Listed { page: crates, total } = registry.crates(caller, &listing, Crate::of).await?;
    Ok(respond::json(&Page { crates, meta: Meta::of(&paging, query, total) }))
}

pub(crate) async fn versions(
    registry: &Registry,
    caller: &Caller,
    name: &CrateName,
    query: &str,
) -> Result<Response<Body>, Error> {
    #[derive(Serialize)]
    struct Page<'a> {
        versions: Vec<CrateVersion<'a>>,
        meta: Meta,
    }

    let (mut state, mut sort) = (None, ReleaseSort::default());
    for (key, value) in query::pairs(query) {
        match key {
            "status" => state = Some(status(value)?),
            "sort" => sort = choice(key, value, &VERSION_SORTS)?,
            _ => {}
        }
    }
    let paging = Paging::read(query, VERSIONS_PER_PAGE)?;
    let listing = ReleaseListing { state, sort, offset: paging.offset(), limit: limit(&paging)? };
    let listed = registry.releases(caller, &name.canonical(), &listing).await?;
    let versions = listed.page.iter().map(|release| CrateVersion::of(release)).collect();
    Ok(respond::json(&Page { versions, meta: Meta::of(&paging, query, listed.total) }))
}

fn limit(paging: &Paging) -> Result<NonZeroUsize, SearchQueryError> {
    match paging.per_page.get() {
        0..=SearchQuery::MAX_LIMIT => Ok(paging.per_page),
        _ => Err(SearchQueryError::Limit),
    }
}

fn status(value: &str) -> Result<ReleaseState, Error> {
    choice("status", value, &ReleaseState::ALL.map(|state| (state.as_str(), state)))
}

/// One of the texts that a key allows.
fn choice<T: Copy>(key: &str, value: &str, allowed: &[(&str, T)]) -> Result<T, Error> {
    let found = allowed.iter().find(|(text, _)| *text == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let texts: Vec<_> = allowed.iter().map(|(text, _)| format!("`{text}`")).collect();
        bad_request(&format!("`{key}` must be one of {}", texts.join(", ")), value)
    })
}

#[derive(Serialize)]
struct Meta {
    total: usize,
    next_page: Option<String>,
    prev_page: Option<String>,
}

impl Meta {
    fn of(paging: &Paging, query: &str, total: usize) -> Self {
        let is_last = paging.offset().saturating_add(paging.per_page.get()) >= total;
        Self {
            total,
            next_page: (!is_last).then(|| paging.other_page(query, paging.page + 1)),
            prev_page: (paging.page > 1).then(|| paging.other_page(query, paging.page - 1)),
        }
    }
}

#[derive(Serialize)]
struct Crate {
    id: CrateName,
    name: CrateName,
    created_at: Option<String>,
    updated_at: Option<String>,
    max_version: Version,
    /// How many versions the index shows.
    num_versions: usize,
    /// Whether there is no version left that is not yanked.
    yanked: bool,
    description: Option<String>,
    keywords: Vec<String>,
    homepage: Option<String>,
    documentation: Option<String>,
    repository: Option<String>,
}

impl Crate {
    fn of(record: &CrateRecord) -> Self {
        let (about, max_version) = (record.about().clone(), record.max_version());
        Self {
            id: record.name().clone(),
            name: record.name().clone(),
            created_at: record.first_published_at().and_then(Timestamp::to_rfc3339),
            updated_at: record.last_published_at().and_then(Timestamp::to_rfc3339),
            yanked: max_version.is_none(),
            // What crates.io shows if there is none.
            max_version: max_version.cloned().unwrap_or(Version::new(0, 0, 0)),
            num_versions: record.releases().iter().filter(|r| r.state.is_listed()).count(),
            description: about.description,
            keywords: about.keywords,
            homepage: about.homepage,
            documentation: about.documentation,
            repository: about.repository,
        }
    }
}

#[derive(Serialize)]
struct CrateVersion<'a> {
    #[serde(rename = "crate")]
    name: &'a str,
    num: &'a Version,
    created_at: Option<String>,
    yanked: bool,
    status: ReleaseState,
    checksum: Checksum,
    crate_size: u64,
    published_by: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    login: &'a Login,
}

impl<'a> CrateVersion<'a> {
    fn of(release: &'a ReleaseRecord) -> Self {
        Self {
            name: release.line.name(),
            num: release.version(),
            created_at: release.published_at.to_rfc3339(),
            yanked: release.line.yanked(),
            status: release.state,
            checksum: release.line.checksum(),
            crate_size: release.size,
            published_by: User { login: &release.published_by },
        }
    }
}
