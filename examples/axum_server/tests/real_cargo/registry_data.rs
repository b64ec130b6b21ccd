//! What registries of one server share, and what each has of its own, beside crates.

use std::{fs, path::Path};

use registry_core::auth::oidc::Algorithm;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    common::{
        Answer, Client, CrateFile, IdentityServer, Import, OldRegistry, Outcome, Place, Server,
        index_line, wait_for,
    },
    trusted,
};

const EXCHANGE: &str = "api/v1/trusted_publishing/tokens";

/// Runs a command about the data of a server.
fn run(server: &Server, words: &[&str]) -> Outcome {
    Outcome::of(&mut server.command(words.iter().copied()))
}

fn publish(client: &Client, at: &str, file: &CrateFile) -> Answer {
    client.put(&format!("/{at}/api/v1/crates/new"), &file.frame())
}

fn get(client: &Client, at: &str, path: &str) -> Answer {
    client.get(&path.replacen("/main/", &format!("/{at}/"), 1))
}

/// The sizes of all crate files below a folder.
fn crate_files(folder: &Path) -> Vec<u64> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().collect();
    let mut sizes = Vec::new();
    while let Some(entry) = entries.pop() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => entries.extend(fs::read_dir(path).unwrap()),
            false if path.extension().is_some_and(|it| it == "crate") => {
                sizes.push(path.metadata().unwrap().len());
            }
            false => {}
        }
    }
    sizes.sort_unstable();
    sizes
}

#[test]
fn a_file_that_is_published_to_three_registries_is_stored_once() {
    let server = Server::start();
    let (alice, bob) = (server.client_of("alice"), server.client_of("bob"));
    let file = CrateFile::library("foo", "1.0.0", b"");
    for (at, client) in [("main", &alice), ("a", &bob), ("b", &alice)] {
        if at != "main" {
            run(&server, &["registry", "create", at]).success();
        }
        assert_eq!(publish(client, at, &file).status, 200, "{at}");
        let downloaded = get(client, at, &file.download_path());
        assert_eq!((downloaded.status, downloaded.body), (200, file.bytes.clone()), "{at}");
    }
    assert_eq!(crate_files(&server.data().join("crates")), [file.bytes.len() as u64]);
    // Other bytes under the same name and version are another file, of its own registry.
    run(&server, &["registry", "create", "c"]).success();
    let other = CrateFile::library("foo", "1.0.0", b"other");
    assert_eq!(publish(&bob, "c", &other).status, 200);
    let mut sizes = [file.bytes.len() as u64, other.bytes.len() as u64];
    sizes.sort_unstable();
    assert_eq!(crate_files(&server.data().join("crates")), sizes);
    for (at, expected) in [("main", &file), ("a", &file), ("b", &file), ("c", &other)] {
        assert_eq!(get(&bob, at, &expected.download_path()).body, expected.bytes, "{at}");
    }
}

#[test]
fn what_a_registry_is_for_is_told_as_it_was_last_said() {
    what_it_is_for_is_told(&Server::start());
}

#[test]
fn what_a_registry_in_postgresql_is_for_is_told_as_it_was_last_said() {
    let Some(place) = Place::postgres() else { return };
    what_it_is_for_is_told(&Server::start_at(&place));
}

