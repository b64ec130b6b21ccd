//! Trusted publishing: CI runs that publish without a stored secret.
//!
//! The owners of a crate name the workflow that may publish it, as a [`TrustedPublisher`]. A run of
//! it has an identity token, signed by the CI service, and exchanges it for a token of the registry
//! that counts for half an hour and for publishing versions of those crates alone:
//! [`TrustedPublishing::exchange`]. Source: RFC 3691.

mod exchange;
mod matching;
mod publisher;
mod store;

pub use self::{
    exchange::{ExchangeError, TrustedPublishing},
    matching::Mismatch,
    publisher::{PublisherError, TrustedPublisher},
    store::{TrustedPublisherRecord, TrustedPublisherStore},
};
