//! Crates whose files do not compress.

use std::io::{self, Read, Write};

use registry_core::Checksum;

/// A crate whose file has about `size` bytes, never more.
pub(crate) struct NoisyCrate<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) size: u64,
}

impl NoisyCrate<'_> {
    /// Writes the file; the same bytes each time.
    pub(crate) fn write_file(&self, sink: impl Write) {
        let Self { name, version, size } = self;
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let gzip = flate2::write::GzEncoder::new(sink, flate2::Compression::none());
        let mut tar = tar::Builder::new(gzip);
        // What tar and gzip put around it.
        let around = 4096 + size / 128;
        let noise = size.checked_sub(around).expect("a size of some KiB");
        let mut add = |path: &str, size: u64, content: &mut dyn Read| {
            let mut header = tar::Header::new_gnu();
            header.set_size(size);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{name}-{version}/{path}"), content).unwrap();
        };
        add("Cargo.toml", manifest.len() as u64, &mut manifest.as_bytes());
        add("noise", noise, &mut Noise::new().take(noise));
        tar.into_inner().unwrap().finish().unwrap();
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = Vec::new();
        self.write_file(&mut file);
        file
    }

    pub(crate) fn publish_body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.write_publish_body(&mut body);
        body
    }

    /// Writes the body of its publish without ever holding it in memory.
    pub(crate) fn write_publish_body(&self, mut sink: impl Write) {
        let metadata = format!(r#"{{"name":"{}","vers":"{}"}}"#, self.name, self.version);
        let length = |bytes: u64| u32::try_from(bytes).expect("less than 4 GiB").to_le_bytes();
        sink.write_all(&length(metadata.len() as u64)).unwrap();
        sink.write_all(metadata.as_bytes()).unwrap();
        let mut counter = Counter(0);
        self.write_file(&mut counter);
        sink.write_all(&length(counter.0)).unwrap();
        self.write_file(&mut sink);
    }

    /// How long that body is.
    pub(crate) fn publish_body_len(&self) -> u64 {
        let mut counter = Counter(0);
        self.write_publish_body(&mut counter);
        counter.0
    }

    /// Where a server has the file.
    pub(crate) fn download_path(&self) -> String {
        format!("/main/dl/{}/{}/{}", self.name, self.version, Checksum::of(self.file()))
    }
}

/// Counts what is written to it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes of a xorshift generator: without end, and without a dependency.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for piece in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            piece.copy_from_slice(&self.0.to_le_bytes()[..piece.len()]);
        }
        Ok(buffer.len())
    }
}
