//! The body of a publish request, taken apart as it arrives.

use bytes::Bytes;

use super::rules::ValidationRules;
use crate::{
    checksum::{Checksum, ChecksumHasher},
    store::CrateBody,
};

/// Takes a publish body apart, fed in pieces of any size: `u32` length, metadata as JSON, `u32`
/// length, crate file. Both lengths are little-endian. Source: Cargo book, "Registry Web API",
/// Publish.
///
/// Does no I/O. Memory grows with what has arrived, never with what a length claims: whatever the
/// sizes of the pieces, at most 64 KiB are held beyond the bytes received. Whoever does not want a
/// large file in memory takes what has been collected of it as it comes:
/// [`UploadDecoder::take_collected`].
///
/// ```
/// use registry_core::publish::{UploadDecoder, ValidationRules};
///
/// let body = [b"\x02\0\0\0{}".as_slice(), b"\x03\0\0\0abc"].concat();
/// let mut decoder = UploadDecoder::new(&ValidationRules::private(), Some(body.len() as u64))?;
/// for chunk in body.chunks(5) {
///     decoder.decode(chunk)?;
/// }
/// let upload = decoder.finish()?;
/// assert_eq!(&upload.metadata[..], b"{}");
/// assert_eq!(upload.file.len(), 3);
/// # Ok::<(), registry_core::publish::FrameError>(())
/// ```
#[derive(Debug)]
pub struct UploadDecoder {
    state: State,
    max_metadata_bytes: u32,
    max_crate_bytes: u32,
    /// What the request says of its own length.
    content_length: Option<u64>,
    received: u64,
    metadata: Option<Bytes>,
    segments: Vec<Bytes>,
    hasher: ChecksumHasher,
}

#[derive(Debug)]
enum State {
    MetadataLength(Prefix),
    Metadata { buffer: Vec<u8>, missing: usize },
    FileLength(Prefix),
    File { len: u32, segment: Vec<u8>, missing: usize },
    Refused(FrameError),
}

/// A publish body, taken apart and not yet looked into.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The client's JSON.
    pub metadata: Bytes,
    /// The crate file, but for what was taken of it before.
    pub file: CrateBody,
    /// Checksum of the whole crate file.
    pub checksum: Checksum,
}

/// Most bytes that one piece of the file is kept in, and that a buffer grows by.
///
/// Half of what may be held beyond the received bytes; the list of the pieces needs its share.
const SEGMENT_BYTES: usize = 32 * 1024;

impl UploadDecoder {
    /// A decoder that has seen nothing of a body of `content_length` bytes, if that is known.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] if a body of that length cannot be within the limits.
    pub fn new(rules: &ValidationRules, content_length: Option<u64>) -> Result<Self, FrameError> {
        let max_body_bytes = rules.max_body_bytes();
        if content_length.is_some_and(|length| length > max_body_bytes) {
            return Err(FrameError::TooLarge { limit: rules.max_crate_bytes });
        }
        Ok(Self {
            state: State::MetadataLength(Prefix::default()),
            max_metadata_bytes: rules.max_metadata_bytes,
            max_crate_bytes: rules.max_crate_bytes,
            content_length,
            received: 0,
            metadata: None,
            segments: Vec::new(),
            hasher: ChecksumHasher::new(),
        })
    }

    /// Takes the next bytes of the body in.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the body cannot become a good one, and from then on.
    pub fn decode(&mut self, chunk: &[u8]) -> Result<(), FrameError> {
        let decoded = self.take_apart(chunk);
        if let Err(error) = &decoded {
            self.state = State::Refused(error.clone());
        }
        decoded
    }

