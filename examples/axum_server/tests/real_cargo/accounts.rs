use std::{fs, io::Write as _, process::Stdio};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::common::{Cargo, Client, CrateFile, Outcome, Server, checksum, wait_for};

/// Runs a command of the server's own.
fn administer(server: &Server, command: &[&str]) -> Outcome {
    Outcome::of(&mut server.command(command.iter().copied()))
}

/// Runs a command that reads `input` from stdin.
pub(crate) fn administer_with_input(server: &Server, command: &[&str], input: &str) -> Outcome {
    if command.iter().any(|word| word.contains("password")) {
        server.keep_secret(input.trim_end());
    }
    let mut command = server.command(command.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // It may have ended by itself, without reading.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    Outcome::of_process(&command, process)
}

/// A server remembers for half a second whose credential it is.
fn wait_for_status(client: &Client, path: &str, status: u16) {
    let is_there = || (client.get(path).status == status).then_some(());
    wait_for("the change to be seen", is_there);
}

#[test]
fn whoever_is_disabled_stays_out_until_they_are_enabled() {
    let server = Server::start_with(&["--private"]);
    let token = server.token("alice");
    let alice = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", &token);
    alice.publish_library("hello", "1.0.0");
    let (client, path) = (server.client().with_token(&token), "/main/index/he/ll/hello");
    assert_eq!(client.get(path).status, 200);
    administer(&server, &["user", "disable", "alice"]).success();
    wait_for_status(&client, path, 401);
    let refused = alice.publish(&alice.library("hello", "1.1.0")).failure();
    assert!(refused.contains("got 401"), "{refused}");
    // Nobody is made an owner who cannot come in.
    let bob = Cargo::of(&server, "bob");
    bob.publish_library("other", "1.0.0");
    let refused = bob.run(["owner", "--registry", "main", "--add", "alice", "other"]).failure();
    assert!(refused.contains("could not find user with login `alice`"), "{refused}");
    administer(&server, &["user", "enable", "alice"]).success();
    wait_for_status(&client, path, 200);
    alice.publish(&alice.library("hello", "1.1.0")).success();
}

#[test]
fn accounts_are_made_and_listed_by_command() {
    let server = Server::start();
    for command in [
        &["user", "add", "alice", "--name", "Alice"][..],
        &["user", "add", "ci", "--service"],
        &["group", "create", "ui"],
        &["group", "create", "group:core"],
        &["group", "add", "ui", "alice", "ci"],
        &["group", "add", "group:core", "alice"],
        &["user", "disable", "ci"],
    ] {
        assert_eq!(administer(&server, command).success(), "", "{command:?}");
    }
    // Whoever has a token is a user, too.
    server.token("bob");
    let users = administer(&server, &["user", "list"]).success();
    let lines: Vec<_> = users.lines().collect();
    assert_eq!(lines[0], "alice\tuser\tgroup:core,group:ui\t-");
    let (ci, since) = lines[1].split_once("disabled ").unwrap();
    assert_eq!((ci, since.len()), ("ci\tservice\tgroup:ui\t", "2026-01-01T00:00:00Z".len()));
    assert_eq!(lines[2..], ["bob\tuser\t-\t-"]);
    let groups = administer(&server, &["group", "list"]).success();
    assert_eq!(groups, "group:ui\talice,ci\ngroup:core\talice\n");

    for (command, expected) in [
        (&["user", "add", "alice"][..], "error: there is a user `alice` already\n"),
        (&["group", "create", "ui"], "error: there is a group `group:ui` already\n"),
        (&["group", "add", "ui", "carol"], "error: there is no user `carol`\n"),
        (&["group", "add", "web", "alice"], "error: there is no group `group:web`\n"),
        (
            &["group", "add", "ui", "group:core"],
            "error: `group:core`: a group is not a member of another\n",
        ),
        (
            &["user", "add", "group:ops"],
            "error: `group:ops`: the login of a group begins with `group:`, and no other does\n",
        ),
        (
            &["user", "disable", "group:ui"],
            "error: `group:ui`: a group has members to disable or remove\n",
        ),
    ] {
        assert_eq!(administer(&server, command).failure(), expected, "{command:?}");
    }
}

#[test]
fn a_service_account_publishes_with_a_token() {
    let server = Server::start();
    administer(&server, &["user", "add", "ci", "--service"]).success();
    let ci = Cargo::of(&server, "ci");
    ci.publish_library("hello", "1.0.0");
    let list = ci.run(["owner", "--registry", "main", "--list", "hello"]).success();
    assert_eq!(list, "ci\n");
    let refused = administer_with_input(&server, &["user", "password", "ci"], "correct horse\n");
    assert_eq!(refused.failure(), "error: `ci`: only a user has a password\n");
}

#[test]
fn a_password_comes_by_a_pipe_or_from_a_file() {
    let server = Server::start();
    let file = server.data().join("password");
    fs::write(&file, "correct horse\r\n").unwrap();
    let path = file.to_str().unwrap();
    administer(&server, &["user", "add", "alice", "--password-file", path]).success();
    let add = ["user", "add", "bob", "--password-stdin"];
    administer_with_input(&server, &add, "battery staple\n").success();
    let list = || administer(&server, &["user", "list"]).success();
    assert_eq!(list(), "alice\tuser\t-\tpassword\nbob\tuser\t-\tpassword\n");
    administer(&server, &["user", "password", "bob", "--remove"]).success();
    assert_eq!(list(), "alice\tuser\t-\tpassword\nbob\tuser\t-\t-\n");
    for (input, expected) in [
        ("short\n", "error: a password has at least 8 characters\n"),
        ("", "error: a password has at least 8 characters\n"),
        (
            "two lines\nof it\n",
            "error: a password has no control characters in it, and is one line\n",
        ),
    ] {
        let refused = administer_with_input(&server, &["user", "password", "bob"], input);
        assert_eq!(refused.failure(), expected, "{input:?}");
        // Nothing is left of a user whose password will not do.
        let carol = ["user", "add", "carol", "--password-stdin"];
        assert_eq!(administer_with_input(&server, &carol, input).failure(), expected);
    }
    assert_eq!(list().lines().count(), 2);
}

/// As `curl -u USER:PASSWORD` sends it.
pub(crate) fn basic(server: &Server, user: &str, password: &str) -> Client {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    server.client().with_token(&format!("Basic {pair}"))
}

#[test]
fn a_password_opens_what_its_user_may_read_and_write() {
    let server = Server::start_with(&["--private"]);
    let hello = CrateFile::library("hello", "1.0.0", b"");
    let password = |user: &str, password: &str| {
        let command = ["user", "password", user];
        administer_with_input(&server, &command, &format!("{password}\n")).success();
    };
    administer(&server, &["user", "add", "alice"]).success();
    administer(&server, &["user", "add", "bob"]).success();
    password("alice", "correct: horse");
    let alice = basic(&server, "alice", "correct: horse");
    assert_eq!(alice.publish(&hello.frame()).status, 200);
    let status = |client: Client| client.get(&hello.index_path()).status;
    assert_eq!(status(alice), 200);
    for (user, password) in [
        ("alice", "correct: hors"),
        ("alice", ""),
        ("bob", "correct: horse"),
        ("nobody", "correct: horse"),
        ("group:ui", "correct: horse"),
    ] {
        assert_eq!(status(basic(&server, user, password)), 401, "{user}:{password}");
    }
    // Alone it is a token, and none that counts.
    assert_eq!(status(server.client().with_token("correct:horse")), 401);

    let (old, path) = (basic(&server, "alice", "correct: horse"), hello.index_path());
    administer(&server, &["user", "disable", "alice"]).success();
    wait_for_status(&old, &path, 401);
    administer(&server, &["user", "enable", "alice"]).success();
    wait_for_status(&old, &path, 200);
    password("alice", "battery staple");
    wait_for_status(&old, &path, 401);
    assert_eq!(status(basic(&server, "alice", "battery staple")), 200);
    for secret in ["correct: horse", "battery staple"] {
        assert!(!server.log().contains(secret));
        assert!(!server.log().contains(&BASE64_STANDARD.encode(format!("alice:{secret}"))));
    }
}

#[test]
fn accounts_in_a_file_count_and_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, token) = (folder.path().join("accounts.toml"), "a-token-of-thirty-two-characters");
    let write = |disabled: bool| {
        let digest = checksum(token.as_bytes());
        let text = format!(
            "[users.alice]\ngroups = [\"ui\"]\ndisabled = {disabled}\n\
             tokens = [{{ sha256 = \"{digest}\" }}]\n[groups.ui]\n"
        );
        fs::write(&path, text).unwrap();
    };
    write(false);
    let server = Server::start_with(&["--private", "--accounts", path.to_str().unwrap()]);
    let client = server.client().with_token(token);
    let hello = CrateFile::library("hello", "1.0.0", b"");
    assert_eq!(client.publish(&hello.frame()).status, 200);
    let owners = "/main/api/v1/crates/hello/owners";
    assert_eq!(client.send("PUT", owners, &[], br#"{"users":["group:ui"]}"#).status, 200);
    // Somebody whose token is in the index is known as well, by what the file says of them.
    let stored = server.client_of("alice");
    assert_eq!(stored.get(&hello.index_path()).status, 200);
    write(true);
    wait_for_status(&client, &hello.index_path(), 401);
    wait_for_status(&stored, &hello.index_path(), 401);
    fs::write(&path, "nonsense\n").unwrap();
    // It is looked at when somebody comes.
    wait_for("the mistake to be told", || {
        assert_eq!(client.get(&hello.index_path()).status, 401);
        server.log().contains("line 1: ").then_some(())
    });
    assert!(!server.log().contains(token));
}
