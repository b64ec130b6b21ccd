use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use registry_core::record::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Cargo, CrateFile, Outcome, Package, Place, Server, axum_server, wait_for};

/// Makes a token with these flags and prints it.
fn create(server: &Server, user: &str, flags: &[&str]) -> Outcome {
    Outcome::of(server.token_command(user).args(flags))
}

fn token(server: &Server, user: &str, flags: &[&str]) -> String {
    let token = create(server, user, flags).success().trim_end().to_owned();
    server.keep_secret(&token);
    token
}

fn cargo_with(server: &Server, token: &str) -> Cargo {
    Cargo::anonymous(server).with("CARGO_REGISTRIES_MAIN_TOKEN", token)
}

/// What `token list --json` says.
fn listed(server: &Server, flags: &[&str]) -> Vec<Value> {
    let printed = Outcome::of(server.command(["token", "list", "--json"]).args(flags)).success();
    serde_json::from_str(&printed).unwrap()
}

fn fetches_hello(cargo: &Cargo) -> Package {
    let app = cargo.program("app", "");
    app.dependencies(r#"hello = { version = "1", registry = "main" }"#)
}

#[test]
fn cargo_says_how_to_log_in_once_a_token_has_expired() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = Cargo::anonymous(&server);
    let app = fetches_hello(&cargo);
    let short = token(&server, "bob", &["--expires-in", "2s"]);
    let fetch = || {
        let variable = ("CARGO_REGISTRIES_MAIN_TOKEN", &short);
        Outcome::of(cargo.command(app.folder()).arg("fetch").env(variable.0, variable.1))
    };
    fetch().success();
    let bob = server.client().with_token(&short);
    wait_for("the token to expire", || {
        (bob.get("/main/index/config.json").status == 401).then_some(())
    });
    cargo.forget_downloads();
    let refused = fetch().failure();
    let hint = "token rejected for `main`, please run `cargo login --registry main`";
    assert!(refused.contains(hint), "{refused}");
    assert!(refused.contains("got 401\n  body:\n  authentication failed\n"), "{refused}");
    assert_eq!(listed(&server, &["--user", "bob"])[0]["state"], "expired");
}

#[test]
fn longer_than_the_maximum_is_refused_and_both_are_named() {
    let server = Server::start_with(&["--token-max-lifetime", "12h"]);
    let flags = ["--token-max-lifetime", "12h", "--expires-in", "13h"];
    let refused = create(&server, "alice", &flags).failure();
    assert_eq!(refused, "error: tokens expire after 12h at most, and `13h` was asked for\n");
    create(&server, "alice", &["--token-max-lifetime", "12h", "--expires-in", "12h"]).success();
    let never = ["--token-max-lifetime", "12h", "--expires-in", "never"];
    let refused = create(&server, "alice", &never).failure();
    assert_eq!(refused, "error: tokens expire after 12h at most, and `never` was asked for\n");

    // The same rules for whoever asks the server.
    let file = server.data().join("password");
    fs::write(&file, "correct horse").unwrap();
    let add = ["user", "password", "alice", "--password-file", file.to_str().unwrap()];
    Outcome::of(&mut server.command(add)).success();
    let pair = BASE64_STANDARD.encode("alice:correct horse");
    let alice = server.client().with_token(&format!("Basic {pair}"));
    let ask = |time: &str| {
        let asked = json!({ "api_token": { "name": "laptop", "expires_in": time } });
        alice.put("/main/api/v1/me/tokens", asked.to_string().as_bytes())
    };
    let detail = "tokens expire after 12h at most, and `13h` was asked for".to_owned();
    assert_eq!(ask("13h").error(), (400, detail));
    assert_eq!(ask("12h").status, 200);
}

/// What lies between the making of a token and its end, in seconds.
fn lifetime(token: &Value) -> Option<u64> {
    let seconds = |field: &str| Some(Timestamp::from_rfc3339(token[field].as_str()?)?.0);
    Some(seconds("expires_at")? - seconds("created_at")?)
}

#[test]
fn a_token_counts_for_90_days_unless_something_is_said() {
    let server = Server::start();
    for (flags, seconds) in [
        (&[][..], Some(90 * 86_400)),
        (&["--expires-in", "never"], None),
        (&["--token-default-lifetime", "1d"], Some(86_400)),
        (&["--token-max-lifetime", "1h"], Some(3_600)),
    ] {
        let user = format!("user-{seconds:?}").replace(['(', ')'], "");
        token(&server, &user, flags);
        assert_eq!(lifetime(&listed(&server, &["--user", &user])[0]), seconds, "{flags:?}");
    }
    let help = Outcome::of(axum_server().args(["token", "create", "--help"])).success();
    assert!(help.contains("counts for 90 days"), "{help}");
}

