//! `axum_server storage migrate`: from any place for crate files to any other, byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use futures_util::TryStreamExt as _;
use registry_core::{
    Checksum, CrateName, CrateStore,
    conformance::run,
    store::{AsideReason, CrateBody, CrateKey, CrateUpkeep as _},
};
use registry_storage::{ObjectCrateStore, layout::path_of};
use tempfile::TempDir;

use crate::common::{CrateFile, Place, Server, axum_server, noise, wait_for};

fn key(version: &str, content: &[u8]) -> CrateKey {
    let (name, version) = (CrateName::new("Hello-World").unwrap(), version.parse().unwrap());
    CrateKey { name, version, checksum: Checksum::of(content) }
}

/// Files of so many lengths in a folder.
fn seed(folder: &Path, lengths: impl IntoIterator<Item = usize>) {
    run(async {
        let store = ObjectCrateStore::filesystem(folder).unwrap();
        for (number, length) in lengths.into_iter().enumerate() {
            let content = noise(length);
            let key = key(&format!("1.0.{number}+build"), &content);
            store.put(&key, CrateBody::from(vec![content.into()])).await.unwrap();
        }
    });
}

/// The paths of all files below a folder, in it.
fn paths(folder: &Path) -> Vec<String> {
    fn add(root: &Path, folder: &Path, paths: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => add(root, &path, paths),
                false => paths.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let mut paths = Vec::new();
    add(folder, folder, &mut paths);
    paths
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: String| (path.clone(), fs::read(folder.join(path)).unwrap());
    paths(folder).into_iter().map(read).collect()
}

/// `folder` is for what is on its way to a bucket.
fn migrate(folder: &TempDir, from: &str, to: &str) -> Command {
    let mut command = axum_server();
    command.args(["storage", "migrate", "--from", from, "--to", to, "--data"]);
    command.arg(folder.path().join("data"));
    command
}

fn url(folder: &Path) -> String {
    format!("file:{}", folder.display())
}

#[track_caller]
fn ends(output: &Output, status: i32) -> (String, String) {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap());
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    (stdout, stderr)
}

/// The numbers of the summary: files seen, copied, there already, not copied.
fn counts(summary: &str) -> Vec<usize> {
    let before = summary.split(" files (").map(|text| text.rsplit(' ').next().unwrap());
    before.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn files_come_back_byte_for_byte_from_a_journey_through_a_bucket() {
    let folder = TempDir::new().unwrap();
    let [start, end] = ["start", "end"].map(|name| folder.path().join(name));
    seed(&start, (0..20).chain([300_000, 9_000_000]));
    let expected = files(&start);
    assert_eq!(expected.len(), 22);
    // What is damaged, and what no server has put there as a crate file, stays where it is; what a
    // collection has put aside goes to its place.
    run(async {
        let store = ObjectCrateStore::filesystem(&start).unwrap();
        let damaged = key("2.0.0", b"damaged");
        store.put(&damaged, CrateBody::from(vec![b"dam".as_slice().into()])).await.unwrap();
        store.set_aside(&damaged, AsideReason::Damaged).await.unwrap();
        let unnamed = store.list().try_next().await.unwrap().unwrap().key;
        store.set_aside(&unnamed, AsideReason::Unnamed).await.unwrap();
    });
    for foreign in ["notes", "he/ll/notes.crate"] {
        let path = start.join(foreign);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "foreign").unwrap();
    }

    let bucket = Place::bucket();
    let mut stages = vec![url(&start)];
    stages.extend(bucket.iter().map(|bucket| format!("{}/crates", bucket.url())));
    stages.push(url(&end));
    for stage in stages.windows(2) {
        let migrate = |flags: &[&str]| {
            let mut command = migrate(&folder, &stage[0], &stage[1]);
            if let Some(bucket) = &bucket {
                bucket.prepare(&mut command);
            }
            let (summary, told) = ends(&command.args(flags).output().unwrap(), 0);
            assert_eq!(told, "");
            counts(&summary)
        };
        assert_eq!(migrate(&[]), [22, 22, 0, 0]);
        assert_eq!(migrate(&[]), [22, 0, 22, 0]);
        assert_eq!(migrate(&["--verify"]), [22, 0, 22, 0]);
    }
    assert!(files(&end) == expected);
}

#[test]
fn a_migration_that_is_killed_goes_on_where_it_was() {
    const FILES: usize = 300;
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    seed(&from, (0..FILES).map(|number| 50_000 + number));
    let expected = files(&from);
    let mut command = migrate(&folder, &url(&from), &url(&to));
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_file = |path: &String| path.ends_with(".crate");
    let count = || paths(&to).iter().filter(|path| is_file(path)).count();
    wait_for("some files", || (count() >= 20).then_some(()));
    process.kill().unwrap();
    process.wait().unwrap();
    let whole = || {
        let mut files = files(&to);
        files.retain(|path, _| is_file(path));
        files
    };
    let copied = whole();
    assert!(copied.len() < FILES, "it was killed too late");
    assert!(copied.iter().all(|(path, content)| expected[path] == *content));

    let (summary, _) = ends(&migrate(&folder, &url(&from), &url(&to)).output().unwrap(), 0);
    let rest = FILES - copied.len();
    assert_eq!(counts(&summary), [FILES, rest, copied.len(), 0], "{summary}");
    assert!(whole() == expected);
}

