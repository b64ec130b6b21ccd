//! `axum_server migrate`: from any index to any other, the same in the end.

use std::{
    collections::BTreeMap,
    io::Write as _,
    num::NonZeroUsize,
    path::Path,
    process::{Command, Output, Stdio},
};

use registry_core::{
    CrateRecord, Index, IndexFile,
    conformance::{
        record_fixture::{first, in_every_state, publish, set_yanked, stamp},
        run,
    },
};
use registry_index::sqlite::SqliteDatabase;
use tempfile::TempDir;

use crate::{
    asymmetric::PUBLIC,
    common::{CrateFile, Place, Server, axum_server, wait_for},
};

fn index_of(path: &Path) -> impl Index + use<> {
    SqliteDatabase::open(path).unwrap().index("main")
}

/// Makes a SQLite index of these crates.
fn seed(path: &Path, records: impl IntoIterator<Item = CrateRecord>) {
    run(async {
        let index = index_of(path);
        for record in records {
            let revision = index.load(&record.name().canonical(), None).await.unwrap().found();
            let revision = revision.map(|stored| stored.revision);
            let (record, change) = record.imported(stamp());
            index.commit(revision.as_ref(), &change, &record).await.unwrap();
        }
    });
}

/// All that a SQLite index holds, and all that it serves.
fn content(path: &Path) -> BTreeMap<String, (CrateRecord, IndexFile)> {
    run(async {
        let index = index_of(path);
        let mut content = BTreeMap::new();
        for name in index.names(None, NonZeroUsize::new(10_000).unwrap()).await.unwrap() {
            let record = index.load(&name, None).await.unwrap().found().unwrap().record;
            let file = index.index_file(&name, None).await.unwrap().found().unwrap();
            content.insert(name.to_string(), (record, file));
        }
        content
    })
}

/// `folder` is for what has no place for tokens.
fn migrate(folder: &TempDir, from: &Place, to: &Place) -> Command {
    let mut command = axum_server();
    command.args(["migrate", "--from", from.url(), "--to", to.url(), "--data"]);
    command.arg(folder.path().join("data"));
    from.prepare(to.prepare(&mut command));
    command
}

#[track_caller]
fn ends(output: &Output, status: i32) -> String {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    stdout
}

/// The numbers of the summary: crates, copied, brought up to date, there already, not copied.
fn counts(summary: &str) -> Vec<usize> {
    let words = summary.split([' ', ':', '`', ',', ';']);
    words.filter_map(|word| word.parse().ok()).take(5).collect()
}

#[test]
fn an_index_comes_back_the_same_from_a_journey_through_every_backend() {
    let folder = TempDir::new().unwrap();
    let start = folder.path().join("start");
    let grown = publish(&set_yanked(&first("hello-world", "1.0.0").0, "1.0.0", true).0, "1.1.0").0;
    let mut records = vec![grown.clone(), in_every_state("States"), first("a", "0.1.0").0];
    records.extend((0..40).map(|count| first(&format!("crate-{count}"), "1.0.0").0));
    let crates = records.len();
    seed(&start, records);

    let moves_no_files = |summary: &str, stage: &[Place]| {
        let told = summary.contains("the crate files are where they were, and not in");
        let buckets = stage.iter().filter(|place| place.url().starts_with("s3:")).count();
        assert_eq!(told, buckets == 1, "{summary}");
    };
    let mut places = vec![Place::sqlite_at(&start), Place::folder(&folder)];
    places.extend(Place::postgres().into_iter().chain(Place::bucket()));
    places.push(Place::sqlite_at(&folder.path().join("end")));
    for stage in places.windows(2) {
        let summary = ends(&migrate(&folder, &stage[0], &stage[1]).output().unwrap(), 0);
        assert_eq!(counts(&summary), [crates, crates, 0, 0, 0], "{summary}");
        moves_no_files(&summary, stage);
        let again = ends(&migrate(&folder, &stage[0], &stage[1]).output().unwrap(), 0);
        assert_eq!(counts(&again), [crates, 0, 0, crates, 0], "{again}");
    }
    assert_eq!(content(&folder.path().join("end")), content(&start));

    // What came since comes after.
    seed(&start, [publish(&grown, "1.2.0").0]);
    for stage in places.windows(2) {
        let summary = ends(&migrate(&folder, &stage[0], &stage[1]).output().unwrap(), 0);
        assert_eq!(counts(&summary), [crates, 0, 1, crates - 1, 0], "{summary}");
    }
    assert_eq!(content(&folder.path().join("end")), content(&start));
}

