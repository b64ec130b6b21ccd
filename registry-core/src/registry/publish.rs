use std::{
    future::{Future as _, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::SystemTime,
};

use futures_util::future;
use semver::Version;

use super::{
    Registry, WriteError, audit::Asked, budget::Reservation, runtime, uploads::Incoming,
    write::Right,
};
use crate::{
    audit::AuditAction,
    auth::{Action, Caller, Principal},
    index::IndexError,
    limits::RequestKind,
    name::CanonicalName,
    policy::{Rejection, Warning},
    publish::{ArchiveError, FrameError, Invalid, LineError, Metadata, Release, UploadDecoder},
    record::{Change, CrateRecord, ReleaseRecord, ReleaseState},
    store::{BodyPlace, CrateBody, CrateKey, StoreError},
};

impl Registry {
    /// Begins a publish, before its body is read. `content_length` is what the client says of it.
    ///
    /// Waits until there is room for a body of that length, or for the largest one if it is not
    /// known; see [`Uploads`](super::Uploads).
    ///
    /// # Errors
    /// [`PublishError::Write`] if the caller is nobody or the registry read-only,
    /// [`PublishError::Frame`] if the body would be too large, [`PublishError::Busy`] if there was
    /// no room in time.
    pub async fn begin_publish(
        &self,
        caller: Caller,
        content_length: Option<u64>,
    ) -> Result<Publish, PublishError> {
        let answer = self.take_up_publish(caller.clone(), content_length).await;
        self.noted(asked(&caller, None), answer).await
    }

    async fn take_up_publish(
        &self,
        caller: Caller,
        content_length: Option<u64>,
    ) -> Result<Publish, PublishError> {
        self.check_writable()?;
        let principal = caller.principal().map_err(WriteError::from)?.clone();
        let decoder = UploadDecoder::new(&self.parts.rules, content_length)?;
        let bytes = content_length.unwrap_or_else(|| self.parts.rules.max_body_bytes());
        let reservation = self.reserve(bytes).await.ok_or(PublishError::Busy)?;
        let incoming = Incoming::new(&self.parts.uploads, reservation);
        let (registry, about, metadata) = (self.clone(), None, None);
        Ok(Publish {
            registry,
            caller,
            principal,
            decoder,
            incoming,
            about,
            metadata,
            index_alias: None,
            is_over: false,
        })
    }

    /// Waits for room, but not for ever, and not if there are too many who do.
    async fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let mut room = pin!(self.parts.budget.reserve(bytes));
        let mut end = pin!(self.parts.runtime.sleep(self.parts.uploads.patience));
        poll_fn(|cx| match room.as_mut().poll(cx) {
            Poll::Ready(reservation) => Poll::Ready(reservation),
            Poll::Pending => end.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// A publish as it is asked for, of a version if it is known.
fn asked<'a>(caller: &'a Caller, about: Option<&'a (CanonicalName, Version)>) -> Asked<'a> {
    let (name, version) = about.map(|(name, version)| (name, version)).unzip();
    Asked { caller, action: AuditAction::PUBLISH, name, version, logins: &[] }
}

/// Bytes of a body that are taken apart at a time, however large the pieces are that it comes in.
const DECODED_BYTES: usize = 256 * 1024;

/// A publish under way. Dropped before [`Publish::finish`], it leaves no trace.
#[derive(Debug)]
pub struct Publish {
    registry: Registry,
    caller: Caller,
    principal: Principal,
    decoder: UploadDecoder,
    incoming: Incoming,
    /// What the metadata name, once they are there.
    about: Option<(CanonicalName, Version)>,
    /// Once they have passed.
    metadata: Option<Metadata>,
    index_alias: Option<String>,
    /// A `write` has failed, and that was noted.
    is_over: bool,
}

impl Publish {
    /// Says under which further index URL the client knows the registry: a dependency that names it is
    /// a dependency on this registry.
    #[must_use]
    pub fn with_index_alias(self, url: impl Into<String>) -> Self {
        Self { index_alias: Some(url.into()), ..self }
    }

    /// Takes the next bytes of the body.
    ///
    /// Once the metadata is complete, rights and duplicates are checked: whoever may not publish
    /// is told before the crate file is read. A large file goes to the spool meanwhile.
    ///
    /// # Errors
    /// [`PublishError`]: the publish is over, and the rest of the body is not wanted. It is also
    /// over if the future is dropped.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), PublishError> {
        let answer = self.take(chunk).await;
        self.is_over |= answer.is_err();
        self.registry.noted(asked(&self.caller, self.about.as_ref()), answer).await
    }

    /// What the metadata name, once they are there.
    pub fn about(&self) -> Option<(&CanonicalName, &Version)> {
        self.about.as_ref().map(|(name, version)| (name, version))
    }

    async fn take(&mut self, chunk: &[u8]) -> Result<(), PublishError> {
        for piece in chunk.chunks(DECODED_BYTES) {
            self.decoder.decode(piece)?;
            self.check_metadata().await?;
            let runtime = self.registry.parts.runtime.clone();
            self.incoming.take(&mut self.decoder, &*runtime).await?;
        }
        Ok(())
    }

    /// Checks the metadata once they are there, and until they have passed.
    async fn check_metadata(&mut self) -> Result<(), PublishError> {
        if let (None, Some(json)) = (&self.metadata, self.decoder.metadata()) {
            let metadata = Metadata::parse(json, &self.registry.parts.rules)?;
            self.about = Some((metadata.name().canonical(), metadata.version().clone()));
            self.check_rights(&metadata).await?;
            self.metadata = Some(metadata);
        }
        Ok(())
    }

    /// The cheap refusal. What counts is decided again on the record that the commit replaces.
    async fn check_rights(&self, metadata: &Metadata) -> Result<(), WriteError> {
        let name = metadata.name().canonical();
        let action = Action::Publish(&name, metadata.version(), None);
        let loaded = self.registry.load_for(&self.caller, &action, &name).await;
        // Here, where it is done once, and before anything is refused. Whether there is a crate that
        // the caller may not publish, or even not see, is not told by which limit it is.
        let kind = match loaded {
            Ok(None) => RequestKind::PublishNew,
            _ => RequestKind::PublishUpdate,
        };
        self.registry.admit(&self.caller, kind).map_err(WriteError::from)?;
        let stored = loaded?;
        if let Some(stored) = stored {
            stored.record.may_publish(metadata.name(), metadata.version())?;
        }
        Ok(())
    }

    /// Validates the upload, stores the file, and commits its line to the index.
    ///
    /// When this returns, the release is durable and visible to every reader. The file is stored
    /// first and never removed on a failure: without a line nobody sees it, while a line without
    /// its file would break the crate for everybody.
    ///
    /// # Errors
    /// [`PublishError`]. Refusals leave nothing a reader can see; after a failure of the index the
    /// release is there whole or not at all. The same holds if the future is dropped.
    pub async fn finish(mut self) -> Result<Published, PublishError> {
        // A `write` that failed or was dropped has left it undone.
        let checked = self.check_metadata().await;
        let (registry, caller, about, is_over) =
            (self.registry.clone(), self.caller.clone(), self.about.clone(), self.is_over);
        let answer = match checked {
            Ok(()) => self.complete().await,
            Err(error) => Err(error),
        };
        if is_over {
            return answer;
        }
        registry.noted(asked(&caller, about.as_ref()), answer).await
    }

    async fn complete(self) -> Result<Published, PublishError> {
        let Self { registry, caller, principal, decoder, incoming, metadata, index_alias, .. } =
            self;
        let parts = &registry.parts;
        let upload = decoder.finish()?;
        let metadata = metadata.expect("a finished frame has metadata, and they have passed");
        let (file, reservation) = incoming.finish(upload.file, &*parts.runtime).await?;

        let (rules, mut config) = (parts.rules.clone(), parts.config.clone());
        if let Some(url) = index_alias {
            config = config.with_index_alias(url);
        }
        let spooled = file.clone();
        let held = reservation.clone();
        let validate = move || {
            let _held = held;
            Release::validate(&metadata, file, upload.checksum, &rules, &config)
        };
        let release = runtime::run(&*parts.runtime, validate);
        let (release, on_disk) =
            future::join(release, registry.bring_to_disk(spooled, reservation.clone())).await;
        let release = release.ok_or(PublishError::Interrupted)??;
        on_disk?;
        let warnings = registry.review(&release).await?;

        let entry = release.entry();
        let name = entry.name.canonical();
        let stamp = caller.stamp(SystemTime::now().into()).map_err(WriteError::from)?;
        let published = ReleaseRecord {
            line: release.to_line(stamp.at)?,
            size: release.file().len(),
            published_at: stamp.at,
            published_by: stamp.by,
            state: ReleaseState::Published,
        };
        let key = CrateKey {
            name: entry.name.clone(),
            version: entry.version.clone(),
            checksum: release.checksum(),
        };
        let mut files = registry.new_files();
        files.put(key, release.file().clone()).await?;

        let action = Action::Publish(&name, &entry.version, Some(release.checksum()));
        let change = registry
            .transition(Right::Of(&caller, &action), &name, files, |record| {
                let about = release.about().clone();
                let (published, origin) = (published.clone(), caller.origin());
                match record {
                    Some(record) => record.publish(&entry.name, about, published, origin),
                    None => {
                        let owner = principal.user.clone();
                        let name = entry.name.clone();
                        Ok(CrateRecord::first(name, owner, about, published, origin))
                    }
                }
                .map(Some)
            })
            .await?
            .expect("a publish that is not refused is a change");
        drop(reservation);
        Ok(Published { change, warnings })
    }
}

impl Registry {
    /// Brings a spooled file to disk while it is validated: both take long, one the disk and the
    /// other a processor. A store that renames it finds it there.
    async fn bring_to_disk(
        &self,
        file: CrateBody,
        held: Arc<Reservation>,
    ) -> Result<(), PublishError> {
        let BodyPlace::Spool(file) = file.place().clone() else { return Ok(()) };
        let sync = move || {
            let _held = held;
            file.sync()
        };
        let synced = runtime::run(&*self.parts.runtime, sync).await;
        let synced = synced.ok_or(PublishError::Interrupted)?;
        Ok(synced.map_err(|error| StoreError::failed("spool", error))?)
    }

    async fn review(&self, release: &Release) -> Result<Vec<Warning>, PublishError> {
        let mut warnings = release.warnings().to_vec();
        if !self.parts.policies.is_empty() {
            let name = release.entry().name.canonical();
            let stored = self.parts.index.load(&name, None).await?.found();
            for policy in &self.parts.policies {
                let record = stored.as_ref().map(|stored| &stored.record);
                warnings.extend(policy.review(release, record).await?);
            }
        }
        Ok(warnings)
    }
}

/// A release that is in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What happened.
    pub change: Change,
    /// What the publisher should know.
    pub warnings: Vec<Warning>,
}

/// Why a release was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Too much is being uploaded by others; try again.
    #[error("others are uploading too much")]
    Busy,
    /// The body is not a publish body, or too large.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The release breaks a rule.
    #[error(transparent)]
    Invalid(Invalid),
    /// A policy does not want it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The caller may not publish it, or the crate's state does not allow it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The crate store failed, or the spool in front of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The release has no line that an index may hold: a bug, found before it could do harm.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The upload was not written to its end, or its validation did not come to one: a bug, or a
    /// runtime that is shutting down.
    #[error("the publish was interrupted")]
    Interrupted,
}

impl From<Invalid> for PublishError {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            // Not the publisher's doing.
            Invalid::Archive(ArchiveError::Unreadable { kind, reason }) => {
                StoreError::failed("spool", io::Error::new(kind, reason)).into()
            }
            invalid => Self::Invalid(invalid),
        }
    }
}

impl From<IndexError> for PublishError {
    fn from(error: IndexError) -> Self {
        Self::Write(error.into())
    }
}