#[test]
fn a_damaged_file_is_named_and_not_copied_and_the_others_are() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    seed(&from, 0..5);
    let key = key("1.0.3+build", &noise(3));
    let damaged = path_of(&key);
    fs::write(from.join(damaged.as_ref()), "bad").unwrap();
    let (summary, told) = ends(&migrate(&folder, &url(&from), &url(&to)).output().unwrap(), 3);
    assert_eq!(counts(&summary), [5, 4, 0, 1]);
    let found = Checksum::of("bad");
    assert_eq!(
        told,
        format!("not copied: {key}: it is damaged in the source: its checksum is {found}\n")
    );
    let mut expected = files(&from);
    expected.remove(damaged.as_ref()).unwrap();
    assert!(files(&to) == expected);

    // Damage in the target is noticed when it is looked for.
    fs::write(from.join(damaged.as_ref()), noise(3)).unwrap();
    fs::write(to.join(path_of(&self::key("1.0.4+build", &noise(4))).as_ref()), "evil").unwrap();
    let (summary, _) = ends(&migrate(&folder, &url(&from), &url(&to)).output().unwrap(), 0);
    assert_eq!(counts(&summary), [5, 1, 4, 0]);
    let output = migrate(&folder, &url(&from), &url(&to)).arg("--verify").output().unwrap();
    assert_eq!(counts(&ends(&output, 0).0), [5, 1, 4, 0]);
    assert!(files(&to) == files(&from));
}

#[test]
fn a_registry_goes_on_while_its_files_move() {
    let folder = TempDir::new().unwrap();
    let place = Place::sqlite(&folder);
    let [old, new] = ["old", "new"].map(|name| url(&folder.path().join(name)));
    let migrate = || counts(&ends(&migrate(&folder, &old, &new).output().unwrap(), 0).0);
    let [first, between, last] =
        ["1.0.0", "1.1.0", "1.2.0"].map(|version| CrateFile::library("hello", version, b""));

    let server = Server::start_at_with(&place, &["--storage", &old]);
    let token = server.token("alice");
    let publish = |server: &Server, file: &CrateFile| {
        server.client().with_token(&token).publish(&file.frame()).status
    };
    assert_eq!(publish(&server, &first), 200);
    assert_eq!(migrate(), [1, 1, 0, 0]);
    assert_eq!(publish(&server, &between), 200);
    let server = Server::start_at_with(&place, &["--storage", &new]);
    assert_eq!(migrate(), [2, 1, 1, 0]);
    assert_eq!(publish(&server, &last), 200);
    for file in [first, between, last] {
        assert!(server.client().get(&file.download_path()).body == file.bytes);
    }
    let verify = server.command(["index", "verify"]).args(["--storage", &new]).output().unwrap();
    assert!(ends(&verify, 0).0.ends_with(": 0 problems\n"));
}

#[test]
fn a_migration_of_files_needs_two_places() {
    let folder = TempDir::new().unwrap();
    let [here, gone] = ["here", "gone"].map(|name| folder.path().join(name));
    seed(&here, 0..1);
    let error = |from: &str, to: &str| ends(&migrate(&folder, from, to).output().unwrap(), 1).1;
    assert_eq!(
        error(&url(&gone), &url(&here)),
        format!("error: there are no crate files at `{}`: it is no folder\n", url(&gone))
    );
    assert!(!gone.exists());
    let same = url(&here.join("../here"));
    assert_eq!(
        error(&url(&here), &same),
        format!("error: `{}` is both source and target\n", url(&here))
    );
    // What stands where a bucket should may be a secret.
    let told = error("s3://key:secret@bucket", &url(&here));
    assert!(told.starts_with("error: --from: ") && !told.contains("secret"), "{told}");
    let told = error(&url(&here), "gs://key:secret@bucket");
    assert!(told.starts_with("error: --to: ") && !told.contains("secret"), "{told}");
}

/// Linux only: it asks the kernel for the most memory that the program ever had.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_takes_little_memory() {
    const SIZE: usize = 160 << 20;
    let folder = TempDir::new().unwrap();
    let [start, end] = ["start", "end"].map(|name| folder.path().join(name));
    let content = noise(1 << 20).repeat(SIZE >> 20);
    let path = path_of(&key("1.0.0", &content));
    let at = |folder: &Path| folder.join(path.as_ref());
    fs::create_dir_all(at(&start).parent().unwrap()).unwrap();
    fs::write(at(&start), &content).unwrap();

    let bucket = Place::bucket();
    let mut stages = vec![url(&start)];
    stages.extend(bucket.iter().map(|bucket| format!("{}/crates", bucket.url())));
    stages.push(url(&end));
    for stage in stages.windows(2) {
        let mut command = migrate(&folder, &stage[0], &stage[1]);
        if let Some(bucket) = &bucket {
            bucket.prepare(&mut command);
        }
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", process.id());
        let mut peak = 0;
        let ended = wait_for("the migration", || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            // Until it has its own name, a new process has the memory of the one that started it.
            let mut lines = status.lines().skip_while(|line| *line != "Name:\taxum_server");
            let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.map(|line| line.trim().strip_suffix(" kB").unwrap().parse().unwrap());
            peak = kib.unwrap_or(0_usize).max(peak);
            process.try_wait().unwrap()
        });
        assert!(ended.success(), "{stage:?}");
        assert!(peak > 0 && peak < 96 << 10, "{peak} KiB for {stage:?}");
    }
    assert!(fs::read(at(&end)).unwrap() == content);
}