#[test]
fn a_migration_that_is_killed_goes_on_where_it_was() {
    const CRATES: usize = 300;
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    seed(&from, (0..CRATES).map(|count| first(&format!("crate-{count}"), "1.0.0").0));
    let places = [&from, &to].map(|path| Place::sqlite_at(path));
    let mut command = migrate(&folder, &places[0], &places[1]);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let copied = wait_for("some crates", || {
        let copied = if to.exists() { content(&to).len() } else { 0 };
        (copied >= 20).then_some(copied)
    });
    process.kill().unwrap();
    process.wait().unwrap();
    let summary = ends(&migrate(&folder, &places[0], &places[1]).output().unwrap(), 0);
    let counts = counts(&summary);
    assert!(counts[3] >= copied && counts[1] + counts[3] == CRATES, "{summary}");
    assert_eq!(content(&to), content(&from));
}

#[test]
fn a_crate_that_moved_on_elsewhere_is_named_and_left() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    seed(&from, [first("one", "1.0.0").0, first("two", "1.0.0").0]);
    let ours = publish(&first("one", "1.0.0").0, "2.0.0").0;
    seed(&to, [ours.clone()]);
    let [from, there] = [&from, &to].map(|path| Place::sqlite_at(path));
    let output = migrate(&folder, &from, &there).output().unwrap();
    assert_eq!(counts(&ends(&output, 3)), [2, 1, 0, 0, 1]);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "not copied: `one`: version `2.0.0` of crate `one` is another one, or missing, \
         in the source\n"
    );
    assert_eq!(content(&to)["one"].0, ours);
}

#[test]
fn users_come_along_and_log_in_as_before() {
    let folder = TempDir::new().unwrap();
    let from = Place::sqlite(&folder);
    let server = Server::start_at(&from);
    let tokens = ["alice", "bob"].map(|user| server.token(user));
    let client = server.client().with_token(&tokens[1]);
    assert_eq!(client.publish(&CrateFile::library("hello", "1.0.0", b"").frame()).status, 200);
    let owners = |server: &Server, token: &str| {
        let client = server.client().with_token(token);
        client.get("/main/api/v1/crates/hello/owners").json()
    };
    let expected = owners(&server, &tokens[1]);

    let mut places = vec![Place::sqlite(&folder)];
    places.extend(Place::postgres().into_iter().chain(Place::bucket()));
    for to in places {
        let summary = ends(&migrate(&folder, &from, &to).output().unwrap(), 0);
        assert!(summary.contains("; 2 users with their tokens; "), "{summary}");
        let moved = Server::start_at(&to);
        for token in &tokens {
            assert_eq!(owners(&moved, token), expected);
        }
        // Alice is no owner there either.
        let alice = moved.client().with_token(&tokens[0]);
        assert_eq!(alice.publish(&CrateFile::library("hello", "1.1.0", b"").frame()).status, 403);
    }
}

