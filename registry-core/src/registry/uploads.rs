//! How much of uploads is held at a time, and where.

use std::{io, mem, sync::Arc, time::Duration};

use super::{
    budget::Reservation,
    publish::PublishError,
    runtime::{self, Runtime},
};
use crate::{
    publish::{UploadDecoder, ValidationRules},
    store::{CrateBody, SpoolFolder, SpooledFile, StoreError},
};

/// How much of uploads is held at a time, and where.
///
/// ```
/// use registry_core::{registry::Uploads, store::SpoolFolder};
///
/// # let crates = tempfile::tempdir()?;
/// // In the file system of the crate files: what is spooled there is renamed, not copied.
/// let folder = SpoolFolder::open(crates.path().join(".spool"))?;
/// let uploads = Uploads { folder: Some(folder), ..Uploads::default() };
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploads {
    /// Most bytes of publish bodies that are taken in at a time, those of all uploads together.
    /// Default: 16 of the largest that the [`ValidationRules`] allow, 176 MiB under theirs.
    ///
    /// Each upload counts with its announced length, or with the largest one, from before its first
    /// byte is read until it is over. One that is larger than this has it all for itself.
    pub in_flight_bytes: Option<u64>,
    /// Most uploads at a time, those included that wait for others. Default: 128. One more is refused
    /// at once: each holds a connection, and readers are to have the most of them.
    pub at_a_time: usize,
    /// How long an upload waits for others to end before it is refused. Default: 30 seconds, as
    /// cargo does not repeat a publish by itself.
    pub patience: Duration,
    /// Largest crate file that is collected in memory, in bytes. Default: 1 MiB. What is larger
    /// goes to [`Uploads::folder`] as it comes, about 1 MiB at a time.
    pub memory_bytes: u64,
    /// Where larger files are collected. Default: nowhere; all are collected in memory, which is for
    /// registries that bound their size and number accordingly.
    pub folder: Option<SpoolFolder>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            in_flight_bytes: None,
            at_a_time: 128,
            patience: Duration::from_secs(30),
            memory_bytes: 1 << 20,
            folder: None,
        }
    }
}

impl Uploads {
    /// As many uploads of the largest size are taken in at a time.
    const LARGEST: u64 = 16;

    pub(super) fn in_flight_bytes(&self, rules: &ValidationRules) -> u64 {
        self.in_flight_bytes.unwrap_or_else(|| Self::LARGEST * rules.max_body_bytes())
    }
}

/// Bytes that are written to a spool at a time: a trip to a blocking thread for each.
const WRITE_BYTES: usize = 1 << 20;

/// The crate file of an upload as it comes: in memory, with the decoder, or in a file.
#[derive(Debug)]
pub(super) struct Incoming {
    memory_bytes: u64,
    place: Place,
    /// Shared with work that may outlast the upload.
    reservation: Arc<Reservation>,
}

#[derive(Debug)]
enum Place {
    Memory,
    Folder(SpoolFolder),
    File(SpooledFile),
    /// The file is with a write, which may fail or never tell its end: it is gone then.
    Writing,
}

impl Incoming {
    pub(super) fn new(uploads: &Uploads, reservation: Reservation) -> Self {
        let place = uploads.folder.clone().map_or(Place::Memory, Place::Folder);
        let reservation = Arc::new(reservation);
        Self { memory_bytes: uploads.memory_bytes, place, reservation }
    }

    /// Takes what the decoder has of the file, if it is for the spool and worth a write.
    pub(super) async fn take(
        &mut self,
        decoder: &mut UploadDecoder,
        runtime: &dyn Runtime,
    ) -> Result<(), PublishError> {
        // The prefix says it: a file in two places would have to be brought together.
        let is_large = decoder.file_len().is_some_and(|len| u64::from(len) > self.memory_bytes);
        if matches!(self.place, Place::Memory) || !is_large || decoder.collected() < WRITE_BYTES {
            return Ok(());
        }
        self.write(decoder.take_collected(), runtime).await
    }

    async fn write(&mut self, body: CrateBody, runtime: &dyn Runtime) -> Result<(), PublishError> {
        let place = mem::replace(&mut self.place, Place::Writing);
        let reservation = self.reservation.clone();
        // The file goes with the work: if nobody waits any more, it is removed with its result.
        let write = move || -> io::Result<_> {
            let _reservation = reservation;
            let file = match place {
                Place::Folder(folder) => folder.create()?,
                Place::File(file) => file,
                Place::Memory | Place::Writing => return Ok(None),
            };
            body.write_to(&mut file.file())?;
            Ok(Some(file))
        };
        let written = runtime::run(runtime, write).await.ok_or(PublishError::Interrupted)?;
        let file = written.map_err(|error| StoreError::failed("spool", error))?;
        self.place = Place::File(file.ok_or(PublishError::Interrupted)?);
        Ok(())
    }

    /// The whole file, of which `rest` is what has not been taken.
    pub(super) async fn finish(
        mut self,
        rest: CrateBody,
        runtime: &dyn Runtime,
    ) -> Result<(CrateBody, Arc<Reservation>), PublishError> {
        let is_spooled = match &self.place {
            Place::Memory => false,
            Place::Folder(_) => rest.len() > self.memory_bytes,
            Place::File(_) => true,
            Place::Writing => return Err(PublishError::Interrupted),
        };
        if !is_spooled {
            return Ok((rest, self.reservation));
        }
        self.write(rest, runtime).await?;
        let Place::File(file) = self.place else { return Err(PublishError::Interrupted) };
        let body = CrateBody::spooled(file).map_err(|error| StoreError::failed("spool", error))?;
        Ok((body, self.reservation))
    }
}