fn what_it_is_for_is_told(server: &Server) {
    let registry = |words: &[&str]| run(server, &[&["registry"], words].concat());
    // The last column of the list, and all but the time of the description in full.
    let told = || {
        let listed = registry(&["list"]).success();
        let described = registry(&["describe", "tools"]).success();
        let (made, rest) = described.split_once("made: ").unwrap();
        let (at, crates) = rest.split_once('\n').unwrap();
        let fields: Vec<_> = listed.strip_suffix('\n').unwrap().split('\t').collect();
        assert_eq!((fields[0], fields[3], fields.len()), ("tools", at, 5));
        (fields[4].to_owned(), format!("{made}{crates}"))
    };
    let expected = |description: &str, read_only: bool| {
        let flags = format!("private: false\nread-only: {read_only}\ncrates: 0\n");
        (description.to_owned(), format!("name: tools\ndescription: {description}\n{flags}"))
    };
    registry(&["create", "tools", "--description", "Größe & „tools“ of 'a' team"]).success();
    assert_eq!(told(), expected("Größe & „tools“ of 'a' team", false));
    registry(&["change", "tools", "--read-only", "true"]).success();
    assert_eq!(told(), expected("Größe & „tools“ of 'a' team", true));
    registry(&["change", "tools", "--description", "What is built with"]).success();
    assert_eq!(told(), expected("What is built with", true));
    registry(&["change", "tools", "--description", ""]).success();
    assert_eq!(told(), expected("", true));

    let long = "x".repeat(257);
    for (text, reason) in [
        ("two\nlines", "is one line of plain text: take `\\u{a}` out of it"),
        (&*long, "is 257 characters, limit 256"),
    ] {
        let reason =
            format!("for '--description <TEXT>': the description of a registry {reason}\n");
        for command in ["create", "change"] {
            let refused = registry(&[command, "tools", "--description", text]).failure();
            assert!(refused.starts_with("error: invalid value "), "{refused}");
            assert!(refused.contains(&reason), "{refused}");
        }
    }
    assert_eq!(told(), expected("", true));
}

