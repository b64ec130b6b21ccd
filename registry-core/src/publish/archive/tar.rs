//! A tar reader that knows one reading of an archive or none.

use std::io::Read;

use super::ArchiveError;
use crate::echo::Echo;

const BLOCK: usize = 512;

/// Reads members one after the other.
pub(super) struct TarReader<R> {
    inner: R,
    max_extension_bytes: u32,
    /// What the member last read still has in the archive.
    data: u64,
    padding: u64,
}

/// One member, with the extension header before it taken in.
#[derive(Debug)]
pub(super) struct Member {
    /// The effective path.
    pub(super) path: Vec<u8>,
    pub(super) kind: MemberType,
    pub(super) size: u64,
    pub(super) mode: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberType {
    File,
    Directory,
    Other(u8),
}

impl Member {
    /// The path as it may be shown in an error.
    pub(super) fn shown_path(&self) -> String {
        Echo(&String::from_utf8_lossy(&self.path)).to_string()
    }
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R, max_extension_bytes: u32) -> Self {
        Self { inner, max_extension_bytes, data: 0, padding: 0 }
    }

    /// The next member; `None` at the two zero blocks that end the archive.
    ///
    /// The data of the member before must have been read or skipped.
    pub(super) fn next_member(&mut self) -> Result<Option<Member>, ArchiveError> {
        let Some(header) = self.header()? else { return Ok(None) };
        match header.kind() {
            b'L' => {
                let path = long_name(self.extension(&header)?)?;
                self.described(|_| Ok(path)).map(Some)
            }
            b'x' => {
                let pax = Pax::parse(&self.extension(&header)?)?;
                self.described(|header| {
                    if pax.size.is_some_and(|size| header.size() != Ok(size)) {
                        return Err(ArchiveError::PaxSize);
                    }
                    Ok(pax.path.unwrap_or_else(|| header.path()))
                })
                .map(Some)
            }
            // A long link name, or what holds for all that follows.
            b'K' | b'g' => Err(ArchiveError::Extension),
            _ => self.member(&header, header.path()).map(Some),
        }
    }

    /// Reads the data of the last member.
    pub(super) fn read_data(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut data = Vec::new();
        let read = self.inner.by_ref().take(self.data).read_to_end(&mut data)?;
        if read as u64 != self.data {
            return Err(ArchiveError::Malformed);
        }
        self.data = 0;
        self.skip_data()?;
        Ok(data)
    }

    /// Passes over what is left of the last member.
    pub(super) fn skip_data(&mut self) -> Result<(), ArchiveError> {
        let mut buffer = [0; 8 * 1024];
        while self.data > 0 {
            let most = usize::try_from(self.data).map_or(buffer.len(), |n| n.min(buffer.len()));
            match self.inner.read(&mut buffer[..most])? {
                0 => return Err(ArchiveError::Malformed),
                count => self.data -= count as u64,
            }
        }
        let padding = &mut buffer[..std::mem::take(&mut self.padding) as usize];
        self.inner.read_exact(padding)?;
        // No reader looks at it: nothing is to be hidden there either.
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Malformed);
        }
        Ok(())
    }

    /// Reads to the end, behind the zero blocks, where only zeros may be.
    pub(super) fn finish(mut self) -> Result<R, ArchiveError> {
        let mut buffer = [0; 8 * 1024];
        loop {
            match self.inner.read(&mut buffer)? {
                0 => return Ok(self.inner),
                count if buffer[..count].iter().any(|byte| *byte != 0) => {
                    return Err(ArchiveError::DataAfterEnd);
                }
                _ => {}
            }
        }
    }

    /// The member that an extension header describes: the very next, and no other extension.
    fn described(
        &mut self,
        path: impl FnOnce(&Header) -> Result<Vec<u8>, ArchiveError>,
    ) -> Result<Member, ArchiveError> {
        let header = self.header()?.ok_or(ArchiveError::Extension)?;
        if matches!(header.kind(), b'L' | b'K' | b'x' | b'g') {
            return Err(ArchiveError::Extension);
        }
        let path = path(&header)?;
        self.member(&header, path)
    }

    fn member(&mut self, header: &Header, path: Vec<u8>) -> Result<Member, ArchiveError> {
        let kind = match header.kind() {
            b'0' | 0 => MemberType::File,
            b'5' => MemberType::Directory,
            other => MemberType::Other(other),
        };
        let (size, mode) = (header.size()?, header.mode()?);
        self.begin(size);
        Ok(Member { path, kind, size, mode })
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, ArchiveError> {
        let size = header.size()?;
        if size > self.max_extension_bytes.into() {
            return Err(ArchiveError::Malformed);
        }
        self.begin(size);
        self.read_data()
    }

    fn begin(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut block = [0; BLOCK];
        self.inner.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            self.inner.read_exact(&mut block)?;
            return if block == [0; BLOCK] { Ok(None) } else { Err(ArchiveError::DataAfterEnd) };
        }
        Header::check(block).map(Some)
    }
}

