use registry_core::{BoxError, CanonicalName, IndexError};

/// Why a write to a database did not succeed, by what is certain afterwards.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing was written: there is no room.
    Full(BoxError),
    /// Nothing was written.
    Failed(BoxError),
    /// It may have been written.
    Unknown(BoxError),
}

impl WriteError {
    /// As a commit to this crate tells of it.
    pub(crate) fn of_commit(self, backend: &'static str, name: CanonicalName) -> IndexError {
        match self {
            Self::Unknown(source) => IndexError::OutcomeUnknown { name, source },
            error => error.of_ready(backend),
        }
    }

    /// As it is told of a write that changes nothing.
    pub(crate) fn of_ready(self, backend: &'static str) -> IndexError {
        match self {
            Self::Full(source) => IndexError::Full { backend, source },
            Self::Failed(source) | Self::Unknown(source) => IndexError::Backend { backend, source },
        }
    }

    pub(crate) fn into_source(self) -> BoxError {
        let (Self::Full(source) | Self::Failed(source) | Self::Unknown(source)) = self;
        source
    }
}