    fn take_apart(&mut self, mut chunk: &[u8]) -> Result<(), FrameError> {
        self.received += chunk.len() as u64;
        loop {
            match &mut self.state {
                State::MetadataLength(prefix) => {
                    let Some(length) = prefix.take(&mut chunk) else { return Ok(()) };
                    if length > self.max_metadata_bytes {
                        return Err(FrameError::MetadataTooLarge);
                    }
                    // The prefix of the file has to fit behind it.
                    if self.remaining(chunk).is_some_and(|rest| rest < u64::from(length) + 4) {
                        return Err(FrameError::MetadataLength { claimed: length });
                    }
                    self.state = State::Metadata { buffer: Vec::new(), missing: length as usize };
                }
                State::Metadata { buffer, missing } => {
                    take(&mut chunk, missing, buffer);
                    if *missing > 0 {
                        if chunk.is_empty() {
                            return Ok(());
                        }
                        buffer.reserve_exact(SEGMENT_BYTES.min(*missing));
                        continue;
                    }
                    self.metadata = Some(std::mem::take(buffer).into());
                    self.state = State::FileLength(Prefix::default());
                }
                State::FileLength(prefix) => {
                    let Some(length) = prefix.take(&mut chunk) else { return Ok(()) };
                    if length > self.max_crate_bytes {
                        return Err(FrameError::TooLarge { limit: self.max_crate_bytes });
                    }
                    if let Some(rest) = self.remaining(chunk) {
                        if rest < u64::from(length) {
                            return Err(FrameError::FileLength { claimed: length });
                        }
                        if rest > u64::from(length) {
                            return Err(FrameError::Trailing { bytes: rest - u64::from(length) });
                        }
                    }
                    let missing = length as usize;
                    self.state = State::File { len: length, segment: Vec::new(), missing };
                }
                State::File { segment, missing, .. } => {
                    self.hasher.update(&chunk[..chunk.len().min(*missing)]);
                    while *missing > 0 && !chunk.is_empty() {
                        if segment.len() == segment.capacity() {
                            if !segment.is_empty() {
                                self.segments.push(std::mem::take(segment).into());
                            }
                            segment.reserve_exact(SEGMENT_BYTES.min(*missing));
                        }
                        take(&mut chunk, missing, segment);
                    }
                    return match chunk.len() as u64 {
                        0 => Ok(()),
                        bytes => Err(FrameError::Trailing { bytes }),
                    };
                }
                State::Refused(error) => return Err(error.clone()),
            }
        }
    }

    /// The client's JSON, once all of it has arrived: enough to refuse the request before its crate
    /// file is read.
    pub fn metadata(&self) -> Option<&Bytes> {
        self.metadata.as_ref()
    }

    /// Length of the crate file in bytes, as its prefix says, once that has arrived.
    pub fn file_len(&self) -> Option<u32> {
        match self.state {
            State::File { len, .. } => Some(len),
            _ => None,
        }
    }

    /// How many bytes of the crate file are held in memory.
    pub fn collected(&self) -> usize {
        let State::File { segment, .. } = &self.state else { return 0 };
        self.segments.iter().map(Bytes::len).sum::<usize>() + segment.len()
    }

    /// Takes what is held of the crate file. What comes next goes on where it ends.
    pub fn take_collected(&mut self) -> CrateBody {
        let mut segments = std::mem::take(&mut self.segments);
        if let State::File { segment, .. } = &mut self.state
            && !segment.is_empty()
        {
            segments.push(std::mem::take(segment).into());
        }
        segments.into()
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`FrameError`] if something is missing, or has been refused before.
    pub fn finish(mut self) -> Result<Upload, FrameError> {
        match self.state {
            State::MetadataLength(_) => Err(FrameError::MetadataPrefix),
            State::Metadata { buffer, missing } => {
                Err(FrameError::MetadataLength { claimed: claimed(buffer.len(), missing) })
            }
            State::FileLength(_) => Err(FrameError::FilePrefix),
            State::Refused(error) => Err(error),
            State::File { len, missing: 1.., .. } => Err(FrameError::FileLength { claimed: len }),
            State::File { .. } => Ok(Upload {
                file: self.take_collected(),
                metadata: self.metadata.expect("the metadata stands before the file"),
                checksum: self.hasher.finish(),
            }),
        }
    }

    /// How many bytes of the body are behind what has been taken apart, if its length is known.
    fn remaining(&self, chunk: &[u8]) -> Option<u64> {
        // A client that sends more than it said is found out by what arrives.
        let end = self.content_length?.max(self.received);
        Some(end - (self.received - chunk.len() as u64))
    }
}

/// Moves up to `missing` bytes into the room that `into` has.
fn take(chunk: &mut &[u8], missing: &mut usize, into: &mut Vec<u8>) {
    let count = chunk.len().min(*missing).min(into.capacity() - into.len());
    let (taken, rest) = chunk.split_at(count);
    into.extend_from_slice(taken);
    *missing -= count;
    *chunk = rest;
}

fn claimed(received: usize, missing: usize) -> u32 {
    u32::try_from(received + missing).expect("both are parts of a length of 32 bits")
}

/// A length that may arrive in pieces.
#[derive(Debug, Default)]
struct Prefix {
    bytes: [u8; 4],
    filled: usize,
}

impl Prefix {
    fn take(&mut self, chunk: &mut &[u8]) -> Option<u32> {
        let count = chunk.len().min(4 - self.filled);
        let (taken, rest) = chunk.split_at(count);
        self.bytes[self.filled..self.filled + count].copy_from_slice(taken);
        self.filled += count;
        *chunk = rest;
        (self.filled == 4).then(|| u32::from_le_bytes(self.bytes))
    }
}

