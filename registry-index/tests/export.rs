//! The tree of files that an index is exported to.
#![cfg(feature = "object-store")]

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::{
    FutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt as _},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, memory::InMemory, path::Path,
};
use registry_core::{
    CrateRecord, Index, RegistryConfig,
    conformance::record_fixture::{canonical, first, publish, set_yanked},
    index::{Lookup, Stored},
    memory::{MemoryCrateStore, MemoryIndex},
    record::Transition,
};
use registry_index::layer::{ExportError, ExportIndex, Rebuilt};
use tokio::sync::oneshot;

const CONFIG: &str = concat!(
    r#"{"dl":"https://crates.example.com/dl/{crate}/{version}/{sha256-checksum}","#,
    r#""api":"https://crates.example.com"}"#,
);

fn exported<I>(inner: I, tree: Arc<dyn ObjectStore>) -> ExportIndex<I> {
    let failed = |failed: &ExportError| panic!("{failed}: {}", failed.source);
    ExportIndex::new(inner, tree, &config(), failed)
}

fn config() -> RegistryConfig {
    RegistryConfig::new("https://crates.example.com").unwrap()
}

registry_core::index_conformance!(index, volatile: async || {
    exported(MemoryIndex::new(), Arc::new(InMemory::new()))
});
registry_core::registry_conformance!(registry, volatile: async || {
    (exported(MemoryIndex::new(), Arc::new(InMemory::new())), MemoryCrateStore::new())
});

/// Every file of the tree, by its path.
async fn files(tree: &InMemory) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let listed: Vec<_> = tree.list(None).try_collect().await.unwrap();
    for object in listed {
        let content = tree.get(&object.location).await.unwrap().bytes().await.unwrap();
        let content = String::from_utf8(content.to_vec()).unwrap();
        files.push((object.location.to_string(), content));
    }
    files
}

fn file_of(path: &str, record: &CrateRecord) -> (String, String) {
    let body = record.index_file().body;
    (path.to_owned(), String::from_utf8(body.to_vec()).unwrap())
}

async fn commit(index: &impl Index, (next, change): Transition) -> CrateRecord {
    let stored = index.load(&next.name().canonical(), None).await.unwrap().found();
    let expected = stored.map(|Stored { revision, .. }| revision);
    index.commit(expected.as_ref(), &change, &next).await.unwrap();
    next
}

#[tokio::test]
async fn each_commit_is_in_the_tree_when_it_returns() {
    let tree = Arc::new(InMemory::new());
    let index = exported(MemoryIndex::new(), tree.clone());
    let foo = commit(&index, first("Foo-Bar", "1.0.0")).await;
    assert_eq!(files(&tree).await, [file_of("fo/o-/foo-bar", &foo)]);
    let foo = commit(&index, publish(&foo, "1.1.0")).await;
    let foo = commit(&index, set_yanked(&foo, "1.0.0", true)).await;
    let a = commit(&index, first("A", "0.1.0")).await;
    assert_eq!(files(&tree).await, [file_of("1/a", &a), file_of("fo/o-/foo-bar", &foo)]);
}

#[tokio::test]
async fn a_rebuilt_tree_has_every_crate_and_no_other() {
    let (inner, tree) = (MemoryIndex::new(), Arc::new(InMemory::new()));
    let foo = commit(&inner, first("foo-bar", "1.0.0")).await;
    let abc = commit(&inner, first("abc", "1.0.0")).await;
    for (path, content) in [
        ("3/a/abc", "damaged"),
        ("go/ne/gone", "of a crate that is not there"),
        ("fo/o_/foo_bar", "of another spelling"),
        ("config.json", "old"),
        ("index.html", "not ours"),
        ("Go/ne/Gone", "not ours: no index has capitals in a path"),
        ("gone", "not ours: not at the path of its name"),
    ] {
        tree.put(&Path::from(path), content.into()).await.unwrap();
    }
    let index = exported(inner, tree.clone());
    assert_eq!(index.rebuild().await.unwrap(), Rebuilt { written: 2, removed: 2 });
    let mut expected = vec![
        file_of("3/a/abc", &abc),
        file_of("fo/o-/foo-bar", &foo),
        ("config.json".to_owned(), CONFIG.to_owned()),
        ("index.html".to_owned(), "not ours".to_owned()),
        ("Go/ne/Gone".to_owned(), "not ours: no index has capitals in a path".to_owned()),
        ("gone".to_owned(), "not ours: not at the path of its name".to_owned()),
    ];
    expected.sort();
    assert_eq!(files(&tree).await, expected);
    assert_eq!(index.rebuild().await.unwrap(), Rebuilt { written: 2, removed: 0 });
    assert_eq!(files(&tree).await, expected);
}

