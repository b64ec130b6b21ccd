//! What is published: from the bytes of a request to a [`Release`].
//!
//! Everything here is a pure function of the bytes, the [`ValidationRules`] and the registry's own
//! addresses: no clock, no I/O, no randomness, so that a verdict can be replayed. The order is that
//! of [`UploadDecoder`] → [`Metadata`] → [`Release`].

mod about;
mod archive;
mod crates_io;
mod declared;
mod features;
mod frame;
mod invalid;
mod json;
mod manifest;
mod metadata;
mod release;
mod reserved;
mod rules;
#[cfg(test)]
mod tests;
mod text;
mod toml_scan;

pub(crate) use self::about::read_about;
pub use self::{
    archive::ArchiveError,
    frame::{FrameError, Upload, UploadDecoder},
    invalid::Invalid,
    metadata::Metadata,
    release::{LineError, Release, Warning},
    rules::{Descriptive, ValidationRules},
};
