//! A record as bytes, for storage that keeps one value per crate.
//!
//! Three parts, laid out so that serving an index file takes no work: a header line, the index
//! lines exactly as cargo reads them, and the rest of the record as JSON.
//!
//! ```text
//! {"format":1,"write":7081…,"name":"foo","etag":"\"…\"","index":512,"rest":230}
//! {"name":"foo","vers":"0.1.0",…}
//! {"name":"foo","vers":"0.2.0",…}
//! {"owners":[…],"about":{…},"releases":[{"size":…,"state":"published",…},…]}
//! ```
//!
//! `write` tells one write from every other, so that no two of them make the same bytes: a store may
//! take a checksum of the bytes for their revision, and a writer knows its own again.
//!
//! [`header`] and [`index_file`] read the header line and no other; [`decode`] believes nothing:
//! every length must add up to the last byte, the validator must be that of the lines, and the parts
//! must make a record.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    entry::{IndexLine, IndexLineError},
    index_file::{ETag, IndexFile},
    name::CrateName,
    owner::{Login, Owners},
    record::{About, CrateRecord, RecordError, ReleaseRecord, ReleaseState, Timestamp},
};

/// The layout this module writes, and the only one it reads.
const FORMAT: u32 = 1;

/// Most bytes of the header line with its end; a longest name and longest numbers make some 200.
pub const MAX_HEADER_BYTES: usize = 512;

/// What the header of a stored record says, for storage that can read a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The number of the write, of which no other write of this crate has the same.
    pub write: u64,
    /// The crate's name as first published.
    pub name: CrateName,
    /// The validator of the index lines.
    pub etag: ETag,
    /// Where the index lines lie.
    pub lines: Range<usize>,
    /// Bytes of the whole record.
    pub length: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'a> {
    format: u32,
    write: u64,
    name: CrateName,
    #[serde(borrow)]
    etag: std::borrow::Cow<'a, str>,
    /// Bytes of the index lines.
    index: usize,
    /// Bytes behind them.
    rest: usize,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    owners: Owners,
    about: About,
    releases: Vec<StoredRelease>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRelease {
    size: u64,
    published_at: Timestamp,
    published_by: Login,
    state: ReleaseState,
    /// The line of a release that is not among the index lines.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    line: Option<String>,
}

/// Writes a record. `write` is a number that no other write of this crate has, drawn at random.
pub fn encode(record: &CrateRecord, write: u64) -> Bytes {
    let file = record.index_file();
    let releases = record.releases().iter().map(|release| StoredRelease {
        size: release.size,
        published_at: release.published_at,
        published_by: release.published_by.clone(),
        state: release.state,
        line: (!release.state.is_listed()).then(|| {
            let line = release.line.as_bytes().to_vec();
            String::from_utf8(line).expect("a parsed line is UTF-8")
        }),
    });
    let rest = to_json(&Rest {
        owners: record.owners().clone(),
        about: record.about().clone(),
        releases: releases.collect(),
    });
    let mut bytes = to_json(&HeaderLine {
        format: FORMAT,
        write,
        name: file.name,
        etag: file.etag.as_str().into(),
        index: file.body.len(),
        rest: rest.len(),
    });
    bytes.reserve_exact(1 + file.body.len() + rest.len());
    bytes.push(b'\n');
    bytes.extend_from_slice(&file.body);
    bytes.extend_from_slice(&rest);
    bytes.into()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("string keys only, and no part that fails")
}

/// Reads the header of a stored record, of which `start` has the first [`MAX_HEADER_BYTES`], or all
/// if there are fewer.
///
/// Whether there are as many bytes as it says is for the caller to see.
///
/// # Errors
/// [`CodecError`] if the header is damaged, or its lengths are more than any storage holds.
pub fn header(start: &[u8]) -> Result<RecordHeader, CodecError> {
    let head = &start[..start.len().min(MAX_HEADER_BYTES)];
    let end = head.iter().position(|byte| *byte == b'\n').ok_or(CodecError::NoHeader)?;
    // The format first: a later one may have any other fields.
    let Format { format } = serde_json::from_slice(&head[..end]).map_err(CodecError::Header)?;
    if format != FORMAT {
        return Err(CodecError::Format { format });
    }
    let line: HeaderLine<'_> = serde_json::from_slice(&head[..end]).map_err(CodecError::Header)?;
    let etag = ETag::parse(&line.etag).ok_or(CodecError::ETag)?;
    let (index, rest, found) = (line.index, line.rest, start.len() - end - 1);
    let lengths = (end + 1).checked_add(index).and_then(|end| Some((end, end.checked_add(rest)?)));
    let (end_of_lines, length) = lengths.ok_or(CodecError::Length { index, rest, found })?;
    let (write, name, lines) = (line.write, line.name, end + 1..end_of_lines);
    Ok(RecordHeader { write, name, etag, lines, length })
}