#[test]
fn a_list_in_pages_names_none_twice_while_registries_come_and_go() {
    let server = Server::start();
    let name = |number: usize| format!("team-{number:02}");
    let create = |name: &str| run(&server, &["registry", "create", name]).success();
    (0..25).for_each(|number| drop(create(&name(number))));
    let page = |after: Option<&str>| {
        let mut words = vec!["registry", "list", "--limit", "10"];
        words.extend(after.into_iter().flat_map(|after| ["--after", after]));
        let listed = run(&server, &words).success();
        let names = listed.lines().map(|line| line.split('\t').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let first = page(None);
    assert_eq!(first, (0..10).map(name).collect::<Vec<_>>());
    // One before the cursor comes, the one that the cursor names goes, and so does one behind it.
    create("team-03-b");
    for number in [9, 12] {
        run(&server, &["registry", "delete", &name(number), "--yes"]).success();
    }
    let second = page(Some(&name(9)));
    let there: Vec<_> = (10..25).filter(|number| *number != 12).map(name).collect();
    assert_eq!(second, there[..10]);
    assert_eq!(page(second.last().map(String::as_str)), there[10..]);
}

#[test]
fn a_database_tells_of_every_registry_to_servers_that_may_be_stale() {
    let Some(place) = Place::postgres() else { return };
    let flags = ["--max-staleness", "3600"];
    let [one, other] = [(); 2].map(|()| Server::start_at_with(&place, &flags));
    let alice = one.client_of("alice");
    for at in ["a", "b"] {
        run(&one, &["registry", "create", at]).success();
    }
    let nobody = other.client();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        for at in ["a", "b", "main"] {
            let file = CrateFile::library("hello", version, at.as_bytes());
            assert_eq!(publish(&alice, at, &file).status, 200, "{at}");
            wait_for("the other server to hear", || {
                let listed = get(&nobody, at, &file.index_path());
                listed.text().contains(&file.checksum()).then_some(())
            });
        }
    }
}

#[test]
fn an_import_is_into_the_registry_that_it_names() {
    let server = Server::start();
    run(&server, &["registry", "create", "a"]).success();
    let old = OldRegistry::new();
    let file = CrateFile::library("foo", "1.0.0", b"");
    old.add(&file, &index_line(&file, ""));
    let import = |at: &str| {
        let mut command = old.import_command(&server.data());
        Import::of(command.args(["--registry", at]))
    };
    assert_eq!(import("a"), Import::all_new(1));
    assert_eq!(import("a"), Import::nothing_new(1));
    let client = server.client();
    assert_eq!(get(&client, "a", &file.download_path()).body, file.bytes);
    assert_eq!(get(&client, "a", &file.index_path()).text(), index_line(&file, "") + "\n");
    assert_eq!(get(&client, "main", &file.index_path()).status, 404);
    assert_eq!(import("main"), Import::all_new(1));
    assert_eq!(get(&client, "main", &file.index_path()).status, 200);
    assert_eq!(crate_files(&server.data().join("crates")).len(), 1);

    let none = Outcome::of(old.import_command(&server.data()).args(["--registry", "b"])).failure();
    assert_eq!(none, "error: there is no registry `b`\n");
}

#[test]
fn a_run_that_one_registry_trusts_publishes_in_no_other() {
    let ci = IdentityServer::start(Algorithm::Rs256);
    let server = Server::start_with(&["--oidc", &ci.file("trusted-publishing", "")]);
    run(&server, &["registry", "create", "a"]).success();
    let alice = server.client_of("alice");
    let library = |version: &str| CrateFile::library("hello", version, b"");
    for at in ["a", "main"] {
        assert_eq!(publish(&alice, at, &library("1.0.0")).status, 200);
    }
    let publisher = |words: &[&str]| {
        run(&server, &[&["trusted-publisher"], words, &["--registry", "a"]].concat())
    };
    let flags = ["--github", "octo-org/hello", "--owner-id", "65", "--workflow", "publish.yml"];
    let issuer = ci.url();
    publisher(&[&["add", "--crate", "hello"], &flags[..], &["--issuer", &issuer]].concat())
        .success();
    let listed = publisher(&["list"]).success();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert_eq!(run(&server, &["trusted-publisher", "list"]).success(), "");

    let exchange = |at: &str| {
        let body = json!({ "jwt": ci.token(&trusted::run()) }).to_string();
        server.client().send("PUT", &format!("/{at}/{EXCHANGE}"), &[], body.as_bytes())
    };
    let unknown = "no crate trusts the repository or pipeline that the identity token is of";
    assert_eq!(exchange("main").error(), (400, unknown.into()));
    let token = trusted::token(&exchange("a"));
    let ci_run = server.client().with_token(&token);
    assert_eq!(publish(&ci_run, "a", &library("1.1.0")).status, 200);
    let refused = publish(&ci_run, "main", &library("1.1.0")).error();
    let text = "this run is not, or no longer, a trusted publisher of `hello`";
    assert_eq!(refused, (403, text.into()));

    let id = listed.split(['\t', ' ']).next().unwrap();
    run(&server, &["trusted-publisher", "remove", id]).failure();
    publisher(&["remove", id]).success();
    assert_eq!(publisher(&["list"]).success(), "");
    assert_eq!(exchange("a").error(), (400, unknown.into()));
}

#[test]
fn a_policy_is_explained_for_the_registry_that_is_named() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, "[[rules]]\nallow = [\"read\"]\nto = [\"anonymous\"]\ncrates = [\"*\"]\n")
        .unwrap();
    let rules = rules.to_str().unwrap();
    let server = Server::start();
    run(&server, &["registry", "create", "a"]).success();
    let file = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(publish(&server.client_of("alice"), "a", &file).status, 200);
    let explain = |at: &[&str]| {
        let words = ["--user", "alice", "--crate", "foo", "--action", "yank"];
        // The data folder is named behind the first words.
        let mut command = server.command(["policy", "explain"]);
        let output = command.args(["--policy", rules]).args(words).args(at).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (allowed, denied) = ("allowed by ownership", "denied: no rule allows it");
    for (at, status, said) in [
        (&["--registry", "a"][..], 0, allowed),
        (&["--registry", "main"], 3, denied),
        (&[], 3, denied),
    ] {
        let explained = explain(at);
        assert_eq!(explained.0, Some(status), "{at:?}");
        assert!(explained.1.starts_with(said), "{at:?}: {explained:?}");
    }
}
