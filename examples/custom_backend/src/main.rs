//! A registry on an index of one's own, which `lib.rs` has in under 100 lines.
//!
//! Run it with `cargo run -p custom_backend -- FOLDER`. It publishes one more version of a crate
//! each time, and prints the index file as cargo reads it. The crate files are in memory, and gone
//! with the program: a registry for use keeps them as long as its index.

use custom_backend::FolderStore;
use registry_core::{
    CrateName, Login, Owner, RecordIndex, Registry, RegistryConfig,
    auth::{Caller, Principal},
    conformance::fixture::publish_body,
    index::Lookup,
    memory::MemoryCrateStore,
    registry::ReadError,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("say which folder to keep the index in")?;
    let index = RecordIndex::new(FolderStore::open(folder)?);
    let config = RegistryConfig::new("http://registry.invalid")?;
    let registry = Registry::builder(config, index, MemoryCrateStore::new()).build();

    let name = CrateName::new("counter")?;
    let alice = Owner { id: 1, login: Login::new("alice")?, name: None };
    let alice = Caller::from(Principal::from(alice));
    let published = match registry.record(&alice, &name.canonical()).await {
        Ok(record) => record.releases().len(),
        Err(ReadError::UnknownCrate { .. }) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut publish = registry.begin_publish(alice.clone(), None).await?;
    publish.write(&publish_body("counter", &format!("{}.0.0", published + 1))).await?;
    publish.finish().await?;

    if let Lookup::Found(file) = registry.index_file(&alice, &name, None).await? {
        print!("{}", String::from_utf8_lossy(&file.body));
    }
    Ok(())
}
