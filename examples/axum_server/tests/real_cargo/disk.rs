//! What becomes of publishes and downloads when a disk fails under a running server, and after.
//!
//! Linux only, and mostly root's: it mounts file systems of its own.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use crate::common::{Answer, CrateFile, Place, Server, axum_server, noise, under};

/// A file system of a few MiB in memory, until it is dropped.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// None without the right to mount it, which is said on stderr; where `CI` is `true`, root has to
    /// have it.
    pub(crate) fn mount() -> Option<Self> {
        let disk = Self(TempDir::new().unwrap());
        let mounted = disk.command("mount", &["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"]);
        if mounted {
            return Some(disk);
        }
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!(in_ci && is_root()), "root cannot mount a file system");
        // Past the harness, which would keep what a passing test prints to itself.
        let test = std::thread::current();
        let notice = format!("skipped: {}, for want of the right to mount\n", test.name().unwrap());
        let _ = std::io::stderr().write_all(notice.as_bytes());
        None
    }

    fn command(&self, program: &str, arguments: &[&str]) -> bool {
        Command::new(program).args(arguments).arg(self.0.path()).output().unwrap().status.success()
    }

    fn remount(&self, how: &str) {
        assert!(self.command("mount", &["-o", &format!("remount,{how}")]));
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("inside")
    }

    /// Takes what is left of it.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[b'.'; 4096]).is_ok() {}
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also if a server that a failing test leaves behind has files open there.
        self.command("umount", &["--lazy"]);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Under what a program has no right but those of its user: root may read and write everything.
fn plain() -> &'static [&'static str] {
    match is_root() {
        true => &["setpriv", "--bounding-set=-dac_override,-dac_read_search"],
        false => &[],
    }
}

fn at(path: &Path) -> [String; 2] {
    ["--storage".into(), format!("file:{}", path.display())]
}

fn start_at(storage: &Path) -> Server {
    Server::start_with(&at(storage).each_ref().map(String::as_str))
}

/// The files below a folder, but for what a server keeps for itself.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// One that is held in memory, and one that is not.
fn two_files(version: &str) -> [CrateFile; 2] {
    [
        CrateFile::library("small", version, b""),
        CrateFile::library("large", version, &noise(1_500_000)),
    ]
}

#[track_caller]
fn assert_served(server: &Server, file: &CrateFile) {
    let answer = server.client().get(&file.download_path());
    assert!((answer.status, &answer.body) == (200, &file.bytes), "{}", answer.status);
    assert!(server.client().get(&file.index_path()).text().contains(&file.checksum()));
}

/// No reader sees anything of it.
#[track_caller]
fn assert_absent(server: &Server, file: &CrateFile) {
    assert!(!server.client().get(&file.index_path()).text().contains(&file.checksum()));
    assert_eq!(server.client().get(&file.download_path()).status, 404);
}

#[track_caller]
fn assert_refused(answer: &Answer, expected: &str) {
    assert_eq!(answer.error(), (503, expected.to_owned()));
    assert!(answer.header("retry-after").is_some());
}

/// What is wrong is in the log, and nobody else's business.
#[track_caller]
fn assert_later(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("internal error (request "), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn a_full_disk_refuses_publishes_without_a_trace_until_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let server = start_at(&disk.path());
    let client = server.client_of("alice");
    let there = CrateFile::library("there", "1.0.0", b"");
    assert_eq!(client.publish(&there.frame()).status, 200);
    let before = files(&disk.path());

    disk.fill();
    for file in two_files("1.0.0") {
        assert_refused(&client.publish(&file.frame()), "registry storage is full");
        assert_absent(&server, &file);
        assert_served(&server, &there);
    }
    assert_eq!(files(&disk.path()), before);
    assert!(server.log().contains("No space left on device"), "{}", server.log());

    disk.free();
    for file in two_files("1.0.0") {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_served(&server, &file);
    }
}

#[test]
fn a_full_disk_under_the_index_refuses_publishes_until_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    for place in [Place::sqlite(&disk.0), Place::folder(&disk.0)] {
        let server = Server::start_at(&place);
        let client = server.client_of("alice");
        let there = CrateFile::library("there", "1.0.0", b"");
        assert_eq!(client.publish(&there.frame()).status, 200);
        let lines = server.client().get(&there.index_path()).body;

        disk.fill();
        let next = CrateFile::library("there", "1.1.0", b"");
        for file in two_files("1.0.0").iter().chain([&next]) {
            assert_refused(&client.publish(&file.frame()), "registry storage is full");
            assert!(!server.client().get(&file.index_path()).text().contains(&file.checksum()));
        }
        let yanked = client.send("DELETE", "/main/api/v1/crates/there/1.0.0/yank", &[], b"");
        assert_refused(&yanked, "registry storage is full");
        assert_served(&server, &there);
        assert_eq!(server.client().get(&there.index_path()).body, lines);

        disk.free();
        for file in two_files("1.0.0").iter().chain([&next]) {
            assert_eq!(client.publish(&file.frame()).status, 200);
            assert_served(&server, file);
        }
    }
}

