use crate::common::{Cargo, CrateFile, Server};

#[test]
fn a_name_in_mixed_case_is_published_twice_and_used() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("MixedCase", "1.0.0");
    cargo.publish_library("MixedCase", "1.1.0");
    let app = cargo.program("app", "println!(\"{}\", MixedCase::version())");
    cargo.run_in(&app, ["add", "MixedCase", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.1.0\n");
}

#[test]
fn another_spelling_of_a_name_is_refused_with_the_first() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("Foo-Bar", "1.0.0");
    for name in ["foo-bar", "Foo_Bar", "foo_bar", "FOO-BAR"] {
        let refused = cargo.publish(&cargo.library(name, "2.0.0")).failure();
        assert!(
            refused.contains("(status 409 Conflict): crate was previously named `Foo-Bar`"),
            "{refused}"
        );
    }
    cargo.publish_library("Foo-Bar", "2.0.0");
}

#[test]
fn names_are_found_in_any_spelling_by_the_web_api() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("Foo-Bar", "1.0.0");
    cargo.run(["yank", "foo_bar@1.0.0", "--registry", "main"]).success();
    let list = cargo.run(["owner", "--registry", "main", "--list", "FOO_BAR"]).success();
    assert_eq!(list, "alice\n");
}

#[test]
fn a_dependency_in_another_spelling_is_corrected_by_cargo() {
    let server = Server::start();
    let cargo = Cargo::of(&server, "alice");
    cargo.publish_library("foo-bar", "1.0.0");
    let app = cargo.program("app", "println!(\"{}\", foo_bar::version())");
    cargo.run_in(&app, ["add", "foo_bar", "--registry", "main"]).success();
    assert_eq!(cargo.run_in(&app, ["run"]).success(), "1.0.0\n");
}

#[test]
fn names_that_windows_cannot_unpack_are_refused() {
    let server = Server::start();
    let client = server.client_of("alice");
    for name in ["con", "aux", "nul", "NUL", "com1", "std"] {
        let answer = client.publish(&CrateFile::library(name, "1.0.0", b"").frame());
        let expected = "cannot upload a crate with a reserved name".to_owned();
        assert_eq!(answer.error(), (400, expected), "{name}");
    }
}