/// A token revoked by command is refused by `other` within a second.
fn is_refused_within_a_second(place: &Place, revoke: impl Fn(&Server, &Value) -> Command) {
    let server = Server::start_at_with(place, &["--private"]);
    let other = Server::start_at_with(place, &["--private"]);
    let token = server.token("alice");
    let clients = [&server, &other].map(|server| server.client().with_token(&token));
    let published = CrateFile::library("foo", "1.0.0", b"");
    assert_eq!(clients[0].put("/main/api/v1/crates/new", &published.frame()).status, 200);
    let status = |number: usize| clients[number].get("/main/index/config.json").status;
    assert_eq!([status(0), status(1)], [200, 200]);
    let record = &listed(&server, &[])[0];
    Outcome::of(&mut revoke(&server, record)).success();
    let revoked = Instant::now();
    // Of writes, none any more.
    for client in &clients {
        let refused = client.put("/main/api/v1/crates/foo/1.0.0/unyank", b"").error();
        assert_eq!(refused, (401, "authentication failed".into()));
    }
    for number in [0, 1] {
        wait_for("the token to be refused", || (status(number) == 401).then_some(()));
    }
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    assert_eq!(listed(&server, &[])[0]["state"], "revoked");
}

fn by_id(server: &Server, token: &Value) -> Command {
    let id = token["id"].to_string();
    server.command(["token", "revoke", &id])
}

#[test]
fn a_revoked_token_is_refused_by_another_server_within_a_second() {
    let folder = TempDir::new().unwrap();
    is_refused_within_a_second(&Place::sqlite(&folder), by_id);
}

#[test]
fn all_tokens_of_a_user_are_revoked_by_one_command() {
    let folder = TempDir::new().unwrap();
    is_refused_within_a_second(&Place::sqlite(&folder), |server, _| {
        server.command(["token", "revoke", "--user", "alice"])
    });
}

#[test]
fn a_revoked_token_is_refused_by_another_server_on_postgresql_within_a_second() {
    if let Some(place) = Place::postgres() {
        is_refused_within_a_second(&place, by_id);
    }
}

#[test]
fn what_is_not_there_is_not_revoked() {
    let server = Server::start();
    server.token("alice");
    let revoke =
        |which: &[&str]| Outcome::of(server.command(["token", "revoke"]).args(which)).failure();
    assert_eq!(revoke(&["7"]), "error: there is no token `7`\n");
    assert_eq!(revoke(&["--user", "bob"]), "error: `bob` has no tokens\n");
}

#[test]
fn a_list_says_what_a_token_is_for() {
    let server = Server::start();
    let flags = ["--name", "ci", "--scope", "read", "--scope", "yank", "--crate", "ui-*"];
    token(&server, "alice", &flags);
    server.token("bob");
    let all = listed(&server, &[]);
    assert_eq!(all.len(), 2);
    let alice = &listed(&server, &["--user", "alice"])[..];
    let [token] = alice else { panic!("{alice:?}") };
    let expected = json!({
        "id": token["id"],
        "user": "alice",
        "name": "ci",
        "kind": "user",
        "state": "valid",
        "scopes": ["read", "yank"],
        "crates": ["ui-*"],
        "created_at": token["created_at"],
        "expires_at": token["expires_at"],
        "last_used_at": null,
        "revoked_at": null,
    });
    assert_eq!(*token, expected);
    let lines = Outcome::of(&mut server.command(["token", "list", "--user", "alice"])).success();
    let [id, created, expires] = ["id", "created_at", "expires_at"].map(|it| token[it].clone());
    let [created, expires] = [&created, &expires].map(|time| time.as_str().unwrap());
    let line = format!("{id}\talice\tvalid\t{created}\t{expires}\t-\tread,yank\tui-*\tci\n");
    assert_eq!(lines, line);
}

#[test]
fn the_last_use_is_known_when_the_server_has_ended() {
    let mut server = Server::start_with(&["--private"]);
    let client = server.client_of("alice");
    assert_eq!(client.get("/main/index/config.json").status, 200);
    server.terminate();
    assert!(server.wait().success(), "{}", server.log());
    let token = &listed(&server, &[])[0];
    let used = token["last_used_at"].as_str().expect("a time");
    assert!(used.ends_with(":00Z"), "{used}");
}

#[test]
fn a_token_under_a_key_from_a_file_counts_only_with_that_file() {
    let folder = TempDir::new().unwrap();
    let place = Place::sqlite(&folder);
    let file = folder.path().join("token.key");
    let key = "07".repeat(32);
    fs::write(&file, format!("{key}\n")).unwrap();
    let flags = ["--private", "--token-key-file", file.to_str().unwrap()];
    let with = Server::start_at_with(&place, &flags);
    let without = Server::start_at_with(&place, &["--private"]);
    with.keep_secret(&key);
    let (plain, keyed) = (token(&with, "alice", &[]), token(&with, "alice", &flags[1..]));
    let status = |server: &Server, token: &str| {
        server.client().with_token(token).get("/main/index/config.json").status
    };
    // Those from before go on counting.
    assert_eq!([status(&with, &plain), status(&with, &keyed)], [200, 200]);
    assert_eq!([status(&without, &plain), status(&without, &keyed)], [200, 401]);

    fs::write(&file, "secret").unwrap();
    let refused = create(&with, "alice", &flags[1..]).failure();
    let path = file.display();
    let reason = "a key for tokens is 64 hexadecimal digits in lowercase";
    assert_eq!(refused, format!("error: --token-key-file: `{path}`: {reason}\n"));
}