/// Runs a command on the index of a place.
fn administer(place: &Place, words: &[&str], input: &str) -> Output {
    let mut command = axum_server();
    command.args(words).args(["--index", place.url()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = place.prepare(&mut command).spawn().unwrap();
    // It may have ended by itself, without reading.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

/// With alice, who is disabled, bob of a group that owns `hello`, a service account, a key, a trusted
/// publisher and an approved name. Gives the tokens of alice and bob.
fn with_access(from: &Place) -> [String; 2] {
    let server = Server::start_at(from);
    let tokens = ["alice", "bob"].map(|user| server.token(user));
    for (words, input) in [
        (&["user", "add", "ci", "--service"][..], ""),
        (&["user", "add", "carol", "--password-stdin"], "correct horse battery"),
        (&["group", "create", "ui"], ""),
        (&["group", "add", "ui", "bob", "ci"], ""),
        (&["key", "add", "--user", "alice", "--name", "laptop"], PUBLIC),
        (&["name", "approve", "ui-kit", "--for", "group:ui"], ""),
    ] {
        ends(&administer(from, words, input), 0);
    }
    let alice = server.client().with_token(&tokens[0]);
    assert_eq!(alice.publish(&CrateFile::library("hello", "1.0.0", b"").frame()).status, 200);
    let owners = "/main/api/v1/crates/hello/owners";
    assert_eq!(alice.send("PUT", owners, &[], br#"{"users":["group:ui"]}"#).status, 200);
    let trust = ["trusted-publisher", "add", "--crate", "hello", "--buildkite", "acme/app"];
    ends(&administer(from, &trust, ""), 0);
    ends(&administer(from, &["user", "disable", "alice"], ""), 0);
    tokens
}

#[test]
fn access_comes_along_and_nobody_gets_more_of_it() {
    let folder = TempDir::new().unwrap();
    let from = Place::sqlite(&folder);
    let [alice, bob] = with_access(&from);
    let told = |place: &Place| {
        [
            &["user", "list"][..],
            &["group", "list"],
            &["key", "list"],
            &["name", "list"],
            &["trusted-publisher", "list"],
        ]
        .map(|words| ends(&administer(place, words, ""), 0))
    };
    let before = told(&from);
    assert!(before.iter().all(|lines| !lines.is_empty()), "{before:?}");
    assert!(before[0].contains("alice\tuser\t-\tdisabled "), "{before:?}");

    let targets: Vec<_> = [Place::sqlite(&folder)].into_iter().chain(Place::postgres()).collect();
    for to in &targets {
        let summary = ends(&migrate(&folder, &from, to).output().unwrap(), 0);
        let more = "; 1 groups, 1 keys, 1 trusted publishers, 1 approved names; ";
        let trail = format!("the audit trail stays in `{}`\n", from.url());
        assert!(summary.contains(more) && summary.contains(&trail), "{summary}");
        assert_eq!(told(to), before);
        let moved = Server::start_at(to);
        let publish = |token: &str, version: &str| {
            let file = CrateFile::library("hello", version, b"");
            moved.client().with_token(token).publish(&file.frame()).status
        };
        assert_eq!(publish(&alice, "1.1.0"), 401);
        assert_eq!(publish(&bob, "1.1.0"), 200);
    }

    // What was taken away since is taken away there, too.
    ends(&administer(&from, &["user", "disable", "bob"], ""), 0);
    let id = before[2].split('\t').next().unwrap();
    ends(&administer(&from, &["key", "revoke", id], ""), 0);
    let after = told(&from);
    assert_ne!(after, before);
    for to in &targets {
        // There is a version that the source does not have.
        ends(&migrate(&folder, &from, to).output().unwrap(), 3);
        assert_eq!(told(to), after);
    }
}

#[test]
fn a_key_that_was_revoked_in_the_target_stays_so() {
    let folder = TempDir::new().unwrap();
    let [from, to] = [Place::sqlite(&folder), Place::sqlite(&folder)];
    drop(Server::start_at(&from));
    ends(&administer(&from, &["user", "add", "alice"], ""), 0);
    ends(&administer(&from, &["key", "add", "--user", "alice", "--name", "laptop"], PUBLIC), 0);
    ends(&migrate(&folder, &from, &to).output().unwrap(), 0);
    let keys = |place| ends(&administer(place, &["key", "list"], ""), 0);
    let before = keys(&to);
    assert_eq!(before, keys(&from));
    ends(&administer(&to, &["key", "revoke", before.split('\t').next().unwrap()], ""), 0);
    let revoked = keys(&to);
    assert_ne!(revoked, before);
    ends(&migrate(&folder, &from, &to).output().unwrap(), 0);
    assert_eq!(keys(&to), revoked);
}

#[test]
fn a_bucket_is_not_given_what_it_cannot_keep() {
    let Some(bucket) = Place::bucket() else { return };
    let folder = TempDir::new().unwrap();
    let from = Place::sqlite(&folder);
    with_access(&from);
    let output = migrate(&folder, &from, &bucket).output().unwrap();
    ends(&output, 1);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: `{}` keeps users and their tokens alone, and these would be lost: accounts that \
             are not just users, such as `alice`, public keys, trusted publishers, approved names\n",
            bucket.url()
        )
    );
}

#[test]
fn a_user_who_is_another_one_in_the_target_is_noticed_before_anything_is_copied() {
    let folder = TempDir::new().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    seed(&from, [first("hello", "1.0.0").0]);
    seed(&to, []);
    let places = [&from, &to].map(|path| Place::sqlite_at(path));
    for (place, users) in places.iter().zip([["alice", "bob"], ["bob", "alice"]]) {
        for user in users {
            let mut command = axum_server();
            command.args(["token", "create", "--user", user, "--index", place.url()]);
            ends(&command.output().unwrap(), 0);
        }
    }
    let output = migrate(&folder, &places[0], &places[1]).output().unwrap();
    ends(&output, 1);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot copy the users: token store sqlite failed: \
         user `alice` has the id 2 here, and 1 there\n"
    );
    assert_eq!(content(&to).len(), 0);
}

#[test]
fn a_migration_needs_two_indexes() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| Place::sqlite_at(&folder.path().join(name));
    seed(&folder.path().join("here"), []);
    let error = |from: &Place, to: &Place| {
        let output = migrate(&folder, from, to).output().unwrap();
        ends(&output, 1);
        String::from_utf8(output.stderr).unwrap()
    };
    let (here, gone) = (place("here"), place("gone"));
    let expected = format!("error: there is no index at `{}`\n", gone.url());
    assert_eq!(error(&gone, &here), expected);
    assert!(!folder.path().join("gone").exists());
    let same = place("./here");
    let expected = format!("error: `{}` is both source and target\n", here.url());
    assert_eq!(error(&here, &same), expected);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        assert_eq!(error(&here, &place("link/here")), expected);
    }
}
