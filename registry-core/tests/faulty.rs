//! The faulty wrappers fail where and how they are told to, and are transparent otherwise.

use registry_core::{
    CrateStore, Index, IndexError, StoreError,
    conformance::{
        faulty::{Fault, Faults, FaultyCrateStore, FaultyIndex},
        record_fixture::{checksum, first, version},
        run,
    },
    memory::{MemoryCrateStore, MemoryIndex},
    record::{Change, CrateRecord},
    store::{CrateBody, CrateKey},
};

registry_core::index_conformance!(index, volatile: async || {
    FaultyIndex::new(MemoryIndex::new(), Faults::none())
});
registry_core::crate_store_conformance!(crate_store, volatile: async || {
    FaultyCrateStore::new(MemoryCrateStore::new(), Faults::none())
});
registry_core::crate_upkeep_conformance!(crate_upkeep, volatile: async || {
    FaultyCrateStore::new(MemoryCrateStore::new(), Faults::none())
});

struct Scene {
    memory: MemoryIndex,
    index: FaultyIndex<MemoryIndex>,
    faults: Faults,
    step: (CrateRecord, Change),
}

impl Scene {
    fn new() -> Self {
        let (memory, faults) = (MemoryIndex::new(), Faults::none());
        let index = FaultyIndex::new(memory.clone(), faults.clone());
        Self { memory, index, faults, step: first("foo", "1.0.0") }
    }

    /// A load, then a commit; how the commit ended, if it did, and whether it took effect.
    async fn load_and_commit(&self) -> (Option<Result<(), IndexError>>, bool) {
        let (record, change) = &self.step;
        let name = record.name().canonical();
        let scenario = async {
            self.index.load(&name, None).await?;
            self.index.commit(None, change, record).await.map(drop)
        };
        let outcome = self.faults.run(scenario).await;
        (outcome, self.memory.load(&name, None).await.unwrap().found().is_some())
    }
}

#[test]
fn without_a_fault_calls_are_counted() {
    run(async {
        let scene = Scene::new();
        assert!(matches!(scene.load_and_commit().await, (Some(Ok(())), true)));
        assert_eq!((scene.faults.calls(), scene.faults.struck()), (2, false));
    });
}

#[test]
fn each_fault_is_what_it_says() {
    run(async {
        for fault in Fault::ALL {
            let scene = Scene::new();
            scene.faults.arm(1, fault);
            let (outcome, took_effect) = scene.load_and_commit().await;
            assert!(scene.faults.struck());
            match fault {
                Fault::Before => {
                    assert!(matches!(outcome, Some(Err(IndexError::Backend { .. }))));
                    assert!(!took_effect);
                }
                Fault::After => {
                    assert!(matches!(outcome, Some(Err(IndexError::OutcomeUnknown { .. }))));
                    assert!(took_effect);
                }
                Fault::Hang => assert!(outcome.is_none() && !took_effect),
                Fault::HangAfter => assert!(outcome.is_none() && took_effect),
            }
        }
    });
}

#[test]
fn a_fault_strikes_once_and_at_its_call() {
    run(async {
        let scene = Scene::new();
        scene.faults.arm(0, Fault::Before);
        let (outcome, took_effect) = scene.load_and_commit().await;
        assert!(matches!(outcome, Some(Err(IndexError::Backend { .. }))) && !took_effect);
        assert!(matches!(scene.load_and_commit().await, (Some(Ok(())), true)));
        assert_eq!(scene.faults.calls(), 3);

        let scene = Scene::new();
        scene.faults.arm(2, Fault::Before);
        assert!(matches!(scene.load_and_commit().await, (Some(Ok(())), true)));
        assert!(!scene.faults.struck());
        scene.faults.lift();
        scene.index.ready().await.unwrap();
        assert_eq!(scene.faults.calls(), 1);
    });
}

#[test]
fn calls_of_index_and_store_are_counted_together() {
    run(async {
        let faults = Faults::none();
        let index = FaultyIndex::new(MemoryIndex::new(), faults.clone());
        let store = FaultyCrateStore::new(MemoryCrateStore::new(), faults.clone());
        let key = CrateKey {
            name: first("foo", "1.0.0").0.name().clone(),
            version: version("1.0.0"),
            checksum: checksum("foo", "1.0.0"),
        };
        faults.arm(1, Fault::After);
        index.ready().await.unwrap();
        let put = store.put(&key, CrateBody::default()).await;
        assert!(matches!(put, Err(StoreError::Backend { .. })));
        assert!(store.get(&key, None).await.unwrap().is_some());
        assert_eq!(faults.calls(), 3);
    });
}

#[test]
fn a_hang_in_another_task_is_noticed() {
    run(async {
        let faults = Faults::none();
        let index = FaultyIndex::new(MemoryIndex::new(), faults.clone());
        faults.arm(0, Fault::Hang);
        let scenario = async { tokio::spawn(async move { index.ready().await }).await };
        assert!(faults.run(scenario).await.is_none());
    });
}
