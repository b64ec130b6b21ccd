//! Indexes around indexes: each adds one thing, and passes everything on.

mod export;

pub use self::export::{ExportFailed, ExportIndex, Rebuilt};
