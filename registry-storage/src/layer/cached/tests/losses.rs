//! What is taken from a cache: by those who put files aside, by its disk, and by its bound.

use super::*;

#[tokio::test]
async fn the_inner_store_is_asked_after_a_while_whether_it_has_the_file() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    stage.read(&key).await;
    let hour = CachedCrateStore::<Distant>::STALENESS;
    for (passed, heads) in [(hour - Duration::from_millis(1), 0), (hour, 1), (hour * 3 / 2, 0)] {
        PASSED.set(passed);
        assert_eq!(stage.read(&key).await, BYTES);
        assert_eq!(stage.inner.heads(), heads, "{passed:?}");
    }
    // It cannot say: served, and asked again after another while.
    PASSED.set(hour * 2);
    stage.inner.plan_head(Plan::Fail);
    for heads in [1, 0] {
        assert_eq!(stage.read(&key).await, BYTES);
        assert_eq!(stage.inner.heads(), heads);
    }
    // Whoever asked did not wait for the answer: the next one asks.
    PASSED.set(hour * 3);
    let (_never, held) = oneshot::channel();
    stage.inner.plan_head(Plan::Hold(held));
    let mut gone = stage.reading(&key);
    begin(&mut gone);
    drop(gone);
    assert_eq!(stage.inner.heads(), 1);
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.heads(), 1);
    assert_eq!(stage.inner.gets(), [None]);

    // Another process has put it aside.
    PASSED.set(hour * 4);
    stage.inner.files.set_aside(&key, AsideReason::Damaged).await.unwrap();
    let error = stage.store.get(&key, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Quarantined { .. }), "{error}");
    assert_eq!(stage.files(), NONE);
}

#[tokio::test]
async fn a_file_that_is_put_aside_or_purged_is_forgotten() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    stage.read(&key).await;
    stage.store.set_aside(&key, AsideReason::Damaged).await.unwrap();
    let error = stage.store.get(&key, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Quarantined { .. }), "{error}");
    assert_eq!(stage.files(), NONE);

    let aside: Vec<_> = stage.store.list_aside().try_collect().await.unwrap();
    stage.store.put_back(&aside[0]).await.unwrap();
    assert_eq!(stage.read(&key).await, BYTES);
    stage.store.set_aside(&key, AsideReason::Unnamed).await.unwrap();
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.files(), [10]);
    let aside: Vec<_> = stage.store.list_aside().try_collect().await.unwrap();
    stage.store.purge(&aside[0]).await.unwrap();
    assert!(stage.store.get(&key, None).await.unwrap().is_none());
    assert_eq!(stage.files(), NONE);
}

#[tokio::test]
async fn a_file_that_is_put_aside_while_it_is_read_is_not_kept() {
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let pieces = stage.inner.send_body();
    let opened = stage.store.get(&key, None).await.unwrap().unwrap();
    stage.store.set_aside(&key, AsideReason::Damaged).await.unwrap();
    stage.store.get(&key, None).await.unwrap_err();
    pieces.send(Ok(BYTES.into())).unwrap();
    drop(pieces);
    assert_eq!(opened.bytes().await.unwrap(), BYTES);
    stage.store.get(&key, None).await.unwrap_err();
    while !stage.files().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_disk_that_fails_costs_nobody_a_file() {
    // Nothing can be made in the folder.
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    fs::remove_dir_all(stage.folder.path()).unwrap();
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.gets(), [None]);
    assert_eq!(stage.reports(), [stage.report()]);
    fs::create_dir(stage.folder.path()).unwrap();
    stage.read(&key).await;
    assert_eq!(stage.files(), [10]);

    // The file cannot be put in its place.
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    let place = stage.store.cache.disk.place(Id::of(&key), UNIX_EPOCH);
    let shard = place.parent().unwrap();
    fs::write(shard, "").unwrap();
    let mut file = stage.store.get(&key, None).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = file.next_chunk().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(bytes, BYTES.as_bytes());
    assert_eq!(stage.reports(), [stage.report()]);
    fs::remove_file(shard).unwrap();
    assert_eq!(stage.files(), NONE);

    // What is being written is gone before it is read.
    let pieces = stage.inner.send_body();
    stage.inner.gets();
    let opened = stage.store.get(&key, None).await.unwrap().unwrap();
    for entry in fs::read_dir(stage.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("staged-") {
            fs::remove_file(path).unwrap();
        }
    }
    pieces.send(Ok("abc".into())).unwrap();
    assert_eq!(opened.bytes().await.unwrap(), BYTES);
    assert_eq!(stage.inner.gets(), [None, None]);

    // What is kept is gone.
    drop(pieces);
    let stage = Stage::new(ROOM);
    let key = stage.one().await;
    stage.read(&key).await;
    fs::remove_file(stage.place(&key)).unwrap();
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.gets(), [None, None]);
    assert_eq!(stage.read(&key).await, BYTES);
    assert_eq!(stage.inner.gets(), []);
}

