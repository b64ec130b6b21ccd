use crate::common::{Cargo, Server};

#[test]
fn search_finds_by_name_and_words_and_shows_the_newest_version() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("hello", "1.0.0");
    cargo.publish_library("hello", "1.2.0");
    cargo.publish_library("hello", "1.1.0");
    cargo.publish_library("hello-world", "0.1.0");
    cargo.publish_library("other", "0.1.0");

    let found = cargo.run(["search", "hello", "--registry", "main"]).success();
    let found: Vec<_> = found.lines().take_while(|line| !line.starts_with("note: ")).collect();
    assert_eq!(
        found,
        [
            r#"hello = "1.2.0"          # the crate hello"#,
            r#"hello-world = "0.1.0"    # the crate hello-world"#,
        ]
    );
    let by_words = cargo.run(["search", "world crate", "--registry", "main"]).success();
    assert_eq!(by_words, "hello-world = \"0.1.0\"    # the crate hello-world\n");
    let nothing = cargo.run(["search", "absent", "--registry", "main"]).success();
    assert_eq!(nothing, "");
}

#[test]
fn search_says_how_many_more_there_are() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    for name in ["part-a", "part-b", "part-c"] {
        cargo.publish_library(name, "1.0.0");
    }
    let found = cargo.run(["search", "part", "--limit", "1", "--registry", "main"]).success();
    assert!(found.starts_with("part-a = \"1.0.0\""), "{found}");
    assert!(found.contains("... and 2 crates more"), "{found}");
}

#[test]
fn info_shows_a_crate() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    let hello = cargo.library("hello", "1.0.0").manifest("rust-version = \"1.70\"");
    cargo.publish(&hello).success();
    let info = cargo.run(["info", "hello", "--registry", "main"]).success();
    for line in ["the crate hello", "version: 1.0.0 (from registry `main`)", "rust-version: 1.70"] {
        assert!(info.lines().any(|shown| shown.trim() == line), "{line:?} is not in {info}");
    }
}
