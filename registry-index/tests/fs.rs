//! What is particular to the folder: that it is an index to any web server, and what becomes of it in
//! other hands and on a full disk.
#![cfg(feature = "fs")]

#[path = "common/folder.rs"]
mod folder;

use std::{
    fs,
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use registry_core::{
    ETag, Index, IndexError, RegistryConfig,
    conformance::record_fixture::{
        add_owner, canonical, first, name, owner, publish, publish_release, release, set_yanked,
    },
    record::{ReleaseRecord, ReleaseState},
};
use registry_index::fs::{Difference, FolderIndex, FolderOpenError};
use tempfile::TempDir;

use self::folder::{CRATE, Fixture, LINES, RECORD, files_below, open};

/// Past the harness, which would keep what a passing test prints to itself.
fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

#[tokio::test]
async fn the_folder_is_an_index_to_any_web_server() {
    let mut fixture = Fixture::new().await;
    let config = RegistryConfig::new("https://crates.example.com/main").unwrap();
    fixture.index.write_config(&config).await.unwrap();
    assert_eq!(fixture.read("config.json"), config.to_json());
    for (spelling, path) in [("A", "1/a"), ("ab", "2/ab"), ("a-C", "3/a/a-c")] {
        let (record, change) = first(spelling, "1.0.0");
        fixture.index.commit(None, &change, &record).await.unwrap();
        assert_eq!(fixture.read(path), record.index_file().body);
    }
    let mut public = files_below(&fixture.path(""));
    public.retain(|path| !path.starts_with(".records"));
    assert_eq!(public, ["1/a", "2/ab", "3/a/a-c", "config.json", LINES].map(PathBuf::from));

    fixture.publish("0.2.0").await;
    fixture.assert_stored().await;
    fixture.commit(set_yanked(&fixture.record, "0.1.0", true)).await;
    fixture.assert_stored().await;
    let unlisted = ReleaseRecord { state: ReleaseState::Unlisted, ..release(CRATE, "0.3.0") };
    fixture.commit(publish_release(&fixture.record, unlisted)).await;
    fixture.assert_stored().await;
    fixture.commit(set_yanked(&fixture.record, "0.1.0", false)).await;
    fixture.assert_stored().await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_did_not_change_is_not_written_again() {
    use std::os::unix::fs::MetadataExt as _;
    let mut fixture = Fixture::new().await;
    let config = RegistryConfig::new("https://crates.example.com/main").unwrap();
    fixture.index.write_config(&config).await.unwrap();
    let ids = |fixture: &Fixture| {
        ["config.json", LINES].map(|file| fs::metadata(fixture.path(file)).unwrap().ino())
    };
    let before = ids(&fixture);
    fixture.commit(add_owner(&fixture.record, owner(2, "bob"))).await;
    fixture.index.write_config(&config).await.unwrap();
    fixture.assert_stored().await;
    assert_eq!(ids(&fixture), before);

    let other = config.with_auth_required(true);
    fixture.index.write_config(&other).await.unwrap();
    assert_eq!(fixture.read("config.json"), other.to_json());
    assert_eq!(fixture.staged(), [] as [PathBuf; 0]);
}

#[cfg(unix)]
#[tokio::test]
async fn records_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new().await;
    let mode = |path: &str| fs::metadata(fixture.path(path)).unwrap().permissions().mode() & 0o777;
    for folder in [".records", ".records/fo", ".records/locks", ".records/staged"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for file in [RECORD, ".records/format"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    // What the umask leaves, which is one for all files and folders of this process.
    let (file, folder) = (fixture.path("file"), fixture.path("folder"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&folder).unwrap();
    assert_eq!((mode(LINES), mode("fo/o-")), (mode("file"), mode("folder")));
}

#[cfg(unix)]
#[tokio::test]
async fn no_link_is_followed_to_a_record() {
    let fixture = Fixture::new().await;
    let name = canonical(CRATE);
    for path in [RECORD, ".records/fo"] {
        let elsewhere = fixture.folder.path().join("elsewhere");
        fs::rename(fixture.path(path), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, fixture.path(path)).unwrap();
        let (next, change) = publish(&fixture.record, "0.2.0");
        for result in [
            fixture.index.load(&name, None).await.map(drop),
            fixture.index.index_file(&name, None).await.map(drop),
            fixture.index.commit(Some(&fixture.revision), &change, &next).await.map(drop),
        ] {
            assert!(matches!(result, Err(IndexError::Backend { .. })), "{path}: {result:?}");
        }
        fs::remove_file(fixture.path(path)).unwrap();
        fs::rename(&elsewhere, fixture.path(path)).unwrap();
        fixture.assert_stored().await;
    }
}

#[tokio::test]
async fn an_index_of_something_else_is_refused() {
    for file in ["config.json", "1/a", "2/ab", "3/a/abc", "se/rd/serde"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        let refused = FolderIndex::open(folder.path()).unwrap_err();
        assert!(matches!(&refused, FolderOpenError::PlainIndex { .. }), "{file}: {refused:?}");
        let message = format!(
            "`{}` holds an index of something else: `import` it into a folder of its own",
            folder.path().display()
        );
        assert_eq!(refused.to_string(), message);
        assert_eq!(files_below(folder.path()), [file].map(PathBuf::from));
    }
    // What a disk has of itself, and what has nothing to do with an index.
    let folder = tempfile::tempdir().unwrap();
    for path in ["lost+found", ".git"] {
        fs::create_dir(folder.path().join(path)).unwrap();
    }
    fs::write(folder.path().join("README"), "").unwrap();
    FolderIndex::open(folder.path()).unwrap();
}

#[tokio::test]
async fn a_later_format_is_refused() {
    let fixture = Fixture::new().await;
    fixture.write(".records/format", "2\n");
    let refused = FolderIndex::open(fixture.path("")).unwrap_err();
    assert!(
        matches!(&refused, FolderOpenError::Format { format, .. } if format == "2"),
        "{refused:?}"
    );
    fixture.write(".records/format", "1\n");
    fixture.assert_stored().await;
}

#[tokio::test]
async fn a_folder_that_is_gone_is_missed_until_it_is_back() {
    let mut fixture = Fixture::new().await;
    let (index, away) = (fixture.path(""), fixture.folder.path().join("away"));
    fs::rename(&index, &away).unwrap();
    for is_mounted_elsewhere in [false, true] {
        if is_mounted_elsewhere {
            fs::create_dir(&index).unwrap();
        }
        let (other, other_change) = first("other", "1.0.0");
        let (next, change) = publish(&fixture.record, "0.2.0");
        let (name, config) = (canonical(CRATE), RegistryConfig::new("http://h").unwrap());
        let etag = ETag::of(b"");
        for (at, result) in [
            fixture.index.load(&name, Some(&fixture.revision)).await.map(drop),
            fixture.index.index_file(&name, Some(&etag)).await.map(drop),
            fixture.index.commit(Some(&fixture.revision), &change, &next).await.map(drop),
            fixture.index.commit(None, &other_change, &other).await.map(drop),
            fixture.index.names(None, NonZeroUsize::MIN).await.map(drop),
            fixture.index.write_config(&config).await,
            fixture.index.rebuild().await.map(drop),
            fixture.index.ready().await,
        ]
        .into_iter()
        .enumerate()
        {
            let Err(IndexError::Backend { source, .. }) = result else {
                panic!("{at}: {result:?}")
            };
            let message = format!(
                "the index folder `{}` was moved or removed while it was in use",
                fixture.folder.path().join("index").display()
            );
            assert_eq!(source.to_string(), message, "{at}");
        }
    }
    assert_eq!(files_below(&index), [] as [PathBuf; 0]);
    fs::remove_dir(&index).unwrap();
    fs::rename(&away, &index).unwrap();
    fixture.publish("0.2.0").await;
    fixture.assert_stored().await;
}

#[tokio::test]
async fn an_edited_folder_is_made_what_the_records_say() {
    let fixture = Fixture::new().await;
    for spelling in ["a", "same", "gone"] {
        let (record, change) = first(spelling, "1.0.0");
        fixture.index.commit(None, &change, &record).await.unwrap();
    }
    assert_eq!(fixture.index.check().await.unwrap(), []);
    fixture.write(LINES, "{}\n");
    fs::remove_file(fixture.path("go/ne/gone")).unwrap();
    // The same crate in another spelling, and one that is not there at all.
    fs::create_dir_all(fixture.path("fo/o_")).unwrap();
    fixture.write("fo/o_/foo_bar", fixture.record.index_file().body);
    fixture.write("1/b", "");
    // Not where cargo would look.
    for file in ["README", "1/README", "fo/o-/foo", "go/ne/Gone.txt"] {
        fixture.write(file, "");
    }
    let expected = [
        Difference::Differs { name: name(CRATE) },
        Difference::Differs { name: name("gone") },
        Difference::Unrecorded { name: name("b") },
        Difference::Unrecorded { name: name("foo_bar") },
    ];
    assert_eq!(fixture.index.check().await.unwrap(), expected);
    assert_eq!(fixture.index.rebuild().await.unwrap(), expected);
    assert_eq!(fixture.index.check().await.unwrap(), []);
    let mut public = files_below(&fixture.path(""));
    public.retain(|path| !path.starts_with(".records"));
    let left = [
        "1/README",
        "1/a",
        "README",
        "fo/o-/foo",
        LINES,
        "go/ne/Gone.txt",
        "go/ne/gone",
        "sa/me/same",
    ];
    assert_eq!(public, left.map(PathBuf::from));
    assert_eq!(fixture.read("go/ne/gone"), first("gone", "1.0.0").0.index_file().body);
    fixture.assert_stored().await;
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_not_an_absence() {
    let fixture = Fixture::new().await;
    let whole = fixture.read(RECORD);
    let (next, change) = publish(&fixture.record, "0.2.0");
    for damaged in [&whole[..0], &whole[..40], &whole[..whole.len() - 1]] {
        fixture.write(RECORD, damaged);
        for result in [
            fixture.index.load(&canonical(CRATE), None).await.map(drop),
            fixture.index.index_file(&canonical(CRATE), None).await.map(drop),
            fixture.index.commit(None, &change, &next).await.map(drop),
        ] {
            assert!(matches!(result, Err(IndexError::Backend { .. })), "{result:?}");
        }
    }
    // One where nobody looks for it is not listed, or a page might end with it.
    fs::copy(fixture.path(RECORD), fixture.path(".records/fo/zzz")).unwrap();
    let listed = fixture.index.names(None, NonZeroUsize::MAX).await.unwrap();
    assert_eq!(listed, [canonical(CRATE)]);
    // A record in the place of another's.
    fixture.write(RECORD, &whole);
    fs::copy(fixture.path(RECORD), fixture.path(".records/fo/foo_baz")).unwrap();
    let result = fixture.index.index_file(&canonical("foo-baz"), None).await;
    assert!(matches!(result, Err(IndexError::Backend { .. })), "{result:?}");
    fixture.assert_stored().await;
}

/// Somebody who opens a pipe waits for who writes to it, and who reads this device has no end.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_neither_waited_for_nor_read() {
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 3] = [
        ("pipe", |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("device", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        ("folder", |path| fs::create_dir(path).unwrap()),
    ];
    for (what, plant) in plants {
        let mut fixture = Fixture::new().await;
        let keep = fixture.path("keep");
        let replace = |fixture: &Fixture, file: &str| {
            fs::rename(fixture.path(file), &keep).unwrap();
            plant(&fixture.path(file));
        };
        replace(&fixture, RECORD);
        let (next, change) = publish(&fixture.record, "0.2.0");
        for result in [
            fixture.index.load(&canonical(CRATE), None).await.map(drop),
            fixture.index.index_file(&canonical(CRATE), None).await.map(drop),
            fixture.index.commit(Some(&fixture.revision), &change, &next).await.map(drop),
        ] {
            let Err(IndexError::Backend { source, .. }) = result else {
                panic!("{what}: {result:?}")
            };
            let path = fixture.path(RECORD);
            assert_eq!(source.to_string(), format!("`{}` is not a file", path.display()));
        }
        // Left to whoever loads it; the others are checked.
        assert_eq!(fixture.index.check().await.unwrap(), [], "{what}");
        match what {
            "folder" => fs::remove_dir(fixture.path(RECORD)).unwrap(),
            _ => fs::remove_file(fixture.path(RECORD)).unwrap(),
        }
        fs::rename(&keep, fixture.path(RECORD)).unwrap();
        fixture.assert_stored().await;

        replace(&fixture, LINES);
        let expected = [Difference::Differs { name: name(CRATE) }];
        assert_eq!(fixture.index.check().await.unwrap(), expected, "{what}");
        if what == "folder" {
            continue;
        }
        assert_eq!(fixture.index.rebuild().await.unwrap(), expected, "{what}");
        fixture.assert_stored().await;

        let config = RegistryConfig::new("https://crates.example.com").unwrap();
        plant(&fixture.path("config.json"));
        fixture.index.write_config(&config).await.unwrap();
        assert_eq!(fixture.read("config.json"), config.to_json());

        // Of a crate that is not there: it can be still.
        plant(&fixture.path(".records/staged/new.record"));
        fixture.index = open(&fixture.folder);
        let (record, change) = first("new", "1.0.0");
        fixture.index.commit(None, &change, &record).await.unwrap();
        fixture.assert_stored().await;
    }
}

/// In memory, where a rename puts a name elsewhere in the listing of its folder.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crate_that_is_written_to_is_in_every_listing() {
    const CRATES: usize = 3_000;
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        skipped("there is no file system in memory at /dev/shm");
        return;
    };
    let index = open(&folder);
    let shard = folder.path().join("index/.records/na");
    fs::create_dir(&shard).unwrap();
    let path = move |crate_: usize| shard.join(format!("name{crate_:04}"));
    for crate_ in 0..CRATES {
        fs::write(path(crate_), "").unwrap();
    }
    // As a commit does, but much more often.
    let is_done = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (is_done, staged) = (is_done.clone(), folder.path().join("staged"));
        move || {
            for turn in (0..).take_while(|_| !is_done.load(Ordering::Relaxed)) {
                fs::write(&staged, "").unwrap();
                fs::rename(&staged, path(turn * 1237 % CRATES)).unwrap();
            }
        }
    });
    for _ in 0..10 {
        let names = index.names(None, NonZeroUsize::MAX).await.unwrap();
        assert_eq!(names.len(), CRATES);
    }
    is_done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

/// Needs the right to mount one, which the superuser has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_writes_and_goes_on_with_reads() {
    struct SmallDisk(TempDir);
    impl Drop for SmallDisk {
        fn drop(&mut self) {
            Command::new("umount").arg(self.0.path()).status().unwrap();
        }
    }
    let disk = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(disk.path())
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        skipped("a small disk cannot be mounted here");
        return;
    }
    let disk = SmallDisk(disk);
    let index = open(&disk.0);
    let reserve = disk.0.path().join("reserve");
    fs::write(&reserve, [0; 64 << 10]).unwrap();
    let (mut record, change) = first(CRATE, "0.0.0");
    let mut revision = index.commit(None, &change, &record).await.unwrap();
    let error = loop {
        let (next, change) = publish(&record, &format!("0.{}.0", record.releases().len()));
        match index.commit(Some(&revision), &change, &next).await {
            Ok(committed) => (record, revision) = (next, committed),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, IndexError::Full { backend: "folder", .. }), "{error:?}");
    assert!(record.releases().len() > 10, "{} releases", record.releases().len());
    // To the last page.
    let mut filler = fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let ready = index.ready().await;
    assert!(matches!(ready, Err(IndexError::Full { .. })), "{ready:?}");

    let read = async |index: &FolderIndex| {
        let stored = index.load(&canonical(CRATE), None).await.unwrap().found().unwrap();
        assert_eq!((&stored.record, &stored.revision), (&record, &revision));
        let path = disk.0.path().join("index");
        assert_eq!(fs::read(path.join(LINES)).unwrap(), record.index_file().body);
        assert_eq!(files_below(&path.join(".records/staged")), [] as [PathBuf; 0]);
    };
    read(&index).await;
    read(&open(&disk.0)).await;

    fs::remove_file(reserve).unwrap();
    index.ready().await.unwrap();
    let (other, change) = first("other", "1.0.0");
    index.commit(None, &change, &other).await.unwrap();
}
