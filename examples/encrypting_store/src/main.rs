//! Crate files on a disk that must not read them.
//!
//! ```text
//! openssl rand -hex 32 > secret
//! CRATES_SECRET_FILE=secret cargo run -p encrypting_store -- ./crates
//! ```
//!
//! Puts a crate file into the folder `./crates` and reads it back, whole and in part. Keep a copy of
//! the secret: without it nobody can read what was encrypted with it. A registry takes the store as
//! any other: `Registry::builder(config, index, crates)`.

use std::{env, fs};

use bytes::Bytes;
use encrypting_store::{EncryptedCrateStore, Secret};
use registry_core::{
    Checksum, CrateName, CrateStore,
    conformance::fixture::crate_file,
    store::{ByteRange, CrateKey},
    version::parse_version,
};
use registry_storage::ObjectCrateStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).ok_or("say which folder to keep the crate files in")?;
    let secret = env::var_os("CRATES_SECRET_FILE").ok_or("CRATES_SECRET_FILE is not set")?;
    let secret: Secret = fs::read_to_string(secret)?.trim().parse()?;
    let disk = ObjectCrateStore::filesystem(folder)?;
    let crates = EncryptedCrateStore::new(disk.clone(), secret);

    let file = Bytes::from(crate_file("private", "1.0.0", ""));
    let key = CrateKey {
        name: CrateName::new("private")?,
        version: parse_version("1.0.0")?,
        checksum: Checksum::of(&file),
    };
    crates.put(&key, file.clone().into()).await?;

    let whole = crates.get(&key, None).await?.ok_or("it is gone")?.bytes().await?;
    let end = crates.get(&key, Some(ByteRange::Last(8))).await?.ok_or("it is gone")?;
    let on_disk = disk.get(&key, None).await?.ok_or("it is gone")?.bytes().await?;
    println!("{key}");
    println!("read back: {}", whole == file);
    println!("its end: {}", end.bytes().await? == file[file.len() - 8..]);
    println!("on disk: {} bytes more, readable: {}", on_disk.len() - file.len(), on_disk == file);
    Ok(())
}