/// Cargo was told that the token is not for this.
#[track_caller]
fn assert_lacks(outcome: &Outcome, what: &str) {
    let refused = outcome.failure();
    let reason = format!(
        "(status 403 Forbidden): this token does not have the required permissions to perform this \
         action: it {what}"
    );
    assert!(refused.contains(&reason), "{refused}");
}

#[test]
fn a_token_that_reads_one_that_writes_and_one_that_manages_do_nothing_else() {
    let server = Server::start_with(&["--private"]);
    let alice = Cargo::of(&server, "alice");
    server.token("bob");
    let write = ["publish-new", "publish-update", "yank"];
    for (user, scopes) in [
        ("reader", &[][..]),
        ("publisher", &write[..2]),
        ("writer", &write),
        ("manager", &["change-owners"]),
    ] {
        let hello = format!("hello-{user}");
        alice.publish_library(&hello, "1.0.0");
        let flags = scopes.iter().flat_map(|scope| ["--scope", scope]);
        let flags: Vec<_> = ["--scope", "read"].into_iter().chain(flags).collect();
        let cargo = cargo_with(&server, &token(&server, "alice", &flags));
        let app = cargo.program("app", "");
        let app =
            app.dependencies(&format!("{hello} = {{ version = \"1\", registry = \"main\" }}"));
        cargo.run_in(&app, ["fetch"]).success();
        let at = ["--registry", "main"];
        let version = format!("{hello}@1.0.0");
        let run = |words: &[&str]| cargo.run(words.iter().chain(&at));
        for (scope, outcome) in [
            ("publish-new", cargo.publish(&cargo.library(&format!("new-{user}"), "1.0.0"))),
            ("publish-update", cargo.publish(&cargo.library(&hello, "1.1.0"))),
            ("yank", run(&["yank", &version])),
            ("yank", run(&["yank", "--undo", &version])),
            ("change-owners", run(&["owner", "--add", "bob", &hello])),
            ("change-owners", run(&["owner", "--remove", "bob", &hello])),
        ] {
            match scopes.contains(&scope) {
                true => drop(outcome.success()),
                false => assert_lacks(&outcome, &format!("lacks the scope `{scope}`\n")),
            }
        }
        assert_eq!(run(&["owner", "--list", &hello]).success(), "alice\n");
    }
}

#[test]
fn a_token_for_some_crates_is_for_no_others() {
    let server = Server::start_with(&["--private"]);
    Cargo::of(&server, "alice").publish_library("hello", "1.0.0");
    let cargo = cargo_with(&server, &token(&server, "alice", &["--crate", "ui-*"]));
    let at = ["--registry", "main"];
    let run = |words: &[&str]| cargo.run(words.iter().chain(&at));
    cargo.publish_library("ui-button", "1.0.0");
    cargo.publish_library("ui-button", "1.1.0");
    run(&["yank", "ui-button@1.0.0"]).success();
    let lacks = "is not for the crate `hello`";
    assert_lacks(&cargo.publish(&cargo.library("hello", "1.1.0")), lacks);
    assert_lacks(&run(&["yank", "hello@1.0.0"]), lacks);
    assert_lacks(&run(&["owner", "--add", "alice", "hello"]), lacks);
    let other = cargo.publish(&cargo.library("other", "1.0.0"));
    assert_lacks(&other, "is not for the crate `other`");
    // Both count, what it is for and for which crates.
    let flags = ["--crate", "ui-*", "--scope", "read", "--scope", "publish-update"];
    let updates = cargo_with(&server, &token(&server, "alice", &flags));
    updates.publish_library("ui-button", "1.2.0");
    let new = updates.publish(&updates.library("ui-switch", "1.0.0"));
    assert_lacks(&new, "lacks the scope `publish-new`");
    assert_lacks(&updates.publish(&updates.library("hello", "1.1.0")), lacks);

    // To read what a build needs beside them has to be said.
    let hello = CrateFile::library("hello", "1.0.0", b"").index_path();
    let status = |flags: &[&str]| {
        server.client().with_token(&token(&server, "alice", flags)).get(&hello).status
    };
    assert_eq!(status(&["--crate", "ui-*"]), 404);
    assert_eq!(status(&["--crate", "ui-*", "--scope", "read"]), 404);
    assert_eq!(status(&["--crate", "ui-*", "--scope", "read-all"]), 200);
}