#[tokio::test]
async fn one_file_that_cannot_be_removed_does_not_keep_the_others() {
    let stage = Stage::new(2 * 4096);
    let (first, second) = (stage.put("1.0.0", "a").await, stage.put("1.0.1", "bb").await);
    stage.read(&first).await;
    stage.read(&second).await;
    let [first, second] = [&first, &second].map(|key| stage.place(key));
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    let large: &'static str = "c".repeat(2 * 4096).leak();
    let third = stage.put("1.0.2", large).await;
    assert_eq!(stage.read(&third).await, large);
    assert_eq!(stage.reports(), [stage.report()]);
    assert!(!second.exists());
}

/// More files than there is room for, read and put aside all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_at_one_time_readers_get_their_file_and_the_bound_holds() {
    const MAX: u64 = 3 * 4096;
    let stage = Stage::new(MAX);
    let mut files = Vec::new();
    for (patch, bytes) in ["a", "bb", "ccc", "dddd", "eeeee", BYTES].into_iter().enumerate() {
        files.push((stage.put(&format!("1.0.{patch}"), bytes).await, bytes));
    }
    let mut tasks = Vec::new();
    for task in 0..8_usize {
        let (store, files) = (stage.store.clone(), files.clone());
        tasks.push(tokio::spawn(async move {
            for turn in 0..200_usize {
                // Each task goes through them in an order of its own.
                let (key, bytes) = &files[(turn * (task + 1) + turn / 7) % files.len()];
                let file = store.get(key, None).await.unwrap().unwrap();
                match (turn + task) % 13 {
                    0 => drop(file),
                    1 => store.cache.forget(Id::of(key)),
                    _ => assert_eq!(file.bytes().await.unwrap(), bytes),
                }
                let (kept, reserved) = store.cache.shelf.bytes();
                assert!(kept + reserved <= MAX, "{kept} + {reserved}");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // What nobody reads any more has come to its end.
    while stage.store.cache.shelf.bytes().1 > 0 {
        tokio::task::yield_now().await;
    }
    assert!(stage.files().len() <= 3);
    assert_eq!(stage.reports(), [""; 0]);
}

#[tokio::test]
async fn a_folder_is_used_by_one_cache_at_a_time() {
    let stage = Stage::new(ROOM);
    let again = || CachedCrateStore::open(stage.inner.clone(), stage.folder.path(), ROOM, |_| {});
    assert_eq!(
        causes(&again().unwrap_err()),
        [
            "crate store cache failed".to_owned(),
            format!("another cache is using `{}`", stage.folder.path().display()),
        ]
    );
    let clone = stage.store.clone();
    let Stage { folder, inner, store, .. } = stage;
    drop(store);
    CachedCrateStore::open(inner.clone(), folder.path(), ROOM, |_| {}).unwrap_err();
    drop(clone);
    CachedCrateStore::open(inner, folder.path(), ROOM, |_| {}).unwrap();
}