/// The index file of a stored record: a slice of its bytes, with the validator they carry.
///
/// Reads the header and no line, and takes no checksum: for the way of a read. What is damaged
/// behind the header is found by [`decode`].
///
/// # Errors
/// [`CodecError`] if the header is damaged, or the lengths in it do not add up.
pub fn index_file(bytes: Bytes) -> Result<IndexFile, CodecError> {
    split(bytes).map(|(file, _)| file)
}

/// Reads a record back.
///
/// # Errors
/// [`CodecError`] if these are not, from the first byte to the last, what [`encode`] wrote.
pub fn decode(bytes: Bytes) -> Result<CrateRecord, CodecError> {
    let (IndexFile { name, etag, body }, rest) = split(bytes)?;
    if etag != ETag::of(&body) {
        return Err(CodecError::ETag);
    }
    let rest: Rest = serde_json::from_slice(&rest).map_err(CodecError::Rest)?;
    // Whatever the bytes are a part of, such as what was read of a connection, does not stay with the
    // record.
    let mut lines = Bytes::copy_from_slice(&body);
    let mut releases = Vec::with_capacity(rest.releases.len());
    for release in rest.releases {
        let line = match release.line {
            Some(line) if !release.state.is_listed() => line.into(),
            None if release.state.is_listed() => next_line(&mut lines)?,
            _ => return Err(CodecError::Lines),
        };
        releases.push(Arc::new(ReleaseRecord {
            line: IndexLine::parse(line)?,
            size: release.size,
            published_at: release.published_at,
            published_by: release.published_by,
            state: release.state,
        }));
    }
    if !lines.is_empty() {
        return Err(CodecError::Lines);
    }
    Ok(CrateRecord::from_parts(name, rest.owners, rest.about, releases)?)
}

/// The index file, and the bytes behind it.
fn split(bytes: Bytes) -> Result<(IndexFile, Bytes), CodecError> {
    let RecordHeader { name, etag, lines, length, .. } = header(&bytes)?;
    if length != bytes.len() {
        let (index, rest) = (lines.len(), length - lines.end);
        return Err(CodecError::Length { index, rest, found: bytes.len() - lines.start });
    }
    let rest = bytes.slice(lines.end..);
    Ok((IndexFile { name, etag, body: bytes.slice(lines) }, rest))
}

/// Takes one line off the front.
fn next_line(lines: &mut Bytes) -> Result<Bytes, CodecError> {
    let end = lines.iter().position(|byte| *byte == b'\n').ok_or(CodecError::Lines)?;
    let line = lines.split_to(end);
    lines.advance(1);
    Ok(line)
}

/// Why bytes are not a stored record: damaged, or written by something else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The first line has no end.
    #[error("the stored record has no header line")]
    NoHeader,
    /// The first line is not a header.
    #[error("the header of the stored record is not valid")]
    Header(#[source] serde_json::Error),
    /// Written by another version of this library.
    #[error("the stored record has format {format}, this version reads {FORMAT}")]
    Format {
        /// The format it has.
        format: u32,
    },
    /// Something is missing, or something is left over.
    #[error("the stored record has {found} bytes behind its header, not {index} and {rest}")]
    Length {
        /// Bytes of index lines, as the header says.
        index: usize,
        /// Bytes behind those, as the header says.
        rest: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The validator is not that of the index lines.
    #[error("the validator of the stored record is not that of its index lines")]
    ETag,
    /// What follows the index lines is not JSON of the right shape.
    #[error("the part behind the index lines of the stored record is not valid")]
    Rest(#[source] serde_json::Error),
    /// There are more index lines than listed releases, or fewer.
    #[error("the index lines of the stored record are not those of its listed releases")]
    Lines,
    /// A line is not an index line.
    #[error("a line of the stored record is not valid")]
    Line(#[from] IndexLineError),
    /// The parts contradict each other.
    #[error("the parts of the stored record contradict each other")]
    Record(#[from] RecordError),
}

#[cfg(test)]
mod tests;
