//! `serve --storage-mirror` and `--storage-cache`: what a server serves from where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use registry_core::{CrateName, store::CrateKey};
use registry_storage::layout::path_of;
use tempfile::TempDir;

use crate::common::{CrateFile, Server, axum_server, noise};

fn url(folder: &Path) -> String {
    format!("file:{}", folder.display())
}

/// Where the file of a crate lies in a folder.
fn place(folder: &Path, file: &CrateFile) -> PathBuf {
    let name = CrateName::new("hello").unwrap();
    let (version, checksum) = (file.version.parse().unwrap(), file.checksum().parse().unwrap());
    folder.join(path_of(&CrateKey { name, version, checksum }).as_ref())
}

fn file(version: &str) -> CrateFile {
    CrateFile::library("hello", version, &noise(600_000))
}

#[track_caller]
fn assert_served(server: &Server, file: &CrateFile) {
    let answer = server.client().get(&file.download_path());
    assert!((answer.status, &answer.body) == (200, &file.bytes), "{}", answer.status);
}

/// Every file in a folder and those below it, with its length.
fn files(folder: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.metadata().unwrap().len()),
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn a_mirror_has_every_file_and_is_read_where_the_first_place_fails() {
    let folder = TempDir::new().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let server =
        Server::start_with(&["--storage", &url(&first), "--storage-mirror", &url(&second)]);
    let alice = server.client_of("alice");
    let one = file("1.0.0");
    assert_eq!(alice.publish(&one.frame()).status, 200);
    for folder in [&first, &second] {
        assert!(fs::read(place(folder, &one)).unwrap() == one.bytes);
    }
    for lost in [&first, &second] {
        fs::rename(lost, folder.path().join("lost")).unwrap();
        assert_served(&server, &one);
        fs::rename(folder.path().join("lost"), lost).unwrap();
        let place = place(lost, &one);
        fs::remove_file(&place).unwrap();
        assert_served(&server, &one);
        fs::write(&place, &one.bytes).unwrap();
    }

    // Where a file can only be put in one of them, it is not published.
    let two = file("2.0.0");
    let crate_folder = place(&second, &two).parent().unwrap().to_owned();
    fs::rename(&crate_folder, folder.path().join("lost")).unwrap();
    fs::write(&crate_folder, "in the way").unwrap();
    assert_eq!(alice.publish(&two.frame()).status, 503);
    assert!(!server.client().get(&two.index_path()).text().contains(&two.checksum()));
    assert_served(&server, &one);
    fs::remove_file(&crate_folder).unwrap();
    fs::rename(folder.path().join("lost"), &crate_folder).unwrap();
    assert_eq!(alice.publish(&two.frame()).status, 200);
    assert!(fs::read(place(&second, &two)).unwrap() == two.bytes);
}

#[test]
fn a_cache_serves_what_was_read_once_and_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let [crates, cache] = ["crates", "cache"].map(|name| folder.path().join(name));
    let mut server = Server::start_with(&[
        "--storage",
        &url(&crates),
        "--storage-cache",
        cache.to_str().unwrap(),
        // Room for one file, and not for two.
        "--storage-cache-size",
        "1000K",
    ]);
    let alice = server.client_of("alice");
    let (one, two) = (file("1.0.0"), file("2.0.0"));
    for file in [&one, &two] {
        assert_eq!(alice.publish(&file.frame()).status, 200);
    }
    let size = one.bytes.len() as u64;
    assert_eq!(files(&cache), [0]);
    assert_served(&server, &one);
    assert_eq!(files(&cache), [0, size]);

    // Where the server would find other bytes now, if it looked.
    let scribble = |text: &str| fs::write(place(&crates, &one), text.repeat(one.bytes.len()));
    scribble("x").unwrap();
    assert_served(&server, &one);
    let part = server.client().get_with(&one.download_path(), &[("range", "bytes=500000-")]);
    assert!((part.status, &part.body[..]) == (206, &one.bytes[500_000..]), "{}", part.status);

    server.terminate();
    assert!(server.wait().success());
    server.restart();
    assert_served(&server, &one);
    assert_served(&server, &two);
    assert_eq!(files(&cache), [0, two.bytes.len() as u64]);
    // Read anew, and found to be damaged: the answer is cut off before its end.
    assert_eq!(server.client().try_send("GET", &one.download_path(), &[], b""), None);
    assert_served(&server, &two);
}

#[cfg(target_os = "linux")]
#[test]
fn a_cache_whose_disk_is_full_is_passed_by() {
    use crate::disk::Disk;

    let Some(disk) = Disk::mount() else { return };
    let cache = disk.path();
    let server = Server::start_with(&["--storage-cache", cache.to_str().unwrap()]);
    let alice = server.client_of("alice");
    let (one, two) = (file("1.0.0"), file("2.0.0"));
    for file in [&one, &two] {
        assert_eq!(alice.publish(&file.frame()).status, 200);
    }
    assert_served(&server, &one);
    let kept = files(&cache);
    assert_eq!(kept, [0, one.bytes.len() as u64]);
    disk.fill();
    assert_served(&server, &two);
    assert!(server.log().contains("the cache is passed by"), "{}", server.log());
    assert_served(&server, &one);
    disk.free();
    assert_served(&server, &two);
    assert_eq!(files(&cache), [0, one.bytes.len() as u64, two.bytes.len() as u64]);
}

#[test]
fn what_cannot_be_put_around_crate_files_is_said_at_the_start() {
    let folder = TempDir::new().unwrap();
    let (data, not_a_folder) = (folder.path().join("data"), folder.path().join("file"));
    fs::write(&not_a_folder, "").unwrap();
    let start = |flags: &[&str]| {
        let mut command = axum_server();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(flags);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = start(&["--storage-cache-size", "10X"]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("a size is a number of bytes, or of K, M, G or T, as in `10M`"),
        "{stderr}"
    );
    let (code, stderr) = start(&["--storage-mirror", "ftp://example.com"]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("error: --storage-mirror: "), "{stderr}");
    let place = url(&folder.path().join("crates"));
    assert_eq!(
        start(&["--storage", &place, "--storage-mirror", &place]),
        (1, format!("error: --storage-mirror: `{place}` is the place of --storage itself\n"))
    );
    let itself = folder.path().join("crates").display().to_string();
    assert_eq!(
        start(&["--storage", &place, "--storage-cache", &itself]),
        (1, format!("error: --storage-cache: `{place}` is the place of --storage itself\n"))
    );
    assert!(!data.exists());

    let server =
        Server::start_with(&["--storage-cache", &folder.path().join("c").display().to_string()]);
    let cache = folder.path().join("c").display().to_string();
    assert_eq!(
        start(&["--storage-cache", &cache]),
        (
            1,
            format!(
                "error: cannot cache crate files in `{cache}`: crate store cache failed: another \
                 cache is using `{cache}`\n"
            )
        )
    );
    drop(server);
    let (code, stderr) = start(&["--storage-cache", not_a_folder.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("error: cannot cache crate files in `"), "{stderr}");
}
