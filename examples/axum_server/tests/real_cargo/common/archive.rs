use sha2::{Digest, Sha256};

/// A crate file as cargo makes it, made without cargo.
#[derive(Clone)]
pub(crate) struct CrateFile {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) bytes: Vec<u8>,
}

impl CrateFile {
    /// A library without dependencies. `filling` makes it as large as that, uncompressed.
    pub(crate) fn library(name: &str, version: &str, filling: &[u8]) -> Self {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\n\
             [lib]\nname = \"{}\"\npath = \"src/lib.rs\"\n",
            name.replace('-', "_")
        );
        let members: [(&str, &[u8]); 3] =
            [("Cargo.toml", manifest.as_bytes()), ("src/lib.rs", b""), ("filling", filling)];
        let members = members.map(|(path, data)| (format!("{name}-{version}/{path}"), data));
        Self::of(name, version, members.iter().map(|(path, data)| (path.as_str(), *data)))
    }

    /// Any regular files under any paths.
    pub(crate) fn of<'a>(
        name: &str,
        version: &str,
        members: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        let mut tar = tar::Builder::new(gzip);
        for (path, data) in members {
            let mut header = tar::Header::new_gnu();
            // Written as it is: `set_path` would refuse what hostile archives hold.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_153_704_088);
            header.set_cksum();
            tar.append(&header, data).unwrap();
        }
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        Self { name: name.into(), version: version.into(), bytes }
    }

    /// SHA-256, as the index has it.
    pub(crate) fn checksum(&self) -> String {
        checksum(&self.bytes)
    }

    /// The body with which cargo would publish it.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let Self { name, version, .. } = self;
        let metadata = serde_json::json!({
            "name": name, "vers": version, "deps": [], "features": {}, "authors": [],
            "description": null, "documentation": null, "homepage": null, "readme": null,
            "readme_file": null, "keywords": [], "categories": [], "license": null,
            "license_file": null, "repository": null, "badges": {}, "links": null,
            "rust_version": null,
        });
        frame(metadata.to_string().as_bytes(), &self.bytes)
    }

    /// Path of its index file.
    pub(crate) fn index_path(&self) -> String {
        index_path(&self.name)
    }

    /// Path of its download.
    pub(crate) fn download_path(&self) -> String {
        format!("/main/dl/{}/{}/{}", self.name, self.version, self.checksum())
    }
}

pub(crate) fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Path of the index file of a crate.
pub(crate) fn index_path(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    format!("/main/index/{}/{name}", index_folder(&name))
}

/// Where an index keeps the file of a crate. Source: Cargo book, "Registry Index", Index files.
pub(crate) fn index_folder(name: &str) -> String {
    match name.len() {
        1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

/// The body of a publish. Source: Cargo book, "Registry Web API", Publish.
pub(crate) fn frame(metadata: &[u8], file: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u32::try_from(part.len()).unwrap().to_le_bytes();
    [&length(metadata)[..], metadata, &length(file)[..], file].concat()
}

/// Bytes that no compression makes smaller, the same ones each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    // xorshift64, from any seed but zero.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}