#[tokio::test]
async fn a_rebuild_goes_through_all_pages() {
    let (inner, tree) = (MemoryIndex::new(), Arc::new(InMemory::new()));
    for number in 0..2_000 {
        commit(&inner, first(&format!("crate-{number}"), "1.0.0")).await;
    }
    let index = exported(inner, tree.clone());
    assert_eq!(index.rebuild().await.unwrap(), Rebuilt { written: 2_000, removed: 0 });
    assert_eq!(files(&tree).await.len(), 2_001);
}

/// What a hook is told instead of the path of a removal.
const REMOVAL: &str = "removal";

/// Runs before each write or removal, and may make it fail.
type Hook = Box<dyn Fn(&Path) -> BoxFuture<'static, Result<()>> + Send + Sync>;

struct Hooked {
    tree: Arc<InMemory>,
    hook: Hook,
}

impl Hooked {
    fn new(
        tree: &Arc<InMemory>,
        hook: impl Fn(&Path) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { tree: tree.clone(), hook: Box::new(hook) })
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl fmt::Display for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

#[async_trait]
impl ObjectStore for Hooked {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        (self.hook)(path).await?;
        self.tree.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.tree.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.tree.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (tree, hook) = (self.tree.clone(), (self.hook)(&Path::from(REMOVAL)));
        let removed = async move {
            let paths: Vec<Path> = paths.try_collect().await?;
            hook.await?;
            for path in &paths {
                tree.delete(path).await?;
            }
            Ok::<_, Error>(stream::iter(paths.into_iter().map(Ok)))
        };
        stream::once(removed).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.tree.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.tree.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.tree.copy_opts(from, to, options).await
    }
}

fn fault() -> Error {
    Error::Generic { store: "Hooked", source: "as told".into() }
}

#[tokio::test]
async fn a_failed_export_is_reported_and_mended_by_the_next_commit_or_a_rebuild() {
    let (tree, is_down) = (Arc::new(InMemory::new()), Arc::new(Mutex::new(true)));
    let hooked = Hooked::new(&tree, {
        let is_down = is_down.clone();
        move |_| {
            let is_down = *is_down.lock().unwrap();
            async move { if is_down { Err(fault()) } else { Ok(()) } }.boxed()
        }
    });
    let reports = Arc::new(Mutex::new(Vec::new()));
    let index = ExportIndex::new(MemoryIndex::new(), hooked, &config(), {
        let reports = reports.clone();
        move |failed| reports.lock().unwrap().push((failed.name.clone(), failed.to_string()))
    });
    let set_down = |down| *is_down.lock().unwrap() = down;

    let foo = commit(&index, first("foo", "1.0.0")).await;
    commit(&index, first("bar", "1.0.0")).await;
    assert_eq!(index.load(&canonical("foo"), None).await.unwrap().found().unwrap().record, foo);
    let report = |name: &str| {
        (
            Some(canonical(name)),
            format!("the exported index is not up to date about crate `{name}`"),
        )
    };
    assert_eq!(*reports.lock().unwrap(), [report("foo"), report("bar")]);
    assert_eq!(files(&tree).await, []);
    let failed = index.rebuild().await.unwrap_err();
    assert_eq!(failed.to_string(), "the exported index is not up to date");

    set_down(false);
    let foo = commit(&index, publish(&foo, "1.1.0")).await;
    assert_eq!(files(&tree).await, [file_of("3/f/foo", &foo)]);
    assert_eq!(index.rebuild().await.unwrap(), Rebuilt { written: 2, removed: 0 });
    assert_eq!(files(&tree).await.len(), 3);
    assert_eq!(reports.lock().unwrap().len(), 2);
}