/// Why bytes are not a publish body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The body, or the crate file in it, is larger than allowed.
    #[error("max upload size is: {limit}")]
    TooLarge {
        /// [`ValidationRules::max_crate_bytes`].
        limit: u32,
    },
    /// The metadata are larger than [`ValidationRules::max_metadata_bytes`].
    #[error("JSON metadata blob too large")]
    MetadataTooLarge,
    /// The body ends within the length of the metadata.
    #[error("invalid metadata length")]
    MetadataPrefix,
    /// The body ends before the metadata do.
    #[error("invalid metadata length for remaining payload: {claimed}")]
    MetadataLength {
        /// How long the metadata are said to be.
        claimed: u32,
    },
    /// The body ends within the length of the crate file.
    #[error("invalid tarball length")]
    FilePrefix,
    /// The body ends before the crate file does.
    #[error("invalid tarball length for remaining payload: {claimed}")]
    FileLength {
        /// How long the crate file is said to be.
        claimed: u32,
    },
    /// The body goes on behind the crate file.
    #[error("unexpected {bytes} bytes after the crate file")]
    Trailing {
        /// How many more bytes had arrived, or were announced, when this was seen.
        bytes: u64,
    },
}

impl FrameError {
    /// Whether a limit is passed (413), rather than the body malformed (400).
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::MetadataTooLarge)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(max_metadata_bytes: u32, max_crate_bytes: u32) -> ValidationRules {
        ValidationRules { max_metadata_bytes, max_crate_bytes, ..ValidationRules::private() }
    }

    fn decode(
        rules: &ValidationRules,
        length: Option<u64>,
        chunks: &[&[u8]],
    ) -> Result<Upload, FrameError> {
        let mut decoder = UploadDecoder::new(rules, length)?;
        chunks.iter().try_for_each(|chunk| decoder.decode(chunk))?;
        decoder.finish()
    }

    fn text(result: Result<Upload, FrameError>) -> (String, bool) {
        let error = result.unwrap_err();
        (error.to_string(), error.is_too_large())
    }

    #[test]
    fn every_broken_body_is_refused_with_its_text() {
        let rules = rules(4, 3);
        for (body, expected) in [
            (b"".as_slice(), ("invalid metadata length", false)),
            (b"\x02\0\0", ("invalid metadata length", false)),
            (b"\x05\0\0\0{   }\0\0\0\0", ("JSON metadata blob too large", true)),
            (b"\xff\xff\xff\xff123456", ("JSON metadata blob too large", true)),
            (b"\x04\0\0\0{} ", ("invalid metadata length for remaining payload: 4", false)),
            (b"\x02\0\0\0{}\x03\0\0", ("invalid tarball length", false)),
            (b"\x02\0\0\0{}\x04\0\0\0abcd", ("max upload size is: 3", true)),
            (b"\x02\0\0\0{}\xff\xff\xff\xffabcd", ("max upload size is: 3", true)),
            (
                b"\x02\0\0\0{}\x03\0\0\0ab",
                ("invalid tarball length for remaining payload: 3", false),
            ),
            (b"\x02\0\0\0{}\x03\0\0\0abcde", ("unexpected 2 bytes after the crate file", false)),
        ] {
            let expected = (expected.0.to_owned(), expected.1);
            assert_eq!(text(decode(&rules, None, &[body])), expected, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_body_at_its_limits_is_taken_apart() {
        let body = b"\x04\0\0\0{  }\x03\0\0\0abc";
        let upload = decode(&rules(4, 3), Some(body.len() as u64), &[body]).unwrap();
        assert_eq!(upload.metadata, "{  }");
        assert_eq!(upload.file.to_bytes().unwrap(), "abc");
        assert_eq!(upload.checksum, Checksum::of("abc"));
    }

    #[test]
    fn a_body_too_long_is_refused_by_its_announced_length_alone() {
        let rules = rules(4, 3);
        assert!(UploadDecoder::new(&rules, Some(15)).is_ok());
        let error = UploadDecoder::new(&rules, Some(16)).unwrap_err();
        assert_eq!(error, FrameError::TooLarge { limit: 3 });
        assert!(UploadDecoder::new(&ValidationRules::private(), Some(8 + (11 << 20))).is_ok());
        let error = UploadDecoder::new(&ValidationRules::private(), Some(9 + (11 << 20)));
        assert_eq!(error.unwrap_err().to_string(), "max upload size is: 10485760");
    }

    #[test]
    fn a_prefix_that_cannot_be_true_is_refused_before_what_it_announces() {
        let rules = rules(100, 100);
        let refused = |length, chunk: &[u8]| {
            UploadDecoder::new(&rules, Some(length)).unwrap().decode(chunk).unwrap_err()
        };
        assert_eq!(refused(9, b"\x02\0\0\0"), FrameError::MetadataLength { claimed: 2 });
        assert_eq!(refused(12, b"\x02\0\0\0{}\x03\0\0\0"), FrameError::FileLength { claimed: 3 });
        assert_eq!(refused(14, b"\x02\0\0\0{}\x03\0\0\0"), FrameError::Trailing { bytes: 1 });
    }

    #[test]
    fn a_body_once_refused_stays_refused() {
        let mut decoder = UploadDecoder::new(&ValidationRules::private(), None).unwrap();
        let trailing = Err(FrameError::Trailing { bytes: 1 });
        assert_eq!(decoder.decode(b"\x02\0\0\0{}\x03\0\0\0abcd"), trailing);
        assert_eq!(decoder.decode(b""), trailing);
        assert_eq!(decoder.finish().map(drop), trailing);
    }

    #[test]
    fn metadata_can_be_looked_at_as_soon_as_it_is_complete() {
        let mut decoder = UploadDecoder::new(&ValidationRules::private(), None).unwrap();
        decoder.decode(b"\x02\0\0\0{").unwrap();
        assert_eq!(decoder.metadata(), None);
        decoder.decode(b"}").unwrap();
        assert_eq!(decoder.metadata(), Some(&Bytes::from("{}")));
    }

    #[test]
    fn a_file_may_be_taken_as_it_comes() {
        let mut decoder = UploadDecoder::new(&ValidationRules::private(), None).unwrap();
        let mut taken = Vec::new();
        assert_eq!((decoder.file_len(), decoder.collected()), (None, 0));
        assert!(decoder.take_collected().is_empty());
        for (chunk, collected) in
            [(&b"\x02\0\0\0{}\x06\0\0\0"[..], 0), (b"a", 1), (b"bc", 3), (b"", 0), (b"de", 2)]
        {
            decoder.decode(chunk).unwrap();
            assert_eq!((decoder.file_len(), decoder.collected()), (Some(6), collected));
            if collected > 2 {
                taken.push(decoder.take_collected().to_bytes().unwrap());
            }
        }
        let mut early = UploadDecoder::new(&ValidationRules::private(), None).unwrap();
        early.decode(b"\x02\0\0\0{}\x06\0\0\0abc").unwrap();
        early.take_collected();
        assert_eq!(early.finish().map(drop), Err(FrameError::FileLength { claimed: 6 }));
        decoder.decode(b"f").unwrap();
        let upload = decoder.finish().unwrap();
        assert_eq!(taken, ["abc"]);
        assert_eq!(upload.file.to_bytes().unwrap(), "def");
        assert_eq!(upload.checksum, Checksum::of("abcdef"));
    }

    proptest! {
        #[test]
        fn any_split_of_a_body_reads_as_the_whole(
            metadata in proptest::collection::vec(any::<u8>(), 0..20),
            file in proptest::collection::vec(any::<u8>(), 0..60),
            cut in 0_usize..90,
            behind in 0_usize..3,
            splits in proptest::collection::vec(1_usize..20, 0..40),
            known in any::<bool>(),
        ) {
            let length = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
            let mut body =
                [&length(&metadata)[..], &metadata, &length(&file)[..], &file].concat();
            body.extend(std::iter::repeat_n(0, behind));
            body.truncate(cut);
            let mut chunks = Vec::new();
            let mut rest = body.as_slice();
            for split in splits {
                let (chunk, behind) = rest.split_at(split.min(rest.len()));
                chunks.push(chunk);
                rest = behind;
            }
            chunks.push(rest);
            let (rules, announced) = (rules(16, 48), known.then_some(body.len() as u64));
            let whole = decode(&rules, announced, &[&body]);
            let split = decode(&rules, announced, &chunks);
            match (whole, split) {
                (Ok(whole), Ok(split)) => {
                    prop_assert_eq!(&whole.metadata, &metadata);
                    prop_assert_eq!(whole.file.to_bytes().unwrap(), file.clone());
                    prop_assert_eq!(whole.checksum, Checksum::of(&file));
                    prop_assert_eq!(&split.metadata, &metadata);
                    prop_assert_eq!(split.file.to_bytes().unwrap(), file);
                    prop_assert_eq!(split.checksum, whole.checksum);
                }
                // How many bytes too many are seen depends on how many have come.
                (Err(FrameError::Trailing { .. }), Err(FrameError::Trailing { .. })) => {}
                (whole, split) => prop_assert_eq!(whole.unwrap_err(), split.unwrap_err()),
            }
        }
    }
}
