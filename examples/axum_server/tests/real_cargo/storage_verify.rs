//! `axum_server storage verify`: damage is named, put aside and repaired, and readers are told.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use registry_core::{CrateName, store::CrateKey};
use registry_storage::layout::path_of;
use tempfile::TempDir;

use crate::common::{Answer, CrateFile, Place, Server, noise};

/// Where the file of a crate lies in a folder.
fn stored_file(folder: &Path, name: &str, file: &CrateFile) -> PathBuf {
    let (name, version) = (CrateName::new(name).unwrap(), file.version.parse().unwrap());
    let checksum = file.checksum().parse().unwrap();
    folder.join(path_of(&CrateKey { name, version, checksum }).as_ref())
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// What is aside in a folder of crate files.
fn files_aside(crates: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![crates.join("aside")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Exit status, what was found, and the summary without the time it took.
fn verify(server: &Server, flags: &[&str]) -> (i32, Vec<String>, String) {
    let command = ["storage", "verify"].iter().chain(flags).copied();
    let output = server.command(command).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let (checked, rest) = stdout.split_once(" checked in ").expect(&stderr);
    let (_, rest) = rest.split_once(" s: ").unwrap();
    let mut found: Vec<_> = stderr.lines().map(str::to_owned).collect();
    found.sort();
    (output.status.code().unwrap(), found, format!("{checked}: {}", rest.trim_end()))
}

fn summary(files: u64, wrong: u64, mended: u64, orphans: u64, aside: u64) -> String {
    format!(
        "{files} files (0.0 MiB): {wrong} problems, {mended} more mended; {orphans} files \
         (0.0 MiB) that no line names; {aside} files (0.0 MiB) aside"
    )
}

fn download(server: &Server, file: &CrateFile) -> Answer {
    server.client().get(&file.download_path())
}

/// One flipped byte: named, refused once it is put aside, and healed from a second store, while the
/// index and the other versions are as before.
#[test]
fn a_flipped_byte_is_named_refused_and_healed() {
    const DAMAGED: &str = "the file of crate `foo` version `1.0.0` is damaged";
    let server = Server::start();
    let client = server.client_of("alice");
    let files = ["1.0.0", "1.1.0"].map(|version| CrateFile::library("foo", version, b""));
    for file in &files {
        assert_eq!(client.publish(&file.frame()).status, 200);
    }
    let [first, second] = &files;
    let crates = server.data().join("crates");
    let spare = TempDir::new().unwrap();
    copy(&crates, spare.path());
    let index = client.get(&first.index_path());
    assert_eq!(verify(&server, &[]), (0, vec![], summary(2, 0, 0, 0, 0)));

    flip_a_byte(&stored_file(&crates, "foo", first));
    assert_eq!(verify(&server, &[]), (3, vec![DAMAGED.into()], summary(2, 1, 0, 0, 0)));
    let put_aside = vec![format!("{DAMAGED}: put aside")];
    assert_eq!(verify(&server, &["--quarantine"]), (3, put_aside, summary(2, 1, 0, 0, 0)));

    let refused = download(&server, first);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert_eq!(String::from_utf8(refused.body).unwrap(), format!("{DAMAGED} and was put aside\n"));
    assert_eq!(client.get(&first.index_path()).body, index.body);
    let other = download(&server, second);
    assert_eq!((other.status, other.body), (200, second.bytes.clone()));

    let url = format!("file:{}", spare.path().display());
    let (status, found, sums) = verify(&server, &["--repair-from", &url]);
    assert_eq!((status, sums), (0, summary(2, 0, 1, 0, 1)));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], format!("{DAMAGED} and was put aside: repaired"));
    let aside = format!("the file of crate foo 1.0.0 ({}) has been aside for ", first.checksum());
    let size = first.bytes.len();
    assert!(found[1].starts_with(&aside), "{found:?}");
    assert!(found[1].ends_with(&format!(" seconds, {size} bytes, as damaged")), "{found:?}");
    let healed = download(&server, first);
    assert_eq!((healed.status, healed.body), (200, first.bytes.clone()));
    assert_eq!(client.get(&first.index_path()).body, index.body);
    // An hour later, by the time in its name, the damaged one goes.
    let [entry] = files_aside(&crates).try_into().unwrap();
    let (seconds, rest) = entry.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
    let seconds = seconds.parse::<u64>().unwrap() - 2 * 60 * 60;
    fs::rename(&entry, entry.with_file_name(format!("{seconds}-{rest}"))).unwrap();
    let (status, _, sums) = verify(&server, &["--quarantine"]);
    assert_eq!((status, sums), (0, summary(2, 0, 0, 0, 0)));
    assert!(!crates.join("aside").exists());
}

/// The first download ends short of the last byte, each further one says what is the matter.
#[test]
fn a_damaged_file_is_found_by_its_first_download() {
    const PUT_ASIDE: &str = "the file of crate `foo` version `1.0.0` is damaged and was put aside";
    let server = Server::start_with(&["--verify-on-read"]);
    let client = server.client_of("alice");
    let files = ["1.0.0", "1.1.0"].map(|version| {
        // More than one piece of it.
        CrateFile::library("foo", version, &noise(2 << 20))
    });
    for file in &files {
        assert_eq!(client.publish(&file.frame()).status, 200);
        assert!(download(&server, file).body == file.bytes);
    }
    let [first, second] = &files;
    flip_a_byte(&stored_file(&server.data().join("crates"), "foo", first));
    let (mut stream, mut cut) = (server.client().begin("GET", &first.download_path(), &[]), vec![]);
    // Whether by an end or by a reset, it comes too early.
    let _ = stream.read_to_end(&mut cut);
    let head = cut.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(cut.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(cut.len() - head < first.bytes.len(), "all {} bytes", first.bytes.len());
    let refused = download(&server, first);
    assert_eq!((refused.status, refused.text()), (503, &*format!("{PUT_ASIDE}\n")));
    assert!(download(&server, second).body == second.bytes);
    assert!(server.log().contains("a damaged crate file was put aside"), "{}", server.log());
    let (status, found, _) = verify(&server, &[]);
    assert_eq!((status, found.len()), (3, 2), "{found:?}");
    assert_eq!(found[0], PUT_ASIDE);
}

#[test]
fn what_is_missing_is_repaired_and_what_no_line_names_is_told() {
    let server = Server::start();
    let client = server.client_of("alice");
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(client.publish(&file.frame()).status, 200);
    let crates = server.data().join("crates");
    let spare = TempDir::new().unwrap();
    copy(&crates, spare.path());
    let path = stored_file(&crates, "foo", &file);
    let orphan = stored_file(&crates, "bar", &file);
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::rename(&path, &orphan).unwrap();

    let url = format!("file:{}", spare.path().display());
    let (status, found, sums) = verify(&server, &["--repair-from", &url]);
    assert_eq!((status, sums), (0, summary(1, 0, 1, 1, 0)));
    let checksum = file.checksum();
    let told = format!("no line names the file of crate bar 1.0.0 ({checksum}): ");
    assert_eq!(found.len(), 2, "{found:?}");
    let rest = found[0].strip_prefix(&told).expect(&found[0]);
    let (bytes, age) = rest.split_once(" bytes, ").unwrap();
    assert_eq!(bytes.parse(), Ok(file.bytes.len()));
    assert!(age.ends_with(" seconds old"), "{age}");
    assert_eq!(found[1], "the file of crate `foo` version `1.0.0` is missing: repaired");
    assert_eq!(fs::read(path).unwrap(), file.bytes);
    // Harmless, so that it is no reason to wake anybody.
    assert_eq!(verify(&server, &[]).0, 0);
}

#[test]
fn the_files_of_another_registry_are_no_orphans_if_it_is_named() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (Server::start(), Place::sqlite(&folder));
    let shared = format!("file:{}", one.data().join("crates").display());
    let two = Server::start_at_with(&other, &["--storage", &shared]);
    for (server, name) in [(&one, "foo"), (&two, "bar")] {
        let file = CrateFile::library(name, "1.0.0", b"");
        assert_eq!(server.client_of("alice").publish(&file.frame()).status, 200);
    }
    assert_eq!(verify(&one, &[]).2, summary(1, 0, 0, 1, 0));
    let both = verify(&one, &["--also-index", other.url()]);
    assert_eq!(both, (0, vec![], summary(2, 0, 0, 0, 0)));
}

#[test]
fn a_place_that_is_not_there_is_not_made() {
    let server = Server::start();
    let missing = server.data().join("missing");
    let url = format!("file:{}", missing.display());
    for flag in ["--storage", "--repair-from"] {
        let output = server.command(["storage", "verify", flag, &url]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{flag}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("error: there are no crate files at `{url}`: it is no folder\n")
        );
    }
    assert!(!missing.exists());
}
