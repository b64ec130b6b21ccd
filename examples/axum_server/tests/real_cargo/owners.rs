use crate::common::{Cargo, Outcome, Server, wait_for};

/// Runs a command of the server's own, which must succeed.
fn administer(server: &Server, command: &[&str]) {
    Outcome::of(&mut server.command(command.iter().copied())).success();
}

/// What `cargo owner` says it has done.
fn said(outcome: &Outcome) -> String {
    outcome.success();
    outcome.stderr().lines().last().unwrap().trim().to_owned()
}

#[test]
fn owners_are_listed_added_and_removed() {
    let server = Server::start();
    let alice = Cargo::of(&server, "alice");
    let bob = Cargo::of(&server, "bob");
    alice.publish_library("hello", "1.0.0");
    let owner = |cargo: &Cargo, arguments: &[&str]| {
        cargo.run(["owner", "--registry", "main"].iter().chain(arguments))
    };
    let list = || owner(&alice, &["--list", "hello"]).success();
    assert_eq!(list(), "alice\n");

    let refused = bob.publish(&bob.library("hello", "1.1.0")).failure();
    assert!(refused.contains("(status 403 Forbidden): this crate exists but"), "{refused}");

    let added = owner(&alice, &["--add", "bob", "hello"]);
    assert_eq!(said(&added), "Owner user bob has been added as an owner of crate hello");
    assert_eq!(list(), "alice\nbob\n");
    bob.publish(&bob.library("hello", "1.1.0")).success();

    let removed = owner(&bob, &["--remove", "alice", "hello"]);
    assert_eq!(said(&removed), r#"Owner removing ["alice"] from crate hello"#);
    assert_eq!(list(), "bob\n");
    let refused = alice.publish(&alice.library("hello", "1.2.0")).failure();
    assert!(refused.contains("(status 403 Forbidden): this crate exists but"), "{refused}");
    let refused = alice.run(["yank", "hello@1.0.0", "--registry", "main"]).failure();
    assert!(refused.contains("(status 403 Forbidden): this crate exists but"), "{refused}");
}

#[test]
fn the_last_owner_stays() {
    let server = Server::start();
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("hello", "1.0.0");
    let remove = ["owner", "--registry", "main", "--remove", "alice", "hello"];
    let refused = alice.run(remove).failure();
    assert!(refused.contains("cannot remove all individual owners of a crate"), "{refused}");
    let list = alice.run(["owner", "--registry", "main", "--list", "hello"]).success();
    assert_eq!(list, "alice\n");
}

#[test]
fn somebody_unknown_cannot_be_made_an_owner() {
    let server = Server::start();
    let alice = Cargo::of(&server, "alice");
    alice.publish_library("hello", "1.0.0");
    let add = ["owner", "--registry", "main", "--add", "nobody", "hello"];
    let refused = alice.run(add).failure();
    assert!(refused.contains("could not find user with login `nobody`"), "{refused}");
}

#[test]
fn a_group_owns_a_crate_as_a_team_does() {
    let server = Server::start();
    let (alice, token) = (Cargo::of(&server, "alice"), server.token("bob"));
    let bob = Cargo::anonymous(&server).with("CARGO_REGISTRIES_MAIN_TOKEN", &token);
    alice.publish_library("hello", "1.0.0");
    let owner = |cargo: &Cargo, arguments: &[&str]| {
        cargo.run(["owner", "--registry", "main"].iter().chain(arguments))
    };
    // A server remembers for half a second whose credential it is.
    let client = server.client().with_token(&token);
    let wait_for_status = |status| {
        let unyank = || client.send("PUT", "/main/api/v1/crates/hello/1.0.0/unyank", &[], b"");
        wait_for("the change to be seen", || (unyank().status == status).then_some(()));
    };
    let unknown = owner(&alice, &["--add", "group:ui", "hello"]).failure();
    assert!(unknown.contains("could not find team with login `group:ui`"), "{unknown}");
    administer(&server, &["group", "create", "ui", "--name", "User interface"]);
    let added = owner(&alice, &["--add", "group:ui", "hello"]);
    assert_eq!(said(&added), "Owner team group:ui has been added as an owner of crate hello");
    let list = || owner(&alice, &["--list", "hello"]).success();
    assert_eq!(list(), "alice\ngroup:ui (User interface)\n");
    let answer = server.client().get("/main/api/v1/crates/hello/owners");
    let kinds = answer.text().matches(r#""kind":"team""#).count();
    assert_eq!((answer.status, kinds), (200, 1), "{}", answer.text());

    // Who becomes a member publishes and yanks with the token they have, but owns nothing.
    let hello = |version| bob.publish(&bob.library("hello", version));
    hello("1.1.0").failure();
    administer(&server, &["group", "add", "group:ui", "bob"]);
    wait_for_status(200);
    hello("1.1.0").success();
    bob.run(["yank", "hello@1.1.0", "--registry", "main"]).success();
    let refused = owner(&bob, &["--add", "bob", "hello"]).failure();
    let text = "(status 403 Forbidden): members of a group do not have permission to modify owners";
    assert!(refused.contains(text), "{refused}");
    let refused = owner(&bob, &["--remove", "alice", "hello"]).failure();
    assert!(refused.contains(text), "{refused}");

    // A group does not change owners, so a user stays.
    let refused = owner(&alice, &["--remove", "alice", "hello"]).failure();
    assert!(refused.contains("cannot remove all individual owners of a crate"), "{refused}");

    administer(&server, &["group", "remove", "ui", "bob"]);
    wait_for_status(403);
    let refused = hello("1.2.0").failure();
    assert!(refused.contains("(status 403 Forbidden): this crate exists but"), "{refused}");
    administer(&server, &["group", "add", "ui", "bob"]);
    wait_for_status(200);
    owner(&alice, &["--remove", "group:ui", "hello"]).success();
    assert_eq!(list(), "alice\n");
    hello("1.2.0").failure();
}
