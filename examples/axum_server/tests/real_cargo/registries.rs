//! Several registries of one server, made and deleted while it runs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use registry_core::conformance::run;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::common::{Answer, Cargo, Client, CrateFile, Outcome, Place, Server, wait_for};

const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Runs a `registry` command.
fn registry(server: &Server, arguments: &[&str]) -> Outcome {
    let command = ["registry"].iter().chain(arguments).copied();
    Outcome::of(&mut server.command(command))
}

/// A cargo that knows `main` and `tools`, with one token for both.
fn cargo_of(server: &Server, user: &str) -> Cargo {
    let cargo = Cargo::anonymous(server);
    let index = server.index_url().replace("/main/", "/tools/");
    cargo.configure(&format!("[registries.tools]\nindex = \"{index}\"\n"));
    let token = server.token(user);
    cargo.with("CARGO_REGISTRIES_MAIN_TOKEN", &token).with("CARGO_REGISTRIES_TOOLS_TOKEN", &token)
}

fn publish(client: &Client, at: &str, file: &CrateFile) -> Answer {
    client.put(&format!("/{at}/api/v1/crates/new"), &file.frame())
}

fn download(client: &Client, at: &str, file: &CrateFile) -> Answer {
    client.get(&file.download_path().replacen("/main/", &format!("/{at}/"), 1))
}

fn index_file(client: &Client, at: &str, file: &CrateFile) -> Answer {
    client.get(&file.index_path().replacen("/main/", &format!("/{at}/"), 1))
}