/// A header block with a good checksum, in the GNU or the POSIX form.
struct Header([u8; BLOCK]);

impl Header {
    fn check(block: [u8; BLOCK]) -> Result<Self, ArchiveError> {
        // The checksum is taken with spaces in its own place.
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte })
            .map(u64::from)
            .sum();
        if octal(&block[148..156])? != sum {
            return Err(ArchiveError::Header);
        }
        let header = Self(block);
        let end_is_free = match &header.0[257..265] {
            b"ustar\x0000" => 500..BLOCK,
            // Some readers take these bytes for a prefix of the path in this form, too.
            b"ustar  \0" => 345..BLOCK,
            _ => return Err(ArchiveError::Header),
        };
        if header.0[end_is_free].iter().any(|byte| *byte != 0) {
            return Err(ArchiveError::Header);
        }
        Ok(header)
    }

    fn kind(&self) -> u8 {
        self.0[156]
    }

    fn size(&self) -> Result<u64, ArchiveError> {
        octal(&self.0[124..136])
    }

    fn mode(&self) -> Result<u32, ArchiveError> {
        u32::try_from(octal(&self.0[100..108])?).map_err(|_| ArchiveError::Header)
    }

    /// The path that stands in the header itself.
    fn path(&self) -> Vec<u8> {
        let (name, prefix) = (until_nul(&self.0[..100]), until_nul(&self.0[345..500]));
        if prefix.is_empty() { name.into() } else { [prefix, b"/", name].concat() }
    }
}

/// A number in plain octal: digits, then only spaces and NULs. Neither base 256 nor a sign, which
/// not all readers know.
fn octal(field: &[u8]) -> Result<u64, ArchiveError> {
    let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let (digits, rest) = field.split_at(digits);
    if digits.is_empty() || rest.iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return Err(ArchiveError::Header);
    }
    // At most twelve digits of three bits.
    Ok(digits.iter().fold(0, |number, digit| number << 3 | u64::from(digit - b'0')))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The content of a GNU long-name record: a path and one NUL, which some writers leave out.
fn long_name(mut content: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
    content.pop_if(|last| *last == 0);
    if content.contains(&0) { Err(ArchiveError::Extension) } else { Ok(content) }
}

/// What a pax header says that matters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Pax {
    /// Reads records `LENGTH KEY=VALUE\n`, the length counting itself. Source: POSIX, pax.
    fn parse(mut records: &[u8]) -> Result<Self, ArchiveError> {
        let mut pax = Self::default();
        let mut seen = Vec::new();
        while !records.is_empty() {
            let (key, value, rest) = pax_record(records).ok_or(ArchiveError::Extension)?;
            if seen.contains(&key) {
                return Err(ArchiveError::Extension);
            }
            seen.push(key);
            match key {
                b"path" if !value.contains(&0) => pax.path = Some(value.into()),
                b"size" => pax.size = Some(decimal(value).ok_or(ArchiveError::Extension)?),
                b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname" => {}
                _ => return Err(ArchiveError::Extension),
            }
            records = rest;
        }
        Ok(pax)
    }
}

fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&records[..space])?).ok()?;
    if length <= space {
        return None;
    }
    let (record, rest) = records.split_at_checked(length)?;
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // No leading zero: that is another base to some.
    (plain && (digits[0] != b'0' || digits.len() == 1))
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}
