//! Rules of the house: the [`PublishPolicy`] trait.
//!
//! ```
//! use registry_core::{CrateRecord, policy::*, publish::Release};
//!
//! /// New crates must carry the company's prefix.
//! #[derive(Debug)]
//! struct Prefix(&'static str);
//!
//! #[async_trait::async_trait]
//! impl PublishPolicy for Prefix {
//!     async fn review(
//!         &self, release: &Release, current: Option<&CrateRecord>,
//!     ) -> Result<Vec<Warning>, Rejection> {
//!         if current.is_none() && !release.entry().name.as_str().starts_with(self.0) {
//!             return Err(Rejection::new(format!("new crates must be named `{}*`", self.0)));
//!         }
//!         Ok(vec![])
//!     }
//! }
//! ```

use std::fmt;

use async_trait::async_trait;

pub use crate::publish::Warning;
use crate::{publish::Release, record::CrateRecord};

/// Has a say in what may be published, after validation and before anything is stored.
#[async_trait]
pub trait PublishPolicy: fmt::Debug + Send + Sync + 'static {
    /// Looks at a valid release, beside the crate as it stands (`None`: it would be new).
    ///
    /// # Errors
    /// [`Rejection`] ends the publish; its text is shown to the publisher.
    async fn review(
        &self,
        release: &Release,
        current: Option<&CrateRecord>,
    ) -> Result<Vec<Warning>, Rejection>;
}

/// Why a policy does not let a release in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    detail: String,
}

impl Rejection {
    /// Rejects with a sentence for the publisher.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}
