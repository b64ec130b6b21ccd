use crate::common::{Cargo, Server};

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

    owner(&alice, &["--add", "bob", "hello"]).success();
    assert_eq!(list(), "alice\nbob\n");
    bob.publish(&bob.library("hello", "1.1.0")).success();

    owner(&bob, &["--remove", "alice", "hello"]).success();
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
