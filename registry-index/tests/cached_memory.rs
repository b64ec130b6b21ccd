//! What a cache costs in memory, as the allocator counts it.

#![cfg(feature = "cache")]

use std::{alloc::System, time::Duration};

use cap::Cap;
use registry_core::{
    CanonicalName, Index, RecordIndex, RecordStore,
    codec::encode,
    conformance::{record_fixture::first, run},
    index::{IndexError, Revision},
};
use registry_index::layer::CachedIndex;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MAX_BYTES: usize = 2 << 20;
/// For reads under way and what a runtime needs.
const SLACK: usize = 128 << 10;

/// Makes a record for every name that begins with a `p`; all others are absent.
#[derive(Debug)]
struct Endless;

#[async_trait::async_trait]
impl RecordStore for Endless {
    async fn get(
        &self,
        name: &CanonicalName,
    ) -> Result<Option<(bytes::Bytes, Revision)>, IndexError> {
        let there = name.as_str().starts_with('p');
        let record = || encode(&first(name.as_str(), "1.0.0").0, 1);
        Ok(there.then(|| (record(), Revision::from("1"))))
    }

    async fn put(
        &self,
        name: &CanonicalName,
        _: Option<&Revision>,
        _: bytes::Bytes,
    ) -> Result<Revision, IndexError> {
        Err(IndexError::Conflict { name: name.clone() })
    }

    async fn names(
        &self,
        _: Option<&CanonicalName>,
        _: std::num::NonZeroUsize,
    ) -> Result<Vec<CanonicalName>, IndexError> {
        Ok(vec![])
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

// One test alone: the allocator is that of the whole process.
#[test]
fn a_flood_of_names_stays_within_the_bound() {
    run(async {
        // Absent names, short ones and long ones, then crates, then both.
        for kind in ["a", "a_________________________________________________________", "p", "pa"] {
            let before = ALLOCATOR.allocated();
            let index = CachedIndex::new(RecordIndex::new(Endless), MAX_BYTES as u64)
                .with_staleness(Duration::from_secs(3600))
                .with_generation(|| Some(1));
            let held = || ALLOCATOR.allocated().saturating_sub(before);
            let mut most = 0;
            for i in 0..8_000 {
                let letter = if kind == "pa" && i % 2 == 0 { "a" } else { kind };
                let name = CanonicalName::new(&format!("{letter}{i}")).unwrap();
                index.load(&name, None).await.unwrap();
                index.index_file(&name, None).await.unwrap();
                most = most.max(held());
            }
            assert!(most <= MAX_BYTES + SLACK, "{most} bytes for names like {kind}");
            // It is not kept by keeping nothing.
            assert!(most > MAX_BYTES / 2, "{most} bytes for names like {kind}");
            println!("{kind}: {most} of {MAX_BYTES} bytes");
        }
    });
}
