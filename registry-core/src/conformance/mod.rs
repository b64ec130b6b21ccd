//! Proving a backend of one's own, and what tests need for it.

pub mod fixture;
