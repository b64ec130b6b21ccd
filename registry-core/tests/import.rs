//! Bringing crates over from plain index lines, and the read-only registry that refuses to.
//! Runs with the feature `conformance`.
#![cfg(feature = "conformance")]

use bytes::Bytes;
use registry_core::{
    CanonicalName, Checksum, CrateName, IndexLine, Login, Owner, Registry, RegistryConfig,
    auth::{Caller, Principal},
    conformance::{
        faulty::{Fault, Faults, FaultyIndex},
        fixture::{crate_file, publish_body},
    },
    memory::{MemoryCrateStore, MemoryIndex},
    record::{Brought, LeftOut},
    registry::{ImportError, Imported, PublishError, WriteError},
    store::CrateKey,
};
use semver::Version;

fn config() -> RegistryConfig {
    RegistryConfig::new("https://crates.example.com").unwrap()
}

fn registry() -> Registry {
    Registry::builder(config(), MemoryIndex::new(), MemoryCrateStore::new()).build()
}

fn owner() -> Owner {
    Owner { id: 7, login: Login::new("admin").unwrap(), name: None }
}

fn name() -> CrateName {
    CrateName::new("foo").unwrap()
}

fn line(version: &str, file: &[u8], rest: &str) -> IndexLine {
    let checksum = Checksum::of(file);
    let text = format!(r#"{{"name":"foo","vers":"{version}","cksum":"{checksum}"{rest}}}"#);
    IndexLine::parse(text.into()).unwrap()
}

/// Brings lines over with the file `b"file"`.
async fn import(registry: &Registry, lines: &[IndexLine]) -> Imported {
    let mut import = registry.begin_import(name(), owner()).await.unwrap();
    for line in lines {
        import.add(line.clone(), Some(Bytes::from_static(b"file").into())).await.unwrap();
    }
    import.finish().await.unwrap()
}

#[tokio::test]
async fn what_was_brought_over_is_listed_and_can_be_downloaded() {
    let registry = registry();
    let file = crate_file("foo", "1.0.0", "description = \"of old\"\n");
    let text = line("1.0.0", &file, "");
    let mut import = registry.begin_import(name(), owner()).await.unwrap();
    assert!(import.needs_file(&text));
    import.add(text.clone(), Some(Bytes::from(file.clone()).into())).await.unwrap();
    let imported = import.finish().await.unwrap();
    assert!(matches!(imported.lines[..], [Ok(Brought::New)]));

    let anyone = Caller::anonymous();
    let record = registry.record(&anyone, &name().canonical()).await.unwrap();
    assert_eq!(record.index_file().body, [text.as_bytes(), &b"\n"[..]].concat());
    assert_eq!(record.about().description.as_deref(), Some("of old"));
    assert_eq!(record.owners(), &[owner()].into_iter().collect());
    assert_eq!(record.releases()[0].size, file.len() as u64);
    let key = CrateKey { name: name(), version: Version::new(1, 0, 0), checksum: text.checksum() };
    let download = registry.download(&anyone, &key).await.unwrap();
    assert_eq!(download.open(None).await.unwrap().bytes().await.unwrap(), file);
    assert_eq!(registry.verify().await.unwrap(), []);
}

#[tokio::test]
async fn the_same_again_commits_nothing_and_needs_no_file() {
    let registry = registry();
    let lines = [line("1.0.0", b"file", ""), line("1.1.0", b"file", r#","yanked":true"#)];
    assert!(import(&registry, &lines).await.change.is_some());
    let mut again = registry.begin_import(name(), owner()).await.unwrap();
    for line in &lines {
        assert!(!again.needs_file(line));
        again.add(line.clone(), None).await.unwrap();
    }
    let again = again.finish().await.unwrap();
    assert_eq!(again.change, None);
    assert!(matches!(again.lines[..], [Ok(Brought::AlreadyHere), Ok(Brought::AlreadyHere)]));
}

#[tokio::test]
async fn a_line_whose_file_is_missing_or_another_one_is_left_out_alone() {
    let registry = registry();
    let mut import = registry.begin_import(name(), owner()).await.unwrap();
    let missing = import.add(line("1.0.0", b"file", ""), None).await.unwrap_err();
    assert!(matches!(missing, ImportError::LeftOut(LeftOut::NoFile)));
    let other = Bytes::from_static(b"other");
    let error = import.add(line("1.0.0", b"file", ""), Some(other.into())).await.unwrap_err();
    let ImportError::LeftOut(LeftOut::OtherFile { expected, found }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((expected, found), (Checksum::of("file"), Checksum::of("other")));
    // The version is still free for a line that has its file.
    let whole = Bytes::from_static(b"whole");
    import.add(line("1.0.0+b", b"whole", ""), Some(whole.into())).await.unwrap();
    let imported = import.finish().await.unwrap();
    assert!(matches!(imported.lines[..], [Ok(Brought::New)]));
    assert_eq!(registry.verify().await.unwrap(), []);
}

#[tokio::test]
async fn a_crate_of_which_no_line_came_over_does_not_exist() {
    let registry = registry();
    let mut import = registry.begin_import(name(), owner()).await.unwrap();
    import.add(line("1.0.0", b"file", ""), None).await.unwrap_err();
    assert_eq!(import.finish().await.unwrap().change, None);
    registry.record(&Caller::anonymous(), &name().canonical()).await.unwrap_err();
}

#[tokio::test]
async fn an_import_finds_its_way_past_a_publish_and_a_lost_answer() {
    let faults = Faults::none();
    let index = FaultyIndex::new(MemoryIndex::new(), faults.clone());
    let registry = Registry::builder(config(), index, MemoryCrateStore::new()).build();
    let mut import = registry.begin_import(name(), owner()).await.unwrap();
    let file = Bytes::from_static(b"file");
    import.add(line("1.0.0", b"file", ""), Some(file.into())).await.unwrap();

    // Somebody publishes the crate meanwhile.
    let alice = Owner { id: 1, login: Login::new("alice").unwrap(), name: None };
    let mut publish =
        registry.begin_publish(Principal::from(alice.clone()).into(), None).await.unwrap();
    publish.write(&publish_body("foo", "2.0.0")).await.unwrap();
    publish.finish().await.unwrap();

    // The calls of `finish`: a load, then the commit.
    faults.arm(1, Fault::After);
    let imported = import.finish().await.unwrap();
    assert!(faults.struck());
    assert!(matches!(imported.lines[..], [Ok(Brought::New)]));
    let record = registry.record(&Caller::anonymous(), &name().canonical()).await.unwrap();
    let versions: Vec<_> = record.releases().iter().map(|r| r.version().to_string()).collect();
    assert_eq!(versions, ["2.0.0", "1.0.0"]);
    assert_eq!(record.owners(), &[alice].into_iter().collect());
}

#[tokio::test]
async fn a_read_only_registry_refuses_every_write_and_answers_reads() {
    let (index, crates) = (MemoryIndex::new(), MemoryCrateStore::new());
    let writable = Registry::builder(config(), index.clone(), crates.clone()).build();
    import(&writable, &[line("1.0.0", b"file", "")]).await;

    let config = config().with_read_only(true);
    let registry = Registry::builder(config, index, crates).build();
    let caller = Caller::from(Principal::from(owner()));
    let (name, version) = (name().canonical(), Version::new(1, 0, 0));
    let publish = registry.begin_publish(caller.clone(), None).await;
    assert!(matches!(publish, Err(PublishError::Write(WriteError::ReadOnly))));
    for yanked in [true, false] {
        let yank = registry.set_yanked(&caller, &name, &version, yanked).await;
        assert!(matches!(yank, Err(WriteError::ReadOnly)));
    }
    let logins = [Login::new("bob").unwrap()];
    let added = registry.add_owners(&caller, &name, &logins).await;
    assert!(matches!(added, Err(WriteError::ReadOnly)));
    let removed = registry.remove_owners(&caller, &name, &logins).await;
    assert!(matches!(removed, Err(WriteError::ReadOnly)));
    let import = registry.begin_import(crate_name(&name), owner()).await;
    assert!(matches!(import, Err(ImportError::Write(WriteError::ReadOnly))));
    assert_eq!(registry.record(&caller, &name).await.unwrap().releases().len(), 1);
}

fn crate_name(name: &CanonicalName) -> CrateName {
    CrateName::new(name.as_str()).unwrap()
}