/// A tree of which the first write waits until it is let go, having said that it is there.
fn held(tree: &Arc<InMemory>) -> (Arc<Hooked>, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (arrived, on_arrival) = oneshot::channel();
    let (let_go, on_let_go) = oneshot::channel();
    let gate = Mutex::new(Some((arrived, on_let_go)));
    let hooked = Hooked::new(tree, move |_| {
        let gate = gate.lock().unwrap().take();
        async move {
            if let Some((arrived, on_let_go)) = gate {
                arrived.send(()).unwrap();
                on_let_go.await.unwrap();
            }
            Ok(())
        }
        .boxed()
    });
    (hooked, on_arrival, let_go)
}

#[tokio::test]
async fn a_newer_file_waits_for_an_older_one_of_the_same_process() {
    let (inner, tree) = (MemoryIndex::new(), Arc::new(InMemory::new()));
    let (hooked, on_arrival, let_go) = held(&tree);
    let index = exported(inner.clone(), hooked);
    let older = tokio::spawn({
        let index = index.clone();
        async move { commit(&index, first("foo", "1.0.0")).await }
    });
    on_arrival.await.unwrap();
    // A clone is a handle on the same tree.
    let (next, change) = publish(&first("foo", "1.0.0").0, "1.1.0");
    let revision = inner.load(&canonical("foo"), None).await.unwrap().found().unwrap().revision;
    let newer = index.commit(Some(&revision), &change, &next);
    let mut newer = std::pin::pin!(newer);
    assert!(futures_util::poll!(&mut newer).is_pending());
    let_go.send(()).unwrap();
    newer.await.unwrap();
    older.await.unwrap();
    assert_eq!(files(&tree).await, [file_of("3/f/foo", &next)]);
}

#[tokio::test]
async fn an_older_file_of_another_process_does_not_stay() {
    let (inner, tree) = (MemoryIndex::new(), Arc::new(InMemory::new()));
    let (hooked, on_arrival, let_go) = held(&tree);
    // Two indexes that share nothing but what is under them.
    let slow = exported(inner.clone(), hooked);
    let quick = exported(inner.clone(), tree.clone());
    let older = tokio::spawn(async move { commit(&slow, first("foo", "1.0.0")).await });
    on_arrival.await.unwrap();
    let stored = inner.load(&canonical("foo"), None).await.unwrap().found().unwrap();
    let newer = commit(&quick, publish(&stored.record, "1.1.0")).await;
    assert_eq!(files(&tree).await, [file_of("3/f/foo", &newer)]);
    let_go.send(()).unwrap();
    older.await.unwrap();
    assert_eq!(files(&tree).await, [file_of("3/f/foo", &newer)]);
}

#[tokio::test]
async fn a_crate_that_is_created_while_its_file_is_removed_gets_it_back() {
    let (inner, tree) = (MemoryIndex::new(), Arc::new(InMemory::new()));
    tree.put(&Path::from("3/f/foo"), "of no crate".into()).await.unwrap();
    let hooked = Hooked::new(&tree, {
        let quick = exported(inner.clone(), tree.clone());
        move |path| {
            let (is_removal, quick) = (path.as_ref() == REMOVAL, quick.clone());
            async move {
                if is_removal {
                    commit(&quick, first("foo", "1.0.0")).await;
                }
                Ok(())
            }
            .boxed()
        }
    });
    let rebuilt = exported(inner.clone(), hooked).rebuild().await.unwrap();
    assert_eq!(rebuilt, Rebuilt { written: 0, removed: 1 });
    let Lookup::Found(Stored { record, .. }) = inner.load(&canonical("foo"), None).await.unwrap()
    else {
        panic!("it was created")
    };
    let config = ("config.json".to_owned(), CONFIG.to_owned());
    assert_eq!(files(&tree).await, [file_of("3/f/foo", &record), config]);
}