#[test]
fn a_disk_that_turns_read_only_refuses_publishes_until_it_is_writable() {
    let Some(disk) = Disk::mount() else { return };
    let mut server = start_at(&disk.path());
    let client = server.client_of("alice");
    let there = CrateFile::library("there", "1.0.0", b"");
    assert_eq!(client.publish(&there.frame()).status, 200);
    // What a crash has left is no reason not to start, if it cannot be removed.
    let stale = files(&disk.path())[0].with_extension("crate#1");
    let file = fs::File::create_new(stale).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).unwrap();
    drop(file);
    let before = files(&disk.path());

    disk.remount("ro");
    for file in two_files("1.0.0") {
        assert_refused(&client.publish(&file.frame()), "registry storage is read-only");
        assert_absent(&server, &file);
        assert_served(&server, &there);
    }
    assert_eq!(files(&disk.path()), before);
    assert!(server.log().contains("Read-only file system"), "{}", server.log());

    // It can be started there as well.
    server.terminate();
    server.wait();
    server.restart();
    assert_served(&server, &there);

    disk.remount("rw");
    let client = server.client_of("alice");
    for file in two_files("1.0.0") {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_served(&server, &file);
    }
}

#[test]
fn a_folder_that_is_gone_is_an_error_and_nothing_is_made_in_its_stead() {
    let folder = TempDir::new().unwrap();
    let [storage, elsewhere] = ["storage", "elsewhere"].map(|name| folder.path().join(name));
    let server = start_at(&storage);
    let client = server.client_of("alice");
    let there = CrateFile::library("there", "1.0.0", b"");
    assert_eq!(client.publish(&there.frame()).status, 200);

    fs::rename(&storage, &elsewhere).unwrap();
    for file in two_files("1.0.0") {
        assert_later(&client.publish(&file.frame()));
        assert!(!server.client().get(&file.index_path()).text().contains(&file.checksum()));
    }
    // Not a 404, after which nobody would ask again.
    assert_later(&server.client().get(&there.download_path()));
    assert!(!storage.exists());
    let gone = format!("the folder `{}` is gone", storage.display());
    assert!(server.log().contains(&gone), "{}", server.log());

    fs::rename(&elsewhere, &storage).unwrap();
    assert_served(&server, &there);
    for file in two_files("1.0.0") {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_served(&server, &file);
    }

    // Lost for good: what is published from now on is there.
    fs::remove_dir_all(&storage).unwrap();
    fs::create_dir(&storage).unwrap();
    for file in two_files("1.1.0") {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_served(&server, &file);
    }
}

#[test]
fn a_folder_without_permission_is_an_error_until_there_is_one() {
    let folder = TempDir::new().unwrap();
    let storage = folder.path().join("storage");
    let server = Server::start_under(plain(), &at(&storage).each_ref().map(String::as_str));
    let client = server.client_of("alice");
    let there = CrateFile::library("there", "1.0.0", b"");
    assert_eq!(client.publish(&there.frame()).status, 200);
    let before = files(&storage);
    let allow = |mode| fs::set_permissions(&storage, fs::Permissions::from_mode(mode)).unwrap();

    allow(0o500);
    for file in two_files("1.0.0") {
        assert_later(&client.publish(&file.frame()));
        assert_absent(&server, &file);
        assert_served(&server, &there);
    }
    assert_eq!(files(&storage), before);

    allow(0o000);
    for file in two_files("1.0.0") {
        assert_later(&client.publish(&file.frame()));
    }
    // Not a 404, after which nobody would ask again.
    assert_later(&server.client().get(&there.download_path()));
    assert!(server.log().contains("Permission denied"), "{}", server.log());

    allow(0o700);
    assert_eq!(files(&storage), before);
    for file in two_files("1.0.0") {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert_served(&server, &file);
    }
}

#[test]
fn a_migration_to_a_disk_that_fills_up_ends_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let folder = TempDir::new().unwrap();
    let from = folder.path().join("crates");
    let server = start_at(&from);
    let client = server.client_of("alice");
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        let file = CrateFile::library("large", version, &noise(900_000));
        assert_eq!(client.publish(&file.frame()).status, 200);
    }
    let [from, to] = [&from, &disk.path()].map(|path| format!("file:{}", path.display()));
    let migrate = || {
        let mut command = axum_server();
        command.args(["storage", "migrate", "--from", &from, "--to", &to]).output().unwrap()
    };
    fs::create_dir(disk.path()).unwrap();
    fs::write(disk.filler(), vec![b'.'; 2_000_000]).unwrap();
    let output = migrate();
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = "error: the target of the migration failed: crate store filesystem is full: \
                    No space left on device (os error 28); what was copied stays: run it again\n";
    assert_eq!((output.status.code(), told.as_str()), (Some(1), expected));
    assert!(files(&disk.path()).iter().all(|file| file.extension().unwrap() == "crate"));

    disk.free();
    let output = migrate();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(files(&disk.path()).len(), 4);
}

#[test]
fn a_start_without_permission_says_so() {
    let folder = TempDir::new().unwrap();
    let storage = folder.path().join("storage");
    fs::create_dir(&storage).unwrap();
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = under(plain(), axum_server());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
    let output = command.args(at(&storage)).output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: cannot open `file:{}`: crate store filesystem failed: \
             Permission denied (os error 13)\n",
            storage.display()
        )
    );
    assert_eq!(output.status.code(), Some(1));
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o700)).unwrap();
}