fn two_registries(server: &Server) {
    let config = "/tools/index/config.json";
    let none = server.client().get(config);
    assert_eq!(none.error(), (404, "there is no registry `tools`".into()));
    registry(server, &["create", "tools"]).success();
    let url = server.url().replace("/main", "/tools");
    assert_eq!(server.client().get(config).json()["api"], url);

    let (alice, bob) = (cargo_of(server, "alice"), cargo_of(server, "bob"));
    alice.publish_library("hello", "1.0.0");
    let tools = |cargo: &Cargo, name, version, dependencies: &str| {
        let library = cargo.library(name, version);
        let library = library.dependencies(dependencies);
        cargo.run_in(&library, ["publish", "--registry", "tools"])
    };
    // A crate of one depends on a crate of the other.
    tools(&bob, "greet", "2.0.0", r#"hello = { version = "1", registry = "main" }"#).success();
    let app = alice.program("app", "println!(\"{} {}\", hello::version(), greet::version())");
    let elsewhere = alice.run_in(&app, ["add", "hello", "--registry", "tools"]).failure();
    assert!(elsewhere.contains("the crate `hello` could not be found"), "{elsewhere}");
    alice.run_in(&app, ["add", "hello", "--registry", "main"]).success();
    alice.run_in(&app, ["add", "greet", "--registry", "tools"]).success();
    assert_eq!(alice.run_in(&app, ["run"]).success(), "1.0.0 2.0.0\n");

    // The same name in both, with different owners; one token counts in both.
    tools(&bob, "hello", "1.0.0", "").success();
    let owners =
        |cargo: &Cargo, at| cargo.run(["owner", "--registry", at, "--list", "hello"]).success();
    assert_eq!((&*owners(&alice, "main"), &*owners(&alice, "tools")), ("alice\n", "bob\n"));
    let refused = tools(&alice, "hello", "1.1.0", "").failure();
    assert!(refused.contains("you don't seem to be an owner"), "{refused}");
    let refused = bob.publish(&bob.library("hello", "1.1.0")).failure();
    assert!(refused.contains("you don't seem to be an owner"), "{refused}");
    let found = alice.run(["search", "--registry", "tools", "greet"]).success();
    assert!(found.starts_with("greet = \"2.0.0\""), "{found}");
    assert_eq!(alice.run(["search", "--registry", "main", "greet"]).success(), "");

    // A URL without the slash at its end, or of no registry, is refused with a clear text.
    let cut = Cargo::anonymous(server);
    let index = server.index_url();
    cut.configure(&format!("[registries.cut]\nindex = \"{}\"\n", index.trim_end_matches('/')));
    let refused = cut.run(["search", "--registry", "cut", "x"]).failure();
    assert!(refused.contains("sparse registry url must end in a slash"), "{refused}");
    let nobody = Cargo::anonymous(server);
    let index = index.replace("/main/", "/nobody/");
    nobody.configure(&format!("[registries.nobody]\nindex = \"{index}\"\n"));
    let refused = nobody.run(["search", "--registry", "nobody", "x"]).failure();
    // Its own words for a 404.
    assert!(refused.contains("config.json not found in registry"), "{refused}");
}

#[test]
fn a_crate_of_one_registry_depends_on_a_crate_of_another() {
    two_registries(&Server::start());
}

#[test]
fn a_crate_of_one_registry_depends_on_a_crate_of_another_in_postgresql() {
    let Some(place) = Place::postgres() else { return };
    two_registries(&Server::start_at(&place));
}

#[test]
fn a_registry_is_read_as_far_from_memory_as_main_is_when_the_list_cannot_be_asked() {
    let Some(place) = Place::postgres() else { return };
    let [asks, may_be_stale] =
        ["0", "3600"].map(|seconds| Server::start_at_with(&place, &["--max-staleness", seconds]));
    registry(&asks, &["create", "tools"]).success();
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(publish(&asks.client_of("alice"), "tools", &file).status, 200);
    let status = |server: &Server| index_file(&server.client(), "tools", &file).status;
    assert_eq!((status(&asks), status(&may_be_stale)), (200, 200));
    run(async {
        let (client, connection) = tokio_postgres::connect(place.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("ALTER TABLE named_registry RENAME TO gone").await.unwrap();
    });
    wait_for("an error", || (status(&asks) == 503).then_some(()));
    wait_for("a question in vain", || {
        assert_eq!(status(&may_be_stale), 200);
        may_be_stale.log().contains("the list of registries cannot be asked").then_some(())
    });
    assert_eq!(status(&may_be_stale), 200);
}

#[test]
fn registries_are_made_described_changed_and_listed_while_the_server_runs() {
    let server = Server::start();
    for number in 0..25 {
        let name = format!("team-{number:02}");
        let flags: &[&str] = if number == 3 { &["--private"] } else { &[] };
        registry(&server, &[&["create", &name], flags].concat()).success();
    }
    registry(&server, &["create", "other"]).success();
    let mut listed = Vec::new();
    for (page, size) in [10, 10, 5, 0].into_iter().enumerate() {
        let after = listed.last().cloned().unwrap_or_else(|| "0".to_owned());
        let page_of = ["list", "--prefix", "team-", "--limit", "10", "--after", &after];
        let page_of = registry(&server, &page_of).success();
        assert_eq!(page_of.lines().count(), size, "page {page}");
        listed.extend(page_of.lines().map(|line| line.split('\t').next().unwrap().to_owned()));
    }
    assert_eq!(listed, (0..25).map(|number| format!("team-{number:02}")).collect::<Vec<_>>());
    let all = registry(&server, &["list"]).success();
    assert_eq!(all.lines().count(), 26);
    let fields: Vec<_> = all.lines().nth(4).unwrap().split('\t').collect();
    assert_eq!(fields[..3], ["team-03", "private", "writable"]);

    let client = server.client_of("alice");
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(publish(&client, "team-03", &file).status, 200);
    let described = registry(&server, &["describe", "team-03"]).success();
    let (head, rest) = described.split_once("made: ").unwrap();
    assert_eq!(head, "name: team-03\ndescription: \nprivate: true\nread-only: false\n");
    assert!(rest.ends_with("Z\ncrates: 1\n"), "{rest}");

    // A private one among others: its file is not to be had at one that is public.
    let anybody = server.client();
    assert_eq!(index_file(&anybody, "team-03", &file).status, 401);
    assert_eq!(index_file(&client, "team-03", &file).status, 200);
    assert_eq!(download(&client, "team-03", &file).body, file.bytes);
    assert_eq!(download(&anybody, "team-03", &file).status, 401);
    for at in ["main", "team-04"] {
        assert_eq!(download(&anybody, at, &file).status, 404, "{at}");
        assert_eq!(download(&client, at, &file).status, 404, "{at}");
    }

    let changed = ["change", "team-03", "--private", "false", "--read-only", "true"];
    registry(&server, &changed).success();
    wait_for("the server to know", || {
        (index_file(&anybody, "team-03", &file).status == 200).then_some(())
    });
    let second = CrateFile::library("foo", "2.0.0", b"");
    let refused = publish(&client, "team-03", &second).error();
    assert_eq!(refused, (403, "this registry is read-only".into()));
    assert_eq!(publish(&client, "team-04", &second).status, 200);
}

#[test]
fn what_is_no_registry_or_none_to_be_made_is_told() {
    let server = Server::start();
    registry(&server, &["create", "a"]).success();
    for (arguments, told) in [
        (&["create", "a"][..], "error: there is a registry `a` already\n"),
        (
            &["create", "main"],
            "error: `main` is there by itself, and stays; `serve` says what it is like\n",
        ),
        (&["describe", "b"], "error: there is no registry `b`\n"),
        (&["change", "b", "--private", "true"], "error: there is no registry `b`\n"),
        (&["delete", "b", "--yes"], "error: there is no registry `b`\n"),
        (&["delete", "a"], "error: say --yes: what is in the registry is gone then\n"),
    ] {
        assert_eq!(registry(&server, arguments).failure(), told);
    }
    for name in ["a.git", "api", "..", "A", "a/b"] {
        let refused = registry(&server, &["create", name]).failure();
        assert!(refused.starts_with("error: invalid value"), "{refused}");
    }
    let folder = TempDir::new().unwrap();
    let server = Server::start_at(&Place::folder(&folder));
    let refused = registry(&server, &["create", "a"]).failure();
    let one = "error: only a database has several registries: an index in a folder or a bucket is \
               one; use sqlite: or postgres://\n";
    assert_eq!(refused, one);
    let none = server.client().get("/a/index/config.json");
    assert_eq!(none.error(), (404, "there is no registry `a`".into()));
}

#[test]
fn a_registry_that_is_deleted_is_gone_and_leaves_nothing_to_the_next_of_its_name() {
    let server = Server::start();
    let (alice, bob) = (server.client_of("alice"), server.client_of("bob"));
    registry(&server, &["create", "a"]).success();
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(publish(&alice, "a", &file).status, 200);
    let index = index_file(&alice, "a", &file);
    let etag = index.header("etag").unwrap().to_owned();

    let refused = registry(&server, &["delete", "a", "--yes"]).failure();
    assert_eq!(
        refused,
        "error: there are 1 crates in `a`: say --with-crates if they are to go, too\n"
    );
    assert_eq!(index_file(&alice, "a", &file).status, 200);
    let deleted = registry(&server, &["delete", "a", "--yes", "--with-crates"]).success();
    assert_eq!(deleted, "deleted, with 1 crates\n");
    // At once, whatever the server remembers.
    let late = publish(&alice, "a", &CrateFile::library("late", "1.0.0", b""));
    assert!([404, 503].contains(&late.status), "{late:?}");
    wait_for("the server to know", || {
        let config = alice.get("/a/index/config.json");
        let none = (404, "there is no registry `a`".into());
        (config.status == 404).then(|| assert_eq!(config.error(), none))
    });
    assert_eq!(index_file(&alice, "a", &file).status, 404);
    assert_eq!(download(&alice, "a", &file).status, 404);

    registry(&server, &["create", "a"]).success();
    let path = file.index_path().replacen("/main/", "/a/", 1);
    let stale = |client: &Client| client.get_with(&path, &[("if-none-match", &etag)]).status;
    assert_eq!(stale(&alice), 404);
    // The name is free, and what is published is new.
    let other = CrateFile::library("foo", "1.0.0", b"other");
    assert_eq!(publish(&bob, "a", &other).status, 200);
    assert_eq!(stale(&alice), 200);
    assert_eq!(download(&alice, "a", &other).body, other.bytes);
    assert_eq!(download(&alice, "a", &file).status, 404);
    let trail = Outcome::of(&mut server.command(["audit"])).success();
    let words = trail.lines().map(|line| line.split(' ').nth(2).unwrap());
    let words: Vec<_> = words.filter(|word| word.ends_with("-registry")).collect();
    assert_eq!(words, ["create-registry", "delete-registry", "create-registry"]);
}

#[test]
fn a_token_that_is_revoked_in_one_registry_counts_in_none() {
    let server = Server::start_with(&["--private"]);
    registry(&server, &["create", "a"]).success();
    for _ in 0..3 {
        let client = server.client_of("alice");
        for at in ["main", "a"] {
            assert_eq!(client.get(&format!("/{at}/index/config.json")).status, 200);
        }
        let revoked = client.send("DELETE", "/main/api/v1/tokens/current", &[], b"");
        assert_eq!(revoked.status, 204, "{}", revoked.text());
        for at in ["a", "main"] {
            assert_eq!(client.get(&format!("/{at}/index/config.json")).status, 401, "{at}");
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.retain(|path| path.extension().is_some_and(|it| it == "crate" || it == "unnamed"));
    files
}

/// Has all files, stored or aside, be there for two days.
fn make_old(crates: &Path) {
    let old = SystemTime::now() - TWO_DAYS;
    for path in files_below(crates) {
        let name = path.file_name().unwrap().to_str().unwrap();
        match name.strip_suffix(".unnamed").and_then(|name| name.split_once('-')) {
            // The time in the name of the entry is what counts.
            Some((seconds, _)) => {
                let (_, rest) = name.split_once('-').unwrap();
                let seconds = seconds.parse::<u64>().unwrap() - TWO_DAYS.as_secs();
                fs::rename(&path, path.with_file_name(format!("{seconds}-{rest}"))).unwrap();
            }
            None => {
                fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
            }
        }
    }
}

#[test]
fn garbage_is_what_no_registry_of_the_database_names() {
    only_garbage_goes(&Server::start());
}

#[test]
fn garbage_is_what_no_registry_in_postgresql_names() {
    let Some(place) = Place::postgres() else { return };
    only_garbage_goes(&Server::start_at(&place));
}

fn only_garbage_goes(server: &Server) {
    let client = server.client_of("alice");
    for name in ["a", "b"] {
        registry(server, &["create", name]).success();
    }
    let library = |name| CrateFile::library(name, "1.0.0", b"");
    let (both, only_a, only_b, main) =
        (library("both"), library("only-a"), library("only-b"), library("mine"));
    for (at, file) in [("a", &both), ("b", &both), ("a", &only_a), ("b", &only_b), ("main", &main)]
    {
        assert_eq!(publish(&client, at, file).status, 200);
    }
    let crates = server.data().join("crates");
    assert_eq!(files_below(&crates).len(), 4);
    let gc = || {
        make_old(&crates);
        Outcome::of(&mut server.command(["storage", "gc"])).success();
    };
    let there = || {
        let has = |at, file| download(&client, at, file).status == 200;
        [has("a", &both), has("a", &only_a), has("b", &both), has("b", &only_b), has("main", &main)]
    };
    // Twice: the first run puts aside, the second removes.
    (0..3).for_each(|_| gc());
    assert_eq!(there(), [true; 5]);

    registry(server, &["delete", "a", "--yes", "--with-crates"]).success();
    wait_for("the server to know", || {
        (index_file(&client, "a", &both).status == 404).then_some(())
    });
    (0..3).for_each(|_| gc());
    assert_eq!(there(), [false, false, true, true, true]);
    assert_eq!(files_below(&crates).len(), 3);
    let verified = Outcome::of(&mut server.command(["storage", "verify"])).success();
    assert!(verified.starts_with("3 files"), "{verified}");
    assert!(verified.contains("0 problems, "), "{verified}");
    assert!(verified.contains("0 files (0.0 MiB) that no line names"), "{verified}");
}

#[test]
fn all_registries_are_migrated_and_a_bucket_or_folder_takes_none_but_main() {
    let server = Server::start();
    let client = server.client_of("alice");
    registry(&server, &["create", "a", "--private", "--description", "Crates of team A"]).success();
    let (mine, theirs) =
        (CrateFile::library("mine", "1.0.0", b""), CrateFile::library("theirs", "1.0.0", b""));
    assert_eq!(publish(&client, "main", &mine).status, 200);
    assert_eq!(publish(&client, "a", &theirs).status, 200);
    let run = |arguments: &[&str]| Outcome::of(&mut server.command(arguments.iter().copied()));
    run(&["name", "approve", "new", "--registry", "a"]).success();
    let folder = TempDir::new().unwrap();
    let from = format!("sqlite:{}", server.data().join("index.sqlite").display());
    let to = format!("file:{}", folder.path().join("index").display());
    let refused = run(&["migrate", "--from", &from, "--to", &to]).failure();
    assert_eq!(refused, format!("error: `{to}` is one registry, and these would be lost: a\n"));

    let to = format!("sqlite:{}", folder.path().join("index.sqlite").display());
    for done in [
        "1 copied, 0 brought up to date, 0 were there",
        "0 copied, 0 brought up to date, 1 were there",
    ] {
        let told = run(&["migrate", "--from", &from, "--to", &to]).success();
        let line = format!("1 crates in registry `a`: {done}, 0 not copied\n");
        assert!(told.contains(&line), "{told}");
    }
    let there = run(&["registry", "list", "--index", &to]).success();
    assert!(there.starts_with("a\tprivate\twritable\t"), "{there}");
    assert!(there.ends_with("Z\tCrates of team A\n"), "{there}");
    let names = run(&["name", "list", "--registry", "a", "--index", &to]).success();
    assert!(names.starts_with("new\t"), "{names}");
    let crates = format!("file:{}", server.data().join("crates").display());
    for (name, count) in [("main", 1), ("a", 1)] {
        let flags = ["index", "verify", "--registry", name, "--index", &to, "--storage", &crates];
        let verified = run(&flags).success();
        assert!(verified.starts_with(&format!("{count} crates checked")), "{verified}");
    }
}

#[test]
fn commands_are_about_the_registry_that_they_name() {
    let server = Server::start();
    let client = server.client_of("alice");
    registry(&server, &["create", "a"]).success();
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(publish(&client, "a", &file).status, 200);
    let run = |arguments: &[&str]| Outcome::of(&mut server.command(arguments.iter().copied()));
    let verified = |arguments: &[&str]| {
        let said = run(&[&["index", "verify"], arguments].concat()).success();
        said.split(" in ").next().unwrap().to_owned()
    };
    assert_eq!(verified(&["--registry", "a"]), "1 crates checked");
    assert_eq!((verified(&[]), verified(&["--registry", "main"])).0, "0 crates checked");
    let audited = |name| {
        let trail = run(&["audit", "--registry", name]).success();
        trail.lines().filter(|line| line.contains(" publish foo@1.0.0 alice ")).count()
    };
    assert_eq!((audited("a"), audited("main")), (1, 0));
    run(&["name", "approve", "bar", "--registry", "a"]).success();
    let approved = |name| run(&["name", "list", "--registry", name]).success().lines().count();
    assert_eq!((approved("a"), approved("main")), (1, 0));
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("out");
    run(&["export", "--registry", "a", "--static", to.to_str().unwrap()]).success();
    assert_eq!(fs::read(to.join("3/f/foo")).unwrap(), index_file(&client, "a", &file).body);
    let none = run(&["index", "verify", "--registry", "b"]).failure();
    assert_eq!(none, "error: there is no registry `b`\n");
}
