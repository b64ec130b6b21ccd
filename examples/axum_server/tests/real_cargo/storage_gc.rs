//! `axum_server storage gc`: what a failed publish has left goes away in two runs, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::common::{CrateFile, Server};

const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Everything below a folder that is not a folder, in order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files.retain(|path| path.extension().is_some_and(|it| it == "crate" || it == "unnamed"));
    files
}

/// Exit status, what it says of each file, and the summary without the time it took.
fn gc(server: &Server, arguments: &[&str]) -> (i32, Vec<String>, String) {
    let output = server.command(["storage", "gc"]).args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let summary = stdout.rsplit_once("; in ").map_or(stdout.as_str(), |(summary, _)| summary);
    let stderr = stderr.lines().map(str::to_owned).collect();
    (output.status.code().unwrap(), stderr, summary.to_owned())
}

#[test]
fn what_no_line_names_is_removed_by_the_second_run_beside_a_running_server() {
    let server = Server::start();
    let client = server.client_of("alice");
    let file = CrateFile::library("named", "1.0.0", b"");
    assert_eq!(client.publish(&file.frame()).status, 200);
    let crates = server.data().join("crates");
    let named = files_below(&crates);
    assert_eq!(named.len(), 1);
    let old = SystemTime::now() - TWO_DAYS;
    let make_old = |path: &Path| {
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    };
    make_old(&named[0]);
    // As a publish leaves it that ends before its commit.
    let orphan = CrateFile::library("orphan", "1.0.0", b"");
    let folder = crates.join("or/ph/orphan");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("1.0.0-{}.crate", orphan.checksum()));
    fs::write(&path, b"orphan").unwrap();

    let place = format!("`file:{}`", crates.display());
    let of_orphan = format!("orphan 1.0.0 ({}), 6 bytes", orphan.checksum());
    let summary = |files, aside, purged, already| {
        format!(
            "{files} files looked at in {place}: {aside} files (0.0 MiB) put aside, {purged} files \
             (0.0 MiB) purged, 0 files (0.0 MiB) put back; {already} files (0.0 MiB) aside already, \
             0 left alone in doubt, 0 failed"
        )
    };
    assert_eq!(gc(&server, &[]), (0, vec![], summary(2, 0, 0, 0)));
    make_old(&path);
    let dry = format!("dry run, nothing was changed: {}", summary(2, 1, 0, 0));
    let would = vec![format!("would be put aside: {of_orphan}")];
    assert_eq!(gc(&server, &["--dry-run"]), (0, would, dry));
    assert!(path.exists());
    let moved = vec![format!("put aside: {of_orphan}")];
    assert_eq!(gc(&server, &["--older-than", "47h"]), (0, moved, summary(2, 1, 0, 0)));
    assert_eq!(gc(&server, &[]), (0, vec![], summary(2, 0, 0, 1)));

    // The time in the name of the entry is what counts.
    let aside = files_below(&crates.join("aside"));
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(&aside[0]).unwrap(), b"orphan");
    let (seconds, rest) = aside[0].file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
    let seconds = seconds.parse::<u64>().unwrap() - TWO_DAYS.as_secs();
    fs::rename(&aside[0], aside[0].with_file_name(format!("{seconds}-{rest}"))).unwrap();
    let purged = vec![format!("purged: {of_orphan}")];
    assert_eq!(gc(&server, &[]), (0, purged, summary(2, 0, 1, 0)));
    assert_eq!(files_below(&crates), named);
    assert_eq!(client.publish(&orphan.frame()).status, 200);
}

#[test]
fn an_index_that_is_not_there_or_names_nothing_makes_no_garbage() {
    let server = Server::start();
    let crates = server.data().join("crates");
    let (status, stderr, summary) = gc(&server, &[]);
    assert_eq!((status, stderr), (0, vec![]));
    assert!(summary.starts_with("0 files looked at in"), "{summary}");

    let file = CrateFile::library("foo", "1.0.0", b"");
    fs::create_dir_all(crates.join("3/f/foo")).unwrap();
    let path = crates.join(format!("3/f/foo/1.0.0-{}.crate", file.checksum()));
    fs::write(&path, &file.bytes).unwrap();
    let (status, stderr, _) = gc(&server, &[]);
    assert_eq!(files_below(&crates), [path]);
    let nothing = "error: cannot collect garbage: the index names no crate at all, so that \
                   every file would be garbage";
    assert_eq!((status, stderr), (1, vec![nothing.to_owned()]));
    let other = server.data().join("slip.sqlite");
    let (status, stderr, _) =
        gc(&server, &["--also-index", &format!("sqlite:{}", other.display())]);
    let not_there = format!("error: there is no index at `sqlite:{}`", other.display());
    assert_eq!((status, stderr), (1, vec![not_there]));
    assert!(!other.exists());
    let (status, stderr, _) = gc(&server, &["--older-than", "59m"]);
    assert_eq!(status, 2);
    assert_eq!(
        stderr[0],
        "error: invalid value '59m' for '--older-than <AGE>': it is less than `1h`, within which \
         a publish may still come to name its file"
    );
}

#[test]
fn the_index_of_another_registry_makes_no_garbage() {
    let (server, other) = (Server::start(), Server::start());
    let mine = CrateFile::library("mine", "1.0.0", b"");
    assert_eq!(server.client_of("alice").publish(&mine.frame()).status, 200);
    let theirs = CrateFile::library("theirs", "1.0.0", b"");
    assert_eq!(other.client_of("bob").publish(&theirs.frame()).status, 200);
    let crates = server.data().join("crates");
    let files = files_below(&crates);
    let old = SystemTime::now() - TWO_DAYS;
    fs::File::options().write(true).open(&files[0]).unwrap().set_modified(old).unwrap();

    let wrong = format!("sqlite:{}", other.data().join("index.sqlite").display());
    let (status, stderr, _) = gc(&server, &["--index", &wrong]);
    let refusal = "error: cannot collect garbage: 1 files would be put aside or purged, and only 0 are \
                   named by the index: is it that of these files, and is none left out? If so, allow \
                   it by `even-most`";
    assert_eq!((status, stderr), (1, vec![refusal.to_owned()]));
    assert_eq!(files_below(&crates), files);
    assert_eq!(gc(&server, &["--index", &wrong, "--even-most"]).0, 0);
    let aside = files_below(&crates);
    assert_eq!(aside.len(), 1);
    assert!(aside[0].starts_with(crates.join("aside")));
    assert_eq!(server.client().get(&mine.download_path()).body, mine.bytes);
}
